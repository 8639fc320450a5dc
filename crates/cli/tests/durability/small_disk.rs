//! A small file system of a test's own, in a mount namespace that ends with the test.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Makes the file system, says so, and holds the namespace until its stdin is closed.
const SCRIPT: &str = r#"
set -e
PATH=$PATH:/sbin:/usr/sbin
case "$1" in
  tmpfs) mount -t tmpfs -o "size=$2" tmpfs "$3" ;;
  ext4) truncate -s "$2" "$3.image"; mkfs.ext4 -q -m 0 "$3.image"; mount -o loop "$3.image" "$3"; chmod 777 "$3" ;;
esac
echo mounted
exec cat
"#;

/// Kinds of file systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tmpfs,
    /// In a file, through a loop device: for root only.
    Ext4,
}

/// A file system that is mounted.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    holder: Child,
    mount: PathBuf,
    /// Whether the namespace needed one of users too.
    rootless: bool,
}

impl SmallDisk {
    /// Mounts one at `directory/disk`; the error says what the machine lacks.
    pub(crate) fn mount(directory: &Path, kind: Kind, size: &str) -> Result<Self, String> {
        let mount = directory.join("disk");
        fs::create_dir_all(&mount).unwrap();
        let mut reasons = Vec::new();
        for rootless in [false, true] {
            match hold(&mount, kind, size, rootless) {
                Ok(holder) => return Ok(Self { holder, mount, rootless }),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; "))
    }

    /// The file system as programs inside of the namespace name it.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// The same from outside.
    pub(crate) fn seen_from_outside(&self) -> PathBuf {
        let inside = self.mount.strip_prefix("/").expect("the path is absolute");
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(inside)
    }

    /// What starts a program inside.
    pub(crate) fn enter(&self) -> Vec<OsString> {
        let pid = self.holder.id().to_string();
        let users: &[&str] = if self.rootless { &["-U", "--preserve-credentials"] } else { &[] };
        ["nsenter", "-t", &pid, "-m"].iter().chain(users).map(OsString::from).collect()
    }

    /// Bytes that may still be written.
    pub(crate) fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.seen_from_outside()).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Writes a file until not one block more goes in, as any other program may.
    pub(crate) fn fill(&self, name: &str) {
        let mut file = fs::File::create(self.seen_from_outside().join(name)).unwrap();
        let mut put = |bytes| file.write_all(&vec![0; bytes]).and_then(|()| file.sync_data()).is_ok();
        // A large piece is tried first each time: the broker frees some while the last blocks are looked for.
        while put(1 << 20) || put(4096) {}
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.seen_from_outside().join(name)).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // Its end is all there is to wait for; what was mounted goes with it.
        let _ = self.holder.wait();
    }
}

fn hold(mount: &Path, kind: Kind, size: &str, rootless: bool) -> Result<Child, String> {
    let kind = if kind == Kind::Tmpfs { "tmpfs" } else { "ext4" };
    let unshare = if rootless { "-rm" } else { "-m" };
    let mut command = Command::new("unshare");
    command.args([unshare, "sh", "-c", SCRIPT, "sh", kind, size]).arg(mount);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut holder = command.spawn().map_err(|error| format!("unshare cannot be started: {error}"))?;
    let mut said = [0; 8];
    if holder.stdout.as_mut().unwrap().read_exact(&mut said).is_ok() {
        return Ok(holder);
    }
    let mut why = String::new();
    let _ = holder.stderr.take().unwrap().read_to_string(&mut why);
    let _ = holder.wait();
    Err(format!("unshare {unshare}, mount {kind}: {}", why.trim()))
}

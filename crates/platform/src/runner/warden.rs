//! The warden: a shell of one line that outlives us by a moment. It reads the process groups of our containers from a pipe;
//! when the pipe ends, because we have ended in whatever way, it kills those that are left. The parent-death signal reaches
//! only our own children; the warden reaches theirs, and works where there is no such signal.

use std::io::Write as _;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use parking_lot::Mutex;
use rustix::process::Pid;

/// Keeps a list of groups; lines are `+GROUP` and `-GROUP`.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups=' '
while read -r line; do
  group=${line#?}
  case $line in
    +*) groups="$groups$group " ;;
    -*) groups="${groups%% "$group" *} ${groups#* "$group" }" ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
"#;

/// A running warden, or none where there is no shell.
#[derive(Debug)]
pub(super) struct Warden(Mutex<Option<(Child, ChildStdin)>>);

impl Warden {
    /// Starts the warden: before the first container, so that there is no moment without it.
    pub(super) fn start() -> Self {
        Self(Mutex::new(start()))
    }

    /// Where a child announces its group, as long as this value lives.
    pub(super) fn pipe(&self) -> Option<RawFd> {
        self.0.lock().as_ref().map(|(_, input)| input.as_raw_fd())
    }

    /// The group has ended.
    pub(super) fn forget(&self, group: Pid) {
        if let Some((_, input)) = self.0.lock().as_mut() {
            // Without its reader the warden is of no use, and containers still have the parent-death signal.
            let _ = writeln!(input, "-{}", group.as_raw_nonzero());
        }
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        if let Some((mut child, input)) = self.0.lock().take() {
            drop(input);
            let _ = child.wait();
        }
    }
}

fn start() -> Option<(Child, ChildStdin)> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(SCRIPT).env_clear().process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            let input = child.stdin.take()?;
            Some((child, input))
        }
        Err(error) => {
            tracing::warn!(%error, "no warden: after kill -9 children of containers may be left");
            None
        }
    }
}

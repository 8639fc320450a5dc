//! A running `up`, as the other commands find it: one file for each data directory in the runtime folder, with the address
//! and the token of its API server. Only its owner can read it.
//!
//! The file may outlive its `up` (kill -9); a connection that is refused means that none runs.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::kubectl::server::Server;

/// What an `up` tells the other commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Running {
    /// The process.
    pub(crate) pid: u32,
    /// Its API server: `http://127.0.0.1:40123`.
    pub(crate) server: String,
    /// What opens the API server.
    pub(crate) token: String,
    /// Where Routes answer.
    pub(crate) routes: Option<SocketAddr>,
    /// Where its state is.
    pub(crate) data_dir: PathBuf,
    /// Where kubectl finds it.
    pub(crate) kubeconfig: PathBuf,
}

/// Which running `up` a command speaks to.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct Target {
    /// The data directory of the `up` to speak to, where several run.
    #[arg(long, value_name = "DIR", env = "MILLSTREAM_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

impl Target {
    /// The data directory: what was asked for, or `$XDG_DATA_HOME/millstream`.
    pub(crate) fn data_dir(&self) -> Result<PathBuf> {
        let path = match &self.data_dir {
            Some(path) => path.clone(),
            None => default_data_dir()?,
        };
        std::path::absolute(&path).with_context(|| format!("cannot make a full path of {}", path.display()))
    }

    /// The `up` that runs on that data directory, or, where none was named, the only one that runs. `None`: none does.
    pub(crate) async fn find(&self) -> Result<Option<(Running, Server)>> {
        let data_dir = self.data_dir()?;
        if let Some(found) = connect(&file_of(&data_dir)).await {
            return Ok(Some(found));
        }
        if self.data_dir.is_some() {
            return Ok(None);
        }
        let mut all = Vec::new();
        for entry in fs::read_dir(runtime_dir()).into_iter().flatten().flatten() {
            all.extend(connect(&entry.path()).await);
        }
        if all.len() > 1 {
            let names: Vec<_> = all.iter().map(|(running, _)| running.data_dir.display().to_string()).collect();
            bail!("several are running; name one with --data-dir: {}", names.join(", "));
        }
        Ok(all.pop())
    }

    /// The running `up`, or a sentence that says how to start one.
    pub(crate) async fn server(&self) -> Result<Server> {
        match self.find().await? {
            Some((_, server)) => Ok(server),
            None => bail!("no millstream is running for {}: start it with `millstream up`", self.data_dir()?.display()),
        }
    }
}

fn default_data_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(home) = set("XDG_DATA_HOME").filter(|path| path.is_absolute()) {
        return Ok(home.join("millstream"));
    }
    let home = set("HOME").context("neither XDG_DATA_HOME nor HOME is set: say where the data is with --data-dir")?;
    Ok(home.join(".local/share/millstream"))
}

/// `$XDG_RUNTIME_DIR/millstream`, or a folder of this user's own below the folder for temporary files.
fn runtime_dir() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("millstream"),
        None => std::env::temp_dir().join(format!("millstream-{}", rustix::process::getuid().as_raw())),
    }
}

fn file_of(data_dir: &Path) -> PathBuf {
    runtime_dir().join(format!("{:016x}.json", hash_of(data_dir)))
}

/// A number that stands for a data directory. FNV-1a: it must not change between versions.
pub(crate) fn hash_of(data_dir: &Path) -> u64 {
    let bytes = data_dir.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

async fn connect(file: &Path) -> Option<(Running, Server)> {
    let running: Running = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    // Asked first, because the client logs an error where nobody listens, and a file may outlive its `up`.
    let address = running.server.strip_prefix("http://")?;
    tokio::net::TcpStream::connect(address).await.ok()?;
    let server = running.server().ok()?;
    server.get("/version").await.ok()?;
    Some((running, server))
}

impl Running {
    /// A client of its API server.
    pub(crate) fn server(&self) -> Result<Server> {
        let mut config = kube::Config::new(self.server.parse().context("the address of the API server")?);
        let token = format!("Bearer {}", self.token).parse().context("the token of the API server")?;
        config.headers.push((http::header::AUTHORIZATION, token));
        Ok(Server::new(kube::Client::try_from(config)?))
    }

    /// Tells the other commands; [`Announced`] takes it back when it is dropped.
    ///
    /// # Errors
    /// The runtime folder cannot be made, is somebody else's, or cannot be written.
    pub(crate) fn announce(&self) -> Result<Announced> {
        let dir = runtime_dir();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).with_context(|| dir.display().to_string())?;
        let owner = rustix::fs::stat(&dir).with_context(|| dir.display().to_string())?.st_uid;
        if owner != rustix::process::getuid().as_raw() {
            bail!("{} belongs to another user: set XDG_RUNTIME_DIR to a folder of your own", dir.display());
        }
        let path = file_of(&self.data_dir);
        write_private(&path, &serde_json::to_vec(self)?).with_context(|| path.display().to_string())?;
        Ok(Announced { path })
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    fs::rename(&new, path)
}

/// The file by which an `up` is found; it goes with this value.
#[derive(Debug)]
pub(crate) struct Announced {
    path: PathBuf,
}

impl Drop for Announced {
    fn drop(&mut self) {
        // Nothing to be done about a failure; a file that stays is found to be stale.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn each_data_directory_has_a_file_of_its_own() {
        assert_ne!(file_of(Path::new("/a")), file_of(Path::new("/b")));
        assert_eq!(file_of(Path::new("/a")), file_of(Path::new("/a")));
    }

    #[test]
    fn a_private_file_is_read_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

//! The data directory of a broker that does not run.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use millstream_storage::segments::kafka::KAFKA_DIR;
use millstream_storage::{FileDisk, OpenDiskError};

use super::data_dir;

/// The disk of a data directory that nobody uses: the lock is held until it goes.
pub(crate) fn open(named: Option<PathBuf>) -> Result<FileDisk> {
    let dir = data_dir(named)?;
    ensure!(
        dir.join(KAFKA_DIR).is_dir(),
        "{} is no broker's data directory: it has no folder {KAFKA_DIR}",
        dir.display()
    );
    lock(&dir, 1)
}

/// The disk of a directory, with so many threads; refuses one that a broker uses.
pub(crate) fn lock(dir: &Path, threads: usize) -> Result<FileDisk> {
    match FileDisk::open(dir, threads) {
        Err(OpenDiskError::Locked(path)) => anyhow::bail!("{} is in use: stop the broker first", path.display()),
        opened => Ok(opened?),
    }
}

/// A path for a sentence.
pub(crate) fn shown(root: &Path, below: &Path) -> String {
    root.join(below).display().to_string()
}

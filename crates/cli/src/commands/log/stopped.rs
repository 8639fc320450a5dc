//! The data directory of a broker that does not run, and how far a reading of it has come.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use millstream_storage::segments::kafka::KAFKA_DIR;
use millstream_storage::{FileDisk, OpenDiskError};

/// The disk of a data directory that nobody uses: the lock is held until it goes.
pub(crate) fn open(named: Option<PathBuf>) -> Result<FileDisk> {
    let dir = named.map_or_else(crate::commands::broker::default_data_dir, Ok)?;
    ensure!(
        dir.join(KAFKA_DIR).is_dir(),
        "{} is no broker's data directory: it has no folder {KAFKA_DIR}",
        dir.display()
    );
    match FileDisk::open(&dir, 1) {
        Err(OpenDiskError::Locked(path)) => anyhow::bail!("{} is in use: stop the broker first", path.display()),
        opened => Ok(opened?),
    }
}

/// A bar on stderr where that is a terminal; it goes with this value.
pub(crate) struct Reading(ProgressBar);

impl Reading {
    pub(crate) fn new(bytes: u64) -> Self {
        let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        Self(ProgressBar::new(bytes).with_style(style))
    }

    /// So many bytes of a partition were read.
    pub(crate) fn read(&self, partition: &str, bytes: u64) {
        if self.0.message() != partition {
            self.0.set_message(partition.to_owned());
        }
        self.0.inc(bytes);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// `1 partition`, `2 partitions`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A path for a sentence.
pub(crate) fn shown(root: &Path, below: &Path) -> String {
    root.join(below).display().to_string()
}

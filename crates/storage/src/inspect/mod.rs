//! What lies in the files of logs and of a data directory, for an operator's tools: `millstream log dump`, `log verify` and
//! `doctor`. Whatever it reads may be damaged; nothing is taken for granted, and what is wrong is said with its place.

pub mod batches;
pub mod entries;
pub mod own_files;

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("position {position}: {reason}")]
pub struct Damage {
    /// Bytes from the start of the file.
    pub position: u64,
    pub reason: String,
}

impl Damage {
    pub(crate) fn new(position: u64, reason: impl Into<String>) -> Self {
        Self { position, reason: reason.into() }
    }
}

//! What lies in the files of logs and of a data directory, for an operator's tools: `millstream log dump`, `log verify` and
//! `doctor`. Whatever it reads may be damaged; nothing is taken for granted, and what is wrong is said with its place.

pub mod batches;
pub(crate) mod directory;
pub mod entries;
mod lane_check;
pub mod own_files;
pub mod plan;
pub mod repair;
pub(crate) mod segment_check;
pub mod verify;

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::disk::{BLOCK_BYTES, DirEntry, Disk, DiskAnswer, DiskError, DiskErrorKind, DiskOp, ReadCache};

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

/// What is wrong in a file of a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Below the data directory.
    pub file: PathBuf,
    /// Where in the file, if there is one place.
    pub position: Option<u64>,
    pub reason: String,
}

impl Finding {
    pub(crate) fn new(file: &Path, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), position: None, reason: reason.into() }
    }

    pub(crate) fn at(file: &Path, damage: Damage) -> Self {
        Self { file: file.to_owned(), position: Some(damage.position), reason: damage.reason }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.position {
            Some(position) => write!(f, "{file}, position {position}: {}", self.reason),
            None => write!(f, "{file}: {}", self.reason),
        }
    }
}

/// Bytes of a file from the device, from any place: what a failed sync lost may still be in the page cache.
pub(crate) fn read(disk: &dyn Disk, file: &Path, at: u64, length: usize) -> Result<Bytes, DiskError> {
    let skip = at % BLOCK_BYTES as u64;
    let before = usize::try_from(skip).expect("less than a block");
    let length_direct = (length.saturating_add(before)).next_multiple_of(BLOCK_BYTES);
    let op = DiskOp::Read { file: file.to_owned(), at: at - skip, length: length_direct, cache: ReadCache::Direct };
    match disk.perform_now(op)? {
        DiskAnswer::Data(bytes) => Ok(bytes.slice(before.min(bytes.len())..bytes.len().min(before + length))),
        other => unreachable!("data was asked for, {other:?} answered"),
    }
}

/// The first bytes of a file that nobody syncs: what matters is what a reader gets.
pub(crate) fn read_hint(disk: &dyn Disk, file: &Path, length: usize) -> Result<Bytes, DiskError> {
    let op = DiskOp::Read { file: file.to_owned(), at: 0, length, cache: ReadCache::Cached };
    match disk.perform_now(op)? {
        DiskAnswer::Data(bytes) => Ok(bytes),
        other => unreachable!("data was asked for, {other:?} answered"),
    }
}

/// A whole file; none when there is none.
pub(crate) fn read_whole(disk: &dyn Disk, file: &Path) -> Result<Option<Bytes>, DiskError> {
    match length(disk, file)? {
        Some(length) => read(disk, file, 0, usize::try_from(length).unwrap_or(usize::MAX / 2)).map(Some),
        None => Ok(None),
    }
}

/// Length of a file; none when there is none.
pub(crate) fn length(disk: &dyn Disk, file: &Path) -> Result<Option<u64>, DiskError> {
    match disk.perform_now(DiskOp::Length(file.to_owned())) {
        Ok(DiskAnswer::Length(length)) => Ok(Some(length)),
        Ok(other) => unreachable!("a length was asked for, {other:?} answered"),
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is in a directory.
pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<DirEntry>, DiskError> {
    match disk.perform_now(DiskOp::List(dir.to_owned()))? {
        DiskAnswer::Entries(entries) => Ok(entries),
        other => unreachable!("entries were asked for, {other:?} answered"),
    }
}

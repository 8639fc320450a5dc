//! The disk seam: every file operation of the engine is a `DiskOp` that is submitted and answered later.
//!
//! `FileDisk` performs them on a few I/O threads; the simulated disk keeps a page cache that a crash loses.
//! Paths are relative to the disk's root. An operation starts when it is submitted, not when its future is polled.

mod aligned;
mod cache_price;
mod file;
mod file_system;
mod open_files;
mod platform;
mod read_buffers;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::planted::{self, Bug};

pub use aligned::AlignedBuffer;
pub use file::{FileDisk, OpenDiskError};
pub use file_system::WeakFileSystem;
pub(crate) use platform::{defer_this_thread, prefer_this_thread};

/// Alignment, in bytes, of offset, length and memory of a direct read or write.
pub const BLOCK_BYTES: usize = 4096;

/// Directory below the root for what is moved out of the way and never deleted.
pub(crate) const ASIDE_DIR: &str = "aside";

/// One operation on a file or directory.
#[derive(Clone, Debug)]
pub enum DiskOp {
    /// Makes a directory and its parents; one that exists is fine.
    CreateDir(PathBuf),
    /// Names of a directory's entries, sorted; empty when there is no such directory.
    List(PathBuf),
    /// Up to `length` bytes from position `at`; fewer at the end of the file.
    Read { file: PathBuf, at: u64, length: usize, cache: ReadCache },
    /// Writes `data` at position `at` and makes the file when there is none.
    Write { file: PathBuf, at: u64, data: Vec<Bytes>, sync: WriteSync },
    /// Cuts the file to `length` bytes, or extends it with zeros.
    SetLength { file: PathBuf, length: u64 },
    /// Resolves when everything written to the file before is durable.
    SyncFile(PathBuf),
    /// Resolves when names made, renamed and removed in the directory before are durable.
    SyncDir(PathBuf),
    /// Renames a file or directory, replacing a file of the new name.
    Rename { from: PathBuf, to: PathBuf },
    /// Gives a file a second name; what is written under one is read under the other.
    Link { from: PathBuf, to: PathBuf },
    /// Removes a file; one that does not exist is fine.
    RemoveFile(PathBuf),
    /// Removes a directory with all it holds; one that does not exist is fine.
    RemoveDir(PathBuf),
    /// Length of a file in bytes.
    Length(PathBuf),
    /// Bytes of the file system below the root.
    Space,
}

/// Whether a read may be answered from the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadCache {
    /// From the page cache or the device.
    Cached,
    /// From the device, where the platform can: after a failed sync the page cache holds what the device does not.
    Direct,
}

/// When a write is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteSync {
    /// When it is in the page cache; a `SyncFile` will follow.
    Cached,
    /// As `Cached`; nobody is expected to read it soon, so the page cache keeps it only while that is cheap.
    Behind,
    /// When it is in the page cache; nobody will ask whether it reaches the device.
    Lazy,
    /// As `Behind`, and then when it is on the device with everything written to the file before.
    Synced,
    /// When it is on the device. `at`, length and memory must be aligned to `BLOCK_BYTES`.
    Durable,
}

/// Answer to a `DiskOp`; which one is fixed by the operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskAnswer {
    Done,
    Entries(Vec<DirEntry>),
    Data(Bytes),
    Length(u64),
    Space(Space),
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
}

/// Size of a file system in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// What an unprivileged process may still write.
    pub usable: u64,
}

/// What a disk has seen and holds: counters since it was opened unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskMetrics {
    /// Reads that were to be answered without waiting for the device, and were,
    pub cache_hits: u64,
    /// and those for which the page cache lacked something.
    pub cache_misses: u64,
    /// Bytes written past the page cache because keeping them there would have been dear.
    pub cache_bypassed_bytes: u64,
    /// Operations that wait for an I/O thread now.
    pub queued: u64,
    /// Files that are open now.
    pub open_files: u64,
}

/// Why a disk operation failed; what the caller does differently is in `kind`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation} {path:?}: {reason}")]
pub struct DiskError {
    pub kind: DiskErrorKind,
    pub operation: &'static str,
    pub path: PathBuf,
    pub reason: String,
}

/// What a failed operation means to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    NotFound,
    /// The file system or quota is full: wait for space and try again. Never of a sync, which must not be tried again.
    NoSpace,
    /// Anything else. After a failed sync nothing that was written since the last good one may be trusted.
    Failed,
}

impl DiskError {
    /// An I/O error met by `operation` on `path`.
    #[must_use]
    pub fn new(operation: &'static str, path: &Path, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => DiskErrorKind::NotFound,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::NoSpace,
            _ => DiskErrorKind::Failed,
        };
        Self { kind, operation, path: path.to_owned(), reason: error.to_string() }
    }

    /// The same, of a sync: whatever it met, what was written before it may be lost, and a second sync would not say so.
    #[must_use]
    pub fn of_sync(operation: &'static str, path: &Path, error: &io::Error) -> Self {
        Self { kind: DiskErrorKind::Failed, ..Self::new(operation, path, error) }
    }
}

/// What performs disk operations. Operations on the same file that are in flight together may happen in any order.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Starts `op`; the future waits for its answer, and dropping it does not stop the operation.
    fn submit(&self, op: DiskOp) -> BoxFuture<'static, Result<DiskAnswer, DiskError>>;

    /// As `submit`, but may perform the operation on this thread, and block it meanwhile: for a thread of its own that would
    /// only wait. It saves two hand-overs between threads, which cost more than a small write.
    fn submit_blocking(&self, op: DiskOp) -> BoxFuture<'static, Result<DiskAnswer, DiskError>> {
        self.submit(op)
    }

    /// Performs an operation on this thread: for what is done in the page cache.
    fn perform_now(&self, op: DiskOp) -> Result<DiskAnswer, DiskError>;

    /// Bytes of a file as far as they can be had without waiting for the device, at most `length`; none when nobody knows.
    /// For a reactor: what is not here is read with `submit`.
    fn read_cached(&self, file: &Path, at: u64, length: usize) -> Option<Bytes> {
        let _ = (file, at, length);
        None
    }

    /// What the disk has seen and holds; zeros when it does not count.
    fn metrics(&self) -> DiskMetrics {
        DiskMetrics::default()
    }

    /// Where the disk's root lies, for messages and DescribeLogDirs.
    fn root(&self) -> &Path;
}

impl dyn Disk + '_ {
    /// `DiskOp::Read` from the page cache.
    pub async fn read(&self, file: PathBuf, at: u64, length: usize) -> Result<Bytes, DiskError> {
        data(self.submit(DiskOp::Read { file, at, length, cache: ReadCache::Cached }).await?)
    }

    /// `DiskOp::Read` from the device.
    pub async fn read_direct(&self, file: PathBuf, at: u64, length: usize) -> Result<Bytes, DiskError> {
        let lies = planted::has(Bug::TrustsPageCacheAtRecovery);
        let cache = if lies { ReadCache::Cached } else { ReadCache::Direct };
        data(self.submit(DiskOp::Read { file, at, length, cache }).await?)
    }

    /// The whole file, or none when it does not exist.
    pub async fn read_file(&self, file: PathBuf) -> Result<Option<Bytes>, DiskError> {
        let Some(length) = self.length(file.clone()).await? else { return Ok(None) };
        self.read(file, 0, usize::try_from(length).unwrap_or(usize::MAX)).await.map(Some)
    }

    /// Length of a file in bytes, or none when it does not exist.
    pub async fn length(&self, file: PathBuf) -> Result<Option<u64>, DiskError> {
        match self.submit(DiskOp::Length(file)).await {
            Ok(DiskAnswer::Length(length)) => Ok(Some(length)),
            Ok(other) => unreachable!("a length was asked for, {other:?} answered"),
            Err(error) if error.kind == DiskErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `DiskOp::Write` into the page cache.
    pub async fn write(&self, file: PathBuf, at: u64, data: Vec<Bytes>) -> Result<(), DiskError> {
        self.perform(DiskOp::Write { file, at, data, sync: WriteSync::Cached }).await
    }

    /// `DiskOp::List`.
    pub async fn list(&self, dir: PathBuf) -> Result<Vec<DirEntry>, DiskError> {
        match self.submit(DiskOp::List(dir)).await? {
            DiskAnswer::Entries(entries) => Ok(entries),
            other => unreachable!("entries were asked for, {other:?} answered"),
        }
    }

    /// `DiskOp::Space`.
    pub async fn space(&self) -> Result<Space, DiskError> {
        match self.submit(DiskOp::Space).await? {
            DiskAnswer::Space(space) => Ok(space),
            other => unreachable!("the space was asked for, {other:?} answered"),
        }
    }

    /// Replaces a file as a whole: a crash leaves the old content or the new, durable when this resolves.
    pub async fn replace_file(&self, file: &Path, content: Bytes) -> Result<(), DiskError> {
        let fresh = file.with_extension("tmp");
        self.perform(DiskOp::RemoveFile(fresh.clone())).await?;
        if let Err(error) = self.write(fresh.clone(), 0, vec![content]).await {
            // Half a file on a full disk would keep the space that others wait for.
            self.perform(DiskOp::RemoveFile(fresh)).await?;
            return Err(error);
        }
        self.perform(DiskOp::SyncFile(fresh.clone())).await?;
        self.perform(DiskOp::Rename { from: fresh, to: file.to_owned() }).await?;
        self.perform(DiskOp::SyncDir(file.parent().unwrap_or(Path::new("")).to_owned())).await
    }

    /// An operation whose only answer is that it is done.
    pub async fn perform(&self, op: DiskOp) -> Result<(), DiskError> {
        self.submit(op).await.map(|_| ())
    }
}

fn data(answer: DiskAnswer) -> Result<Bytes, DiskError> {
    match answer {
        DiskAnswer::Data(bytes) => Ok(bytes),
        other => unreachable!("data was asked for, {other:?} answered"),
    }
}

#[cfg(test)]
mod tests;

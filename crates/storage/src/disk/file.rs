//! `FileDisk`: the machine's file system, reached by a few I/O threads so that no reactor waits for a disk.
//!
//! Holds the data directory's lock for as long as it lives.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::cache_price::CachePrice;
use super::open_files::{OpenFiles, Sync};
use super::platform;
use super::read_buffers::ReadBuffers;
use super::{
    AlignedBuffer, BLOCK_BYTES, DirEntry, Disk, DiskAnswer, DiskError, DiskMetrics, DiskOp, ReadCache, Space, WriteSync,
};

/// Name of the file below the root whose lock says that the directory is in use.
const LOCK_FILE: &str = ".lock";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenDiskError {
    #[error("data directory {0:?} is in use by another process")]
    Locked(PathBuf),
    #[error("data directory {path:?} cannot be used: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// A directory of the machine.
#[derive(Debug)]
pub struct FileDisk {
    queue: Arc<Queue>,
    files: Arc<FileOps>,
    threads: Vec<JoinHandle<()>>,
    root: PathBuf,
    _lock: File,
}

#[derive(Debug)]
struct Job {
    op: DiskOp,
    answer: oneshot::Sender<Result<DiskAnswer, DiskError>>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl FileDisk {
    /// Opens `root`, which is made when it does not exist, with `threads` I/O threads.
    ///
    /// # Errors
    /// `Locked` when another process has it open.
    pub fn open(root: &Path, threads: usize) -> Result<Self, OpenDiskError> {
        let failed = |source| OpenDiskError::Io { path: root.to_owned(), source };
        fs::create_dir_all(root).map_err(failed)?;
        let lock = File::create(root.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenDiskError::Locked(root.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let queue = Arc::new(Queue::default());
        let files = Arc::new(FileOps {
            root: root.to_owned(),
            open: OpenFiles::default(),
            buffers: ReadBuffers::default(),
            cache_price: CachePrice::default(),
            behind_refused: AtomicBool::new(false),
            cache_hits: AtomicU64::new(0),
            cache_misses: AtomicU64::new(0),
            bypassed_bytes: AtomicU64::new(0),
        });
        let mut disk = Self { queue, files, threads: Vec::new(), root: root.to_owned(), _lock: lock };
        for number in 0..threads.max(1) {
            let (queue, files) = (Arc::clone(&disk.queue), Arc::clone(&disk.files));
            let thread = std::thread::Builder::new().name(format!("disk-{number}"));
            disk.threads.push(thread.spawn(move || serve(&queue, &files)).map_err(failed)?);
        }
        Ok(disk)
    }
}

impl Drop for FileDisk {
    /// Waits for what was submitted: the lock must not be given up while a thread still writes.
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Disk for FileDisk {
    fn submit(&self, op: DiskOp) -> BoxFuture<'static, Result<DiskAnswer, DiskError>> {
        let (answer, answered) = oneshot::channel();
        self.queue.state.lock().jobs.push_back(Job { op, answer });
        self.queue.changed.notify_one();
        let root = self.root.clone();
        answered
            .map(move |answer| {
                let gone = io::Error::other("its I/O thread has panicked");
                answer.unwrap_or_else(|_| Err(DiskError::new("operate on", &root, &gone)))
            })
            .boxed()
    }

    fn submit_blocking(&self, op: DiskOp) -> BoxFuture<'static, Result<DiskAnswer, DiskError>> {
        ready(self.files.perform(&op)).boxed()
    }

    fn perform_now(&self, op: DiskOp) -> Result<DiskAnswer, DiskError> {
        self.files.perform(&op)
    }

    fn read_cached(&self, file: &Path, at: u64, length: usize) -> Option<Bytes> {
        self.files.read_cached(&self.root.join(file), at, length)
    }

    fn metrics(&self) -> DiskMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DiskMetrics {
            cache_hits: read(&self.files.cache_hits),
            cache_misses: read(&self.files.cache_misses),
            cache_bypassed_bytes: read(&self.files.bypassed_bytes),
            queued: self.queue.state.lock().jobs.len() as u64,
            open_files: self.files.open.count() as u64,
        }
    }

    fn root(&self) -> &Path {
        &self.root
    }
}

/// One I/O thread: jobs in the order they came, until the disk is closed and none is left.
fn serve(queue: &Queue, files: &FileOps) {
    platform::prefer_this_thread();
    loop {
        let mut state = queue.state.lock();
        while state.jobs.is_empty() && !state.closed {
            queue.changed.wait(&mut state);
        }
        let Some(job) = state.jobs.pop_front() else { return };
        drop(state);
        let answer = files.perform(&job.op);
        // Whoever asked may have gone; the operation counts all the same.
        let _ = job.answer.send(answer);
    }
}

/// The operations, blocking.
#[derive(Debug)]
struct FileOps {
    root: PathBuf,
    open: OpenFiles,
    buffers: ReadBuffers,
    cache_price: CachePrice,
    /// The file system does not know how to write past its cache.
    behind_refused: AtomicBool,
    /// As in `DiskMetrics`.
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
    bypassed_bytes: AtomicU64,
}

impl FileOps {
    fn perform(&self, op: &DiskOp) -> Result<DiskAnswer, DiskError> {
        let (name, path) = describe(op);
        let full = self.root.join(path);
        let is_sync = matches!(op, DiskOp::SyncFile(_) | DiskOp::SyncDir(_));
        let error = if is_sync { DiskError::of_sync } else { DiskError::new };
        self.dispatch(op, &full).map_err(|met| error(name, &full, &met))
    }

    fn dispatch(&self, op: &DiskOp, full: &Path) -> io::Result<DiskAnswer> {
        match op {
            DiskOp::CreateDir(_) => fs::create_dir_all(full).map(|()| DiskAnswer::Done),
            DiskOp::List(_) => list(full).map(DiskAnswer::Entries),
            DiskOp::Read { at, length, cache, .. } => self.read(full, *at, *length, *cache).map(DiskAnswer::Data),
            DiskOp::Write { at, data, sync, .. } => self.write(full, *at, data, *sync).map(|()| DiskAnswer::Done),
            DiskOp::SetLength { length, .. } => {
                self.open.writable(full, Sync::None)?.set_len(*length)?;
                Ok(DiskAnswer::Done)
            }
            DiskOp::SyncFile(_) => {
                let file = self.open.writable(full, Sync::None)?;
                self.open.syncing(full);
                file.sync_data()?;
                Ok(DiskAnswer::Done)
            }
            DiskOp::SyncDir(_) => File::open(full)?.sync_all().map(|()| DiskAnswer::Done),
            DiskOp::Rename { to, .. } => {
                // Afterwards: a read on another thread may open the old name until it is gone.
                let renamed = fs::rename(full, self.root.join(to));
                self.open.forget(full);
                self.open.forget(&self.root.join(to));
                renamed.map(|()| DiskAnswer::Done)
            }
            DiskOp::Link { to, .. } => fs::hard_link(full, self.root.join(to)).map(|()| DiskAnswer::Done),
            DiskOp::RemoveFile(_) => {
                let removed = ignore_absent(fs::remove_file(full));
                self.open.forget(full);
                removed.map(|()| DiskAnswer::Done)
            }
            DiskOp::RemoveDir(_) => {
                let removed = ignore_absent(fs::remove_dir_all(full));
                self.open.forget(full);
                removed.map(|()| DiskAnswer::Done)
            }
            DiskOp::Length(_) => fs::metadata(full).map(|metadata| DiskAnswer::Length(metadata.len())),
            DiskOp::Space => space(full).map(DiskAnswer::Space),
        }
    }

    fn read(&self, full: &Path, at: u64, length: usize, cache: ReadCache) -> io::Result<Bytes> {
        match cache {
            ReadCache::Cached => {
                let file = self.open.readable(full)?;
                // A hostile length must not be allocated before it is known to be there.
                let present = file.metadata()?.len().saturating_sub(at);
                let mut buffer = self.buffers.take(length.min(usize::try_from(present).unwrap_or(usize::MAX)));
                let read = read_at_most(&file, buffer.as_mut_slice(), at)?;
                Ok(buffer.freeze(read))
            }
            ReadCache::Direct => {
                let file = platform::open_direct(full)?;
                let present = usize::try_from(file.metadata()?.len().saturating_sub(at)).unwrap_or(usize::MAX);
                let mut buffer = AlignedBuffer::zeroed(length.min(present).next_multiple_of(BLOCK_BYTES));
                let read = read_blocks(&file, buffer.as_mut_slice(), at)?;
                Ok(buffer.freeze().slice(..read.min(length)))
            }
        }
    }

    fn read_cached(&self, full: &Path, at: u64, length: usize) -> Option<Bytes> {
        let file = self.open.readable(full).ok()?;
        let mut buffer = self.buffers.take(length);
        let read = platform::read_cached(&file, buffer.as_mut_slice(), at);
        let counter = if read == Some(length) { &self.cache_hits } else { &self.cache_misses };
        counter.fetch_add(1, Ordering::Relaxed);
        Some(buffer.freeze(read?))
    }

    fn write(&self, full: &Path, at: u64, data: &[Bytes], sync: WriteSync) -> io::Result<()> {
        let file = match sync {
            WriteSync::Cached | WriteSync::Behind | WriteSync::Synced => self.open.writable(full, Sync::Awaited)?,
            WriteSync::Lazy => self.open.writable(full, Sync::None)?,
            WriteSync::Durable => {
                let file = self.open.durable(full)?;
                let mut at = at;
                for piece in data {
                    platform::write_durable(&file, piece, at)?;
                    at += piece.len() as u64;
                }
                return Ok(());
            }
        };
        if matches!(sync, WriteSync::Behind | WriteSync::Synced) && !self.behind_refused.load(Ordering::Relaxed) {
            self.write_behind(&file, data, at)?;
        } else {
            platform::write_pieces(&file, data, at)?;
        }
        if sync == WriteSync::Synced {
            self.open.syncing(full);
            // Of no kind that is tried again.
            file.sync_data().map_err(|error| io::Error::other(format!("syncing it: {error}")))?;
        }
        Ok(())
    }

    /// Writes past the page cache while pages are dear, as far as there are whole blocks. What ends in the middle of one
    /// stays cached: the next write goes on there, and would have to read the block first.
    fn write_behind(&self, file: &File, data: &[Bytes], at: u64) -> io::Result<()> {
        let bytes: usize = data.iter().map(Bytes::len).sum();
        let end = at + bytes as u64;
        let whole_end = end - end % BLOCK_BYTES as u64;
        if whole_end <= at || self.cache_price.keeps(bytes) {
            let before = platform::thread_time();
            platform::write_pieces(file, data, at)?;
            self.cache_price.paid(bytes, platform::thread_time().saturating_sub(before));
            return Ok(());
        }
        let (whole, rest) = split_pieces(data, usize::try_from(whole_end - at).unwrap_or(usize::MAX));
        if !platform::write_behind(file, &whole, at)? {
            self.behind_refused.store(true, Ordering::Relaxed);
            return platform::write_pieces(file, data, at);
        }
        self.bypassed_bytes.fetch_add(whole_end - at, Ordering::Relaxed);
        platform::write_pieces(file, &rest, whole_end)
    }
}

/// The first `bytes` of pieces, and what follows.
fn split_pieces(pieces: &[Bytes], bytes: usize) -> (Vec<Bytes>, Vec<Bytes>) {
    let mut left = bytes;
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for piece in pieces {
        let here = piece.len().min(left);
        left -= here;
        first.push(piece.slice(..here));
        rest.push(piece.slice(here..));
    }
    first.retain(|piece| !piece.is_empty());
    rest.retain(|piece| !piece.is_empty());
    (first, rest)
}

/// The operation's name and its path below the root.
fn describe(op: &DiskOp) -> (&'static str, &Path) {
    match op {
        DiskOp::CreateDir(path) => ("create directory", path),
        DiskOp::List(path) => ("list directory", path),
        DiskOp::Read { file, .. } => ("read", file),
        DiskOp::Write { file, .. } => ("write", file),
        DiskOp::SetLength { file, .. } => ("set the length of", file),
        DiskOp::SyncFile(path) => ("sync", path),
        DiskOp::SyncDir(path) => ("sync directory", path),
        DiskOp::Rename { from, .. } => ("rename", from),
        DiskOp::Link { from, .. } => ("link", from),
        DiskOp::RemoveFile(path) => ("remove", path),
        DiskOp::RemoveDir(path) => ("remove directory", path),
        DiskOp::Length(path) => ("look at", path),
        DiskOp::Space => ("look at the space of", Path::new("")),
    }
}

fn read_at_most(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], at + read as u64) {
            Ok(0) => break,
            Ok(bytes) => read += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// As `read_at_most`, but never from a position inside a block, which direct reads refuse: that is the file's end.
fn read_blocks(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        let bytes = file.read_at(&mut buffer[read..], at + read as u64)?;
        read += bytes;
        if bytes == 0 || !bytes.is_multiple_of(BLOCK_BYTES) {
            break;
        }
    }
    Ok(read)
}

fn list(dir: &Path) -> io::Result<Vec<DirEntry>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        found.push(DirEntry { name, is_dir: entry.file_type()?.is_dir() });
    }
    found.sort();
    Ok(found)
}

fn ignore_absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn space(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Space { total: stat.f_blocks * stat.f_frsize, usable: stat.f_bavail * stat.f_frsize })
}

#[cfg(test)]
mod tests;

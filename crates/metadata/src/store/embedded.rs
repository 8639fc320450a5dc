//! The store in one file of the data directory (redb), for a broker that keeps its cluster state itself.
//!
//! One thread owns the file: the reactor never waits for the disk. Writes that arrive while a commit is under way
//! share the next one. A write is answered, and told to watches, after its commit is durable. Leases live as long as
//! their handle; those of an earlier process ended with it, so opening removes their keys.
//! The layout is in docs/format/metadata.md.

mod file;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::history::{History, Watch};
use super::{BoxFuture, Entry, Lease, LeaseId, Listing, MetadataStore, Revision, StoreError, Write, WriteError};
use file::StoreFile;
use worker::{Command, Worker};

/// Commands that wait for the store's thread. Filled by concurrent administrative requests; callers wait for room.
const WAITING_COMMANDS: usize = 64;

/// Why the file could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    #[error("{} is in use by another process; stop that process or choose another data directory", path.display())]
    Locked { path: PathBuf },
    #[error(
        "{} was written by a newer version (format {found}; this one reads up to {supported}); start that version",
        path.display()
    )]
    Newer { path: PathBuf, found: u64, supported: u64 },
    #[error("{} is not a metadata store or is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("{} cannot be opened: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// An open file. Clones share it; when the last one goes, the file is closed.
#[derive(Clone, Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    commands: Option<mpsc::Sender<Command>>,
    /// Leases whose handle is gone; the thread looks here after every round of commands.
    ended: Arc<Mutex<Vec<LeaseId>>>,
    history: Arc<History>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedStore {
    /// Opens the file at `path`, or makes it. Blocks on the disk (and, after a crash, on redb's repair): call it where
    /// that is allowed.
    pub fn open(path: &Path) -> Result<Self, OpenStoreError> {
        let file = StoreFile::open(path)?;
        Self::serve(file).map_err(|source| OpenStoreError::Io { path: path.to_owned(), source })
    }

    /// Opens a store on a disk of the caller's making, which is how tests make disks fail.
    #[cfg(test)]
    pub(crate) fn open_with(open_database: file::OpenDatabase) -> Result<Self, OpenStoreError> {
        let path = Path::new("(test)");
        let file = StoreFile::open_with(path, open_database)?;
        Self::serve(file).map_err(|source| OpenStoreError::Io { path: path.to_owned(), source })
    }

    fn serve(file: StoreFile) -> Result<Self, std::io::Error> {
        let history = Arc::new(History::starting_at(file.revision()));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let (commands, received) = mpsc::channel(WAITING_COMMANDS);
        let worker = Worker::new(file, received, Arc::clone(&history), Arc::clone(&ended));
        let thread = std::thread::Builder::new().name("metadata-store".to_owned()).spawn(move || worker.run())?;
        let shared = Shared { commands: Some(commands), ended, history, thread: Some(thread) };
        Ok(Self { shared: Arc::new(shared) })
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.shared.commands.as_ref().ok_or(StoreError::Closed)?;
        commands.send(command(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)
    }
}

/// Closes the file: waits for the command that is under way, which is at most one commit.
impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the metadata store's thread ended in a panic");
        }
    }
}

impl MetadataStore for EmbeddedStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        Box::pin(async move { self.ask(|reply| Command::Get { key: key.to_owned(), reply }).await? })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing, StoreError>> {
        Box::pin(async move { self.ask(|reply| Command::List { prefix: prefix.to_owned(), reply }).await? })
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Revision, WriteError>> {
        Box::pin(async move { self.ask(|reply| Command::Write { write, reply }).await? })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        self.shared.history.watch(prefix, after)
    }

    fn lease(&self, _time_to_live: Duration) -> BoxFuture<'_, Result<Lease, StoreError>> {
        Box::pin(async move {
            let id = self.ask(|reply| Command::Lease { reply }).await??;
            let ended = Arc::clone(&self.shared.ended);
            let commands = self.shared.commands.as_ref().map(mpsc::Sender::downgrade);
            Ok(Lease::new(id, move || {
                ended.lock().push(id);
                // Behind a full queue the thread comes by anyway; a closed one has no keys left.
                if let Some(commands) = commands.and_then(|commands| commands.upgrade()) {
                    let _ = commands.try_send(Command::EndLeases);
                }
            }))
        })
    }
}

#[cfg(test)]
mod tests;

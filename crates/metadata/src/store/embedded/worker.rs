//! The thread of the embedded store: takes commands, commits waiting writes together, answers.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::WAITING_COMMANDS;
use super::file::StoreFile;
use crate::store::history::History;
use crate::store::{Entry, LeaseId, Listing, Revision, StoreError, Write, WriteError};

type Reply<T> = oneshot::Sender<T>;

/// What the store's handles ask of its thread.
#[derive(Debug)]
pub(super) enum Command {
    Get {
        key: String,
        reply: Reply<Result<Option<Entry>, StoreError>>,
    },
    List {
        prefix: String,
        reply: Reply<Result<Listing, StoreError>>,
    },
    Write {
        write: Write,
        reply: Reply<Result<Revision, WriteError>>,
    },
    Lease {
        reply: Reply<Result<LeaseId, StoreError>>,
    },
    /// The list of ended leases has grown.
    EndLeases,
}

pub(super) struct Worker {
    file: StoreFile,
    commands: mpsc::Receiver<Command>,
    history: Arc<History>,
    ended: Arc<Mutex<Vec<LeaseId>>>,
}

impl Worker {
    pub(super) fn new(
        file: StoreFile,
        commands: mpsc::Receiver<Command>,
        history: Arc<History>,
        ended: Arc<Mutex<Vec<LeaseId>>>,
    ) -> Self {
        Self { file, commands, history, ended }
    }

    /// Serves until the last handle is gone.
    pub(super) fn run(mut self) {
        let mut received = Vec::with_capacity(WAITING_COMMANDS);
        while self.commands.blocking_recv_many(&mut received, WAITING_COMMANDS) > 0 {
            let mut writes = Vec::new();
            for command in received.drain(..) {
                match command {
                    Command::Write { write, reply } => writes.push((write, reply)),
                    other => {
                        // A read sees every write that was asked for before it.
                        self.commit(&mut writes);
                        self.serve(other);
                    }
                }
            }
            self.commit(&mut writes);
            self.end_leases();
        }
    }

    fn serve(&mut self, command: Command) {
        // A receiver that is gone no longer wants the answer.
        match command {
            Command::Get { key, reply } => {
                let answer = self.ready().and_then(|()| self.file.get(&key).map_err(failed));
                let _ = reply.send(answer);
            }
            Command::List { prefix, reply } => {
                let answer = self.ready().and_then(|()| self.file.list(&prefix).map_err(failed));
                let _ = reply.send(answer);
            }
            Command::Lease { reply } => {
                let _ = reply.send(Ok(self.file.new_lease()));
            }
            // What it wakes the thread for is done after every round.
            Command::EndLeases => {}
            Command::Write { .. } => unreachable!("writes are committed together"),
        }
    }

    /// After a failure: opens the file again, and tells watches that they may have missed something.
    fn ready(&mut self) -> Result<(), StoreError> {
        if self.file.is_open() {
            return Ok(());
        }
        self.file.reopen().map_err(|error| StoreError::Failed(error.to_string()))?;
        self.history.restart_at(self.file.revision());
        Ok(())
    }

    fn commit(&mut self, waiting: &mut Vec<(Write, Reply<Result<Revision, WriteError>>)>) {
        if waiting.is_empty() {
            return;
        }
        let (writes, replies): (Vec<Write>, Vec<_>) = waiting.drain(..).unzip();
        match self.ready().and_then(|()| self.file.commit(&writes).map_err(failed)) {
            Ok(answers) => {
                for ((write, reply), answer) in writes.into_iter().zip(replies).zip(answers) {
                    if let Ok(revision) = &answer
                        && !write.is_empty()
                    {
                        self.history.record(*revision, write.changes);
                    }
                    let _ = reply.send(answer);
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(WriteError::Store(error.clone())));
                }
            }
        }
    }

    fn end_leases(&mut self) {
        let ended = std::mem::take(&mut *self.ended.lock());
        if ended.is_empty() {
            return;
        }
        let removal = self.ready().and_then(|()| self.file.end_leases(&ended).map_err(failed));
        let committed = removal.and_then(|write| {
            let answers = self.file.commit(std::slice::from_ref(&write)).map_err(failed)?;
            if let (Some(Ok(revision)), false) = (answers.first(), write.is_empty()) {
                self.history.record(*revision, write.changes);
            }
            Ok(())
        });
        if let Err(error) = committed {
            tracing::warn!(%error, "keys of ended leases stay until the next end of a lease");
            self.ended.lock().extend(ended);
        }
    }
}

fn failed(error: redb::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

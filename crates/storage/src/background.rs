//! Where the storage's tasks run: on the runtime that opens it, as in tests and simulations, or on a thread each.
//!
//! A thread of its own may block on the disk: an append then waits for one hand-over between threads each way, not for
//! three. It ends with its task, or when its `Task` is dropped.

use std::future::Future;
use std::io;

use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::disk::{defer_this_thread, prefer_this_thread};

/// Where the storage's tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// On the runtime that opens the storage.
    Tasks,
    /// On threads of their own, which may block.
    Threads,
}

/// How much a thread's work hurries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// Somebody waits for it.
    Preferred,
    /// Nobody does: others come first.
    Deferred,
}

/// A task that was started.
#[derive(Debug)]
pub(crate) enum Task {
    Spawned(JoinHandle<()>),
    Thread {
        /// Closed without a message when the thread panics.
        ended: oneshot::Receiver<()>,
        /// Dropping it ends the thread.
        _keep: oneshot::Sender<()>,
    },
}

impl Task {
    /// Starts `work`; `name` is the thread's.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        background: Background,
        name: &str,
        haste: Haste,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self> {
        if background == Background::Tasks {
            return Ok(Self::Spawned(tokio::spawn(work)));
        }
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let (done, ended) = oneshot::channel();
        let (keep, mut dropped) = oneshot::channel::<()>();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            match haste {
                Haste::Preferred => prefer_this_thread(),
                Haste::Deferred => defer_this_thread(),
            }
            runtime.block_on(async move {
                tokio::select! {
                    () = work => {}
                    _ = &mut dropped => {}
                }
            });
            // Whoever started it may have gone.
            let _ = done.send(());
        })?;
        Ok(Self::Thread { ended, _keep: keep })
    }

    /// Waits for the end; says whether the task came to it without a panic.
    pub(crate) async fn ended(self) -> bool {
        match self {
            Self::Spawned(task) => task.await.is_ok(),
            Self::Thread { ended, _keep } => ended.await.is_ok(),
        }
    }

    /// Ends the task where it is, as a killed process does.
    #[cfg(test)]
    pub(crate) async fn abort(self) {
        if let Self::Spawned(task) = self {
            task.abort();
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        }
    }
}

//! The broker's background tasks: they run on the runtime that started the broker, end when it stops, and are waited
//! for.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where background tasks are spawned. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// On the current runtime, until `stop`.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { runtime: Handle::current(), tracker: TaskTracker::new(), stop }
    }

    /// Runs `task` until it is done or the broker stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        let until_stop = async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = task => {}
            }
        };
        self.tracker.spawn_on(until_stop, &self.runtime);
    }

    /// Runs `work` to its end even if nobody waits for it any more, and answers its result; `None` when the broker stops
    /// first.
    pub(crate) async fn complete<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.spawn(async move {
            // Whoever asked may have gone.
            let _ = sender.send(work.await);
        });
        receiver.await.ok()
    }

    /// Waits until all have ended; the stop token must have been cancelled.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

//! The clock seam: wall-clock time for records, monotonic time for intervals, and sleeping.
//!
//! Background tasks of the engine wait through it only, so that a simulation decides when time passes.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use millstream_model::TimestampMs;

/// What tells the time and lets a task wait.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Milliseconds since 1970-01-01; may go back when the machine's clock is set.
    fn now(&self) -> TimestampMs;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// Resolves when `duration` has passed; dropping it is harmless.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock; sleeping needs a tokio runtime with its timer enabled.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock seam's real side")]
    fn now(&self) -> TimestampMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[cfg(any(test, feature = "simulation"))]
pub use manual::ManualClock;

#[cfg(any(test, feature = "simulation"))]
mod manual {
    use super::{BoxFuture, Clock, Duration, TimestampMs};
    use parking_lot::Mutex;
    use tokio::sync::oneshot;

    /// A clock that stands still until it is told to advance; starts at 2026-01-01T00:00:00Z.
    #[derive(Debug, Default)]
    pub struct ManualClock {
        state: Mutex<ManualState>,
    }

    #[derive(Debug, Default)]
    struct ManualState {
        elapsed: Duration,
        sleepers: Vec<(Duration, oneshot::Sender<()>)>,
    }

    impl ManualClock {
        /// Lets `duration` pass and wakes every sleeper whose time has come.
        pub fn advance(&self, duration: Duration) {
            let mut state = self.state.lock();
            state.elapsed += duration;
            let elapsed = state.elapsed;
            let (due, waiting) = std::mem::take(&mut state.sleepers).into_iter().partition(|(at, _)| *at <= elapsed);
            state.sleepers = waiting;
            drop(state);
            let due: Vec<(Duration, oneshot::Sender<()>)> = due;
            for (_, waker) in due {
                // The sleeper may have been dropped: nobody waits any more.
                let _ = waker.send(());
            }
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> TimestampMs {
            TimestampMs(1_767_225_600_000 + i64::try_from(self.state.lock().elapsed.as_millis()).unwrap_or(i64::MAX))
        }

        fn monotonic(&self) -> Duration {
            self.state.lock().elapsed
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            let (waker, sleeper) = oneshot::channel();
            let mut state = self.state.lock();
            let at = state.elapsed + duration;
            state.sleepers.push((at, waker));
            drop(state);
            Box::pin(async move {
                if sleeper.await.is_err() {
                    std::future::pending::<()>().await;
                }
            })
        }
    }
}

//! The clock seam: every timestamp of the API server and every back-off of the runner comes from here,
//! so that a test can turn time. Called by the store, the resources, the runner.

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

/// Where "now" comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's own clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// A clock that asks `now` each time; tests turn it.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// The present moment as Kubernetes writes it: `2026-11-23T07:02:39Z`.
    #[must_use]
    pub fn now_text(&self) -> String {
        to_text(self.now())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// RFC 3339 in whole seconds, the form of `metav1.Time`.
#[must_use]
pub(crate) fn to_text(time: Timestamp) -> String {
    format!("{time:.0}")
}

/// Time from `since` (RFC 3339) to `now`; zero when `since` is unreadable or in the future.
#[must_use]
pub(crate) fn age(since: &str, now: Timestamp) -> SignedDuration {
    since.parse::<Timestamp>().map_or(SignedDuration::ZERO, |start| now.duration_since(start).max(SignedDuration::ZERO))
}

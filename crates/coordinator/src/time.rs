//! The two clocks of the coordinator, both handed in by the caller.

use std::time::Duration;

use millstream_model::TimestampMs;

/// Milliseconds of a clock that never goes back, from an origin of the broker's choosing. Sessions and rebalances are
/// timed with it, so that a corrected wall clock expires nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SteadyMs(pub u64);

impl SteadyMs {
    /// The moment `milliseconds` later; a negative delay, which a client may send, is none.
    #[must_use]
    pub fn after(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(u64::try_from(milliseconds).unwrap_or(0)))
    }

    /// How long until `later`; zero when it has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

/// The moment at which an event is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// For deadlines.
    pub steady: SteadyMs,
    /// For what is written into records: commit times, state changes, expiry.
    pub wall: TimestampMs,
}

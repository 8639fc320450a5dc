//! The wall clock, for the timestamps of records. Everything else measures with tokio's `Instant`.

use std::time::{SystemTime, UNIX_EPOCH};

use millstream_model::TimestampMs;

/// Now, in milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a producer stamps records with the time of day; the client is not simulated"
)]
pub(crate) fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(since.as_millis() as i64)
}

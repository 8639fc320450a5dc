//! Log compaction (`cleanup.policy=compact`): of each key only the last record stays, at its offset. Why it is built as it
//! is stands in docs/decisions/0009; the rules are those of Kafka's LogCleaner.
//!
//! One task, the cleaner, looks for the log that needs it most (`plan`, pure), finds the last offset of each key in the
//! part that was not compared yet (`offset_map`), copies what stays (`filter`) beside the log (`pass`), and has the
//! materialiser swap it in. It touches only sealed segments below checkpoint and last stable offset.

mod cleaner;
mod filter;
mod offset_map;
mod pass;
mod plan;
mod transactions;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

pub(crate) use cleaner::run;

use crate::metrics::Count;

/// How the cleaner works; `Default` has Kafka's defaults, but for `enabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanerSettings {
    /// `log.cleaner.enable`.
    pub enabled: bool,
    /// `log.cleaner.backoff.ms`: pause when there is nothing to clean.
    pub backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size`: memory for the last offset of each key; what does not fit takes another round.
    pub map_bytes_max: usize,
    /// `log.cleaner.io.buffer.load.factor`, in percent: how full that memory gets.
    pub map_load_percent: u32,
    /// `log.cleaner.io.max.bytes.per.second`, read and written; none without a limit.
    pub bytes_per_second_max: Option<u64>,
}

impl Default for CleanerSettings {
    /// Nothing is cleaned before somebody says how.
    fn default() -> Self {
        let backoff = Duration::from_secs(15);
        Self { enabled: false, backoff, map_bytes_max: 128 << 20, map_load_percent: 90, bytes_per_second_max: None }
    }
}

/// What the cleaner has done and seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanerMetrics {
    /// Logs that were cleaned, each time counted.
    pub runs: u64,
    /// Bytes of batches read to be copied,
    pub read_bytes: u64,
    /// and those that stayed.
    pub written_bytes: u64,
    /// Time that the newest run took.
    pub last_run_ms: u64,
    /// Time since the cleaner last looked for work, or was at it.
    pub idle_ms: u64,
    /// The largest uncleaned share of a compacted log, as it was last looked at.
    pub dirty_percent_max: u64,
    /// How full the memory for keys was in the newest run.
    pub map_percent: u64,
    /// Compacted partitions that cannot be cleaned, until the next start.
    pub uncleanable_partitions: u64,
}

/// What the cleaner and the rest of the storage share.
#[derive(Debug, Default)]
pub(crate) struct Cleaning {
    pub(crate) settings: watch::Sender<CleanerSettings>,
    runs: Count,
    read_bytes: Count,
    written_bytes: Count,
    last_run_ms: AtomicU64,
    /// On the monotonic clock.
    seen_at_ms: AtomicU64,
    dirty_percent_max: AtomicU64,
    map_percent: AtomicU64,
    uncleanable_partitions: AtomicU64,
}

impl Cleaning {
    /// The readings at a moment of the monotonic clock.
    pub(crate) fn metrics(&self, now: Duration) -> CleanerMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CleanerMetrics {
            runs: self.runs.read(),
            read_bytes: self.read_bytes.read(),
            written_bytes: self.written_bytes.read(),
            last_run_ms: read(&self.last_run_ms),
            idle_ms: milliseconds(now).saturating_sub(read(&self.seen_at_ms)),
            dirty_percent_max: read(&self.dirty_percent_max),
            map_percent: read(&self.map_percent),
            uncleanable_partitions: read(&self.uncleanable_partitions),
        }
    }

    fn seen(&self, now: Duration) {
        self.seen_at_ms.store(milliseconds(now), Ordering::Relaxed);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;

//! What the storage counts while it works, and the readings of it that the broker exports (docs/reference/metrics.md).
//!
//! Counters are single atomics, touched once per request, slot or write, never per record. What a part knows anyway (the
//! lane, the queue, the disk) is asked for it when somebody looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::compaction::CleanerMetrics;
use crate::disk::{Disk, DiskMetrics};
use crate::log::config::Durability;
use crate::shared::Shared;
use crate::slots::{SlotSpace, SlotStore};

/// Upper bounds of a distribution's buckets: 8 µs to 4.2 s, each twice the one before. Longer times have a bucket beyond.
pub const TIME_BUCKETS: [Duration; 20] = {
    let mut bounds = [Duration::ZERO; 20];
    let mut at = 0;
    while at < bounds.len() {
        bounds[at] = Duration::from_micros(8 << at);
        at += 1;
    }
    bounds
};

/// How long something took, each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeDistribution {
    /// How often it took no longer than the bound of the same place in `TIME_BUCKETS`, and longer than the one before.
    pub buckets: [u64; TIME_BUCKETS.len() + 1],
    /// All times together.
    pub sum: Duration,
}

impl TimeDistribution {
    /// How often it was done.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Batches written to their segments without the lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectMetrics {
    pub bytes: u64,
    /// Of each write; under `Fsync` with its sync.
    pub times: TimeDistribution,
}

/// Readings of a storage: counters since the start unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageMetrics {
    pub appended_batches: u64,
    pub appended_bytes: u64,
    /// Appends refused because the disk is full or nearly so,
    pub refused_for_space: u64,
    /// or because more waits to be written than the disk takes.
    pub refused_for_load: u64,
    pub slots_written: u64,
    pub slot_bytes_written: u64,
    /// Of each slot, synced.
    pub slot_times: TimeDistribution,
    /// What the lane takes of the disk now.
    pub slot_space: SlotSpace,
    /// Direct writes under `millstream.durability=fsync`,
    pub direct_fsync: DirectMetrics,
    /// and under `os`.
    pub direct_os: DirectMetrics,
    /// Bytes now that are durable in the lane and not yet in segments,
    pub unsettled_bytes: u64,
    /// and how long the oldest of them has waited.
    pub unsettled_for: Duration,
    pub checkpoints: u64,
    /// Of each checkpoint, from its beginning until it was durable.
    pub checkpoint_times: TimeDistribution,
    /// How long the oldest change that no checkpoint covers has waited; zero when all are covered.
    pub uncheckpointed_for: Duration,
    /// Bytes now that were appended and are not in segments.
    pub pending_bytes: u64,
    /// Whether producers are refused now for want of space.
    pub no_space: bool,
    /// Bytes of the newest batches that are kept in memory now.
    pub tail_bytes: u64,
    /// Reads that memory answered,
    pub tail_hits: u64,
    /// and those that needed segments.
    pub tail_misses: u64,
    /// Partitions that are offline now.
    pub partitions_offline: u64,
    pub disk: DiskMetrics,
    pub cleaner: CleanerMetrics,
}

impl StorageMetrics {
    pub(crate) fn of(shared: &Shared, slots: &dyn SlotStore, disk: Option<&dyn Disk>) -> Self {
        let counters = &shared.counters;
        let now = shared.clock.monotonic();
        let (unsettled, pending) = {
            let lane = shared.lane.lock();
            (lane.unsettled_bytes(), lane.pending_bytes())
        };
        let unsettled_since = shared.queue.lock().oldest_since();
        Self {
            appended_batches: counters.appended_batches.read(),
            appended_bytes: counters.appended_bytes.read(),
            refused_for_space: counters.refused_for_space.read(),
            refused_for_load: counters.refused_for_load.read(),
            slots_written: counters.slots_written.read(),
            slot_bytes_written: counters.slot_bytes_written.read(),
            slot_times: counters.slot_times.read(),
            slot_space: slots.space(),
            direct_fsync: counters.direct_fsync.read(),
            direct_os: counters.direct_os.read(),
            unsettled_bytes: unsettled as u64,
            unsettled_for: unsettled_since.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            checkpoints: counters.checkpoints.read(),
            checkpoint_times: counters.checkpoint_times.read(),
            uncheckpointed_for: counters.uncheckpointed_since.elapsed(now),
            pending_bytes: (pending + shared.direct.bytes()) as u64,
            no_space: shared.room.is_refused() || shared.room.is_low(),
            tail_bytes: shared.tail.bytes() as u64,
            tail_hits: counters.tail_hits.read(),
            tail_misses: counters.tail_misses.read(),
            partitions_offline: counters.partitions_offline.read(),
            disk: disk.map(Disk::metrics).unwrap_or_default(),
            cleaner: shared.cleaning.metrics(now),
        }
    }
}

/// A number that only this storage changes.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A distribution of times that is being counted.
#[derive(Debug, Default)]
pub(crate) struct Times {
    buckets: [AtomicU64; TIME_BUCKETS.len() + 1],
    sum_ns: AtomicU64,
}

impl Times {
    pub(crate) fn observe(&self, time: Duration) {
        let bucket = TIME_BUCKETS.partition_point(|bound| *bound < time);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(nanoseconds(time), Ordering::Relaxed);
    }

    fn read(&self) -> TimeDistribution {
        let buckets = std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed));
        TimeDistribution { buckets, sum: Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)) }
    }
}

/// Direct writes that are being counted.
#[derive(Debug, Default)]
pub(crate) struct DirectCounts {
    bytes: Count,
    times: Times,
}

impl DirectCounts {
    fn read(&self) -> DirectMetrics {
        DirectMetrics { bytes: self.bytes.read(), times: self.times.read() }
    }
}

/// A moment of the monotonic clock, or none.
#[derive(Debug)]
pub(crate) struct Moment(AtomicU64);

impl Default for Moment {
    fn default() -> Self {
        Self(AtomicU64::new(Self::NONE))
    }
}

impl Moment {
    const NONE: u64 = u64::MAX;

    pub(crate) fn set(&self, moment: Option<Duration>) {
        self.0.store(moment.map_or(Self::NONE, nanoseconds), Ordering::Relaxed);
    }

    fn elapsed(&self, now: Duration) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            Self::NONE => Duration::ZERO,
            since => now.saturating_sub(Duration::from_nanos(since)),
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What is counted where it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appended_batches: Count,
    pub(crate) appended_bytes: Count,
    pub(crate) refused_for_space: Count,
    pub(crate) refused_for_load: Count,
    pub(crate) slots_written: Count,
    pub(crate) slot_bytes_written: Count,
    pub(crate) slot_times: Times,
    direct_fsync: DirectCounts,
    direct_os: DirectCounts,
    pub(crate) checkpoints: Count,
    pub(crate) checkpoint_times: Times,
    /// When the oldest change came that no checkpoint covers.
    pub(crate) uncheckpointed_since: Moment,
    pub(crate) tail_hits: Count,
    pub(crate) tail_misses: Count,
    pub(crate) partitions_offline: Count,
}

impl Counters {
    /// Batches were written to their segment without the lane.
    pub(crate) fn wrote_directly(&self, durability: Durability, bytes: usize, time: Duration) {
        let counts = match durability {
            Durability::Fsync => &self.direct_fsync,
            Durability::Os => &self.direct_os,
        };
        counts.bytes.add(bytes as u64);
        counts.times.observe(time);
    }
}

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let times = Times::default();
        for time in [Duration::ZERO, TIME_BUCKETS[0], TIME_BUCKETS[0] + Duration::from_nanos(1), TIME_BUCKETS[19] * 2] {
            times.observe(time);
        }
        let read = times.read();
        assert_eq!((read.buckets[0], read.buckets[1], read.buckets[20], read.count()), (2, 1, 1, 4));
        assert_eq!(read.sum, TIME_BUCKETS[0] * 2 + Duration::from_nanos(1) + TIME_BUCKETS[19] * 2);
    }

    #[test]
    fn no_moment_has_no_age() {
        let moment = Moment::default();
        assert_eq!(moment.elapsed(Duration::from_secs(9)), Duration::ZERO);
        moment.set(Some(Duration::from_secs(2)));
        assert_eq!(moment.elapsed(Duration::from_secs(9)), Duration::from_secs(7));
        moment.set(None);
        assert_eq!(moment.elapsed(Duration::from_secs(9)), Duration::ZERO);
    }
}

//! Which part of a log may be cleaned, whether it is time to, and which segments become one. Pure.
//!
//! The terms are Kafka's: a log is clean below the offset up to which it was cleaned, dirty from there to its first
//! segment that must stay as it is.

use millstream_model::{Offset, TimestampMs};

use crate::log::config::Compaction;
use crate::segments::SegmentSummary;

/// What is known of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log<'a> {
    /// Oldest first; the last one is written to.
    pub(super) segments: &'a [SegmentSummary],
    pub(super) log_start: Offset,
    pub(super) last_stable: Offset,
    /// Records below were compared with each other.
    pub(super) compacted_upto: Offset,
    pub(super) config: Compaction,
    pub(super) now: TimestampMs,
}

/// What there is to clean in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Records from here on are compared.
    pub(super) first_dirty: Offset,
    /// The base of the first segment that must stay as it is.
    pub(super) upto: Offset,
    pub(super) clean_bytes: u64,
    pub(super) dirty_bytes: u64,
    /// A dirty record is older than `max.compaction.lag.ms`.
    pub(super) overdue: bool,
    /// The segments below `upto`.
    pub(super) segments: Vec<SegmentSummary>,
}

impl Plan {
    /// What may be cleaned; without bytes when that is nothing.
    pub(super) fn of(log: Log<'_>) -> Self {
        let live = log.segments.iter().position(|segment| segment.next > log.log_start).unwrap_or(log.segments.len());
        let segments = &log.segments[live..];
        let start = segments.first().map_or(log.log_start, |first| first.base.max(log.log_start));
        let first_dirty = log.compacted_upto.max(start);
        let sealed = &segments[..segments.len().saturating_sub(1)];
        let fixed = sealed.iter().position(|segment| must_stay(segment, &log, first_dirty)).unwrap_or(sealed.len());
        let upto = segments.get(fixed).map_or(first_dirty, |segment| segment.base);
        let is_dirty = |segment: &&SegmentSummary| segment.next > first_dirty;
        let bytes = |segments: &[SegmentSummary]| segments.iter().map(|segment| segment.bytes).sum::<u64>();
        let cleanable = &segments[..fixed];
        let dirty_from = cleanable.partition_point(|segment| !is_dirty(&segment));
        let oldest = sealed.iter().filter(is_dirty).map(|segment| segment.first_timestamp.0).filter(|first| *first > 0);
        Self {
            first_dirty,
            upto,
            clean_bytes: bytes(&cleanable[..dirty_from]),
            dirty_bytes: bytes(&cleanable[dirty_from..]),
            overdue: oldest.min().is_some_and(|oldest| is_older(oldest, log.now, log.config.lag_max_ms)),
            segments: cleanable.to_vec(),
        }
    }

    /// The dirty share of what may be cleaned, in millionths.
    pub(super) fn dirty_share_ppm(&self) -> u64 {
        let all = u128::from(self.clean_bytes + self.dirty_bytes);
        u64::try_from(u128::from(self.dirty_bytes) * 1_000_000 / all.max(1)).unwrap_or(u64::MAX)
    }

    /// Whether it is time to clean.
    pub(super) fn is_due(&self, config: Compaction) -> bool {
        self.dirty_bytes > 0 && (self.overdue || self.dirty_share_ppm() > u64::from(config.dirty_share_min_ppm))
    }

    /// The segments that begin below `end`, each group to become one that is not larger than a segment may be.
    pub(super) fn groups(&self, end: Offset, bytes_max: u64, index_bytes_max: u64) -> Vec<Vec<SegmentSummary>> {
        let mut groups: Vec<Vec<SegmentSummary>> = Vec::new();
        for segment in self.segments.iter().filter(|segment| segment.base < end) {
            match groups.last_mut() {
                Some(group) if fits(group, segment, bytes_max, index_bytes_max) => group.push(*segment),
                _ => groups.push(vec![*segment]),
            }
        }
        groups
    }
}

fn must_stay(segment: &SegmentSummary, log: &Log<'_>, first_dirty: Offset) -> bool {
    let lag = log.config.lag_min_ms;
    let too_young = lag > 0 && segment.next > first_dirty && !is_at_least(segment.max_timestamp.0, log.now, lag);
    !segment.checkpointed || segment.next > log.last_stable || too_young
}

fn is_at_least(timestamp: i64, now: TimestampMs, age_ms: u64) -> bool {
    u64::try_from(now.0.saturating_sub(timestamp)).is_ok_and(|age| age >= age_ms)
}

fn is_older(timestamp: i64, now: TimestampMs, age_ms: u64) -> bool {
    u64::try_from(now.0.saturating_sub(timestamp)).is_ok_and(|age| age > age_ms)
}

/// Whether a segment may be added to a group: sizes as they are now, and offsets that an index entry can say.
fn fits(group: &[SegmentSummary], segment: &SegmentSummary, bytes_max: u64, index_bytes_max: u64) -> bool {
    let bytes: u64 = group.iter().map(|one| one.bytes).sum();
    let index_bytes: u64 = group.iter().map(|one| one.index_bytes).sum();
    let span = segment.next.since(group[0].base) - 1;
    bytes + segment.bytes <= bytes_max
        && index_bytes + segment.index_bytes <= index_bytes_max
        && (segment.bytes == 0 || span <= i64::from(i32::MAX))
}

#[cfg(test)]
mod tests;

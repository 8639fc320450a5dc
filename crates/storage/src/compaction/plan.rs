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
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(100_000);

    /// Segments of ten offsets and these bytes, the n-th written n seconds after the start; the last is written to.
    fn segments(bytes: &[u64]) -> Vec<SegmentSummary> {
        let one = |(number, bytes): (usize, &u64)| SegmentSummary {
            base: Offset(10 * number as i64),
            next: Offset(10 * (number as i64 + 1)),
            bytes: *bytes,
            index_bytes: 8,
            first_timestamp: TimestampMs(1000 * number as i64 + 1),
            max_timestamp: TimestampMs(1000 * number as i64 + 900),
            checkpointed: true,
        };
        bytes.iter().enumerate().map(one).collect()
    }

    fn log(segments: &[SegmentSummary]) -> Log<'_> {
        let (log_start, compacted_upto, last_stable) = (Offset(0), Offset(0), segments.last().unwrap().next);
        Log { segments, log_start, last_stable, compacted_upto, config: Compaction::default(), now: NOW }
    }

    #[track_caller]
    fn check(log: Log<'_>, first_dirty: i64, upto: i64, clean_bytes: u64, dirty_bytes: u64) {
        let plan = Plan::of(log);
        let found = (plan.first_dirty.0, plan.upto.0, plan.clean_bytes, plan.dirty_bytes);
        assert_eq!(found, (first_dirty, upto, clean_bytes, dirty_bytes));
        assert!(plan.segments.iter().all(|segment| segment.next.0 <= upto && segment.next > log.log_start));
    }

    #[test]
    fn the_segment_that_is_written_to_stays() {
        check(log(&segments(&[1, 2, 4])), 0, 20, 0, 3);
        check(log(&segments(&[1])), 0, 0, 0, 0);
        let none = Log { segments: &[], last_stable: Offset(0), ..log(&segments(&[1])) };
        check(none, 0, 0, 0, 0);
    }

    #[test]
    fn what_may_still_change_stays() {
        let all = segments(&[1, 2, 4, 8]);
        check(Log { last_stable: Offset(20), ..log(&all) }, 0, 20, 0, 3);
        check(Log { last_stable: Offset(19), ..log(&all) }, 0, 10, 0, 1);
        let mut all = segments(&[1, 2, 4, 8]);
        all[1].checkpointed = false;
        check(log(&all), 0, 10, 0, 1);
    }

    #[test]
    fn young_records_stay_for_the_minimum_lag() {
        let all = segments(&[1, 2, 4, 8]);
        let lag = |lag_min_ms, now| Log {
            config: Compaction { lag_min_ms, ..Compaction::default() },
            now: TimestampMs(now),
            ..log(&all)
        };
        check(lag(1000, 2_900), 0, 20, 0, 3);
        check(lag(1000, 2_899), 0, 10, 0, 1);
        check(lag(1000, 1_000), 0, 0, 0, 0);
        check(Log { compacted_upto: Offset(20), ..lag(1000, 1_000) }, 20, 20, 3, 0);
    }

    #[test]
    fn clean_is_what_was_cleaned_and_is_still_there() {
        let all = segments(&[1, 2, 4, 8, 16]);
        check(Log { compacted_upto: Offset(20), ..log(&all) }, 20, 40, 3, 12);
        check(Log { compacted_upto: Offset(25), ..log(&all) }, 25, 40, 3, 12);
        check(Log { log_start: Offset(10), compacted_upto: Offset(20), ..log(&all) }, 20, 40, 2, 12);
        check(Log { log_start: Offset(25), compacted_upto: Offset(20), ..log(&all) }, 25, 40, 0, 12);
        check(Log { log_start: Offset(50), ..log(&all) }, 50, 50, 0, 0);
    }

    #[test]
    fn cleaning_is_due_above_the_ratio_or_after_the_maximum_lag() {
        let config = |ppm, lag_max_ms| Compaction { dirty_share_min_ppm: ppm, lag_max_ms, ..Compaction::default() };
        let all = segments(&[50, 50, 8]);
        let due = |compacted_upto, config| {
            let log = Log { compacted_upto: Offset(compacted_upto), config, ..log(&all) };
            Plan::of(log).is_due(config)
        };
        assert!(due(0, config(500_000, u64::MAX)) && !due(10, config(500_000, u64::MAX)), "half is not above half");
        assert!(due(10, config(499_999, u64::MAX)) && due(10, config(0, u64::MAX)));
        assert!(!due(0, config(1_000_000, u64::MAX)), "never by ratio");
        assert!(due(0, config(1_000_000, 99_998)) && !due(0, config(1_000_000, 99_999)));
        assert!(!due(20, config(0, 1)), "nothing is dirty");
    }

    #[test]
    fn small_neighbours_become_one_segment() {
        let all = segments(&[40, 40, 40, 130, 0, 10, 1]);
        let plan = Plan::of(log(&all));
        let sizes = |end: i64, bytes_max, index_bytes_max| -> Vec<usize> {
            plan.groups(Offset(end), bytes_max, index_bytes_max).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(60, 100, 100), [2, 1, 1, 2]);
        assert_eq!(sizes(60, 1000, 100), [6]);
        assert_eq!(sizes(60, 1000, 16), [2, 2, 2], "an index holds no more");
        assert_eq!(sizes(31, 1000, 100), [4], "the segment with the end of the round is cleaned up to there");
        assert_eq!(sizes(0, 1000, 100), [0; 0]);
    }

    #[test]
    fn a_segment_spans_no_more_offsets_than_its_index_can_say() {
        let mut all = segments(&[1, 1, 1, 1]);
        all[1].next = Offset(i64::from(i32::MAX) + 1);
        (all[2].base, all[2].next) = (Offset(1 << 31), Offset((1 << 31) + 1));
        (all[3].base, all[3].next) = (Offset((1 << 31) + 1), Offset((1 << 31) + 2));
        let groups = Plan::of(log(&all)).groups(Offset(1 << 32), 1000, 1000);
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    }
}

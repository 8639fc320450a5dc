//! When a log is cleaned, up to where, and into which segments.

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

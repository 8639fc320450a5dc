//! Which of a log's oldest segments have outlived `retention.ms` and `retention.bytes`. Pure; the partition moves its start.

use millstream_model::{Offset, TimestampMs};

use crate::segments::SegmentSummary;

/// How long and how much a log keeps; `Default` keeps everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`: a segment goes when its newest record is older.
    pub age_max_ms: Option<u64>,
    /// `retention.bytes`: the oldest segments go as long as the others still hold so many bytes.
    pub bytes_max: Option<u64>,
}

impl Retention {
    /// Where the log is to start, given its segments, oldest first; none when all of them stay.
    pub(crate) fn new_start(&self, segments: &[SegmentSummary], now: TimestampMs) -> Option<Offset> {
        let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let mut start = None;
        for (number, segment) in segments.iter().enumerate() {
            let left = bytes - segment.bytes;
            let too_many = self.bytes_max.is_some_and(|bytes_max| left >= bytes_max);
            if segment.bytes == 0 || !(too_many || self.is_too_old(&segments[number..], now)) {
                break;
            }
            bytes = left;
            start = Some(segment.next);
        }
        start
    }

    /// Whether the first segment is too old. Records without timestamps are as old as the first one after them that has one.
    fn is_too_old(&self, segments: &[SegmentSummary], now: TimestampMs) -> bool {
        let Some(age_max_ms) = self.age_max_ms else { return false };
        let newest = segments.iter().map(|segment| segment.max_timestamp).find(|newest| newest.0 >= 0);
        newest.is_some_and(|newest| u64::try_from(now.0.saturating_sub(newest.0)).is_ok_and(|age| age > age_max_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of ten records and these bytes, each with the newest timestamp.
    fn segments(of: &[(u64, i64)]) -> Vec<SegmentSummary> {
        let summary = |(number, (bytes, newest)): (usize, &(u64, i64))| SegmentSummary {
            next: Offset(10 * (number as i64 + 1)),
            bytes: *bytes,
            max_timestamp: TimestampMs(*newest),
            ..SegmentSummary::default()
        };
        of.iter().enumerate().map(summary).collect()
    }

    #[track_caller]
    fn check(retention: Retention, of: &[(u64, i64)], now: i64, start: Option<i64>) {
        assert_eq!(retention.new_start(&segments(of), TimestampMs(now)), start.map(Offset), "{retention:?} {of:?}");
    }

    #[test]
    fn segments_go_when_their_newest_record_is_too_old() {
        let age = |age_max_ms| Retention { age_max_ms: Some(age_max_ms), ..Retention::default() };
        let of = [(1, 100), (1, 200), (1, 300)];
        check(age(50), &of, 150, None);
        check(age(50), &of, 151, Some(10));
        check(age(50), &of, 251, Some(20));
        check(age(50), &of, 1000, Some(30));
        check(age(50), &of, 0, None);
        check(age(50), &[(1, 900), (1, 100)], 1000, Some(20));
        check(age(50), &[(1, 960), (1, 100)], 1000, None);
    }

    #[test]
    fn records_without_timestamps_are_as_old_as_what_follows_them() {
        let age = Retention { age_max_ms: Some(50), ..Retention::default() };
        check(age, &[(1, -1), (1, 100)], 200, Some(20));
        check(age, &[(1, -1), (1, 180)], 200, None);
        check(age, &[(1, -1)], i64::MAX, None);
    }

    #[test]
    fn the_oldest_go_while_the_others_hold_enough_bytes() {
        let size = |bytes_max| Retention { bytes_max: Some(bytes_max), ..Retention::default() };
        let of = [(100, 1), (100, 2), (50, 3)];
        check(size(250), &of, 9, None);
        check(size(151), &of, 9, None);
        check(size(150), &of, 9, Some(10));
        check(size(50), &of, 9, Some(20));
        check(size(0), &of, 9, Some(30));
    }

    #[test]
    fn nothing_goes_without_limits_or_without_records() {
        check(Retention::default(), &[(100, 1)], i64::MAX, None);
        check(Retention { age_max_ms: Some(0), bytes_max: Some(0) }, &[(0, 0)], 9, None);
    }
}

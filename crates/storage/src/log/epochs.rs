//! Where each leader epoch of a partition begins (KIP-101): the answer to OffsetForLeaderEpoch.

use millstream_model::{LeaderEpoch, Offset};

/// Leader epochs and their first offsets, both rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochStarts {
    starts: Vec<(LeaderEpoch, Offset)>,
}

impl EpochStarts {
    /// From a checkpoint; entries that do not rise are dropped.
    #[must_use]
    pub fn from_entries(entries: impl IntoIterator<Item = (LeaderEpoch, Offset)>) -> Self {
        let mut starts = Self::default();
        for (epoch, offset) in entries {
            starts.begin(epoch, offset);
        }
        starts
    }

    /// All entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.starts
    }

    /// The newest epoch.
    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.starts.last().map(|(epoch, _)| *epoch)
    }

    /// Notes that records of `epoch` begin at `start`; an epoch that is not newer changes nothing. An epoch in which
    /// nothing was written gives way to the next one at the same offset.
    pub fn begin(&mut self, epoch: LeaderEpoch, start: Offset) {
        if epoch.0 < 0 || self.latest().is_some_and(|latest| epoch <= latest) {
            return;
        }
        while self.starts.last().is_some_and(|(_, last_start)| *last_start >= start) {
            self.starts.pop();
        }
        self.starts.push((epoch, start));
    }

    /// Forgets epochs that lie wholly below the log's start; the one that contains it begins there.
    pub fn cut_below(&mut self, log_start: Offset) {
        let keep_from = self.starts.partition_point(|(_, start)| *start <= log_start).saturating_sub(1);
        self.starts.drain(..keep_from);
        if let Some((_, start)) = self.starts.first_mut() {
            *start = (*start).max(log_start);
        }
    }

    /// The largest epoch at or below `epoch`, and where it ends: at the next one's start, or at the log's end.
    /// `(NONE, -1)` when `epoch` is newer than any, or none is known.
    #[must_use]
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> (LeaderEpoch, Offset) {
        const UNKNOWN: (LeaderEpoch, Offset) = (LeaderEpoch::NONE, Offset(-1));
        if epoch == LeaderEpoch::NONE {
            return UNKNOWN;
        }
        if self.latest() == Some(epoch) {
            return (epoch, log_end);
        }
        let higher = self.starts.partition_point(|(known, _)| *known <= epoch);
        match (higher.checked_sub(1).and_then(|at| self.starts.get(at)), self.starts.get(higher)) {
            (_, None) => UNKNOWN,
            (None, Some((_, start))) => (epoch, *start),
            (Some((floor, _)), Some((_, start))) => (*floor, *start),
        }
    }

    /// The epoch of the record at `offset`.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        let after = self.starts.partition_point(|(_, start)| *start <= offset);
        after.checked_sub(1).map_or(LeaderEpoch::NONE, |at| self.starts[at].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(entries: &[(i32, i64)]) -> EpochStarts {
        EpochStarts::from_entries(entries.iter().map(|(epoch, start)| (LeaderEpoch(*epoch), Offset(*start))))
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let known = starts(&[(1, 0), (3, 10), (5, 20)]);
        let check = |asked: i32, expected: (i32, i64)| {
            let (epoch, end) = known.end_of(LeaderEpoch(asked), Offset(25));
            assert_eq!((epoch.0, end.0), expected, "end of epoch {asked}");
        };
        check(5, (5, 25));
        check(4, (3, 20));
        check(3, (3, 20));
        check(1, (1, 10));
        check(0, (0, 0));
        check(6, (-1, -1));
        check(-1, (-1, -1));
    }

    #[test]
    fn cutting_keeps_the_epoch_that_contains_the_start() {
        let mut known = starts(&[(1, 0), (3, 10), (5, 20)]);
        known.cut_below(Offset(15));
        assert_eq!(known, starts(&[(3, 15), (5, 20)]));
        known.cut_below(Offset(100));
        assert_eq!(known, starts(&[(5, 100)]));
    }

    #[test]
    fn an_epoch_without_records_gives_way() {
        let mut known = starts(&[(1, 0), (2, 10)]);
        known.begin(LeaderEpoch(4), Offset(10));
        assert_eq!(known, starts(&[(1, 0), (4, 10)]));
        known.begin(LeaderEpoch(3), Offset(12));
        assert_eq!(known, starts(&[(1, 0), (4, 10)]));
        assert_eq!(known.epoch_at(Offset(9)), LeaderEpoch(1));
        assert_eq!(known.epoch_at(Offset(10)), LeaderEpoch(4));
    }
}

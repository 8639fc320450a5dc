//! Transactions as a cleaning meets them, batch by batch from the log's start: which batches were aborted, and which
//! markers are still needed. Pure; the rules are those of Kafka's `CleanedTransactionMetadata`.
//!
//! A marker stays as long as a batch of its transaction was met, and then for the time of tombstones.

use std::collections::{HashMap, HashSet};

use millstream_model::batch::{Batch, BatchHeader, ControlRecordType};
use millstream_model::{Offset, ProducerId};

use crate::log::state::control_of;
use crate::log::transactions::AbortedTransaction;

/// An aborted transaction whose marker was not met yet.
#[derive(Debug)]
struct Aborting {
    aborted: AbortedTransaction,
    /// A batch of it was met.
    has_batches: bool,
}

/// What is known at one point of the log.
#[derive(Debug)]
pub(super) struct Transactions {
    /// Aborted ones that begin later, the first last.
    later: Vec<AbortedTransaction>,
    aborting: HashMap<ProducerId, Aborting>,
    /// Producers of committed transactions of which a batch was met, and not yet the marker.
    committing: HashSet<ProducerId>,
}

/// What a marker is good for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// Nothing of its transaction is left.
    pub(super) discardable: bool,
    /// What it aborted, if something of that is left.
    pub(super) aborted: Option<AbortedTransaction>,
}

impl Transactions {
    /// At the start of the log, or of a part of it that ends no transaction in `aborted` before it.
    pub(super) fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_by_key(|aborted| std::cmp::Reverse(aborted.first_offset));
        Self { later: aborted, aborting: HashMap::new(), committing: HashSet::new() }
    }

    /// Takes the next batch of records; says whether it was aborted.
    pub(super) fn batch(&mut self, header: &BatchHeader) -> bool {
        self.begin_upto(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        if let Some(aborting) = self.aborting.get_mut(&header.producer_id) {
            aborting.has_batches = true;
            return true;
        }
        self.committing.insert(header.producer_id);
        false
    }

    /// Takes the next control batch.
    pub(super) fn marker(&mut self, batch: &Batch) -> Marker {
        let header = batch.header();
        self.begin_upto(header.last_offset());
        // One without its record was emptied when nothing of its transaction was left.
        if header.records_count == 0 {
            return Marker { discardable: true, aborted: None };
        }
        match control_of(batch).map(|control| control.kind) {
            Some(ControlRecordType::Abort) => {
                let aborting = self.aborting.remove(&header.producer_id).filter(|aborting| aborting.has_batches);
                Marker { discardable: aborting.is_none(), aborted: aborting.map(|aborting| aborting.aborted) }
            }
            Some(ControlRecordType::Commit) => {
                Marker { discardable: !self.committing.remove(&header.producer_id), aborted: None }
            }
            _ => Marker { discardable: false, aborted: None },
        }
    }

    fn begin_upto(&mut self, offset: Offset) {
        while let Some(aborted) = self.later.pop_if(|next| next.first_offset <= offset) {
            self.aborting.entry(aborted.producer_id).or_insert(Aborting { aborted, has_batches: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_model::batch::{ControlRecord, ProducerStamp};
    use millstream_model::{LeaderEpoch, ProducerEpoch, TimestampMs};

    use super::*;
    use crate::tests::{batch_of, stamp};

    fn records(producer: i64, offset: i64) -> Batch {
        let stamp = ProducerStamp { transactional: true, ..stamp(producer, 0, 0) };
        batch_of(&["x"], 10, stamp).placed(Offset(offset), LeaderEpoch(0))
    }

    fn marker(kind: ControlRecordType, producer: i64, offset: i64) -> Batch {
        let control = ControlRecord { kind, coordinator_epoch: 0 };
        let batch = control.into_batch(ProducerId(producer), ProducerEpoch(0), TimestampMs(10));
        batch.placed(Offset(offset), LeaderEpoch(0))
    }

    fn aborted(producer: i64, first: i64, last: i64) -> AbortedTransaction {
        let (first_offset, last_offset) = (Offset(first), Offset(last));
        AbortedTransaction { producer_id: ProducerId(producer), first_offset, last_offset, last_stable: last_offset }
    }

    const NEEDLESS: Marker = Marker { discardable: true, aborted: None };
    const NEEDED: Marker = Marker { discardable: false, aborted: None };

    #[test]
    fn batches_between_an_aborted_start_and_its_marker_are_aborted() {
        let mut all = Transactions::new(vec![aborted(2, 5, 8), aborted(1, 1, 3)]);
        assert!(!all.batch(records(1, 0).header()), "before it began");
        assert!(all.batch(records(1, 1).header()) && !all.batch(records(2, 2).header()));
        let found = all.marker(&marker(ControlRecordType::Abort, 1, 3));
        assert_eq!(found, Marker { discardable: false, aborted: Some(aborted(1, 1, 3)) });
        assert_eq!(all.marker(&marker(ControlRecordType::Commit, 2, 4)), NEEDED);
        assert!(!all.batch(records(1, 5).header()) && all.batch(records(2, 6).header()));
    }

    #[test]
    fn a_marker_is_needless_when_nothing_of_its_transaction_is_left() {
        let mut all = Transactions::new(vec![aborted(1, 1, 3)]);
        assert_eq!(all.marker(&marker(ControlRecordType::Abort, 1, 3)), NEEDLESS);
        assert_eq!(all.marker(&marker(ControlRecordType::Commit, 1, 4)), NEEDLESS);
        assert_eq!(all.marker(&marker(ControlRecordType::Commit, 1, 5).emptied()), NEEDLESS);
        assert_eq!(all.marker(&marker(ControlRecordType::Other(2), 1, 6)), NEEDED);
    }

    #[test]
    fn records_outside_of_transactions_are_never_aborted() {
        let mut all = Transactions::new(vec![aborted(1, 0, 9)]);
        let plain = batch_of(&["x"], 10, stamp(1, 0, 0)).placed(Offset(4), LeaderEpoch(0));
        assert!(!all.batch(plain.header()));
    }
}

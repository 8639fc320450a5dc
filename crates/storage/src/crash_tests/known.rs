//! What the outside world knows of a partition: what it was told, what it saw; and whether a recovered log agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millstream_model::{Offset, TimestampMs};

use crate::log::producers::BATCHES_REMEMBERED;
use crate::tests::{batch_of, stamp, values};
use crate::*;

/// What the outside world knows of one partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) acknowledged: BTreeMap<i64, String>,
    /// Every value that was ever appended at an offset.
    pub(super) attempted: BTreeMap<i64, BTreeSet<String>>,
    /// What a reader saw as the high watermark.
    pub(super) seen: i64,
    pub(super) log_start_asked: i64,
    pub(super) log_start_acknowledged: i64,
    /// What each producer id appended, in order. After a crash a producer begins anew, with a new id.
    sent: BTreeMap<i64, Vec<SentBatch>>,
}

/// A batch that a producer appended.
#[derive(Clone, Debug)]
pub(super) struct SentBatch {
    sequence: i32,
    base: i64,
    values: Vec<String>,
}

impl SentBatch {
    fn delta(&self) -> i32 {
        self.values.len() as i32 - 1
    }

    fn last_offset(&self) -> i64 {
        self.base + i64::from(self.delta())
    }

    fn next_sequence(&self) -> i32 {
        self.sequence + self.values.len() as i32
    }
}

/// The records of a recovered log, by offset.
pub(super) async fn contents(partition: &Arc<Partition>, place: &str) -> BTreeMap<i64, String> {
    assert_eq!(partition.offline(), None, "{place}");
    let offsets = partition.offsets();
    let mut found = BTreeMap::new();
    let mut from = offsets.log_start;
    while from < offsets.log_end {
        let slice = partition.read(from, 3000, true, ReadUpto::HighWatermark).await;
        let slice = slice.unwrap_or_else(|error| panic!("{place} at {from}: {error}"));
        let records = values(&slice.records);
        let last = records.last().unwrap_or_else(|| panic!("{place}: nothing at {from}")).0;
        for (offset, value) in records.into_iter().filter(|(offset, _)| *offset >= offsets.log_start.0) {
            assert_eq!(found.insert(offset, value), None, "{place}: {offset} is there twice");
        }
        from = Offset(last + 1);
    }
    found
}

impl Known {
    /// Appends a batch of a producer; its answer says when it is durable.
    pub(super) fn append(
        &mut self,
        partition: &Arc<Partition>,
        id: i64,
        values: Vec<String>,
    ) -> Result<(SentBatch, Appended), AppendError> {
        let sequence = self.sent.get(&id).and_then(|sent| sent.last()).map_or(0, SentBatch::next_sequence);
        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
        let batch = batch_of(&texts, 10, stamp(id, 0, sequence));
        let appended = partition.append([batch], AppendOrigin::Client, TimestampMs(0))?;
        let base = appended.base_offset.0;
        for (value, offset) in values.iter().zip(base..) {
            assert!(!self.acknowledged.contains_key(&offset), "offset {offset} was acknowledged before");
            assert!(offset >= self.seen, "offset {offset} was seen before");
            self.attempted.entry(offset).or_default().insert(value.clone());
        }
        let sent = SentBatch { sequence, base, values };
        self.sent.entry(id).or_default().push(sent.clone());
        Ok((sent, appended))
    }

    pub(super) fn acknowledge(&mut self, sent: SentBatch) {
        self.acknowledged.extend((sent.base..).zip(sent.values));
    }

    /// Checks a recovered log, whose records are `found`, and from now on takes it for what was. `may_lose` says that its
    /// newest records may be lost, as without synced writes they are when the power goes.
    pub(super) fn check(
        &mut self,
        partition: &Arc<Partition>,
        found: &BTreeMap<i64, String>,
        may_lose: bool,
        place: &str,
    ) {
        let offsets = partition.offsets();
        let (start, end) = (offsets.log_start.0, offsets.log_end.0);
        assert_eq!(offsets.high_watermark, offsets.log_end, "{place}");
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), (start..end).collect::<Vec<_>>(), "{place}: offsets");
        for (offset, value) in found {
            assert!(self.attempted[offset].contains(value), "{place}: {offset} holds {value}");
        }
        assert!(start <= self.log_start_asked, "{place}: log start {start}, {} was asked for", self.log_start_asked);
        if may_lose {
            self.acknowledged.retain(|offset, _| *offset < end);
            self.log_start_acknowledged = self.log_start_acknowledged.min(start);
        } else {
            assert!(end >= self.seen, "{place}: a reader saw {}, the log ends at {end}", self.seen);
        }
        assert!(start >= self.log_start_acknowledged, "{place}: log start {start}");
        for (offset, value) in self.acknowledged.range(start..) {
            assert_eq!(found.get(offset), Some(value), "{place}: acknowledged {offset} is lost");
        }
        self.seen = end;
        self.attempted.retain(|offset, _| *offset < end);
        for sent in self.sent.values_mut() {
            sent.retain(|batch| batch.last_offset() < end);
        }
        self.sent.retain(|_, sent| !sent.is_empty());
        self.check_producers(partition, place);
    }

    /// Every producer is known by its last five batches in the log, and the last one again is a repeat.
    fn check_producers(&self, partition: &Arc<Partition>, place: &str) {
        let remembered = |sent: &Vec<SentBatch>| {
            let newest = &sent[sent.len().saturating_sub(BATCHES_REMEMBERED)..];
            let batch = |batch: &SentBatch| (batch.next_sequence() - 1, batch.last_offset(), batch.delta());
            newest.iter().map(batch).collect::<Vec<_>>()
        };
        let expected: BTreeMap<i64, _> = self.sent.iter().map(|(id, sent)| (*id, remembered(sent))).collect();
        let batches = |entry: &ProducerEntry| {
            let batch = |batch: &ProducerBatch| (batch.last_sequence.0, batch.last_offset.0, batch.offset_delta);
            entry.batches.iter().map(batch).collect::<Vec<_>>()
        };
        let found = partition.active_producers();
        let found: BTreeMap<i64, _> = found.iter().map(|(id, entry)| (id.0, batches(entry))).collect();
        assert_eq!(found, expected, "{place}: producers");
        for (id, sent) in &self.sent {
            let last = sent.last().expect("producers without batches were removed");
            let texts: Vec<&str> = last.values.iter().map(String::as_str).collect();
            let repeat = batch_of(&texts, 10, stamp(*id, 0, last.sequence));
            let repeat = partition.append([repeat], AppendOrigin::Client, TimestampMs(0));
            let base = repeat.map(|repeat| (repeat.repeated, repeat.base_offset.0));
            assert_eq!(base, Ok((true, last.base)), "{place}: repeat of the last batch of producer {id}");
        }
    }
}

//! What stays of each batch when a log is cleaned. Pure; the rules are those of Kafka's `Cleaner`.

use std::collections::HashMap;

use millstream_model::batch::{Batch, BatchHeader, Record, SelectError};
use millstream_model::{Offset, ProducerEpoch, ProducerId, TimestampMs};

use super::offset_map::OffsetMap;
use super::transactions::{Marker, Transactions};
use crate::log::producers::Producers;
use crate::log::transactions::AbortedTransaction;

/// Most bytes that a batch may have decompressed: with more its log cannot be cleaned.
pub(super) const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// The last that a producer wrote: its batch stays, without records if need be, because it carries the sequence.
#[derive(Clone, Copy, Debug)]
enum LastOfProducer {
    /// Last offset of its newest batch.
    Records(Offset),
    /// A marker alone: it carries the epoch that fences older producers.
    Marker(ProducerEpoch),
}

/// Decides batch by batch, from the log's start on.
#[derive(Debug)]
pub(super) struct RecordFilter {
    pub(super) last_offsets: OffsetMap,
    /// Records from here on were not compared.
    pub(super) compared_upto: Offset,
    /// The end of what may be cleaned: the batch before it stays, so that the log's end stays.
    pub(super) upto: Offset,
    pub(super) now: TimestampMs,
    pub(super) delete_retention_ms: u64,
    pub(super) transactions: Transactions,
    pub(super) producers: LastOfProducers,
}

/// The last that each producer wrote.
#[derive(Debug, Default)]
pub(super) struct LastOfProducers(HashMap<ProducerId, LastOfProducer>);

/// What stays of a batch.
#[derive(Debug)]
pub(super) struct Filtered {
    pub(super) batch: Option<Batch>,
    /// Whether that is less, or other, than there was.
    pub(super) changed: bool,
    /// The transaction that this marker aborted, if readers must be told of it.
    pub(super) aborted: Option<AbortedTransaction>,
}

impl LastOfProducers {
    pub(super) fn of(producers: &Producers) -> Self {
        let last = |(id, entry): (ProducerId, &crate::ProducerEntry)| {
            let records = entry.batches.back().map(|batch| LastOfProducer::Records(batch.last_offset));
            (id, records.unwrap_or(LastOfProducer::Marker(entry.epoch)))
        };
        Self(producers.iter().map(last).collect())
    }

    fn has(&self, header: &BatchHeader) -> bool {
        match self.0.get(&header.producer_id) {
            Some(LastOfProducer::Records(offset)) => header.last_offset() == *offset,
            Some(LastOfProducer::Marker(epoch)) => header.attributes.is_control() && header.producer_epoch == *epoch,
            None => false,
        }
    }
}

impl RecordFilter {
    /// What stays of the next batch.
    pub(super) fn filter(&mut self, batch: Batch) -> Result<Filtered, SelectError> {
        let header = *batch.header();
        let is_control = header.attributes.is_control();
        let Marker { discardable, aborted } = if is_control {
            self.transactions.marker(&batch)
        } else {
            Marker { discardable: self.transactions.batch(&header), aborted: None }
        };
        let expired = batch.delete_horizon().is_some_and(|horizon| horizon <= self.now);
        let discarded = discardable && (!is_control || expired);
        let stays_empty =
            header.next_offset() == self.upto || (header.has_producer_id() && self.producers.has(&header));
        let keeps = |record: &Record<'_>| is_control || self.keeps(&header, record, expired);
        let selection = if discarded { None } else { Some(batch.select(DECOMPRESSED_BYTES_MAX, keeps)?) };
        let Some(selection) = selection.filter(|selection| !selection.is_empty()) else {
            let changed = header.records_count > 0 || !stays_empty;
            let batch = stays_empty.then(|| if changed { batch.emptied() } else { batch });
            return Ok(Filtered { batch, changed, aborted });
        };
        let ages = selection.has_tombstones() || (is_control && discardable);
        let horizon = (ages && batch.delete_horizon().is_none()).then(|| self.delete_horizon());
        if selection.is_complete() && horizon.is_none() {
            return Ok(Filtered { batch: Some(batch), changed: false, aborted });
        }
        Ok(Filtered { batch: Some(batch.with_selected(&selection, horizon)), changed: true, aborted })
    }

    /// Whether a record of a batch of records stays.
    fn keeps(&self, header: &BatchHeader, record: &Record<'_>, tombstones_expired: bool) -> bool {
        let offset = header.base_offset.plus(i64::from(record.offset_delta));
        if offset >= self.compared_upto {
            return true;
        }
        // Records without a key came before the topic was compacted; nobody could say what replaces them.
        let Some(key) = record.key else { return false };
        let is_last = self.last_offsets.get(key).is_none_or(|last| offset >= last);
        is_last && (record.value.is_some() || !tombstones_expired)
    }

    fn delete_horizon(&self) -> TimestampMs {
        let retention = i64::try_from(self.delete_retention_ms).unwrap_or(i64::MAX);
        TimestampMs(self.now.0.saturating_add(retention))
    }
}

#[cfg(test)]
mod tests;

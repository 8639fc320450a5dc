//! What the batches of a log amount to: its end, producers, transactions, epochs, newest timestamp.
//!
//! The same `apply` runs at append, at replay and when a batch settles in its segment, so the three agree by construction.

use millstream_model::batch::{Batch, BatchHeader, ControlRecord, ControlRecordType, RecordIter};
use millstream_model::{Offset, TimestampMs};

use super::epochs::EpochStarts;
use super::producers::Producers;
use super::transactions::{AbortedTransaction, Transactions};
use crate::lane::Ticket;

/// More than any control record has.
const CONTROL_BYTES_MAX: usize = 64 << 10;

/// A timestamp and the base offset of the batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampAt {
    pub timestamp: TimestampMs,
    pub base_offset: Offset,
}

/// State of a log at its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogState {
    /// Offset of the first record that may be read.
    pub log_start: Offset,
    /// Offset of the next record.
    pub log_end: Offset,
    pub producers: Producers,
    pub epochs: EpochStarts,
    pub(crate) transactions: Transactions,
    /// The largest timestamp, its first batch; none when there are no records, or the batch is below the start.
    pub max_timestamp: Option<TimestampAt>,
}

impl LogState {
    /// Takes the next batch into account; an aborted transaction that it ends is returned for the transaction index.
    ///
    /// # Panics
    /// When the batch does not lie at or beyond the log's end: who calls has checked it.
    pub(crate) fn apply(&mut self, batch: &Batch, ticket: Ticket) -> Option<AbortedTransaction> {
        self.apply_header(batch.header(), control_of(batch), ticket)
    }

    /// As `apply`, with a control batch's record already read.
    pub(crate) fn apply_header(
        &mut self,
        header: &BatchHeader,
        control: Option<ControlRecord>,
        ticket: Ticket,
    ) -> Option<AbortedTransaction> {
        assert!(header.base_offset >= self.log_end, "batch at {} below log end {}", header.base_offset, self.log_end);
        self.epochs.begin(header.partition_leader_epoch, header.base_offset);
        self.log_end = header.next_offset();
        if header.attributes.is_control() {
            return control.and_then(|control| self.apply_marker(header, control));
        }
        if self.max_timestamp.is_none_or(|max| header.max_timestamp > max.timestamp) {
            let max = TimestampAt { timestamp: header.max_timestamp, base_offset: header.base_offset };
            self.max_timestamp = Some(max);
        }
        self.producers.applied(header, ticket);
        if header.attributes.is_transactional()
            && let Some(first) = self.producers.get(header.producer_id).and_then(|known| known.transaction_start)
        {
            self.transactions.opened(first, header.producer_id);
        }
        None
    }

    fn apply_marker(&mut self, header: &BatchHeader, control: ControlRecord) -> Option<AbortedTransaction> {
        let aborted = match control.kind {
            ControlRecordType::Abort => true,
            ControlRecordType::Commit => false,
            _ => return None,
        };
        let first_offset = self.producers.marker(header, control.coordinator_epoch)?;
        let last_offset = header.last_offset();
        let last_stable = self.transactions.first_open_besides(first_offset).unwrap_or(header.next_offset());
        self.transactions.ended(first_offset, last_offset);
        aborted.then_some(AbortedTransaction {
            producer_id: header.producer_id,
            first_offset,
            last_offset,
            last_stable,
        })
    }

    /// Moves the log's start forward; never back.
    pub(crate) fn start_at(&mut self, log_start: Offset) {
        if log_start <= self.log_start {
            return;
        }
        self.log_start = log_start;
        self.log_end = self.log_end.max(log_start);
        self.epochs.cut_below(log_start);
        if self.max_timestamp.is_some_and(|max| max.base_offset < log_start) {
            self.max_timestamp = None;
        }
    }
}

/// The marker in a control batch; none in a batch of records.
pub(crate) fn control_of(batch: &Batch) -> Option<ControlRecord> {
    if !batch.header().attributes.is_control() {
        return None;
    }
    let records = batch.decompressed(CONTROL_BYTES_MAX).ok()?;
    let record = RecordIter::new(&records, batch.header().records_count).next()?.ok()?;
    ControlRecord::parse(record.key?, record.value).ok()
}

//! A batch with its place in the log written into its head, the records still shared with what came in.

use bytes::Bytes;
use millstream_model::batch::{Batch, BatchHeader, HEADER_BYTES, HeadMut};
use millstream_model::{LeaderEpoch, Offset, TimestampMs};

/// A batch whose final head lies apart from its records, so that the records are copied only once, into their slot.
#[derive(Clone, Debug)]
pub(crate) struct StampedBatch {
    header: BatchHeader,
    head: [u8; HEADER_BYTES],
    records: Bytes,
}

impl StampedBatch {
    /// `batch` at `base_offset`; with `log_append_time`, stamped with the broker's time.
    pub(crate) fn new(
        batch: &Batch,
        base_offset: Offset,
        epoch: LeaderEpoch,
        append_time: Option<TimestampMs>,
    ) -> Self {
        let mut head = batch.head();
        let mut change = HeadMut::new(&mut head);
        change.set_base_offset(base_offset);
        change.set_partition_leader_epoch(epoch);
        if let Some(now) = append_time {
            change.set_log_append_time(now);
        }
        let header = BatchHeader::read(&head).expect("a changed head is still one");
        Self { header, head, records: batch.records_bytes() }
    }

    pub(crate) fn header(&self) -> &BatchHeader {
        &self.header
    }

    pub(crate) fn len(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    /// Writes the batch to the start of `out` and says how many bytes it took.
    pub(crate) fn copy_to(&self, out: &mut [u8]) -> usize {
        out[..HEADER_BYTES].copy_from_slice(&self.head);
        out[HEADER_BYTES..self.len()].copy_from_slice(&self.records);
        self.len()
    }
}

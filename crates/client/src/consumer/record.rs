//! `ConsumerRecord`, and how a partition's fetched bytes become records: batch by batch, decompressed when needed,
//! without those of aborted transactions and without markers.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use millstream_model::batch::{Batch, BatchError, BatchHeader, ControlRecord, ControlRecordType, Record, RecordIter};
use millstream_model::{LeaderEpoch, ProducerId, TimestampMs};

use crate::{Error, TimestampType, TopicPartition};

/// What one batch may decompress to; no broker's default lets a batch come near it.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// A record as it was read. Key, value and headers share the memory of their batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: TimestampMs,
    pub timestamp_type: TimestampType,
    pub leader_epoch: Option<i32>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    /// In order; a name may come several times.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// A transaction whose records do not count, from its first offset on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aborted {
    pub(super) producer_id: i64,
    pub(super) first_offset: i64,
}

/// What was fetched of one partition and has not been returned yet.
#[derive(Debug)]
pub(super) struct FetchedPartition {
    pub(super) partition: TopicPartition,
    /// Broker that it came from.
    pub(super) leader: i32,
    /// Offset of the next record to return.
    pub(super) position: i64,
    rest: Bytes,
    decoded: VecDeque<ConsumerRecord>,
    /// Where the position goes when the decoded records are returned.
    after_decoded: i64,
    /// By first offset; empty when uncommitted records are read too.
    aborted: VecDeque<Aborted>,
    aborting: HashSet<ProducerId>,
}

impl FetchedPartition {
    pub(super) fn new(
        partition: TopicPartition,
        leader: i32,
        position: i64,
        bytes: Bytes,
        mut aborted: Vec<Aborted>,
    ) -> Self {
        aborted.sort_by_key(|transaction| transaction.first_offset);
        Self {
            partition,
            leader,
            position,
            rest: bytes,
            decoded: VecDeque::new(),
            after_decoded: position,
            aborted: aborted.into(),
            aborting: HashSet::new(),
        }
    }

    /// Moves up to `max` records to `out`; `false` when there is nothing left. After an error nothing is left.
    pub(super) fn take(&mut self, max: usize, out: &mut Vec<ConsumerRecord>) -> Result<bool, Error> {
        let mut room = max;
        loop {
            let count = room.min(self.decoded.len());
            out.extend(self.decoded.drain(..count));
            room -= count;
            self.position = self.decoded.front().map_or(self.after_decoded, |next| next.offset);
            if !self.decoded.is_empty() {
                return Ok(true);
            }
            if room == 0 {
                return Ok(!self.rest.is_empty());
            }
            if !self.decode_batch()? {
                return Ok(false);
            }
        }
    }

    /// Decodes the next batch; `false` when no whole one is left.
    fn decode_batch(&mut self) -> Result<bool, Error> {
        let batch = match Batch::split_from(&mut self.rest) {
            Ok(batch) => batch,
            // A fetch ends in the middle of a batch as a rule.
            Err(BatchError::Truncated { .. }) => {
                self.rest.clear();
                return Ok(false);
            }
            Err(error) => return Err(self.malformed(&error)),
        };
        let header = *batch.header();
        self.after_decoded = self.after_decoded.max(header.next_offset().0);
        // Compaction leaves a batch without records where its last sequence must be remembered.
        if header.last_offset().0 < self.position || header.records_count == 0 {
            return Ok(true);
        }
        if !self.counts(&batch, &header)? {
            return Ok(true);
        }
        let bytes = batch.decompressed(DECOMPRESSED_BYTES_MAX).map_err(|error| self.malformed(&error))?;
        for record in RecordIter::new(&bytes, header.records_count) {
            let record = record.map_err(|error| self.malformed(&error))?;
            let offset = header.base_offset.0 + i64::from(record.offset_delta);
            if offset >= self.position {
                self.decoded.push_back(self.read(&header, &bytes, &record, offset));
            }
        }
        Ok(true)
    }

    /// Whether a batch's records are to be returned: not a marker's, and not an aborted transaction's (KIP-98).
    fn counts(&mut self, batch: &Batch, header: &BatchHeader) -> Result<bool, Error> {
        let begun = |transaction: &mut Aborted| transaction.first_offset <= header.last_offset().0;
        while let Some(transaction) = self.aborted.pop_front_if(begun) {
            self.aborting.insert(ProducerId(transaction.producer_id));
        }
        if header.attributes.is_control() {
            let bytes = batch.decompressed(DECOMPRESSED_BYTES_MAX).map_err(|error| self.malformed(&error))?;
            if let Some(record) = RecordIter::new(&bytes, header.records_count).next() {
                let record = record.map_err(|error| self.malformed(&error))?;
                let marker = ControlRecord::parse(record.key.unwrap_or_default(), record.value);
                if marker.is_ok_and(|marker| marker.kind == ControlRecordType::Abort) {
                    self.aborting.remove(&header.producer_id);
                }
            }
            return Ok(false);
        }
        Ok(!(header.attributes.is_transactional() && self.aborting.contains(&header.producer_id)))
    }

    fn read(&self, header: &BatchHeader, bytes: &Bytes, record: &Record<'_>, offset: i64) -> ConsumerRecord {
        let headers = record
            .headers()
            .map(|header| (header.key_text().into_owned(), header.value.map(|value| bytes.slice_ref(value))));
        ConsumerRecord {
            topic: self.partition.topic.clone(),
            partition: self.partition.partition,
            offset,
            timestamp: header.timestamp_of(record.timestamp_delta),
            timestamp_type: header.attributes.timestamp_type(),
            leader_epoch: (header.partition_leader_epoch != LeaderEpoch::NONE)
                .then_some(header.partition_leader_epoch.0),
            key: record.key.map(|key| bytes.slice_ref(key)),
            value: record.value.map(|value| bytes.slice_ref(value)),
            headers: headers.collect(),
        }
    }

    fn malformed(&mut self, reason: &dyn std::fmt::Display) -> Error {
        self.rest.clear();
        let reason = format!("{} near offset {}: {reason}", self.partition, self.position);
        Error::Malformed { from: format!("broker {}", self.leader), reason }
    }
}

#[cfg(test)]
mod tests;

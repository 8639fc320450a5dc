//! Records found by their timestamps, in the segments and in the tail.

use millstream_model::batch::{Batch, BatchIter, RecordIter};
use millstream_model::{LeaderEpoch, Offset, TimestampMs};

use super::reading::{check_readable, damaged};
use super::{Partition, ReadError};
use crate::log::partition_log::ReadUpto;
use crate::segments::{ReadFrom, RecordChunks};

/// Most bytes that a batch may have decompressed when a record is looked for by its timestamp.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;
/// Bytes read at a time when batches are looked through.
const SCAN_BYTES: usize = 1 << 20;

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub leader_epoch: LeaderEpoch,
}

impl Partition {
    /// The first record at or after `timestamp` that a reader may see; none when all are earlier.
    ///
    /// # Errors
    /// As `read`, without `OutOfRange`.
    pub async fn offset_for_timestamp(
        &self,
        timestamp: TimestampMs,
        upto: ReadUpto,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        let (mut from, limit) = {
            let log = self.log.lock();
            check_readable(&log)?;
            (log.live.log_start, log.limit(upto))
        };
        loop {
            // Looked at each time: batches leave the tail for the segments meanwhile.
            let in_tail = {
                let log = self.log.lock();
                let tail_start = log.tail_start();
                if from < tail_start.min(limit) {
                    Err(tail_start)
                } else {
                    Ok(log.tail_batch_by_timestamp(from, timestamp))
                }
            };
            let batch = match in_tail {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(None),
                Err(tail_start) => {
                    let at = ReadFrom::Timestamp { from, timestamp };
                    let Some(batch) = first_batch(self.shared.segments.read(self.key, at, 1).await?)? else {
                        from = tail_start;
                        continue;
                    };
                    batch
                }
            };
            if let Some(found) = first_record(&batch, from, timestamp)? {
                return Ok(Some(found).filter(|found| found.offset < limit));
            }
            from = batch.header().next_offset();
        }
    }

    /// The first record that has the largest timestamp of the log (KIP-734); none when the log is empty.
    ///
    /// # Errors
    /// As `read`, without `OutOfRange`.
    pub async fn offset_of_max_timestamp(&self) -> Result<Option<TimestampedOffset>, ReadError> {
        let (known, log_start) = {
            let log = self.log.lock();
            check_readable(&log)?;
            (log.max_timestamp, log.live.log_start)
        };
        if let Some(known) = known
            && let Some(found) = self.record_of(known.base_offset, known.timestamp, log_start).await?
        {
            return Ok(Some(found));
        }
        match self.scan_max_timestamp().await? {
            Some((timestamp, base)) => self.record_of(base, timestamp, log_start).await,
            None => Ok(None),
        }
    }

    /// The record with the timestamp in the batch at `base`, not before `from`; none when compaction has removed it.
    async fn record_of(
        &self,
        base: Offset,
        timestamp: TimestampMs,
        from: Offset,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        let slice = self.read(base.max(from), 1, true, ReadUpto::HighWatermark).await?;
        match first_batch(slice.records)? {
            Some(batch) => first_record(&batch, from, timestamp),
            None => Ok(None),
        }
    }

    /// Looks through all batches: only after the record with the largest timestamp was deleted or compacted away.
    async fn scan_max_timestamp(&self) -> Result<Option<(TimestampMs, Offset)>, ReadError> {
        let mut from = self.offsets().log_start;
        let mut max: Option<(TimestampMs, Offset)> = None;
        loop {
            let slice = self.read(from, SCAN_BYTES, true, ReadUpto::HighWatermark).await?;
            if slice.records.is_empty() {
                return Ok(max);
            }
            for batch in slice.records.into_iter().flat_map(BatchIter::new) {
                let header = *batch.map_err(damaged)?.header();
                from = header.next_offset();
                let has_records = header.records_count > 0 && !header.attributes.is_control();
                if has_records && max.is_none_or(|(newest, _)| header.max_timestamp > newest) {
                    max = Some((header.max_timestamp, header.base_offset));
                }
            }
        }
    }
}

/// The first batch of `chunks`, its CRC checked.
fn first_batch(chunks: RecordChunks) -> Result<Option<Batch>, ReadError> {
    let Some(chunk) = chunks.into_iter().next() else { return Ok(None) };
    Batch::parse(chunk).map(|(batch, _)| Some(batch)).map_err(damaged)
}

/// The first record of `batch`, not before `from`, at or after `timestamp`.
fn first_record(batch: &Batch, from: Offset, timestamp: TimestampMs) -> Result<Option<TimestampedOffset>, ReadError> {
    let header = batch.header();
    if header.attributes.is_control() {
        return Ok(None);
    }
    let records = batch.decompressed(DECOMPRESSED_BYTES_MAX).map_err(damaged)?;
    for record in RecordIter::new(&records, header.records_count) {
        let record = record.map_err(damaged)?;
        let offset = header.base_offset.plus(i64::from(record.offset_delta));
        let written = header.timestamp_of(record.timestamp_delta);
        if written >= timestamp && offset >= from {
            let leader_epoch = header.partition_leader_epoch;
            return Ok(Some(TimestampedOffset { offset, timestamp: written, leader_epoch }));
        }
    }
    Ok(None)
}

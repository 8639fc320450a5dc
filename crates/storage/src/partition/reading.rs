//! Reading a partition: the newest batches from memory, older ones from their segments, never beyond what readers may see.

use millstream_model::Offset;
use millstream_model::batch::{Batch, BatchHeader};

use super::vouched::check_epoch;
use super::{Partition, ReadError, ReadSlice};
use crate::log::partition_log::{Fault, PartitionLog, ReadUpto};
use crate::segments::{ReadFrom, RecordChunks, SegmentError};

impl Partition {
    /// Whole batches from the one that contains `from`, up to `bytes_max` bytes and never beyond the limit `upto` names.
    /// With `at_least_one_batch` the first batch is given whatever its size. Empty at the limit.
    ///
    /// # Errors
    /// `OutOfRange` below the log's start and above its end.
    pub async fn read(
        &self,
        from: Offset,
        bytes_max: usize,
        at_least_one_batch: bool,
        upto: ReadUpto,
    ) -> Result<ReadSlice, ReadError> {
        let (offsets, limit) = {
            let mut log = self.log.lock();
            check_readable(&log)?;
            let (offsets, limit) = (log.offsets(), log.limit(upto));
            if from < offsets.log_start || from > offsets.log_end {
                return Err(ReadError::OutOfRange { log_start: offsets.log_start, log_end: offsets.log_end });
            }
            if bytes_max == 0 && !at_least_one_batch {
                return Ok(ReadSlice { offsets, ..ReadSlice::default() });
            }
            if from >= log.tail_start() {
                let chunks = log.read_tail(from, limit, bytes_max, at_least_one_batch);
                self.shared.counters.tail_hits.add(u64::from(!chunks.is_empty()));
                return Ok(self.slice(&log, from, chunks, upto));
            }
            log.segments_read = Some(self.shared.clock.monotonic());
            (offsets, limit)
        };
        if from >= limit {
            return Ok(ReadSlice { offsets, ..ReadSlice::default() });
        }
        self.shared.counters.tail_misses.add(1);
        let chunks = self.shared.segments.read(self.key, ReadFrom::Offset(from), bytes_max).await;
        let log = self.log.lock();
        check_readable(&log)?;
        // First: what was asked for may have been removed while it was read.
        if from < log.live.log_start {
            let offsets = log.offsets();
            return Err(ReadError::OutOfRange { log_start: offsets.log_start, log_end: offsets.log_end });
        }
        let (epochs, log_start) = (log.live.epochs.clone(), log.live.log_start);
        drop(log);
        let check = |header: &BatchHeader| check_epoch(header, &epochs, log_start);
        let chunks = trim(chunks?, limit, bytes_max, at_least_one_batch, check);
        let chunks = chunks.map_err(|error| self.place(error))?;
        let log = self.log.lock();
        // A log may have holes: nothing settled from here on, so the next batch is the tail's first.
        let chunks = chunks.unwrap_or_else(|| log.read_tail(from, limit, bytes_max, at_least_one_batch));
        Ok(self.slice(&log, from, chunks, upto))
    }

    #[expect(clippy::unused_self, reason = "reads as a method of the partition whose log is locked")]
    fn slice(&self, log: &PartitionLog, from: Offset, records: RecordChunks, upto: ReadUpto) -> ReadSlice {
        let end = records.last().map(|_| log.limit(upto));
        let aborted = match (upto, end) {
            (ReadUpto::LastStable, Some(end)) => log.aborted_between(from, end),
            _ => Vec::new(),
        };
        ReadSlice { records, offsets: log.offsets(), aborted }
    }
}

pub(super) fn check_readable(log: &PartitionLog) -> Result<(), ReadError> {
    match &log.fault {
        Some(Fault::Offline(reason) | Fault::Unloaded(reason)) => Err(ReadError::Offline(reason.clone())),
        Some(Fault::Deleted) => Err(ReadError::Deleted),
        None => Ok(()),
    }
}

pub(super) fn damaged(error: impl std::fmt::Display) -> ReadError {
    let (file, position) = (std::path::PathBuf::new(), 0);
    ReadError::Segment(SegmentError::Damaged { file, position, reason: error.to_string() })
}

/// Batches that lie below `limit` and within `bytes_max`, their CRCs and heads checked; none when nothing settled was found.
fn trim(
    chunks: RecordChunks,
    limit: Offset,
    bytes_max: usize,
    at_least_one: bool,
    check: impl Fn(&BatchHeader) -> Result<(), ReadError>,
) -> Result<Option<RecordChunks>, ReadError> {
    if chunks.is_empty() {
        return Ok(None);
    }
    let mut kept = RecordChunks::new();
    let mut taken = 0;
    for chunk in chunks {
        let mut rest = chunk.clone();
        let mut whole = 0;
        let mut ended = false;
        while !rest.is_empty() && !ended {
            let batch = Batch::split_from(&mut rest).map_err(damaged)?;
            let bytes = batch.bytes().len();
            let forced = at_least_one && taken == 0;
            ended = batch.header().base_offset >= limit || (taken + bytes > bytes_max && !forced);
            if !ended {
                check(batch.header())?;
                whole += bytes;
                taken += bytes;
            }
        }
        if whole > 0 {
            kept.push(chunk.slice(..whole));
        }
        if ended {
            break;
        }
    }
    Ok(Some(kept))
}

//! Settled batches in memory: for tests and for a broker that keeps nothing.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use millstream_model::Offset;
use millstream_model::batch::Batch;
use parking_lot::Mutex;

use super::{
    LoadReport, Loaded, LoadedLog, PartitionCheckpoint, ReadFrom, RecordChunks, SegmentEdit, SegmentError, SegmentRun,
    SegmentStore, SegmentSummary, SegmentTarget,
};
use crate::lane::slot::PartitionKey;
use crate::log::config::Durability;
use crate::log::state::LogState;
use crate::log::transactions::AbortedTransaction;

/// A `SegmentStore` that lasts as long as it is held.
#[derive(Debug, Default)]
pub struct MemorySegments {
    logs: Mutex<BTreeMap<PartitionKey, MemoryLog>>,
}

#[derive(Debug, Default)]
struct MemoryLog {
    batches: Vec<Batch>,
    aborted: Vec<AbortedTransaction>,
    checkpoint: LogState,
    volatile: bool,
    offline: bool,
}

impl MemoryLog {
    fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.bytes().len() as u64).sum()
    }

    fn cut_to_checkpoint(&mut self) -> LoadedLog {
        let end = self.checkpoint.log_end;
        self.batches.retain(|batch| batch.header().last_offset() < end);
        self.aborted.retain(|aborted| aborted.last_offset < end);
        let (state, aborted, volatile) = (self.checkpoint.clone(), self.aborted.clone(), self.volatile);
        LoadedLog { state, aborted, bytes: self.bytes(), volatile, unvouched: false }
    }

    fn read(&self, from: ReadFrom, bytes_max: usize) -> RecordChunks {
        let first_at = |offset: Offset| self.batches.partition_point(|batch| batch.header().last_offset() < offset);
        let first = match from {
            ReadFrom::Offset(offset) => first_at(offset),
            ReadFrom::Timestamp { from, timestamp } => {
                let skip = first_at(from);
                let late = |batch: &Batch| batch.header().max_timestamp >= timestamp;
                self.batches[skip..].iter().position(late).map_or(self.batches.len(), |at| skip + at)
            }
        };
        let mut chunks = RecordChunks::new();
        let mut taken = 0;
        for batch in &self.batches[first..] {
            taken += batch.bytes().len();
            if taken > bytes_max && !chunks.is_empty() {
                break;
            }
            chunks.push(batch.bytes().clone());
        }
        chunks
    }
}

impl SegmentStore for MemorySegments {
    fn load(&self, wanted: Vec<SegmentTarget>) -> BoxFuture<'_, Result<LoadReport, SegmentError>> {
        let mut logs = self.logs.lock();
        let load = |target: &SegmentTarget| match logs.entry(target.key).or_default() {
            log if log.offline => Loaded::Offline("records of it were lost".into()),
            log => Loaded::Log(log.cut_to_checkpoint()),
        };
        let report = LoadReport { logs: wanted.iter().map(load).collect(), moved_aside: Vec::new() };
        ready(Ok(report)).boxed()
    }

    fn append(&self, runs: Vec<SegmentRun>) -> BoxFuture<'_, Result<(), SegmentError>> {
        ready(runs.into_iter().try_for_each(|run| self.append_now(run))).boxed()
    }

    fn append_direct(&self, run: SegmentRun, _: Durability) -> BoxFuture<'_, Result<(), SegmentError>> {
        ready(self.append_now(run)).boxed()
    }

    fn append_now(&self, run: SegmentRun) -> Result<(), SegmentError> {
        let mut logs = self.logs.lock();
        let log = logs.entry(run.target.key).or_default();
        log.batches.extend(run.batches);
        log.aborted.extend(run.aborted);
        Ok(())
    }

    fn checkpoint(&self, partitions: Vec<PartitionCheckpoint>) -> BoxFuture<'_, Result<(), SegmentError>> {
        let mut logs = self.logs.lock();
        for partition in partitions {
            let log = logs.entry(partition.target.key).or_default();
            log.checkpoint = partition.state;
            log.volatile = partition.volatile;
            log.offline = partition.offline;
        }
        ready(Ok(())).boxed()
    }

    fn read(
        &self,
        key: PartitionKey,
        from: ReadFrom,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<RecordChunks, SegmentError>> {
        let chunks = self.logs.lock().get(&key).map(|log| log.read(from, bytes_max)).unwrap_or_default();
        ready(Ok(chunks)).boxed()
    }

    /// Every batch is a segment here.
    fn segments(&self, key: PartitionKey) -> Vec<SegmentSummary> {
        let summary = |batch: &Batch| SegmentSummary {
            next: batch.header().next_offset(),
            bytes: batch.bytes().len() as u64,
            max_timestamp: batch.header().max_timestamp,
        };
        self.logs.lock().get(&key).map(|log| log.batches.iter().map(summary).collect()).unwrap_or_default()
    }

    fn edit(&self, edits: Vec<SegmentEdit>) -> BoxFuture<'_, Result<Vec<u64>, SegmentError>> {
        let mut logs = self.logs.lock();
        let mut dropped = Vec::with_capacity(edits.len());
        for edit in edits {
            dropped.push(match edit {
                SegmentEdit::Remove(key) => {
                    logs.remove(&key);
                    0
                }
                SegmentEdit::DropBelow(key, offset) => logs.get_mut(&key).map_or(0, |log| {
                    let before = log.bytes();
                    log.batches.retain(|batch| batch.header().last_offset() >= offset);
                    log.aborted.retain(|aborted| aborted.last_offset >= offset);
                    before - log.bytes()
                }),
            });
        }
        ready(Ok(dropped)).boxed()
    }
}

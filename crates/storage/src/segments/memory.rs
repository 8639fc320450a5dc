//! Settled batches in memory: for tests and for a broker that keeps nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use millstream_model::Offset;
use millstream_model::batch::Batch;
use parking_lot::Mutex;

use super::{
    Edited, LoadReport, Loaded, LoadedLog, PartitionCheckpoint, ReadFrom, RecordChunks, SegmentEdit, SegmentError,
    SegmentRun, SegmentStore, SegmentSummary, SegmentTarget, Staging,
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
    compacted_upto: Offset,
    staged: Option<Staged>,
}

/// What is to replace batches.
#[derive(Debug)]
struct Staged {
    offsets: Range<Offset>,
    /// Batches there were when it was begun.
    replaced: usize,
    batches: Vec<Batch>,
    aborted: Vec<AbortedTransaction>,
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

    /// Places of the batches that begin within the offsets.
    fn places(&self, offsets: &Range<Offset>) -> Range<usize> {
        let below = |end: Offset| self.batches.partition_point(|batch| batch.header().base_offset < end);
        below(offsets.start)..below(offsets.end)
    }

    fn stage(&mut self, step: Staging) {
        match step {
            Staging::Begin(offsets) => {
                let replaced = self.places(&offsets).len();
                self.staged = Some(Staged { offsets, replaced, batches: Vec::new(), aborted: Vec::new() });
            }
            Staging::Append { batches, aborted } => {
                let staged = self.staged.as_mut().expect("it was begun");
                staged.batches.extend(batches);
                staged.aborted.extend(aborted);
            }
            Staging::Finish => {}
            Staging::Forget => self.staged = None,
        }
    }

    fn replace(&mut self) -> Edited {
        let Some(staged) = self.staged.take() else { return Edited::REFUSED };
        let places = self.places(&staged.offsets);
        if places.len() != staged.replaced || staged.offsets.end > self.checkpoint.log_end {
            return Edited::REFUSED;
        }
        let before = self.bytes();
        let bytes_after = staged.batches.iter().map(|batch| batch.bytes().len() as u64).sum();
        self.batches.splice(places, staged.batches);
        self.aborted.retain(|aborted| !staged.offsets.contains(&aborted.last_offset));
        self.aborted.extend(staged.aborted);
        self.aborted.sort_by_key(|aborted| aborted.last_offset);
        Edited { refused: false, bytes_before: before + bytes_after - self.bytes(), bytes_after }
    }

    fn drop_below(&mut self, offset: Offset) -> Edited {
        let before = self.bytes();
        self.batches.retain(|batch| batch.header().last_offset() >= offset);
        self.aborted.retain(|aborted| aborted.last_offset >= offset);
        Edited::dropped(before - self.bytes())
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
        let logs = self.logs.lock();
        let Some(log) = logs.get(&key) else { return Vec::new() };
        let summary = |batch: &Batch| SegmentSummary {
            base: batch.header().base_offset,
            next: batch.header().next_offset(),
            bytes: batch.bytes().len() as u64,
            index_bytes: 0,
            first_timestamp: batch.header().max_timestamp,
            max_timestamp: batch.header().max_timestamp,
            checkpointed: batch.header().next_offset() <= log.checkpoint.log_end,
        };
        log.batches.iter().map(summary).collect()
    }

    fn compacted_upto(&self, key: PartitionKey) -> Offset {
        self.logs.lock().get(&key).map_or(Offset::ZERO, |log| log.compacted_upto)
    }

    fn stage(&self, target: SegmentTarget, step: Staging) -> BoxFuture<'_, Result<(), SegmentError>> {
        if let Some(log) = self.logs.lock().get_mut(&target.key) {
            log.stage(step);
        }
        ready(Ok(())).boxed()
    }

    fn edit(&self, edits: Vec<SegmentEdit>) -> BoxFuture<'_, Result<Vec<Edited>, SegmentError>> {
        let mut logs = self.logs.lock();
        let mut one = |edit: SegmentEdit| match (edit.clone(), logs.get_mut(&edit.key())) {
            (SegmentEdit::Replace(_), None) => Edited::REFUSED,
            (_, None) => Edited::default(),
            (SegmentEdit::Remove(key), Some(_)) => {
                logs.remove(&key);
                Edited::default()
            }
            (SegmentEdit::DropBelow(_, offset), Some(log)) => log.drop_below(offset),
            (SegmentEdit::Replace(_), Some(log)) => log.replace(),
            (SegmentEdit::Compacted(_, offset), Some(log)) => {
                log.compacted_upto = offset;
                Edited::default()
            }
        };
        let edited = edits.into_iter().map(&mut one).collect();
        ready(Ok(edited)).boxed()
    }
}

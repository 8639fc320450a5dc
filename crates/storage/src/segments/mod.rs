//! The `SegmentStore` seam: where the settled batches of partitions are kept. Kafka's directories, or memory.
//!
//! A partition's files are changed by one caller at a time; what the cleaner writes lies beside (`stage`); reads come from
//! anywhere. What every implementation must do stands in `contract.rs`, one suite run against all.

pub mod kafka;
pub mod memory;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millstream_model::batch::Batch;
use millstream_model::{Offset, TimestampMs};
use smallvec::SmallVec;

use crate::disk::DiskError;
use crate::lane::slot::PartitionKey;
use crate::log::config::{Durability, LogConfig};
use crate::log::state::LogState;
use crate::log::transactions::AbortedTransaction;

/// Whole batches, in order, in one or more pieces.
pub type RecordChunks = SmallVec<[Bytes; 1]>;

/// A partition that the catalog knows.
#[derive(Clone, Debug)]
pub struct SegmentTarget {
    pub key: PartitionKey,
    pub topic: Arc<str>,
    pub config: LogConfig,
}

/// What a store holds of a partition when it is opened.
#[derive(Clone, Debug, Default)]
pub struct LoadedLog {
    /// State as of the checkpoint, or of the last whole batch that a scan took over.
    pub state: LogState,
    /// Aborted transactions, oldest first.
    pub aborted: Vec<AbortedTransaction>,
    /// Bytes of batches.
    pub bytes: u64,
    /// Batches beyond the checkpoint may have been acknowledged without being in a lane.
    pub volatile: bool,
    /// Batches were taken over that no checkpoint vouches for: the lane may only be forgotten after the next one.
    pub unvouched: bool,
}

/// Outcome of loading one partition.
#[derive(Clone, Debug)]
pub enum Loaded {
    Log(LoadedLog),
    /// What the files hold cannot be trusted: the partition stays offline, nothing was changed.
    Offline(String),
}

/// What the load found beside the wanted partitions.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// In the order of the wanted partitions.
    pub logs: Vec<Loaded>,
    /// Directories that belong to no known partition and where they were moved to.
    pub moved_aside: Vec<(PathBuf, PathBuf)>,
}

/// Batches of one partition, contiguous with what the store has.
#[derive(Clone, Debug)]
pub struct SegmentRun {
    pub target: SegmentTarget,
    pub batches: Vec<Batch>,
    /// Transactions that these batches' markers aborted.
    pub aborted: Vec<AbortedTransaction>,
    /// Readers of the partition lag behind what memory holds: they will soon want these batches from their segment.
    pub read_soon: bool,
}

/// What a checkpoint says of one partition.
#[derive(Clone, Debug)]
pub struct PartitionCheckpoint {
    pub target: SegmentTarget,
    pub state: LogState,
    /// As `LoadedLog::volatile`.
    pub volatile: bool,
    /// Acknowledged records beyond the state are lost: later starts must not serve the partition as if they were not.
    pub offline: bool,
}

/// Where a read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the batch that contains the offset, or the first one after it.
    Offset(Offset),
    /// At the first batch, not before `from`, whose max timestamp is `timestamp` or later.
    Timestamp { from: Offset, timestamp: TimestampMs },
}

impl ReadFrom {
    /// No batch that ends before this offset is looked for.
    pub(crate) const fn offset(self) -> Offset {
        match self {
            Self::Offset(offset) | Self::Timestamp { from: offset, .. } => offset,
        }
    }
}

/// What retention and compaction have to know of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Offset that it begins at.
    pub base: Offset,
    /// Offset after its last batch.
    pub next: Offset,
    /// Bytes of its batches.
    pub bytes: u64,
    /// Bytes of the larger of its indexes.
    pub index_bytes: u64,
    /// Max timestamp of its first batch; negative for none.
    pub first_timestamp: TimestampMs,
    /// Of its records; negative when none has one.
    pub max_timestamp: TimestampMs,
    /// A durable checkpoint vouches for all of it.
    pub checkpointed: bool,
}

/// A change to what is kept.
#[derive(Clone, Debug)]
pub enum SegmentEdit {
    /// Whole segments below the offset are not needed any more; a checkpoint with that log start is durable.
    DropBelow(PartitionKey, Offset),
    /// The partition was deleted.
    Remove(PartitionKey),
    /// What was staged for the partition takes the place of the segments that it replaces, durably. Refused when these are
    /// not all there any more, no checkpoint vouches for them, or the disk is full: then what was staged is forgotten.
    Replace(PartitionKey),
    /// The records of the partition below the offset were compared with each other. Remembered as far as possible: a loss
    /// costs another comparison.
    Compacted(PartitionKey, Offset),
}

impl SegmentEdit {
    /// The partition that it changes.
    #[must_use]
    pub fn key(&self) -> PartitionKey {
        match self {
            Self::DropBelow(key, _) | Self::Remove(key) | Self::Replace(key) | Self::Compacted(key, _) => *key,
        }
    }
}

/// What became of an edit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// Only a `Replace` is ever refused.
    pub refused: bool,
    /// Bytes of batches in the segments that went,
    pub bytes_before: u64,
    /// and in what took their place.
    pub bytes_after: u64,
}

impl Edited {
    /// A `Replace` that changed nothing.
    pub(crate) const REFUSED: Self = Self { refused: true, bytes_before: 0, bytes_after: 0 };

    /// Segments with so many bytes went.
    pub(crate) const fn dropped(bytes_before: u64) -> Self {
        Self { refused: false, bytes_before, bytes_after: 0 }
    }
}

/// A step on the way to a `SegmentEdit::Replace`.
#[derive(Clone, Debug)]
pub enum Staging {
    /// Begins what is to replace the sealed segments with these offsets, from the first one's base to the last one's next.
    /// What was staged for the partition before is forgotten.
    Begin(Range<Offset>),
    /// More batches of it, in order, with the aborted transactions whose markers are among them.
    Append { batches: Vec<Batch>, aborted: Vec<AbortedTransaction> },
    /// It is whole, and its content is to be durable.
    Finish,
    /// It is not wanted any more.
    Forget,
}

/// Why a store could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SegmentError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Bytes in a file are not what belongs there.
    #[error("{file:?} is damaged at position {position}: {reason}")]
    Damaged { file: PathBuf, position: u64, reason: String },
    /// A later version wrote the file.
    #[error("{file:?} has version {found}, which is newer than {known}: start the version that wrote it")]
    Newer { file: PathBuf, found: u16, known: u16 },
}

/// Where settled batches are kept.
pub trait SegmentStore: fmt::Debug + Send + Sync {
    /// Brings the partitions to their checkpoints: called once, before everything else. What lies beyond a checkpoint
    /// is cut off (the lane has it), or, for volatile partitions and those without a checkpoint, kept as far as it is whole.
    fn load(&self, wanted: Vec<SegmentTarget>) -> BoxFuture<'_, Result<LoadReport, SegmentError>>;

    /// Writes batches of many partitions; they can be read when this resolves, and are durable with the next
    /// checkpoint. After `NoSpace` the same runs may be appended again.
    fn append(&self, runs: Vec<SegmentRun>) -> BoxFuture<'_, Result<(), SegmentError>>;

    /// As `append`, of one partition and on this thread, which it may hold up for as long as a write to the page cache
    /// takes. Those of different partitions may go on at the same time.
    ///
    /// # Errors
    /// As `append`.
    fn append_now(&self, run: SegmentRun) -> Result<(), SegmentError>;

    /// As `append`, of one partition, on threads of the disk. With `Durability::Fsync` everything of the partition is
    /// durable when it resolves, without a checkpoint: a later `load` finds it by its leader epoch.
    fn append_direct(&self, run: SegmentRun, durability: Durability) -> BoxFuture<'_, Result<(), SegmentError>>;

    /// Makes everything durable that was appended to these partitions before the first poll, then the checkpoints
    /// themselves. Appends may go on meanwhile, if it is not polled during one; edits may not.
    fn checkpoint(&self, partitions: Vec<PartitionCheckpoint>) -> BoxFuture<'_, Result<(), SegmentError>>;

    /// Whole batches, at least one when there is one, else up to `bytes_max` bytes. Empty when nothing settled lies there.
    fn read(
        &self,
        key: PartitionKey,
        from: ReadFrom,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<RecordChunks, SegmentError>>;

    /// The segments of a partition, oldest first; the last one is written to.
    fn segments(&self, key: PartitionKey) -> Vec<SegmentSummary>;

    /// Offset of the newest `SegmentEdit::Compacted` of a partition; 0 when none is known.
    fn compacted_upto(&self, key: PartitionKey) -> Offset;

    /// Writes what is to replace segments beside them; nobody reads it before the edit. For one task, the cleaner, which may
    /// go on with it while the materialiser appends and edits.
    fn stage(&self, target: SegmentTarget, step: Staging) -> BoxFuture<'_, Result<(), SegmentError>>;

    /// Changes what is kept, each edit wholly or not at all. A read under way is answered from before or from after.
    fn edit(&self, edits: Vec<SegmentEdit>) -> BoxFuture<'_, Result<Vec<Edited>, SegmentError>>;
}

#[cfg(test)]
mod contract;

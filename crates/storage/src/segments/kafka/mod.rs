//! `KafkaDirectories`: partitions in Kafka's own directories and files, and beside them the checkpoint file that says how
//! much of them counts. Formats in docs/format/segment.md and docs/format/checkpoint.md.
//!
//! Written by the materialiser only, so a plan made under the lock holds until its writes are done. Index files are hints
//! that a read verifies against the batch they name: they need no sync.

pub(crate) mod checkpoint;
pub(crate) mod formats;
mod load;
mod plan;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use millstream_model::{LeaderEpoch, Offset};
use parking_lot::Mutex;

use checkpoint::{CheckpointFile, CheckpointRecord};
use plan::{Segment, SegmentFile};
use read::Cursors;

use super::{
    LoadReport, PartitionCheckpoint, ReadFrom, RecordChunks, SegmentEdit, SegmentError, SegmentRun, SegmentStore,
    SegmentSummary, SegmentTarget,
};
use crate::disk::{Disk, DiskAnswer, DiskError, DiskOp};
use crate::lane::slot::PartitionKey;

/// Directory of Kafka's files below the disk's root.
pub const KAFKA_DIR: &str = "kafka";
/// Suffix, as Kafka's, of the directory of a deleted partition.
const DELETED_SUFFIX: &str = "-delete";

/// Writes or syncs that are submitted at a time: a checkpoint of many partitions must leave I/O threads to the lane.
const OPERATIONS_TOGETHER: usize = 2;

/// What the store knows of one partition's files.
#[derive(Clone, Debug)]
struct Files {
    target: SegmentTarget,
    /// Whether the directory exists with its `partition.metadata`.
    created: bool,
    /// Oldest first; the last one is written to.
    segments: Vec<Segment>,
    /// Files with writes that are not synced.
    unsynced: BTreeSet<PathBuf>,
    /// Whether names in the directory, and of it, are not synced.
    names_unsynced: bool,
    /// What `leader-epoch-checkpoint` says.
    epochs: Vec<(LeaderEpoch, Offset)>,
}

impl Files {
    fn new(target: SegmentTarget) -> Self {
        let (segments, unsynced, epochs) = (Vec::new(), BTreeSet::new(), Vec::new());
        Self { target, created: false, segments, unsynced, names_unsynced: false, epochs }
    }

    fn dir(&self) -> PathBuf {
        dir_of(&self.target)
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.log_bytes).sum()
    }
}

fn dir_of(target: &SegmentTarget) -> PathBuf {
    Path::new(KAFKA_DIR).join(format!("{}-{}", target.topic, target.key.index))
}

/// Partitions in Kafka's directories.
#[derive(Debug)]
pub struct KafkaDirectories {
    disk: Arc<dyn Disk>,
    partitions: Mutex<BTreeMap<PartitionKey, Files>>,
    checkpoints: Arc<CheckpointFile>,
    /// Rounds of checkpoints that are known to have been finished.
    rounds_known: u64,
    cursors: Cursors,
}

impl KafkaDirectories {
    /// A store on `disk`; nothing is read before `load`, which must find `rounds_known` rounds of checkpoints or more.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, rounds_known: u64) -> Self {
        let checkpoints = Arc::new(CheckpointFile::new(Arc::clone(&disk)));
        Self { disk, partitions: Mutex::default(), checkpoints, rounds_known, cursors: Cursors::default() }
    }

    /// The checkpoint file, which can say how many rounds it has.
    pub(crate) fn checkpoint_file(&self) -> Arc<CheckpointFile> {
        Arc::clone(&self.checkpoints)
    }

    async fn append_runs(&self, runs: Vec<SegmentRun>) -> Result<(), SegmentError> {
        let plans: Vec<plan::AppendPlan> = {
            let partitions = self.partitions.lock();
            let plan = |run: &SegmentRun| plan::plan_append(partitions.get(&run.target.key), run);
            runs.iter().map(plan).collect()
        };
        // A directory exists before anything is written into it.
        let mut first = Vec::new();
        let mut writes = Vec::new();
        let mut after = Vec::new();
        for plan in plans {
            first.extend(plan.first);
            writes.extend(plan.writes);
            after.push(plan.files);
        }
        for op in first {
            self.disk.perform(op).await?;
        }
        all_done(writes.into_iter().map(|op| self.disk.submit_blocking(op))).await?;
        let mut partitions = self.partitions.lock();
        for files in after {
            partitions.insert(files.target.key, files);
        }
        Ok(())
    }

    async fn take_checkpoint(&self, wanted: Vec<PartitionCheckpoint>) -> Result<(), SegmentError> {
        let covered = self.begin_checkpoint(&wanted);
        let done = self.write_checkpoint(&covered, &wanted).await;
        let mut partitions = self.partitions.lock();
        for (covered, one) in covered.into_iter().zip(wanted) {
            let Some(files) = partitions.get_mut(&one.target.key) else { continue };
            if done.is_err() {
                files.unsynced.extend(covered.unsynced);
                files.names_unsynced |= covered.names_unsynced;
            } else if files.created {
                files.epochs = one.state.epochs.entries().to_vec();
            }
        }
        done
    }

    /// The files as they are now, with what has to be synced of them; what is written from now on is the next one's.
    fn begin_checkpoint(&self, wanted: &[PartitionCheckpoint]) -> Vec<Files> {
        let mut partitions = self.partitions.lock();
        let files = |one: &PartitionCheckpoint| {
            let Some(files) = partitions.get_mut(&one.target.key) else { return Files::new(one.target.clone()) };
            let covered = files.clone();
            files.unsynced.clear();
            files.names_unsynced = false;
            covered
        };
        wanted.iter().map(files).collect()
    }

    async fn write_checkpoint(&self, before: &[Files], wanted: &[PartitionCheckpoint]) -> Result<(), SegmentError> {
        let mut epoch_files = Vec::new();
        let mut syncs = Vec::new();
        let mut names_changed = false;
        for (files, one) in before.iter().zip(wanted) {
            if files.created && files.epochs != one.state.epochs.entries() {
                let content = formats::leader_epoch_checkpoint(one.state.epochs.entries());
                epoch_files.push((files.dir().join(formats::LEADER_EPOCH_FILE), content));
            }
            syncs.extend(files.unsynced.iter().cloned().map(DiskOp::SyncFile));
            syncs.extend(files.names_unsynced.then(|| DiskOp::SyncDir(files.dir())));
            names_changed |= files.names_unsynced;
        }
        all_done(syncs.into_iter().map(|op| self.disk.submit(op))).await?;
        if names_changed {
            self.disk.perform(DiskOp::SyncDir(KAFKA_DIR.into())).await?;
        }
        // Only Kafka's tools read these: the checkpoint has the epochs too.
        for (file, content) in epoch_files {
            self.disk.perform(DiskOp::SetLength { file: file.clone(), length: 0 }).await?;
            self.disk.write(file, 0, vec![content]).await?;
        }
        let record = |(files, one): (&Files, &PartitionCheckpoint)| CheckpointRecord {
            key: one.target.key,
            volatile: one.volatile,
            offline: one.offline,
            state: one.state.clone(),
            segments: files.segments.clone(),
            txn_indexes_vouched: true,
        };
        let records: Vec<CheckpointRecord> = before.iter().zip(wanted).map(record).collect();
        self.checkpoints.append(&records).await
    }

    /// Removes segments that lie wholly below `start`, and says how many bytes of batches they had; the next append begins
    /// a new one when none is left.
    async fn drop_below(&self, key: PartitionKey, start: Offset) -> Result<u64, SegmentError> {
        let (dir, dropped) = {
            let mut partitions = self.partitions.lock();
            let Some(files) = partitions.get_mut(&key) else { return Ok(0) };
            let below = files.segments.iter().take_while(|segment| segment.next <= start).count();
            let dropped: Vec<Segment> = files.segments.drain(..below).collect();
            let dir = files.dir();
            for segment in &dropped {
                for file in SegmentFile::ALL {
                    files.unsynced.remove(&file.path(&dir, segment.base));
                }
            }
            (dir, dropped)
        };
        let bytes = dropped.iter().map(|segment| segment.log_bytes).sum();
        self.cursors.forget();
        for segment in dropped {
            for file in SegmentFile::ALL {
                self.disk.perform(DiskOp::RemoveFile(file.path(&dir, segment.base))).await?;
            }
        }
        Ok(bytes)
    }

    /// Takes the directory of a deleted partition out of the way durably, then removes it.
    async fn remove(&self, key: PartitionKey) -> Result<(), SegmentError> {
        let Some(files) = self.partitions.lock().remove(&key) else { return Ok(()) };
        self.cursors.forget();
        if !files.created {
            return Ok(());
        }
        let gone = Path::new(KAFKA_DIR).join(deleted_name(&files.target));
        self.disk.perform(DiskOp::Rename { from: files.dir(), to: gone.clone() }).await?;
        self.disk.perform(DiskOp::SyncDir(KAFKA_DIR.into())).await?;
        self.disk.perform(DiskOp::RemoveDir(gone)).await?;
        Ok(())
    }
}

/// Starts operations that do not depend on each other, a few at a time, and waits for all.
async fn all_done(
    started: impl Iterator<Item = BoxFuture<'static, Result<DiskAnswer, DiskError>>>,
) -> Result<(), DiskError> {
    let mut answers = stream::iter(started).buffer_unordered(OPERATIONS_TOGETHER);
    let mut outcome = Ok(());
    // All are awaited, also after an error: one that still runs must not meet its own repetition.
    while let Some(answer) = answers.next().await {
        outcome = outcome.and(answer.map(|_| ()));
    }
    outcome
}

/// Kafka's name for the directory of a deleted partition: the topic is cut where the name would be too long.
fn deleted_name(target: &SegmentTarget) -> String {
    const NAME_BYTES_MAX: usize = 255;
    let suffix = format!("-{}.{}{DELETED_SUFFIX}", target.key.index, target.key.topic_id.0.simple());
    let topic = &target.topic[..target.topic.len().min(NAME_BYTES_MAX - suffix.len())];
    format!("{topic}{suffix}")
}

impl SegmentStore for KafkaDirectories {
    fn load(&self, wanted: Vec<SegmentTarget>) -> BoxFuture<'_, Result<LoadReport, SegmentError>> {
        Box::pin(self.load_all(wanted))
    }

    fn append(&self, runs: Vec<SegmentRun>) -> BoxFuture<'_, Result<(), SegmentError>> {
        Box::pin(self.append_runs(runs))
    }

    fn checkpoint(&self, partitions: Vec<PartitionCheckpoint>) -> BoxFuture<'_, Result<(), SegmentError>> {
        Box::pin(self.take_checkpoint(partitions))
    }

    fn read(
        &self,
        key: PartitionKey,
        from: ReadFrom,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<RecordChunks, SegmentError>> {
        Box::pin(self.read_batches(key, from, bytes_max))
    }

    fn segments(&self, key: PartitionKey) -> Vec<SegmentSummary> {
        let summary = |segment: &Segment| SegmentSummary {
            next: segment.next,
            bytes: segment.log_bytes,
            max_timestamp: segment.max_timestamp,
        };
        let partitions = self.partitions.lock();
        partitions.get(&key).map(|files| files.segments.iter().map(summary).collect()).unwrap_or_default()
    }

    fn edit(&self, edits: Vec<SegmentEdit>) -> BoxFuture<'_, Result<Vec<u64>, SegmentError>> {
        Box::pin(async move {
            let mut dropped = Vec::with_capacity(edits.len());
            let mut removed = Vec::new();
            for edit in edits {
                dropped.push(match edit {
                    SegmentEdit::DropBelow(key, start) => self.drop_below(key, start).await?,
                    SegmentEdit::Remove(key) => {
                        removed.push(key);
                        self.remove(key).await.map(|()| 0)?
                    }
                });
            }
            self.checkpoints.forget(removed).await?;
            Ok(dropped)
        })
    }
}

#[cfg(test)]
mod tests;

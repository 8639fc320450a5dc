//! `KafkaDirectories`: partitions in Kafka's own directories and files, and beside them the checkpoint file that says how
//! much of them counts. Formats in docs/format/segment.md and docs/format/checkpoint.md.
//!
//! One caller at a time changes a partition's files, so a plan made under the lock holds until its writes are done. Index
//! files are hints that a read verifies against the batch they name: they need no sync.

pub(crate) mod checkpoint;
pub(crate) mod cleaner_offsets;
pub mod exchange;
pub(crate) mod formats;
pub(crate) mod load;
pub(crate) mod plan;
mod producer_snapshot;
mod read;
pub(crate) mod swap;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use millstream_model::{LeaderEpoch, Offset};
use parking_lot::Mutex;
use tokio::sync::Notify;

use checkpoint::{CheckpointFile, CheckpointRecord};
use plan::{Segment, SegmentFile};
use read::Cursors;
use swap::Staged;

use super::{
    Edited, LoadReport, PartitionCheckpoint, ReadFrom, RecordChunks, SegmentEdit, SegmentError, SegmentRun,
    SegmentStore, SegmentSummary, SegmentTarget, Staging,
};
use crate::disk::{Disk, DiskAnswer, DiskError, DiskOp, WriteSync};
use crate::lane::slot::PartitionKey;
use crate::log::config::Durability;

/// Directory of Kafka's files below the disk's root.
pub const KAFKA_DIR: &str = "kafka";
/// Suffix, as Kafka's, of the directory of a deleted partition.
pub(crate) const DELETED_SUFFIX: &str = "-delete";

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
    /// Files with writes that are not synced, and no checkpoint under way syncs.
    unsynced: BTreeSet<PathBuf>,
    /// Whether names in the directory, and of it, are not synced.
    names_unsynced: bool,
    /// What a checkpoint under way syncs: files, and names.
    syncing: (BTreeSet<PathBuf>, bool),
    /// What `leader-epoch-checkpoint` says.
    epochs: Vec<(LeaderEpoch, Offset)>,
    /// Where the log ends in the newest durable checkpoint.
    checkpointed_end: Offset,
    /// The newest durable checkpoint counts files with the names of a swap.
    swap_recorded: bool,
    /// Files are changing their names: what is read now may be of either segment.
    swapping: bool,
    /// Swaps so far, for readers to see that one came between.
    swaps: u64,
    /// Records below were compared with each other.
    compacted_upto: Offset,
}

impl Files {
    fn new(target: SegmentTarget) -> Self {
        Self {
            target,
            created: false,
            segments: Vec::new(),
            unsynced: BTreeSet::new(),
            names_unsynced: false,
            syncing: (BTreeSet::new(), false),
            epochs: Vec::new(),
            checkpointed_end: Offset::ZERO,
            swap_recorded: false,
            swapping: false,
            swaps: 0,
            compacted_upto: Offset::ZERO,
        }
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
    /// Leader epoch of the session that did not end cleanly, if so.
    crashed: Option<LeaderEpoch>,
    cursors: Cursors,
    /// What the cleaner is writing.
    staged: Mutex<BTreeMap<PartitionKey, Staged>>,
    /// Rings when the names of files have changed.
    swapped: Notify,
}

impl KafkaDirectories {
    /// A store on `disk`; nothing is read before `load`, which must find `rounds_known` rounds of checkpoints or more.
    /// `crashed` is the leader epoch of a session that did not end cleanly: it may have written without the lane.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, rounds_known: u64, crashed: Option<LeaderEpoch>) -> Self {
        let checkpoints = Arc::new(CheckpointFile::new(Arc::clone(&disk)));
        Self {
            disk,
            partitions: Mutex::default(),
            checkpoints,
            rounds_known,
            crashed,
            cursors: Cursors::default(),
            staged: Mutex::default(),
            swapped: Notify::new(),
        }
    }

    /// The checkpoint file, which can say how many rounds it has.
    pub(crate) fn checkpoint_file(&self) -> Arc<CheckpointFile> {
        Arc::clone(&self.checkpoints)
    }

    async fn append_runs(&self, runs: Vec<SegmentRun>) -> Result<(), SegmentError> {
        let mut first = Vec::new();
        let mut writes = Vec::new();
        let mut changes = Vec::new();
        for run in &runs {
            let plan = self.plan(run);
            first.extend(plan.first);
            writes.extend(plan.writes);
            changes.push(plan.change);
        }
        // A directory exists before anything is written into it.
        for op in first {
            self.disk.perform(op).await?;
        }
        all_done(writes.into_iter().map(|op| self.disk.submit_blocking(op))).await?;
        changes.into_iter().for_each(|change| self.changed(change));
        Ok(())
    }

    fn append_run_now(&self, run: &SegmentRun) -> Result<(), SegmentError> {
        let plan = self.plan(run);
        for op in plan.first.into_iter().chain(plan.writes) {
            self.disk.perform_now(op)?;
        }
        self.changed(plan.change);
        Ok(())
    }

    /// Writes a run on the disk's threads; with `Fsync` it is durable then.
    async fn append_run_apart(&self, run: &SegmentRun, durability: Durability) -> Result<(), SegmentError> {
        let plan = self.plan(run);
        for op in plan.first {
            self.disk.perform(op).await?;
        }
        let log = plan.change.last_log(&dir_of(&run.target));
        for op in plan.writes {
            match op {
                DiskOp::Write { file, at, data, sync } if file == log => {
                    let sync = if durability == Durability::Fsync { WriteSync::Synced } else { sync };
                    self.disk.perform(DiskOp::Write { file, at, data, sync }).await?;
                }
                // Small, and nobody waits for the device.
                op => self.disk.submit_blocking(op).await.map(|_| ())?,
            }
        }
        self.changed(plan.change);
        if durability == Durability::Fsync { self.sync_rest(&run.target, &log).await } else { Ok(()) }
    }

    /// Syncs what of a partition is not yet, besides the file `synced`: what follows the log's end on the device must be
    /// whole up to its last batch.
    async fn sync_rest(&self, target: &SegmentTarget, synced: &Path) -> Result<(), SegmentError> {
        let (files, names) = self.not_synced(target.key, synced);
        all_done(files.into_iter().map(|file| self.disk.submit(DiskOp::SyncFile(file)))).await?;
        if names {
            self.disk.perform(DiskOp::SyncDir(dir_of(target))).await?;
            self.disk.perform(DiskOp::SyncDir(KAFKA_DIR.into())).await?;
        }
        if let Some(known) = self.partitions.lock().get_mut(&target.key) {
            known.unsynced.clear();
            known.names_unsynced = false;
        }
        Ok(())
    }

    /// Files of a partition besides `synced` that nobody has synced yet, and whether names in its directory are.
    fn not_synced(&self, key: PartitionKey, synced: &Path) -> (BTreeSet<PathBuf>, bool) {
        let partitions = self.partitions.lock();
        let Some(files) = partitions.get(&key) else { return (BTreeSet::new(), false) };
        let all = files.unsynced.union(&files.syncing.0).filter(|file| *file != synced);
        (all.cloned().collect(), files.names_unsynced || files.syncing.1)
    }

    /// What an append will do; it holds until that is done, since nobody else changes these files meanwhile.
    fn plan(&self, run: &SegmentRun) -> plan::AppendPlan {
        plan::plan_append(self.partitions.lock().get(&run.target.key), run)
    }

    fn changed(&self, change: plan::FilesChange) {
        let mut partitions = self.partitions.lock();
        let files = partitions.entry(change.target().key).or_insert_with(|| Files::new(change.target().clone()));
        change.apply(files);
    }

    async fn take_checkpoint(&self, wanted: Vec<PartitionCheckpoint>) -> Result<(), SegmentError> {
        let covered = self.begin_checkpoint(&wanted);
        let done = self.write_checkpoint(&covered, &wanted).await;
        let mut partitions = self.partitions.lock();
        for (covered, one) in covered.into_iter().zip(wanted) {
            let Some(files) = partitions.get_mut(&one.target.key) else { continue };
            files.syncing = (BTreeSet::new(), false);
            if done.is_err() {
                files.unsynced.extend(covered.unsynced);
                files.names_unsynced |= covered.names_unsynced;
                continue;
            }
            files.checkpointed_end = one.state.log_end;
            files.swap_recorded = false;
            if files.created {
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
            files.syncing = (std::mem::take(&mut files.unsynced), std::mem::take(&mut files.names_unsynced));
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
            swapped: false,
            state: one.state.clone(),
            segments: files.segments.clone(),
            txn_indexes_vouched: true,
        };
        let records: Vec<CheckpointRecord> = before.iter().zip(wanted).map(record).collect();
        self.checkpoints.append(&records).await
    }

    /// Removes segments that lie wholly below `start`, and says how many bytes of batches they had; the next append begins
    /// a new one when none is left.
    async fn drop_below(&self, key: PartitionKey, start: Offset) -> Result<Edited, SegmentError> {
        let (dir, dropped) = {
            let mut partitions = self.partitions.lock();
            let Some(files) = partitions.get_mut(&key) else { return Ok(Edited::default()) };
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
        Ok(Edited::dropped(bytes))
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
        if files.compacted_upto > Offset::ZERO {
            // A topic made anew under the name must not be taken for one that is clean.
            self.write_cleaner_offsets().await?;
        }
        Ok(())
    }

    async fn edit_one(&self, edit: SegmentEdit) -> Result<Edited, SegmentError> {
        match edit {
            SegmentEdit::DropBelow(key, start) => self.drop_below(key, start).await,
            SegmentEdit::Remove(key) => self.remove(key).await.map(|()| Edited::default()),
            SegmentEdit::Replace(key) => self.replace(key).await,
            SegmentEdit::Compacted(key, upto) => self.compacted(key, upto).await.map(|()| Edited::default()),
        }
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

    fn append_now(&self, run: SegmentRun) -> Result<(), SegmentError> {
        self.append_run_now(&run)
    }

    fn append_direct(&self, run: SegmentRun, durability: Durability) -> BoxFuture<'_, Result<(), SegmentError>> {
        Box::pin(async move { self.append_run_apart(&run, durability).await })
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
        let partitions = self.partitions.lock();
        let Some(files) = partitions.get(&key) else { return Vec::new() };
        let summary = |segment: &Segment| SegmentSummary {
            base: segment.base,
            next: segment.next,
            bytes: segment.log_bytes,
            index_bytes: segment.index_bytes.max(segment.time_index_bytes),
            first_timestamp: segment.first_timestamp,
            max_timestamp: segment.max_timestamp,
            checkpointed: segment.next <= files.checkpointed_end,
        };
        files.segments.iter().map(summary).collect()
    }

    fn compacted_upto(&self, key: PartitionKey) -> Offset {
        self.partitions.lock().get(&key).map_or(Offset::ZERO, |files| files.compacted_upto)
    }

    fn stage(&self, target: SegmentTarget, step: Staging) -> BoxFuture<'_, Result<(), SegmentError>> {
        Box::pin(self.stage_step(target, step))
    }

    fn edit(&self, edits: Vec<SegmentEdit>) -> BoxFuture<'_, Result<Vec<Edited>, SegmentError>> {
        Box::pin(async move {
            let mut edited = Vec::with_capacity(edits.len());
            let mut removed = Vec::new();
            for edit in edits {
                if let SegmentEdit::Remove(key) = edit {
                    removed.push(key);
                }
                edited.push(self.edit_one(edit).await?);
            }
            self.checkpoints.forget(removed).await?;
            Ok(edited)
        })
    }
}

#[cfg(test)]
mod tests;

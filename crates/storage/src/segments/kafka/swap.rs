//! Segments that take the place of others, as compaction makes them, so that a crash leaves the old ones or the new.
//!
//! The cleaner writes the new files as `.cleaned`, which nothing counts, and syncs them. The edit renames them to `.swap`,
//! writes the checkpoint record that counts them, which is the one step that decides, and gives them their names; a start
//! that finds such a record finishes the renaming. Then the old files go. The order is shown in docs/format/segment.md.

use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use millstream_model::Offset;
use millstream_model::batch::Batch;

use super::checkpoint::CheckpointRecord;
use super::plan::{Segment, SegmentFile, SegmentWrites, add_aborted, add_batch, time_entry};
use super::{Files, KafkaDirectories, dir_of};
use crate::disk::{DiskErrorKind, DiskOp, WriteSync};
use crate::lane::slot::PartitionKey;
use crate::log::transactions::AbortedTransaction;
use crate::segments::{Edited, SegmentError, SegmentTarget, Staging};

/// Suffix, as Kafka's, of a file that is being written.
pub(crate) const CLEANED_SUFFIX: &str = ".cleaned";
/// Suffix, as Kafka's, of a file that is whole and waits for its name.
pub(crate) const SWAP_SUFFIX: &str = ".swap";

/// A segment in the making.
#[derive(Debug)]
pub(super) struct Staged {
    target: SegmentTarget,
    /// What it replaces.
    old: Vec<Segment>,
    segment: Segment,
}

impl Staged {
    fn dir(&self) -> PathBuf {
        dir_of(&self.target)
    }

    fn cleaned(&self, kind: SegmentFile) -> PathBuf {
        suffixed(kind.path(&self.dir(), self.segment.base), CLEANED_SUFFIX)
    }

    fn swap(&self, kind: SegmentFile) -> PathBuf {
        suffixed(kind.path(&self.dir(), self.segment.base), SWAP_SUFFIX)
    }

    /// The files that it has.
    fn kinds(&self) -> Vec<SegmentFile> {
        if self.segment.log_bytes == 0 {
            return Vec::new();
        }
        let has = |kind: &SegmentFile| *kind != SegmentFile::TxnIndex || self.segment.txn_index_bytes > 0;
        SegmentFile::ALL.into_iter().filter(has).collect()
    }

    /// The new segment, if it has batches.
    fn replacement(&self) -> Option<Segment> {
        (self.segment.log_bytes > 0).then(|| self.segment.clone())
    }

    /// Where the segments that it replaces are among `known`; none when they are not all there, with all their batches.
    /// (A record may be older than the last entry of a time index, which is written when a segment is sealed.)
    fn place_in(&self, known: &[Segment]) -> Option<Range<usize>> {
        let base = self.old.first()?.base;
        let first = known.iter().position(|segment| segment.base == base)?;
        let place = first..first + self.old.len();
        let batches = |segment: &Segment| (segment.base, segment.next, segment.log_bytes);
        known.get(place.clone())?.iter().map(batches).eq(self.old.iter().map(batches)).then_some(place)
    }

    /// Changes a checkpoint record to the new segment, if it has all of the old ones.
    fn amend(&self, record: &mut CheckpointRecord) -> bool {
        let Some(place) = self.place_in(&record.segments) else { return false };
        let replacement = self.replacement();
        record.swapped = replacement.is_some();
        record.segments.splice(place, replacement);
        true
    }

    /// The same for what is known of the files.
    fn take_place(&self, files: &mut Files) {
        let place = self.place_in(&files.segments).expect("only this task changes them, and it has looked");
        for segment in &self.old {
            for kind in SegmentFile::ALL {
                files.unsynced.remove(&kind.path(&self.dir(), segment.base));
            }
        }
        let replacement = self.replacement();
        files.swap_recorded = replacement.is_some();
        files.names_unsynced = true;
        files.segments.splice(place, replacement);
    }

    /// Takes batches in, and says what is to be written where.
    fn append(&mut self, batches: Vec<Batch>, aborted: &[AbortedTransaction]) -> Vec<DiskOp> {
        let mut writes = SegmentWrites::new(self.segment.clone());
        for batch in batches {
            add_batch(&mut self.segment, &mut writes, batch.header(), self.target.config.index_interval_bytes);
            writes.log.push(batch.into_bytes());
        }
        for aborted in aborted {
            add_aborted(&mut self.segment, &mut writes.txn_index, aborted);
        }
        let before = &writes.before;
        let pieces = [
            (SegmentFile::Log, before.log_bytes, writes.log),
            (SegmentFile::Index, before.index_bytes, vec![writes.index.into()]),
            (SegmentFile::TimeIndex, before.time_index_bytes, vec![writes.time_index.into()]),
            (SegmentFile::TxnIndex, before.txn_index_bytes, vec![writes.txn_index.into()]),
        ];
        pieces.into_iter().filter_map(|(kind, at, data)| self.write(kind, at, data)).collect()
    }

    /// Ends it where the last of the segments ended that it replaces, with its last time index entry.
    fn finish(&mut self) -> Option<DiskOp> {
        self.segment.next = self.old.last().map_or(self.segment.next, |last| last.next);
        let at = self.segment.time_index_bytes;
        let entry = time_entry(&mut self.segment);
        self.write(SegmentFile::TimeIndex, at, vec![entry.into()])
    }

    fn write(&self, kind: SegmentFile, at: u64, data: Vec<Bytes>) -> Option<DiskOp> {
        let empty = data.iter().all(Bytes::is_empty);
        (!empty).then(|| DiskOp::Write { file: self.cleaned(kind), at, data, sync: WriteSync::Cached })
    }
}

/// `path` with a suffix behind its name.
pub(crate) fn suffixed(path: PathBuf, suffix: &str) -> PathBuf {
    let mut path = path.into_os_string();
    path.push(suffix);
    path.into()
}

impl KafkaDirectories {
    /// One step of writing what is to replace segments.
    pub(super) async fn stage_step(&self, target: SegmentTarget, step: Staging) -> Result<(), SegmentError> {
        let key = target.key;
        match step {
            Staging::Begin(offsets) => self.begin_staging(target, &offsets).await,
            Staging::Append { batches, aborted } => {
                let ops = self.staged.lock().get_mut(&key).map(|staged| staged.append(batches, &aborted));
                self.perform_all(ops.unwrap_or_default()).await
            }
            Staging::Finish => {
                let ops = self.staged.lock().get_mut(&key).map(finish_ops);
                self.perform_all(ops.unwrap_or_default()).await
            }
            Staging::Forget => {
                let forgotten = self.staged.lock().remove(&key);
                match forgotten {
                    Some(staged) => self.remove_staged(&staged).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// Begins with empty files; with none when the partition or its segments are gone.
    async fn begin_staging(&self, target: SegmentTarget, offsets: &Range<Offset>) -> Result<(), SegmentError> {
        let key = target.key;
        let old: Vec<Segment> = {
            let partitions = self.partitions.lock();
            let known = partitions.get(&key).map(|files| files.segments.as_slice()).unwrap_or_default();
            known.iter().filter(|segment| offsets.contains(&segment.base)).cloned().collect()
        };
        let before = self.staged.lock().remove(&key);
        if let Some(before) = before {
            self.remove_staged(&before).await?;
        }
        let Some(first) = old.first() else { return Ok(()) };
        let segment = Segment::new(first.base);
        let staged = Staged { target, old, segment };
        self.remove_staged(&staged).await?;
        for kind in [SegmentFile::Index, SegmentFile::TimeIndex] {
            self.disk.perform(DiskOp::SetLength { file: staged.cleaned(kind), length: 0 }).await?;
        }
        self.staged.lock().insert(key, staged);
        Ok(())
    }

    async fn perform_all(&self, ops: Vec<DiskOp>) -> Result<(), SegmentError> {
        for op in ops {
            self.disk.perform(op).await?;
        }
        Ok(())
    }

    /// Removes the files of what is not wanted, whatever names they have got so far.
    async fn remove_staged(&self, staged: &Staged) -> Result<(), SegmentError> {
        for kind in SegmentFile::ALL {
            self.disk.perform(DiskOp::RemoveFile(staged.cleaned(kind))).await?;
            self.disk.perform(DiskOp::RemoveFile(staged.swap(kind))).await?;
        }
        Ok(())
    }

    /// Puts what was staged in the place of what it replaces.
    pub(super) async fn replace(&self, key: PartitionKey) -> Result<Edited, SegmentError> {
        let staged = self.staged.lock().remove(&key);
        let Some(staged) = staged else { return Ok(Edited::REFUSED) };
        let decided = match self.decide(&staged).await {
            Err(SegmentError::Disk(error)) if error.kind == DiskErrorKind::NoSpace => false,
            decided => decided?,
        };
        if !decided {
            self.remove_staged(&staged).await?;
            return Ok(Edited::REFUSED);
        }
        self.change_names(&staged).await?;
        let replaces_first = staged.replacement().is_some();
        for gone in staged.old.iter().skip(usize::from(replaces_first)) {
            for kind in SegmentFile::ALL {
                self.disk.perform(DiskOp::RemoveFile(kind.path(&staged.dir(), gone.base))).await?;
            }
        }
        let bytes_before = staged.old.iter().map(|segment| segment.log_bytes).sum();
        Ok(Edited { refused: false, bytes_before, bytes_after: staged.segment.log_bytes })
    }

    /// Writes the checkpoint record that counts the new files; says whether it did.
    async fn decide(&self, staged: &Staged) -> Result<bool, SegmentError> {
        let (key, dir) = (staged.target.key, staged.dir());
        let swap_recorded = match self.partitions.lock().get(&key) {
            Some(files) if staged.place_in(&files.segments).is_some() => files.swap_recorded,
            _ => return Ok(false),
        };
        if swap_recorded {
            // Or a crash would take the files that are about to be called `.swap` for those of the swap before.
            self.disk.perform(DiskOp::SyncDir(dir.clone())).await?;
            self.checkpoints.amend(key, |record| std::mem::take(&mut record.swapped)).await?;
            self.with_files(key, |files| files.swap_recorded = false);
        }
        for kind in staged.kinds() {
            self.disk.perform(DiskOp::Rename { from: staged.cleaned(kind), to: staged.swap(kind) }).await?;
        }
        self.disk.perform(DiskOp::SyncDir(dir)).await?;
        self.checkpoints.amend(key, |record| staged.amend(record)).await
    }

    /// Gives the new files their names. Readers that come meanwhile wait; those that are under way look again afterwards.
    async fn change_names(&self, staged: &Staged) -> Result<(), SegmentError> {
        let key = staged.target.key;
        self.with_files(key, |files| files.swapping = true);
        let renamed = self.rename_swapped(staged).await;
        self.with_files(key, |files| {
            files.swapping = false;
            files.swaps += 1;
            if renamed.is_ok() {
                staged.take_place(files);
            }
        });
        self.swapped.notify_waiters();
        renamed
    }

    async fn rename_swapped(&self, staged: &Staged) -> Result<(), SegmentError> {
        let dir = staged.dir();
        let kinds = staged.kinds();
        for kind in &kinds {
            let to = kind.path(&dir, staged.segment.base);
            self.disk.perform(DiskOp::Rename { from: staged.swap(*kind), to }).await?;
        }
        let aborted = SegmentFile::TxnIndex;
        if !kinds.is_empty() && !kinds.contains(&aborted) {
            self.disk.perform(DiskOp::RemoveFile(aborted.path(&dir, staged.segment.base))).await?;
        }
        Ok(())
    }

    fn with_files(&self, key: PartitionKey, change: impl FnOnce(&mut Files)) {
        if let Some(files) = self.partitions.lock().get_mut(&key) {
            change(files);
        }
    }

    /// At start: finishes the swap that the checkpoint counts, and removes what none counts.
    pub(super) async fn settle_swaps(&self, files: &mut Files, counted: bool) -> Result<(), SegmentError> {
        if !files.created {
            return Ok(());
        }
        files.swap_recorded = counted;
        // Also names that a killed process has changed may be lost with the power yet.
        files.names_unsynced |= counted;
        let dir = files.dir();
        for entry in self.disk.list(dir.clone()).await? {
            let file = dir.join(&entry.name);
            match entry.name.strip_suffix(SWAP_SUFFIX) {
                Some(name) if counted => {
                    self.disk.perform(DiskOp::Rename { from: file, to: dir.join(name) }).await?;
                }
                None if !entry.name.ends_with(CLEANED_SUFFIX) => {}
                _ => self.disk.perform(DiskOp::RemoveFile(file)).await?,
            }
        }
        Ok(())
    }
}

/// What makes a staged segment whole and its content durable; the edit does so for the names.
fn finish_ops(staged: &mut Staged) -> Vec<DiskOp> {
    let mut ops: Vec<DiskOp> = staged.finish().into_iter().collect();
    ops.extend(staged.kinds().into_iter().map(|kind| DiskOp::SyncFile(staged.cleaned(kind))));
    ops
}

#[cfg(test)]
mod tests;

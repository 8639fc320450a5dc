//! `millstream doctor --repair`: writes what was found whole anew, so that the next start serves the partitions again.
//!
//! Nothing is deleted: what is cut or replaced is copied to `aside/` first. The new files wait under the suffix of a swap
//! until the checkpoint file, which is replaced as a whole, counts them: a crash leaves the old state or the new.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream_model::Offset;
use millstream_model::crc32c::crc32c;

use super::batches::{BatchScan, FoundBatch};
use super::directory::{PartitionFiles, Record};
use super::entries::aborted_transactions;
use super::plan::{Cure, CureKind, Diagnosed, Diagnosis};
use super::{length, list, read, read_whole};
use crate::disk::{ASIDE_DIR, Disk, DiskError, DiskOp, WriteSync};
use crate::lane::Ticket;
use crate::log::state::LogState;
use crate::log::transactions::AbortedTransaction;
use crate::segments::SegmentError;
use crate::segments::kafka::checkpoint::{CHECKPOINT_FILE, CheckpointRecord, encode_record, encode_round};
use crate::segments::kafka::load::base_of;
use crate::segments::kafka::plan::{Segment, SegmentFile, SegmentWrites, add_aborted, add_batch, time_entry};
use crate::segments::kafka::swap::{CLEANED_SUFFIX, SWAP_SUFFIX, suffixed};

/// Bytes copied at a time.
const PIECE_BYTES: u64 = 1 << 20;
/// Kafka's default distance of index entries: the topic's own is not known here, and any is right.
const INDEX_INTERVAL_BYTES: u32 = 4096;

/// What a repair did.
#[derive(Clone, Debug)]
pub struct Repaired {
    /// Partitions that were healed.
    pub healed: Vec<String>,
    /// Where what was replaced lies now.
    pub aside: PathBuf,
}

/// A repair under way.
struct Repair<'a> {
    disk: &'a dyn Disk,
    aside: PathBuf,
}

/// The new record of a partition, and the aborted transactions that its segments tell.
struct Healed {
    record: CheckpointRecord,
    aborted: Vec<AbortedTransaction>,
}

impl Diagnosis {
    /// Heals what can be healed. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk fails: then the old state or the new is there.
    ///
    /// # Panics
    /// When there is a refusal.
    pub fn repair(&self, disk: &dyn Disk) -> Result<Repaired, SegmentError> {
        assert!(self.refusal.is_none(), "the caller has looked");
        let taken = list(disk, Path::new(ASIDE_DIR))?.len();
        let repair = Repair { disk, aside: Path::new(ASIDE_DIR).join(format!("doctor-{taken}")) };
        let curable: Vec<&Diagnosed> = self.partitions.iter().filter(|partition| partition.curable).collect();
        repair.copy_aside(self, &curable)?;
        self.finish_swaps(disk, &curable)?;
        let mut records = Vec::new();
        for diagnosed in &curable {
            records.push(repair.prepare(&self.directory.partitions[diagnosed.at], diagnosed)?);
        }
        repair.decide(self, &curable, &records)?;
        for diagnosed in &curable {
            repair.settle(&self.directory.partitions[diagnosed.at], diagnosed)?;
        }
        let healed = curable.iter().map(|partition| partition.name.clone()).collect();
        Ok(Repaired { healed, aside: repair.aside })
    }

    /// Gives files of a swap before their names, and lets the checkpoints forget it: or a crash would take the files that
    /// are about to wait for a swap for those of the one before.
    fn finish_swaps(&self, disk: &dyn Disk, curable: &[&Diagnosed]) -> Result<(), SegmentError> {
        let mut cleared = Vec::new();
        for diagnosed in curable {
            let files = &self.directory.partitions[diagnosed.at];
            let Record::Good(record) = &files.record else { continue };
            if record.swapped && files.has_dir {
                rename_swapped(disk, files)?;
                cleared.push(encode_record(&CheckpointRecord { swapped: false, ..record.as_ref().clone() }));
            }
        }
        if cleared.is_empty() {
            return Ok(());
        }
        let round = encode_round(self.directory.rounds, cleared.into_iter());
        write(disk, Path::new(CHECKPOINT_FILE), self.directory.rounds_end, round)?;
        disk.perform_now(DiskOp::SyncFile(CHECKPOINT_FILE.into()))?;
        Ok(())
    }
}

impl Repair<'_> {
    /// Copies all that will change, durably.
    fn copy_aside(&self, diagnosis: &Diagnosis, curable: &[&Diagnosed]) -> Result<(), SegmentError> {
        self.make_dir(&self.aside)?;
        if length(self.disk, Path::new(CHECKPOINT_FILE))?.is_some() {
            self.copy(Path::new(CHECKPOINT_FILE), &self.aside.join("partitions"))?;
        }
        for diagnosed in curable {
            let files = &diagnosis.directory.partitions[diagnosed.at];
            let to = self.aside.join(&files.name);
            let mut copied = false;
            for cure in diagnosed.cures.iter().filter(|cure| files.has_dir && !matches!(cure.kind, CureKind::Keep)) {
                for kind in SegmentFile::ALL {
                    let from = files.file(self.disk, kind, cure.segment.base)?;
                    if length(self.disk, &from)?.is_none() {
                        continue;
                    }
                    if !std::mem::replace(&mut copied, true) {
                        self.make_dir(&to)?;
                    }
                    self.copy(&from, &kind.path(&to, cure.segment.base))?;
                }
            }
            if copied {
                self.disk.perform_now(DiskOp::SyncDir(to))?;
            }
        }
        for dir in [self.aside.as_path(), Path::new(ASIDE_DIR), Path::new("")] {
            self.disk.perform_now(DiskOp::SyncDir(dir.to_owned()))?;
        }
        Ok(())
    }

    fn make_dir(&self, dir: &Path) -> Result<(), DiskError> {
        self.disk.perform_now(DiskOp::CreateDir(dir.to_owned())).map(|_| ())
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let bytes = length(self.disk, from)?.unwrap_or_default();
        let mut at = 0;
        while at < bytes {
            let piece = read(self.disk, from, at, usize::try_from(PIECE_BYTES.min(bytes - at)).unwrap_or(0))?;
            if piece.is_empty() {
                break;
            }
            let next = at + piece.len() as u64;
            write(self.disk, to, at, piece)?;
            at = next;
        }
        self.disk.perform_now(DiskOp::SetLength { file: to.to_owned(), length: at })?;
        self.disk.perform_now(DiskOp::SyncFile(to.to_owned())).map(|_| ())
    }

    /// Writes the new files of a partition, to wait for the decision; answers its new record.
    fn prepare(&self, files: &PartitionFiles, diagnosed: &Diagnosed) -> Result<CheckpointRecord, SegmentError> {
        if files.has_dir {
            for entry in list(self.disk, &files.dir)? {
                if entry.name.ends_with(CLEANED_SUFFIX) || entry.name.ends_with(SWAP_SUFFIX) {
                    self.disk.perform_now(DiskOp::RemoveFile(files.dir.join(entry.name)))?;
                }
            }
        }
        let mut healed = self.state(files, diagnosed)?;
        for cure in &diagnosed.cures {
            match &cure.kind {
                CureKind::Keep => healed.record.segments.push(self.kept(files, cure)?),
                CureKind::Drop => {}
                CureKind::Rebuild { .. } => {
                    let rebuilt = self.rebuild(files, cure, &healed.aborted)?;
                    healed.record.segments.push(rebuilt);
                }
            }
        }
        if files.has_dir {
            self.disk.perform_now(DiskOp::SyncDir(files.dir.clone()))?;
        }
        Ok(healed.record)
    }

    /// A segment that stays as it is, with the CRC of its transaction index, which older checkpoints do not have.
    fn kept(&self, files: &PartitionFiles, cure: &Cure) -> Result<Segment, SegmentError> {
        let mut segment = cure.segment.clone();
        if segment.txn_index_bytes > 0 && segment.txn_index_crc == 0 {
            let file = files.file(self.disk, SegmentFile::TxnIndex, segment.base)?;
            let bytes = usize::try_from(segment.txn_index_bytes).unwrap_or(usize::MAX);
            segment.txn_index_crc = crc32c(&read(self.disk, &file, 0, bytes)?);
        }
        Ok(segment)
    }

    /// What the log amounts to. The record says so when it can be trusted; else the batches do.
    fn state(&self, files: &PartitionFiles, diagnosed: &Diagnosed) -> Result<Healed, SegmentError> {
        let (trusted, older) = match &files.record {
            Record::Good(record) => (true, Some(record)),
            Record::Untrusted { older, .. } => (false, older.as_ref()),
            Record::Absent => (false, None),
        };
        let mut replayed = LogState::default();
        replayed.start_at(diagnosed.cures.first().map_or(diagnosed.log_start, |cure| cure.segment.base));
        let mut aborted = Vec::new();
        for cure in &diagnosed.cures {
            let file = files.file(self.disk, SegmentFile::TxnIndex, cure.segment.base)?;
            let mut told = aborted_transactions(&read_whole(self.disk, &file)?.unwrap_or_default()).0;
            self.each_batch(files, cure, &mut |found| {
                if found.batch.header().base_offset >= replayed.log_end {
                    let ended = replayed.apply(&found.batch, Ticket::default());
                    // Of a transaction that began below the log's start only the index knows.
                    let offset = found.batch.header().last_offset();
                    let known = told.iter().position(|told| told.last_offset == offset).map(|at| told.remove(at));
                    aborted.extend(ended.or(known));
                }
                Ok(())
            })?;
        }
        let key = files.key.expect("only a partition with a name is curable");
        let mut state = older.filter(|_| trusted).map_or(replayed, |record| record.state.clone());
        state.log_end = diagnosed.log_end;
        state.start_at(diagnosed.log_start);
        let is_lost = |offset: Offset| diagnosed.lost.iter().any(|range| range.contains(&offset));
        state.max_timestamp = state.max_timestamp.filter(|max| !is_lost(max.base_offset));
        let volatile = older.is_some_and(|record| record.volatile);
        let swapped = diagnosed.cures.iter().any(|cure| matches!(cure.kind, CureKind::Rebuild { .. }));
        let record = CheckpointRecord {
            key,
            volatile,
            offline: false,
            swapped,
            state,
            segments: Vec::new(),
            txn_indexes_vouched: true,
        };
        Ok(Healed { record, aborted })
    }

    /// The whole batches of a segment, in order.
    fn each_batch(
        &self,
        files: &PartitionFiles,
        cure: &Cure,
        take: &mut dyn FnMut(&FoundBatch) -> Result<(), SegmentError>,
    ) -> Result<(), SegmentError> {
        let all = 0..cure.segment.log_bytes;
        let ranges = match &cure.kind {
            CureKind::Keep => std::slice::from_ref(&all),
            CureKind::Rebuild { whole, .. } => whole.as_slice(),
            CureKind::Drop => &[],
        };
        let log = files.file(self.disk, SegmentFile::Log, cure.segment.base)?;
        for range in ranges {
            let mut scan = BatchScan::new(|at, bytes| read(self.disk, &log, at, bytes), range.end);
            scan.skip_to(range.start);
            while let Some(found) = scan.next_batch()? {
                match found {
                    Ok(found) => take(&found)?,
                    Err(damage) => {
                        let (position, reason) = (damage.position, damage.reason);
                        return Err(SegmentError::Damaged { file: log.clone(), position, reason });
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes a segment's files anew, under the suffix of a swap; the log only when not all of it is whole.
    fn rebuild(
        &self,
        files: &PartitionFiles,
        cure: &Cure,
        aborted: &[AbortedTransaction],
    ) -> Result<Segment, SegmentError> {
        let CureKind::Rebuild { all, .. } = &cure.kind else { unreachable!("the caller has looked") };
        let base = cure.segment.base;
        let path = |kind: SegmentFile, suffix| suffixed(kind.path(&files.dir, base), suffix);
        let mut segment = Segment::new(base);
        let mut writes = SegmentWrites::new(segment.clone());
        let log = path(SegmentFile::Log, CLEANED_SUFFIX);
        if !all {
            self.disk.perform_now(DiskOp::SetLength { file: log.clone(), length: 0 })?;
        }
        self.each_batch(files, cure, &mut |found| {
            let at = segment.log_bytes;
            add_batch(&mut segment, &mut writes, found.batch.header(), INDEX_INTERVAL_BYTES);
            if !all {
                write(self.disk, &log, at, found.batch.bytes().clone())?;
            }
            Ok(())
        })?;
        writes.time_index.extend(time_entry(&mut segment));
        let end = segment.next.max(if cure.segment.next.0 == i64::MAX { segment.next } else { cure.segment.next });
        let within = |aborted: &&AbortedTransaction| (base..end).contains(&aborted.last_offset);
        for aborted in aborted.iter().filter(within) {
            add_aborted(&mut segment, &mut writes.txn_index, aborted);
        }
        segment.next = end;
        let contents = [
            (SegmentFile::Index, writes.index),
            (SegmentFile::TimeIndex, writes.time_index),
            (SegmentFile::TxnIndex, writes.txn_index),
        ];
        let mut kinds: Vec<SegmentFile> = (!all).then_some(SegmentFile::Log).into_iter().collect();
        for (kind, content) in contents {
            let file = path(kind, CLEANED_SUFFIX);
            self.disk.perform_now(DiskOp::SetLength { file: file.clone(), length: 0 })?;
            write(self.disk, &file, 0, content.into())?;
            kinds.push(kind);
        }
        for kind in kinds {
            self.disk.perform_now(DiskOp::SyncFile(path(kind, CLEANED_SUFFIX)))?;
            let (from, to) = (path(kind, CLEANED_SUFFIX), path(kind, SWAP_SUFFIX));
            self.disk.perform_now(DiskOp::Rename { from, to })?;
        }
        Ok(segment)
    }

    /// Replaces the checkpoint file: from here on the new state is the one that counts.
    fn decide(
        &self,
        diagnosis: &Diagnosis,
        curable: &[&Diagnosed],
        healed: &[CheckpointRecord],
    ) -> Result<(), SegmentError> {
        let directory = &diagnosis.directory;
        let is_healed = |at: usize| curable.iter().any(|diagnosed| diagnosed.at == at);
        let kept = directory.partitions.iter().enumerate().filter(|(at, _)| !is_healed(*at));
        let kept = kept.filter_map(|(_, files)| match &files.record {
            Record::Good(record) => Some(encode_record(record)),
            Record::Untrusted { .. } | Record::Absent => None,
        });
        let rounds = directory.session.map_or(0, |session| session.rounds).max(directory.rounds);
        // One more than were there, for one may have been appended to forget a swap.
        let content = encode_round(rounds + 1, kept.chain(healed.iter().map(encode_record)));
        let file = Path::new(CHECKPOINT_FILE);
        let (fresh, dir) = (file.with_extension("tmp"), file.parent().expect("it lies in a directory"));
        self.make_dir(dir)?;
        self.disk.perform_now(DiskOp::RemoveFile(fresh.clone()))?;
        write(self.disk, &fresh, 0, content)?;
        self.disk.perform_now(DiskOp::SyncFile(fresh.clone()))?;
        self.disk.perform_now(DiskOp::Rename { from: fresh, to: file.to_owned() })?;
        self.disk.perform_now(DiskOp::SyncDir(dir.to_owned()))?;
        self.disk.perform_now(DiskOp::SyncDir(PathBuf::new()))?;
        Ok(())
    }

    /// Gives the new files their names, and removes those of segments that are gone; a start would do the same.
    fn settle(&self, files: &PartitionFiles, diagnosed: &Diagnosed) -> Result<(), SegmentError> {
        if !files.has_dir {
            return Ok(());
        }
        rename_swapped(self.disk, files)?;
        for cure in diagnosed.cures.iter().filter(|cure| matches!(cure.kind, CureKind::Drop)) {
            for kind in SegmentFile::ALL {
                self.disk.perform_now(DiskOp::RemoveFile(kind.path(&files.dir, cure.segment.base)))?;
            }
        }
        self.disk.perform_now(DiskOp::SyncDir(files.dir.clone()))?;
        Ok(())
    }
}

fn rename_swapped(disk: &dyn Disk, files: &PartitionFiles) -> Result<(), SegmentError> {
    for entry in list(disk, &files.dir)? {
        let Some(name) = entry.name.strip_suffix(SWAP_SUFFIX).filter(|name| base_of(name).is_some()) else { continue };
        disk.perform_now(DiskOp::Rename { from: files.dir.join(&entry.name), to: files.dir.join(name) })?;
    }
    disk.perform_now(DiskOp::SyncDir(files.dir.clone()))?;
    Ok(())
}

fn write(disk: &dyn Disk, file: &Path, at: u64, data: Bytes) -> Result<(), DiskError> {
    if data.is_empty() {
        return Ok(());
    }
    let op = DiskOp::Write { file: file.to_owned(), at, data: vec![data], sync: WriteSync::Cached };
    disk.perform_now(op).map(|_| ())
}

#[cfg(test)]
mod tests;

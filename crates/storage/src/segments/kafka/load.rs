//! Brings partitions to their checkpoints at start: scans what lies beyond, cuts the rest, moves unknown directories aside.
//!
//! Nothing that could be the only copy of a record is deleted: beyond a checkpoint lies what is in the lane, what was
//! written without it and is whole, and what was never acknowledged.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use millstream_model::batch::{Batch, BatchError, BatchHeader, HEADER_BYTES};
use millstream_model::crc32c::crc32c;
use millstream_model::{LeaderEpoch, Offset, TimestampMs};

use super::checkpoint::{LoadedCheckpoints, decode_record};
use super::formats::{
    INDEX_ENTRY_BYTES, PARTITION_METADATA_FILE, TIME_INDEX_ENTRY_BYTES, TXN_INDEX_ENTRY_BYTES, TimeIndexEntry,
    decode_aborted, topic_id_of,
};
use super::plan::{Segment, SegmentFile, SegmentWrites, add_aborted, add_batch};
use super::{DELETED_SUFFIX, Files, KAFKA_DIR, KafkaDirectories, dir_of};
use crate::disk::{ASIDE_DIR, BLOCK_BYTES, Disk, DiskError, DiskOp};
use crate::lane::Ticket;
use crate::log::config::Durability;
use crate::log::transactions::AbortedTransaction;
use crate::segments::{LoadReport, Loaded, LoadedLog, SegmentError, SegmentTarget};

/// Partitions that are looked at together.
const LOADED_TOGETHER: usize = 16;
/// Bytes read at a time when a log is scanned.
const SCAN_BYTES: usize = 1 << 20;

/// Which batches a scan takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Those that follow each other: a gap was torn by a crash, what lies after it goes.
    Contiguous,
    /// Those, of this leader epoch: other bytes may be left from before an earlier end was cut.
    OfEpoch(LeaderEpoch),
    /// All with rising offsets: the log comes from elsewhere and may have been compacted.
    WithHoles,
}

impl Takes {
    fn takes(self, header: &BatchHeader, log_end: Offset) -> bool {
        match self {
            Self::Contiguous => header.base_offset == log_end,
            Self::OfEpoch(epoch) => header.base_offset == log_end && header.partition_leader_epoch == epoch,
            Self::WithHoles => header.base_offset >= log_end,
        }
    }
}

/// A partition's outcome and what is known of its files.
type Outcome = (Files, Loaded);

impl KafkaDirectories {
    pub(super) async fn load_all(&self, wanted: Vec<SegmentTarget>) -> Result<LoadReport, SegmentError> {
        self.disk.perform(DiskOp::CreateDir(KAFKA_DIR.into())).await?;
        self.disk.perform(DiskOp::SyncDir(PathBuf::new())).await?;
        let checkpoints = self.checkpoints.load(self.rounds_known).await?;
        let cleaned = self.read_cleaner_offsets().await?;
        let mut moved_aside = Vec::new();
        let present = self.sort_out_directories(&wanted, &mut moved_aside).await?;
        let outcomes: Vec<Outcome> = stream::iter(wanted)
            .map(|target| self.load_one(target, &checkpoints, &present))
            .buffered(LOADED_TOGETHER)
            .try_collect()
            .await?;
        if checkpoints.absent {
            self.checkpoints.write_anew(LoadedCheckpoints::default()).await?;
        }
        let mut partitions = self.partitions.lock();
        let mut logs = Vec::with_capacity(outcomes.len());
        for (mut files, loaded) in outcomes {
            if let Loaded::Log(log) = &loaded {
                let (topic, index) = (&files.target.topic, files.target.key.index);
                files.compacted_upto = cleaned.of(topic, index, log.state.log_end);
            }
            // Offline ones too: nothing is read or written there, but a deleted topic takes its directory along.
            partitions.insert(files.target.key, files);
            logs.push(loaded);
        }
        Ok(LoadReport { logs, moved_aside })
    }

    /// Removes directories of deleted partitions, moves unknown ones aside, and names those that stay.
    async fn sort_out_directories(
        &self,
        wanted: &[SegmentTarget],
        moved_aside: &mut Vec<(PathBuf, PathBuf)>,
    ) -> Result<BTreeSet<PathBuf>, SegmentError> {
        let known: BTreeSet<PathBuf> = wanted.iter().map(dir_of).collect();
        let mut present = BTreeSet::new();
        for entry in self.disk.list(KAFKA_DIR.into()).await?.into_iter().filter(|entry| entry.is_dir) {
            let dir = Path::new(KAFKA_DIR).join(&entry.name);
            if known.contains(&dir) {
                present.insert(dir);
            } else if entry.name.ends_with(DELETED_SUFFIX) {
                self.disk.perform(DiskOp::RemoveDir(dir)).await?;
            } else {
                moved_aside.push((dir.clone(), self.move_aside(&dir).await?));
            }
        }
        Ok(present)
    }

    async fn move_aside(&self, dir: &Path) -> Result<PathBuf, SegmentError> {
        self.disk.perform(DiskOp::CreateDir(ASIDE_DIR.into())).await?;
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let taken = self.disk.list(ASIDE_DIR.into()).await?.len();
        let to = Path::new(ASIDE_DIR).join(format!("{name}.{taken}"));
        self.disk.perform(DiskOp::Rename { from: dir.to_owned(), to: to.clone() }).await?;
        self.disk.perform(DiskOp::SyncDir(KAFKA_DIR.into())).await?;
        self.disk.perform(DiskOp::SyncDir(ASIDE_DIR.into())).await?;
        tracing::warn!(?dir, ?to, "the directory belongs to no known partition: moved aside");
        Ok(to)
    }

    async fn load_one(
        &self,
        target: SegmentTarget,
        checkpoints: &LoadedCheckpoints,
        present: &BTreeSet<PathBuf>,
    ) -> Result<Outcome, SegmentError> {
        let mut files = Files::new(target);
        let dir = files.dir();
        files.created = present.contains(&dir);
        let key = files.target.key;
        let Some(record) = checkpoints.records.get(&key) else {
            return self.load_unrecorded(files, checkpoints).await;
        };
        if checkpoints.damaged && !checkpoints.after_damage.contains(&key) {
            return Ok((files, Loaded::Offline("its checkpoint is older than a damaged one".into())));
        }
        let record = match decode_record(record.clone()) {
            Ok(record) => record,
            Err(error) => return Ok((files, Loaded::Offline(format!("its checkpoint cannot be read: {error}")))),
        };
        if record.offline {
            let reason = "records of it were lost to damage in the lane, whose files were moved aside";
            return Ok((files, Loaded::Offline(reason.into())));
        }
        if !files.created && !record.segments.is_empty() {
            return Ok((files, Loaded::Offline(format!("directory {dir:?} is missing"))));
        }
        self.settle_swaps(&mut files, record.swapped).await?;
        files.checkpointed_end = record.state.log_end;
        files.segments = record.segments;
        // Segments below the log's start were about to be removed, or are gone already.
        let log_start = record.state.log_start;
        let dropped = files.segments.iter().take_while(|segment| segment.next <= log_start).count();
        files.segments.drain(..dropped);
        files.epochs = record.state.epochs.entries().to_vec();
        let mut log = LoadedLog { state: record.state, volatile: record.volatile, ..LoadedLog::default() };
        let takes = match self.crashed {
            _ if record.volatile => Some(Takes::Contiguous),
            Some(epoch) => Some(Takes::OfEpoch(epoch)),
            None => None,
        };
        if let Some(reason) = self.cut(&mut files, log_start, takes.is_some()).await? {
            return Ok((files, Loaded::Offline(reason)));
        }
        log.aborted = match self.read_aborted(&mut files, record.txn_indexes_vouched).await? {
            Ok(aborted) => aborted,
            Err(reason) => return Ok((files, Loaded::Offline(reason))),
        };
        if let Some(takes) = takes {
            self.scan(&mut files, &mut log, takes).await?;
        }
        log.bytes = files.bytes();
        Ok((files, Loaded::Log(log)))
    }

    /// A partition without a checkpoint. What its files hold may be in the lane as well, or nowhere else: they may come from
    /// elsewhere, or have been written while the configuration was another than now.
    async fn load_unrecorded(
        &self,
        mut files: Files,
        checkpoints: &LoadedCheckpoints,
    ) -> Result<Outcome, SegmentError> {
        let volatile = files.target.config.durability == Durability::Os;
        let mut log = LoadedLog { volatile, ..LoadedLog::default() };
        if !files.created {
            return Ok((files, Loaded::Log(log)));
        }
        let dir = files.dir();
        let metadata = self.disk.read_file(dir.join(PARTITION_METADATA_FILE)).await?.unwrap_or_default();
        let topic_id = topic_id_of(&metadata);
        if topic_id.is_some_and(|id| id != files.target.key.topic_id) {
            self.move_aside(&dir).await?;
            files.created = false;
        } else if checkpoints.damaged {
            return Ok((files, Loaded::Offline("its checkpoint may be the damaged one".into())));
        } else if volatile || checkpoints.absent || topic_id.is_some() {
            let takes = if checkpoints.absent { Takes::WithHoles } else { Takes::Contiguous };
            self.scan(&mut files, &mut log, takes).await?;
        } else {
            // Not even its first file was whole when the power went: the lane has all that was synced.
            self.disk.perform(DiskOp::RemoveDir(dir)).await?;
            self.disk.perform(DiskOp::SyncDir(KAFKA_DIR.into())).await?;
            files.created = false;
        }
        log.bytes = files.bytes();
        Ok((files, Loaded::Log(log)))
    }

    /// Cuts the files to what the checkpoint says; when they are shorter, says so. A log that will be scanned keeps what
    /// lies beyond its end.
    async fn cut(&self, files: &mut Files, log_start: Offset, scanned: bool) -> Result<Option<String>, SegmentError> {
        let dir = files.dir();
        let Some(last) = files.segments.last().map(|segment| segment.base) else {
            let surplus = |base: Offset| !scanned || base < log_start;
            return self.remove_segments(files, surplus).await.map(|()| None);
        };
        for segment in &mut files.segments {
            for (kind, end) in [(SegmentFile::Log, segment.log_bytes), (SegmentFile::TxnIndex, segment.txn_index_bytes)]
            {
                let file = kind.path(&dir, segment.base);
                let present = self.disk.length(file.clone()).await?.unwrap_or_default();
                if present < end {
                    return Ok(Some(format!("{file:?} has {present} bytes, {end} were made durable")));
                }
                if present > end && !(scanned && kind == SegmentFile::Log && segment.base == last) {
                    self.disk.perform(DiskOp::SetLength { file, length: end }).await?;
                }
            }
            self.cut_index(&dir, segment, SegmentFile::Index).await?;
            self.cut_index(&dir, segment, SegmentFile::TimeIndex).await?;
        }
        // Those between were replaced by others, or given up with them.
        let known: BTreeSet<Offset> = files.segments.iter().map(|segment| segment.base).collect();
        let surplus = |base: Offset| if base > last { !scanned } else { !known.contains(&base) };
        self.remove_segments(files, surplus).await.map(|()| None)
    }

    /// Cuts an index file to what the checkpoint says. Nothing vouches for it: of one that lost its end with the power,
    /// the whole entries that are left count, or the next entry would be written behind a hole.
    async fn cut_index(&self, dir: &Path, segment: &mut Segment, kind: SegmentFile) -> Result<(), SegmentError> {
        let file = kind.path(dir, segment.base);
        let (recorded, entry_bytes) = match kind {
            SegmentFile::TimeIndex => (&mut segment.time_index_bytes, TIME_INDEX_ENTRY_BYTES as u64),
            _ => (&mut segment.index_bytes, INDEX_ENTRY_BYTES as u64),
        };
        let present = self.disk.length(file.clone()).await?.unwrap_or_default();
        let lost = present < *recorded;
        if lost {
            *recorded = present - present % entry_bytes;
        }
        let end = *recorded;
        if present > end {
            self.disk.perform(DiskOp::SetLength { file: file.clone(), length: end }).await?;
        }
        if lost && kind == SegmentFile::TimeIndex {
            let newest = match end.checked_sub(entry_bytes) {
                Some(at) => self.disk.read(file, at, TIME_INDEX_ENTRY_BYTES).await?,
                None => Bytes::new(),
            };
            let newest = newest.chunks_exact(TIME_INDEX_ENTRY_BYTES).next().map(TimeIndexEntry::decode);
            segment.indexed_timestamp = newest.map_or(TimestampMs::NONE, |newest| newest.timestamp);
        }
        Ok(())
    }

    async fn remove_segments(&self, files: &Files, surplus: impl Fn(Offset) -> bool) -> Result<(), SegmentError> {
        if !files.created {
            return Ok(());
        }
        let dir = files.dir();
        for base in self.bases(&dir).await?.into_iter().filter(|base| surplus(*base)) {
            for kind in SegmentFile::ALL {
                self.disk.perform(DiskOp::RemoveFile(kind.path(&dir, base))).await?;
            }
        }
        Ok(())
    }

    /// Base offsets of the segment files in a directory, rising.
    async fn bases(&self, dir: &Path) -> Result<BTreeSet<Offset>, SegmentError> {
        let entries = self.disk.list(dir.to_owned()).await?;
        Ok(entries.iter().filter_map(|entry| base_of(&entry.name)).collect())
    }

    /// The aborted transactions of the log, or why its transaction indexes cannot be trusted. A record of before their CRCs
    /// were kept is believed, and the CRCs are those of what is there.
    async fn read_aborted(
        &self,
        files: &mut Files,
        vouched: bool,
    ) -> Result<Result<Vec<AbortedTransaction>, String>, SegmentError> {
        let mut aborted = Vec::new();
        let dir = files.dir();
        for segment in files.segments.iter_mut().filter(|segment| segment.txn_index_bytes > 0) {
            let file = SegmentFile::TxnIndex.path(&dir, segment.base);
            let length = usize::try_from(segment.txn_index_bytes).unwrap_or(usize::MAX);
            let entries = self.disk.read(file.clone(), 0, length).await?;
            let crc = crc32c(&entries);
            if vouched && crc != segment.txn_index_crc {
                return Ok(Err(format!("{file:?} is damaged: its CRC is {crc}, not {}", segment.txn_index_crc)));
            }
            segment.txn_index_crc = crc;
            aborted.extend(entries.chunks_exact(TXN_INDEX_ENTRY_BYTES).map(decode_aborted));
        }
        Ok(Ok(aborted))
    }

    /// Takes over what lies beyond the known end, as far as it is whole batches with rising offsets; cuts the rest off.
    async fn scan(&self, files: &mut Files, log: &mut LoadedLog, takes: Takes) -> Result<(), SegmentError> {
        let dir = files.dir();
        let last = files.segments.last().map(|segment| segment.base);
        let bases = self.bases(&dir).await?;
        let mut whole = true;
        for base in bases.into_iter().filter(|base| last.is_none_or(|last| *base >= last)) {
            whole &= last == Some(base) || takes == Takes::WithHoles || base == log.state.log_end;
            if !whole {
                log.unvouched = true;
                for kind in SegmentFile::ALL {
                    self.disk.perform(DiskOp::RemoveFile(kind.path(&dir, base))).await?;
                }
                continue;
            }
            if last != Some(base) {
                if files.segments.is_empty() {
                    log.state.start_at(base);
                }
                // What lay between was compacted away: its offsets stay taken, though the segment has no batch yet.
                log.state.log_end = log.state.log_end.max(base);
                files.segments.push(Segment::new(base));
            }
            whole = self.scan_segment(files, log, takes).await?;
        }
        // All of it can be read from now on: a transaction that ended holds no reader back.
        log.state.transactions.settle(log.state.log_end);
        Ok(())
    }

    /// Scans the last known segment from its known end; says whether all of the file was whole.
    async fn scan_segment(&self, files: &mut Files, log: &mut LoadedLog, takes: Takes) -> Result<bool, SegmentError> {
        let dir = files.dir();
        let interval = files.target.config.index_interval_bytes;
        let segment = files.segments.last_mut().expect("the caller has put it there");
        let file = SegmentFile::Log.path(&dir, segment.base);
        let length = self.disk.length(file.clone()).await?.unwrap_or_default();
        if length == segment.log_bytes && length > 0 {
            return Ok(true);
        }
        log.unvouched = true;
        let mut writes = SegmentWrites::new(segment.clone());
        let mut scan = LogScan::new(file.clone(), segment.log_bytes, length);
        while let Some(batch) = scan.next(self.disk.as_ref(), log.state.log_end, takes).await? {
            add_batch(segment, &mut writes, batch.header(), interval);
            if let Some(aborted) = log.state.apply(&batch, Ticket::default()) {
                add_aborted(segment, &mut writes.txn_index, &aborted);
                log.aborted.push(aborted);
            }
        }
        self.disk.perform(DiskOp::SetLength { file: file.clone(), length: scan.at }).await?;
        files.unsynced.insert(file);
        files.names_unsynced = true;
        self.write_indexes(files, writes).await?;
        Ok(scan.at == length)
    }

    /// Writes the index entries that belong to what a scan took over.
    async fn write_indexes(&self, files: &mut Files, writes: SegmentWrites) -> Result<(), SegmentError> {
        let before = &writes.before;
        let indexes = [
            (SegmentFile::Index, before.index_bytes, writes.index),
            (SegmentFile::TimeIndex, before.time_index_bytes, writes.time_index),
            (SegmentFile::TxnIndex, before.txn_index_bytes, writes.txn_index),
        ];
        for (kind, at, entries) in indexes {
            if kind == SegmentFile::TxnIndex && entries.is_empty() {
                continue;
            }
            let file = kind.path(&files.dir(), before.base);
            self.disk.perform(DiskOp::SetLength { file: file.clone(), length: at }).await?;
            self.disk.write(file.clone(), at, vec![Bytes::from(entries)]).await?;
            files.unsynced.insert(file);
        }
        Ok(())
    }
}

/// Base offset of the segment that a file belongs to, by its name.
pub(crate) fn base_of(name: &str) -> Option<Offset> {
    let (digits, suffix) = name.split_once('.').filter(|(digits, _)| digits.len() == 20)?;
    if !SegmentFile::ALL.iter().any(|kind| kind.suffix() == suffix) {
        return None;
    }
    digits.parse().ok().filter(|base| *base >= 0).map(Offset)
}

/// Reads a log's batches from the device: what a failed sync lost is still in the page cache.
struct LogScan {
    file: PathBuf,
    /// End of the batches that were taken.
    at: u64,
    length: u64,
    /// What was read beyond `at`.
    window: BytesMut,
    read: u64,
    /// Bytes before `at` that the first read brings, because it begins on a block.
    skip: u64,
}

impl LogScan {
    fn new(file: PathBuf, at: u64, length: u64) -> Self {
        let skip = at % BLOCK_BYTES as u64;
        Self { file, at, length, window: BytesMut::new(), read: at - skip, skip }
    }

    /// The next batch, if it is whole and may follow; none at the end of what does.
    async fn next(&mut self, disk: &dyn Disk, log_end: Offset, takes: Takes) -> Result<Option<Batch>, DiskError> {
        while self.at < self.length {
            match next_batch(&self.window, log_end, takes) {
                Ok(batch) => {
                    let _ = self.window.split_to(batch.bytes().len());
                    self.at += batch.bytes().len() as u64;
                    return Ok(Some(batch));
                }
                Err(Some(needed)) if needed as u64 <= self.length - self.read => {
                    let bytes = (needed + BLOCK_BYTES).next_multiple_of(BLOCK_BYTES).max(SCAN_BYTES);
                    let more = disk.read_direct(self.file.clone(), self.read, bytes).await?;
                    if more.len() as u64 <= self.skip {
                        return Ok(None);
                    }
                    self.read += more.len() as u64;
                    self.window.extend_from_slice(&more[usize::try_from(self.skip).unwrap_or(0)..]);
                    self.skip = 0;
                }
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// The batch at the start of `window`, if it is whole and may follow; `Err(Some(bytes))` when that many more are needed.
fn next_batch(window: &BytesMut, log_end: Offset, takes: Takes) -> Result<Batch, Option<usize>> {
    let size = match BatchHeader::read(window) {
        Ok(header) => header.size_bytes(),
        Err(BatchError::Truncated { .. }) => HEADER_BYTES,
        Err(_) => return Err(None),
    };
    let Some(bytes) = window.get(..size) else { return Err(Some(size - window.len())) };
    match Batch::parse(Bytes::copy_from_slice(bytes)) {
        Ok((batch, _)) if takes.takes(batch.header(), log_end) => Ok(batch),
        _ => Err(None),
    }
}

//! Plans what an append writes: into which segments, when a new one begins, which index entries go with it. Pure.
//!
//! Rolling and indexing follow Kafka's `LogSegment`: an offset index entry names a batch's last offset and its start.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream_model::batch::BatchHeader;
use millstream_model::crc32c::{crc32c, crc32c_combine};
use millstream_model::{Offset, TimestampMs};
use smallvec::SmallVec;

use super::formats::{
    INDEX_ENTRY_BYTES, IndexEntry, PARTITION_METADATA_FILE, TIME_INDEX_ENTRY_BYTES, TimeIndexEntry, encode_aborted,
    partition_metadata,
};
use super::{Files, dir_of};
use crate::disk::{DiskOp, WriteSync};
use crate::log::transactions::AbortedTransaction;
use crate::segments::{SegmentRun, SegmentTarget};

/// A write of so many bytes need not stay in the page cache: the newest batches are in memory for readers.
const BEHIND_BYTES_MIN: usize = 32 << 10;

/// The files of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentFile {
    Log,
    Index,
    TimeIndex,
    TxnIndex,
}

impl SegmentFile {
    pub(crate) const ALL: [Self; 4] = [Self::Log, Self::Index, Self::TimeIndex, Self::TxnIndex];

    /// Whether a checkpoint vouches for the file; the others are hints.
    const fn is_synced(self) -> bool {
        matches!(self, Self::Log | Self::TxnIndex)
    }

    /// Kafka's suffix for it.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Index => "index",
            Self::TimeIndex => "timeindex",
            Self::TxnIndex => "txnindex",
        }
    }

    /// The file's path: twenty digits of the base offset and the suffix.
    pub(crate) fn path(self, dir: &Path, base: Offset) -> PathBuf {
        dir.join(format!("{base:020}.{suffix}", base = base.0, suffix = self.suffix()))
    }
}

/// What is known of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) base: Offset,
    /// Offset after the last batch.
    pub(crate) next: Offset,
    pub(crate) log_bytes: u64,
    pub(crate) index_bytes: u64,
    pub(crate) time_index_bytes: u64,
    pub(crate) txn_index_bytes: u64,
    /// CRC-32C of the transaction index, whose entries have none and which no batch repeats.
    pub(crate) txn_index_crc: u32,
    /// Bytes of log since the last index entry.
    pub(crate) since_index: u64,
    /// Max timestamp of the first batch; `segment.ms` counts from it.
    pub(crate) first_timestamp: TimestampMs,
    pub(crate) max_timestamp: TimestampMs,
    /// Last offset of the first batch with the max timestamp.
    pub(crate) max_timestamp_offset: Offset,
    /// Timestamp of the newest time index entry.
    pub(crate) indexed_timestamp: TimestampMs,
}

impl Segment {
    pub(crate) fn new(base: Offset) -> Self {
        Self {
            base,
            next: base,
            log_bytes: 0,
            index_bytes: 0,
            time_index_bytes: 0,
            txn_index_bytes: 0,
            txn_index_crc: crc32c(&[]),
            since_index: 0,
            first_timestamp: TimestampMs::NONE,
            max_timestamp: TimestampMs::NONE,
            max_timestamp_offset: base,
            indexed_timestamp: TimestampMs::NONE,
        }
    }

    fn relative(&self, offset: Offset) -> Option<u32> {
        u32::try_from(offset.since(self.base)).ok().filter(|relative| *relative <= i32::MAX.cast_unsigned())
    }

    /// What `segment.jitter.ms` takes off the time that this segment is open, the same whenever it is asked for, so that
    /// partitions which were begun together do not all begin segments together.
    fn jitter_ms(&self, target: &SegmentTarget) -> u64 {
        let jitter_ms_max = target.config.segment_jitter_ms.min(target.config.segment_ms);
        if jitter_ms_max == 0 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        (target.key, self.base.0).hash(&mut hasher);
        hasher.finish() % jitter_ms_max
    }

    /// Whether a batch must go to a new segment.
    fn is_full_for(&self, header: &BatchHeader, target: &SegmentTarget) -> bool {
        let config = &target.config;
        if self.log_bytes == 0 {
            return false;
        }
        let size = self.log_bytes + header.size_bytes() as u64 > u64::from(config.segment_bytes);
        let waited = header.max_timestamp.0.saturating_sub(self.first_timestamp.0);
        let open_ms_max = config.segment_ms_max().saturating_sub(self.jitter_ms(target));
        let time = self.first_timestamp.0 >= 0 && waited > i64::try_from(open_ms_max).unwrap_or(i64::MAX);
        let index_max = u64::from(config.segment_index_bytes);
        let index = self.index_bytes + INDEX_ENTRY_BYTES as u64 > index_max
            || self.time_index_bytes + 2 * TIME_INDEX_ENTRY_BYTES as u64 > index_max;
        size || time || index || self.relative(header.last_offset()).is_none()
    }
}

/// What is written to one segment.
#[derive(Debug)]
pub(crate) struct SegmentWrites {
    /// The segment before these writes.
    pub(crate) before: Segment,
    pub(crate) log: Vec<Bytes>,
    pub(crate) index: Vec<u8>,
    pub(crate) time_index: Vec<u8>,
    pub(crate) txn_index: Vec<u8>,
}

impl SegmentWrites {
    pub(crate) fn new(before: Segment) -> Self {
        Self { before, log: Vec::new(), index: Vec::new(), time_index: Vec::new(), txn_index: Vec::new() }
    }
}

/// What an append does.
#[derive(Debug)]
pub(super) struct AppendPlan {
    /// To be done one after the other, before the writes: directories, and files begun anew.
    pub(super) first: Vec<DiskOp>,
    pub(super) writes: Vec<DiskOp>,
    /// What is known when all is done.
    pub(super) change: FilesChange,
    read_soon: bool,
}

/// How an append changes what is known of a partition's files.
#[derive(Debug)]
pub(super) struct FilesChange {
    target: SegmentTarget,
    /// The segment that was written to, if there was one, and those begun after it.
    segments: SmallVec<[Segment; 1]>,
    unsynced: SmallVec<[PathBuf; 1]>,
    created: bool,
    names_unsynced: bool,
}

impl FilesChange {
    /// The log file that is written to last.
    pub(super) fn last_log(&self, dir: &Path) -> PathBuf {
        SegmentFile::Log.path(dir, self.segments.last().map_or(Offset(0), |last| last.base))
    }

    /// The partition whose files change.
    pub(super) fn target(&self) -> &SegmentTarget {
        &self.target
    }

    /// Makes the change known.
    pub(super) fn apply(self, files: &mut Files) {
        if self.segments.first().is_some_and(|first| files.segments.last().is_some_and(|last| last.base == first.base))
        {
            files.segments.pop();
        }
        files.segments.extend(self.segments);
        files.unsynced.extend(self.unsynced);
        files.created |= self.created;
        files.names_unsynced |= self.names_unsynced;
        files.target = self.target;
    }
}

/// Plans the append of `run` to the partition whose files are `known`.
pub(super) fn plan_append(known: Option<&Files>, run: &SegmentRun) -> AppendPlan {
    let dir = dir_of(&run.target);
    let change = FilesChange {
        target: run.target.clone(),
        segments: known.and_then(|files| files.segments.last().cloned()).into_iter().collect(),
        unsynced: SmallVec::new(),
        created: known.is_some_and(|files| files.created),
        names_unsynced: false,
    };
    let mut plan = AppendPlan { first: Vec::new(), writes: Vec::new(), change, read_soon: run.read_soon };
    plan.create_directory(&dir);
    let mut aborted = run.aborted.iter().peekable();
    let mut open: Option<SegmentWrites> = None;
    for batch in &run.batches {
        let header = batch.header();
        let full = plan.change.segments.last().is_none_or(|last| last.is_full_for(header, &run.target));
        if full {
            plan.finish(&dir, open.take());
            plan.roll(&dir, header.base_offset);
        }
        let segment = plan.change.segments.last_mut().expect("one was begun");
        let writes = open.get_or_insert_with(|| SegmentWrites::new(segment.clone()));
        add_batch(segment, writes, header, run.target.config.index_interval_bytes);
        writes.log.push(batch.bytes().clone());
        while let Some(ended) = aborted.next_if(|ended| ended.last_offset <= header.last_offset()) {
            add_aborted(segment, &mut writes.txn_index, ended);
        }
    }
    plan.finish(&dir, open);
    plan
}

/// Takes a batch at the segment's end into account, with the index entries that are due before it. What no entry can say
/// gets none: an append begins a new segment before, but files from elsewhere may hold anything.
pub(crate) fn add_batch(segment: &mut Segment, writes: &mut SegmentWrites, header: &BatchHeader, interval: u32) {
    let last = header.last_offset();
    if header.max_timestamp > segment.max_timestamp {
        segment.max_timestamp = header.max_timestamp;
        segment.max_timestamp_offset = last;
    }
    if segment.log_bytes == 0 {
        segment.first_timestamp = header.max_timestamp;
    }
    if segment.since_index > u64::from(interval)
        && let (Some(relative_offset), Ok(position)) = (segment.relative(last), u32::try_from(segment.log_bytes))
    {
        writes.index.extend_from_slice(&IndexEntry { relative_offset, position }.encode());
        segment.index_bytes += INDEX_ENTRY_BYTES as u64;
        writes.time_index.extend_from_slice(&time_entry(segment));
        segment.since_index = 0;
    }
    let bytes = header.size_bytes() as u64;
    segment.log_bytes += bytes;
    segment.since_index += bytes;
    segment.next = header.next_offset();
}

/// Takes an aborted transaction into the segment's transaction index.
pub(crate) fn add_aborted(segment: &mut Segment, index: &mut Vec<u8>, aborted: &AbortedTransaction) {
    let entry = encode_aborted(aborted);
    let bytes = entry.len() as u64;
    segment.txn_index_crc = crc32c_combine(segment.txn_index_crc, crc32c(&entry), bytes);
    segment.txn_index_bytes += bytes;
    index.extend_from_slice(&entry);
}

/// The time index entry that is due, if the largest timestamp has risen since the last one.
pub(crate) fn time_entry(segment: &mut Segment) -> Vec<u8> {
    let timestamp = segment.max_timestamp;
    if timestamp <= segment.indexed_timestamp {
        return Vec::new();
    }
    let Some(relative_offset) = segment.relative(segment.max_timestamp_offset) else { return Vec::new() };
    segment.indexed_timestamp = timestamp;
    segment.time_index_bytes += TIME_INDEX_ENTRY_BYTES as u64;
    TimeIndexEntry { timestamp, relative_offset }.encode().to_vec()
}

impl AppendPlan {
    fn create_directory(&mut self, dir: &Path) {
        if self.change.created {
            return;
        }
        let metadata = dir.join(PARTITION_METADATA_FILE);
        let content = vec![partition_metadata(self.change.target.key.topic_id)];
        self.first.push(DiskOp::CreateDir(dir.to_owned()));
        let (file, sync) = (metadata.clone(), WriteSync::Cached);
        self.first.push(DiskOp::Write { file, at: 0, data: content, sync });
        self.change.unsynced.push(metadata);
        self.change.names_unsynced = true;
        self.change.created = true;
    }

    /// Ends the active segment with its last time index entry, and begins a new one.
    fn roll(&mut self, dir: &Path, base: Offset) {
        if let Some(ended) = self.change.segments.last_mut() {
            let at = ended.time_index_bytes;
            let entry = time_entry(ended);
            let base = ended.base;
            self.write(dir, base, SegmentFile::TimeIndex, at, vec![entry.into()]);
        }
        self.change.segments.push(Segment::new(base));
        self.change.names_unsynced = true;
        for file in [SegmentFile::Index, SegmentFile::TimeIndex] {
            self.first.push(DiskOp::SetLength { file: file.path(dir, base), length: 0 });
        }
    }

    fn finish(&mut self, dir: &Path, writes: Option<SegmentWrites>) {
        let Some(writes) = writes else { return };
        let before = writes.before;
        if before.txn_index_bytes == 0 && !writes.txn_index.is_empty() {
            self.change.names_unsynced = true;
        }
        self.write(dir, before.base, SegmentFile::Log, before.log_bytes, writes.log);
        self.write(dir, before.base, SegmentFile::Index, before.index_bytes, vec![writes.index.into()]);
        self.write(dir, before.base, SegmentFile::TimeIndex, before.time_index_bytes, vec![writes.time_index.into()]);
        self.write(dir, before.base, SegmentFile::TxnIndex, before.txn_index_bytes, vec![writes.txn_index.into()]);
    }

    fn write(&mut self, dir: &Path, base: Offset, kind: SegmentFile, at: u64, data: Vec<Bytes>) {
        if data.iter().all(Bytes::is_empty) {
            return;
        }
        let file = kind.path(dir, base);
        let bytes: usize = data.iter().map(Bytes::len).sum();
        let sync = match kind {
            SegmentFile::Log if bytes >= BEHIND_BYTES_MIN && !self.read_soon => WriteSync::Behind,
            kind if kind.is_synced() => WriteSync::Cached,
            _ => WriteSync::Lazy,
        };
        if kind.is_synced() {
            self.change.unsynced.push(file.clone());
        }
        self.writes.push(DiskOp::Write { file, at, data, sync });
    }
}

//! Logs on their way from and to a Kafka broker's own directory: copied batch by batch, each checked, never linked. Called
//! by `millstream log import` and `export`; blocks on the disk.
//!
//! Not by way of the disk seam: the one side is another program's, and neither is in use. An import brings `.log` files
//! only, whose indexes and state the storage makes when it is opened; an export makes what Kafka expects of a clean stop.
//! What is written is durable when the caller has synced the whole: thousands of small files are not synced one by one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream_model::batch::{Batch, BatchError, BatchHeader, HEADER_BYTES};
use millstream_model::{LeaderEpoch, Offset, ProducerId, TopicId};

use super::formats::{
    LEADER_EPOCH_FILE, PARTITION_METADATA_FILE, leader_epoch_checkpoint, partition_metadata, topic_id_of,
};
use super::plan::{Segment, SegmentFile, SegmentWrites, add_batch, time_entry};
use super::producer_snapshot;
use super::swap::{CLEANED_SUFFIX, SWAP_SUFFIX};
use crate::disk::{Disk, DiskError, DiskOp};
use crate::lane::LaneId;
use crate::lane::session::{SESSION_FILE, Session};
use crate::log::state::LogState;
use crate::partition::Partition;

/// Bytes read and written at a time.
const BUFFER_BYTES: usize = 1 << 20;
/// What a file's name contains that tells of tiered storage (KIP-405).
const TIERED_MARK: &str = "remote_log";
/// Suffixes of what Kafka is about to remove or had not finished.
const LEFT_OVER: [&str; 2] = [".deleted", CLEANED_SUFFIX];

/// Why a log was not copied. The source is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is damaged at position {position}: {reason}", file.display())]
    Damaged { file: PathBuf, position: u64, reason: String },
    /// Message formats 0 and 1 (KIP-724).
    #[error(
        "{} has records of message format {magic} at position {position}: only format 2 is read; let Kafka 3 rewrite the \
         topic's records, or leave it out",
        file.display()
    )]
    OldFormat { file: PathBuf, position: u64, magic: i8 },
    #[error("{} belongs to tiered storage: its topic's older records are elsewhere", .0.display())]
    Tiered(PathBuf),
    #[error("{} was left by a compaction that did not end: start Kafka and stop it cleanly, then try again", .0.display())]
    Unfinished(PathBuf),
    #[error("{} ends at offset {found}, the log at {expected}", file.display())]
    EndsElsewhere { file: PathBuf, found: Offset, expected: Offset },
}

/// What a directory was found to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopiedLog {
    pub batches: u64,
    pub bytes: u64,
    /// Bytes that were never whole and are not copied.
    pub cut_bytes: u64,
    /// Base of the first segment.
    pub first: Offset,
    /// Offset of the next record.
    pub next: Offset,
    /// Newest epoch of a batch, or of the leader epochs' file.
    pub newest_epoch: LeaderEpoch,
    /// Largest producer id of a batch.
    pub newest_producer: ProducerId,
}

/// Tells the storage, before it is first opened, the epoch that it leads in: above all that its logs have.
///
/// # Errors
/// When the disk fails.
pub async fn begin_at_epoch(disk: &dyn Disk, epoch: LeaderEpoch) -> Result<(), DiskError> {
    let dir = Path::new(SESSION_FILE).parent().expect("it lies in a directory");
    disk.perform(DiskOp::CreateDir(dir.to_owned())).await?;
    let session = Session { lane: LaneId(0), nonce: 0, generation: epoch, closed: true, rounds: 0 };
    session.write(disk).await
}

impl Partition {
    /// What the batches of the log amount to at its end.
    #[must_use]
    pub fn state(&self) -> LogState {
        self.with_log(|log| log.live.clone())
    }
}

/// The topic id in a partition directory's `partition.metadata`, if it has one.
///
/// # Errors
/// When the file cannot be read.
pub fn topic_id_in(dir: &Path) -> Result<Option<TopicId>, ExchangeError> {
    let file = dir.join(PARTITION_METADATA_FILE);
    match fs::read(&file) {
        Ok(content) => Ok(topic_id_of(&content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ExchangeError::Io { path: file, source }),
    }
}

/// Copies a Kafka partition directory's segments to a new directory `to`, with its topic's id. Batches below `sure_below`
/// must be whole; the log ends before the first other one that is not. `copied` hears of bytes.
///
/// # Errors
/// When the source is damaged, unfinished or tiered, or a file system fails.
pub fn import_log(
    from: &Path,
    to: &Path,
    topic_id: TopicId,
    sure_below: Offset,
    copied: &mut dyn FnMut(u64),
) -> Result<CopiedLog, ExchangeError> {
    fs::create_dir_all(to).map_err(io_error(to))?;
    write_file(&to.join(PARTITION_METADATA_FILE), &partition_metadata(topic_id))?;
    let mut log =
        CopiedLog { newest_epoch: newest_epoch(from)?, newest_producer: ProducerId::NONE, ..CopiedLog::default() };
    let mut cut = false;
    for (number, base) in bases(from)?.into_iter().enumerate() {
        let file = SegmentFile::Log.path(from, base);
        if cut {
            log.cut_bytes += fs::metadata(&file).map_err(io_error(&file))?.len();
            continue;
        }
        if number == 0 {
            (log.first, log.next) = (base, base);
        }
        let mut walk = Walk::open(&file, base.max(log.next))?;
        log.next = walk.next;
        let target = SegmentFile::Log.path(to, base);
        let mut out = Output::create(&target)?;
        loop {
            match walk.batch() {
                Ok(Some(batch)) => {
                    log.add(&batch);
                    out.write(batch.bytes())?;
                    copied(batch.bytes().len() as u64);
                }
                Ok(None) => break,
                Err(ExchangeError::Damaged { .. }) if log.next >= sure_below => {
                    log.cut_bytes += walk.length - walk.at;
                    cut = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        out.finish()?;
    }
    Ok(log)
}

/// Copies a partition's settled segments from `from` to a new directory `to`, with the indexes, epochs and producers that
/// Kafka finds after a clean stop. A partition without a directory gets an empty segment at its end.
///
/// # Errors
/// When the source is damaged or is not what `state` says, or a file system fails.
pub fn export_log(
    from: &Path,
    to: &Path,
    topic_id: TopicId,
    state: &LogState,
    index_interval_bytes: u32,
    copied: &mut dyn FnMut(u64),
) -> Result<CopiedLog, ExchangeError> {
    fs::create_dir_all(to).map_err(io_error(to))?;
    write_file(&to.join(PARTITION_METADATA_FILE), &partition_metadata(topic_id))?;
    let mut log = CopiedLog { newest_producer: ProducerId::NONE, ..CopiedLog::default() };
    let bases = if from.exists() { bases(from)? } else { BTreeSet::new() };
    for (number, base) in bases.iter().enumerate() {
        if number == 0 {
            (log.first, log.next) = (*base, *base);
        }
        export_segment(from, to, *base, index_interval_bytes, &mut log, copied)?;
    }
    if bases.is_empty() {
        (log.first, log.next) = (state.log_end, state.log_end);
        for kind in [SegmentFile::Log, SegmentFile::Index, SegmentFile::TimeIndex] {
            write_file(&kind.path(to, state.log_end), &[])?;
        }
    }
    // An empty last segment of a compacted log begins beyond the last batch.
    let end = log.next.max(bases.last().copied().unwrap_or_default());
    if end != state.log_end {
        return Err(ExchangeError::EndsElsewhere { file: from.to_owned(), found: end, expected: state.log_end });
    }
    let written_in = |(_, start): &&(LeaderEpoch, Offset)| *start < state.log_end;
    let epochs: Vec<_> = state.epochs.entries().iter().take_while(written_in).copied().collect();
    write_file(&to.join(LEADER_EPOCH_FILE), &leader_epoch_checkpoint(&epochs))?;
    let snapshot = to.join(producer_snapshot::file_name(state.log_end));
    write_file(&snapshot, &producer_snapshot::encode(&state.producers))?;
    Ok(log)
}

fn export_segment(
    from: &Path,
    to: &Path,
    base: Offset,
    index_interval_bytes: u32,
    log: &mut CopiedLog,
    copied: &mut dyn FnMut(u64),
) -> Result<(), ExchangeError> {
    let mut walk = Walk::open(&SegmentFile::Log.path(from, base), base.max(log.next))?;
    let mut out = Output::create(&SegmentFile::Log.path(to, base))?;
    let mut segment = Segment::new(base);
    let mut writes = SegmentWrites::new(segment.clone());
    while let Some(batch) = walk.batch()? {
        add_batch(&mut segment, &mut writes, batch.header(), index_interval_bytes);
        log.add(&batch);
        out.write(batch.bytes())?;
        copied(batch.bytes().len() as u64);
    }
    out.finish()?;
    // As Kafka, which ends a segment's time index with its largest timestamp and looks there for it at a start.
    writes.time_index.extend_from_slice(&time_entry(&mut segment));
    write_file(&SegmentFile::Index.path(to, base), &writes.index)?;
    write_file(&SegmentFile::TimeIndex.path(to, base), &writes.time_index)?;
    let aborted = SegmentFile::TxnIndex.path(from, base);
    if aborted.exists() {
        let content = fs::read(&aborted).map_err(io_error(&aborted))?;
        write_file(&SegmentFile::TxnIndex.path(to, base), &content)?;
    }
    Ok(())
}

impl CopiedLog {
    fn add(&mut self, batch: &Batch) {
        let header = batch.header();
        self.batches += 1;
        self.bytes += batch.bytes().len() as u64;
        self.next = header.next_offset();
        self.newest_epoch = self.newest_epoch.max(header.partition_leader_epoch);
        self.newest_producer = self.newest_producer.max(header.producer_id);
    }
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> ExchangeError {
    let path = path.to_owned();
    move |source| ExchangeError::Io { path: path.clone(), source }
}

/// Base offsets of the segments in a directory, rising.
fn bases(dir: &Path) -> Result<BTreeSet<Offset>, ExchangeError> {
    let mut bases = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(io_error(dir))? {
        let path = entry.map_err(io_error(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if LEFT_OVER.iter().any(|suffix| name.ends_with(suffix)) {
            continue;
        }
        if name.ends_with(SWAP_SUFFIX) {
            return Err(ExchangeError::Unfinished(path));
        }
        if name.contains(TIERED_MARK) {
            return Err(ExchangeError::Tiered(path));
        }
        let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 20);
        bases.extend(digits.and_then(|digits| digits.parse().ok()).filter(|base| *base >= 0).map(Offset));
    }
    Ok(bases)
}

/// The newest epoch that a directory's `leader-epoch-checkpoint` tells, which may have no records.
fn newest_epoch(dir: &Path) -> Result<LeaderEpoch, ExchangeError> {
    let file = dir.join(LEADER_EPOCH_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LeaderEpoch::NONE),
        Err(source) => return Err(ExchangeError::Io { path: file, source }),
    };
    let epochs = text.lines().skip(2).filter_map(|line| line.split_once(' ')?.0.parse().ok());
    Ok(epochs.map(LeaderEpoch).max().unwrap_or(LeaderEpoch::NONE))
}

/// A `.log` file from batch to batch.
struct Walk {
    file: PathBuf,
    input: BufReader<File>,
    /// Position of the next batch.
    at: u64,
    length: u64,
    /// The least offset that the next batch may begin at; a compacted log has holes.
    next: Offset,
}

impl Walk {
    fn open(file: &Path, next: Offset) -> Result<Self, ExchangeError> {
        let input = File::open(file).map_err(io_error(file))?;
        let length = input.metadata().map_err(io_error(file))?.len();
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        Ok(Self { file: file.to_owned(), input, at: 0, length, next })
    }

    /// The next batch, checked; none at the end of the file. Nothing is reserved beyond what the file has.
    fn batch(&mut self) -> Result<Option<Batch>, ExchangeError> {
        let left = self.length - self.at;
        if left == 0 {
            return Ok(None);
        }
        let head_bytes = left.min(HEADER_BYTES as u64);
        let mut bytes = Vec::new();
        self.read(head_bytes, &mut bytes)?;
        let header = BatchHeader::read(&bytes).map_err(|error| self.refused(&error))?;
        let size = header.size_bytes() as u64;
        if size > left {
            return Err(self.damaged(format!("a batch of {size} bytes, of which {left} are there")));
        }
        self.read(size - head_bytes, &mut bytes)?;
        let (batch, _) = Batch::parse(Bytes::from(bytes)).map_err(|error| self.refused(&error))?;
        if batch.header().base_offset < self.next {
            let reason = format!("a batch at offset {} where {} is due", batch.header().base_offset, self.next);
            return Err(self.damaged(reason));
        }
        self.at += size;
        self.next = batch.header().next_offset();
        Ok(Some(batch))
    }

    fn read(&mut self, bytes: u64, into: &mut Vec<u8>) -> Result<(), ExchangeError> {
        let read = (&mut self.input).take(bytes).read_to_end(into).map_err(io_error(&self.file))?;
        if read as u64 == bytes { Ok(()) } else { Err(self.damaged("the file became shorter".to_owned())) }
    }

    fn damaged(&self, reason: String) -> ExchangeError {
        ExchangeError::Damaged { file: self.file.clone(), position: self.at, reason }
    }

    fn refused(&self, error: &BatchError) -> ExchangeError {
        match error {
            BatchError::OldMagic { magic } => {
                ExchangeError::OldFormat { file: self.file.clone(), position: self.at, magic: *magic }
            }
            error => self.damaged(error.to_string()),
        }
    }
}

/// A file that is made.
struct Output {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Output {
    fn create(path: &Path) -> Result<Self, ExchangeError> {
        let file = File::create_new(path).map_err(io_error(path))?;
        Ok(Self { path: path.to_owned(), out: BufWriter::with_capacity(BUFFER_BYTES, file) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ExchangeError> {
        self.out.write_all(bytes).map_err(io_error(&self.path))
    }

    fn finish(mut self) -> Result<(), ExchangeError> {
        self.out.flush().map_err(io_error(&self.path))
    }
}

fn write_file(path: &Path, content: &[u8]) -> Result<(), ExchangeError> {
    let mut out = Output::create(path)?;
    out.write(content)?;
    out.finish()
}

#[cfg(test)]
mod tests;

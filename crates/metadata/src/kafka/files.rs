//! Reads the directory of `__cluster_metadata-0`: the newest snapshot, then the log behind it. Blocks on the disk; writes
//! nothing.
//!
//! Every batch's CRC is checked, offsets must follow each other, a snapshot must end with its footer: what is missing is
//! found, and named with its file and position.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream_model::Offset;
use millstream_model::batch::{Batch, ControlRecord, ControlRecordType, RecordIter};

use super::cluster::Cluster;
use super::replay::{RecordError, Replay};

/// Name of the directory, in one of a node's log directories.
pub const METADATA_DIR: &str = "__cluster_metadata-0";

/// A batch of metadata decompressed; Kafka writes at most 8 MiB.
const BATCH_BYTES_MAX: usize = 256 << 20;
/// Types of the control records at a snapshot's ends.
const SNAPSHOT_HEADER: i16 = 3;
pub(super) const SNAPSHOT_FOOTER: i16 = 4;
/// What a snapshot's name ends with.
const SNAPSHOT_SUFFIX: &str = ".checkpoint";

/// What becomes of a damaged end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The node was stopped cleanly: there is none.
    Whole,
    /// The node was not: what was never whole is not counted.
    Torn,
}

/// Why a cluster's metadata cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadMetadataError {
    #[error("{} cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} is damaged at position {position}: {reason}", file.display())]
    Damaged { file: PathBuf, position: u64, reason: String },
    #[error("the record at offset {offset} of {} cannot be taken over: {source}", file.display())]
    Record { file: PathBuf, offset: Offset, source: RecordError },
    #[error("{} has no metadata: neither a snapshot nor a log", .0.display())]
    Empty(PathBuf),
    #[error("{} begins at offset {begins}, but what lies before offset {begins} is in no snapshot: files are missing", file.display())]
    Gap { file: PathBuf, begins: Offset },
}

/// The cluster that the files in `dir` describe.
pub fn read_metadata(dir: &Path, tail: Tail) -> Result<Cluster, ReadMetadataError> {
    let names = names(dir)?;
    let snapshot = names.iter().filter_map(|name| snapshot_end(name).map(|end| (end, name))).max();
    let mut segments: Vec<(Offset, &String)> =
        names.iter().filter_map(|name| segment_base(name).map(|base| (base, name))).collect();
    segments.sort();
    if snapshot.is_none() && segments.is_empty() {
        return Err(ReadMetadataError::Empty(dir.to_owned()));
    }
    let mut replay = Replay::default();
    let mut from = Offset::ZERO;
    if let Some(((end, _), name)) = snapshot {
        read_snapshot(&dir.join(name), &mut replay)?;
        from = end;
    }
    let mut next = None;
    for (number, (base, name)) in segments.iter().enumerate() {
        let file = dir.join(name);
        if next.is_some_and(|next| *base != next) || (next.is_none() && *base > from) {
            return Err(ReadMetadataError::Gap { file, begins: *base });
        }
        let tail = if number + 1 == segments.len() { tail } else { Tail::Whole };
        next = Some(read_segment(&file, *base, from, tail, &mut replay)?);
    }
    Ok(replay.finish())
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> ReadMetadataError {
    let path = path.to_owned();
    move |source| ReadMetadataError::Io { path: path.clone(), source }
}

fn names(dir: &Path) -> Result<Vec<String>, ReadMetadataError> {
    let entries = std::fs::read_dir(dir).map_err(io(dir))?;
    entries.map(|entry| Ok(entry.map_err(io(dir))?.file_name().to_string_lossy().into_owned())).collect()
}

/// End offset and epoch of the snapshot of this name.
fn snapshot_end(name: &str) -> Option<(Offset, i32)> {
    let (offset, epoch) = name.strip_suffix(SNAPSHOT_SUFFIX)?.split_once('-')?;
    let all_digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(offset, 20) || !all_digits(epoch, 10) {
        return None;
    }
    Some((Offset(offset.parse().ok()?), epoch.parse().ok()?))
}

fn segment_base(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 20)?;
    digits.parse().ok().filter(|base| *base >= 0).map(Offset)
}

/// A file's batches, each with its position.
struct Batches {
    file: PathBuf,
    length: usize,
    rest: Bytes,
}

impl Batches {
    fn open(file: &Path) -> Result<Self, ReadMetadataError> {
        let rest = Bytes::from(std::fs::read(file).map_err(io(file))?);
        Ok(Self { file: file.to_owned(), length: rest.len(), rest })
    }

    fn position(&self) -> u64 {
        (self.length - self.rest.len()) as u64
    }

    fn damaged(&self, position: u64, reason: impl ToString) -> ReadMetadataError {
        ReadMetadataError::Damaged { file: self.file.clone(), position, reason: reason.to_string() }
    }

    /// The next batch, which must begin at `expected`.
    fn next(&mut self, expected: Offset) -> Result<Option<Batch>, ReadMetadataError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let position = self.position();
        let batch = Batch::split_from(&mut self.rest).map_err(|error| self.damaged(position, error))?;
        let found = batch.header().base_offset;
        if found != expected {
            return Err(self.damaged(position, format!("a batch at offset {found} where {expected} is due")));
        }
        Ok(Some(batch))
    }
}

fn read_snapshot(file: &Path, replay: &mut Replay) -> Result<(), ReadMetadataError> {
    let mut batches = Batches::open(file)?;
    let (mut next, mut kinds) = (Offset::ZERO, Vec::new());
    loop {
        let position = batches.position();
        let Some(batch) = batches.next(next)? else { break };
        if kinds.last() == Some(&SNAPSHOT_FOOTER) {
            return Err(batches.damaged(position, "something follows the snapshot's footer"));
        }
        next = batch.header().next_offset();
        kinds.extend(control_kinds(&batch));
        if kinds.first() != Some(&SNAPSHOT_HEADER) {
            return Err(batches.damaged(position, "a snapshot begins with its header"));
        }
        apply(&batches, position, &batch, Offset::ZERO, replay)?;
    }
    if kinds.last() == Some(&SNAPSHOT_FOOTER) {
        return Ok(());
    }
    Err(batches.damaged(batches.position(), "the snapshot ends without its footer"))
}

/// Reads a segment of the log, of which records from `from` on count; answers where the next one begins.
fn read_segment(
    file: &Path,
    base: Offset,
    from: Offset,
    tail: Tail,
    replay: &mut Replay,
) -> Result<Offset, ReadMetadataError> {
    let mut batches = Batches::open(file)?;
    let mut next = base;
    loop {
        let position = batches.position();
        let batch = match batches.next(next) {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok(next),
            Err(ReadMetadataError::Damaged { .. }) if tail == Tail::Torn => return Ok(next),
            Err(error) => return Err(error),
        };
        next = batch.header().next_offset();
        apply(&batches, position, &batch, from, replay)?;
    }
}

/// Applies the records of a batch from offset `from` on; control records concern only the quorum.
fn apply(
    batches: &Batches,
    position: u64,
    batch: &Batch,
    from: Offset,
    replay: &mut Replay,
) -> Result<(), ReadMetadataError> {
    let header = batch.header();
    if header.attributes.is_control() || header.next_offset() <= from {
        return Ok(());
    }
    let records = batch.decompressed(BATCH_BYTES_MAX).map_err(|error| batches.damaged(position, error))?;
    for record in RecordIter::new(&records, header.records_count) {
        let record = record.map_err(|error| batches.damaged(position, error))?;
        let offset = header.base_offset.plus(i64::from(record.offset_delta));
        if offset < from {
            continue;
        }
        let Some(value) = record.value else {
            return Err(batches.damaged(position, format!("the record at offset {offset} has no value")));
        };
        let refused = |source| ReadMetadataError::Record { file: batches.file.clone(), offset, source };
        replay.record(Bytes::copy_from_slice(value)).map_err(refused)?;
    }
    Ok(())
}

/// Types of the control records in a batch; none in one of records.
fn control_kinds(batch: &Batch) -> Vec<i16> {
    if !batch.header().attributes.is_control() {
        return Vec::new();
    }
    let Ok(records) = batch.decompressed(BATCH_BYTES_MAX) else { return Vec::new() };
    let kind = |record: millstream_model::batch::Record<'_>| match ControlRecord::parse(record.key?, record.value)
        .ok()?
        .kind
    {
        ControlRecordType::Other(kind) => Some(kind),
        ControlRecordType::Abort | ControlRecordType::Commit => None,
    };
    let records = RecordIter::new(&records, batch.header().records_count);
    records.map_while(Result::ok).filter_map(kind).collect()
}

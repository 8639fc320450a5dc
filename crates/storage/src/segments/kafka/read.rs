//! Reads whole batches out of segments. Where a read begins is guessed from the index, or from where the last read of
//! the partition ended, and verified against the batch that lies there; a wrong guess costs a scan, never a wrong answer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream_model::batch::{Batch, BatchHeader, HEADER_BYTES};
use millstream_model::{Offset, TimestampMs};
use parking_lot::Mutex;

use super::KafkaDirectories;
use super::formats::{INDEX_ENTRY_BYTES, IndexEntry, TIME_INDEX_ENTRY_BYTES, TimeIndexEntry};
use super::plan::{Segment, SegmentFile};
use crate::disk::DiskErrorKind;
use crate::lane::slot::PartitionKey;
use crate::segments::{ReadFrom, RecordChunks, SegmentError};

/// Bytes read at a time to find a batch near a guess, and to find one far from it.
const NEAR_BYTES: usize = 64 << 10;
const FAR_BYTES: usize = 1 << 20;
/// Bytes read at a time when batches are read to be sent: a piece of this size is pooled, and short work for a reactor.
const PIECE_BYTES: usize = 1 << 20;
/// Reads whose end is remembered.
const CURSORS_MAX: usize = 4096;

/// Where reads ended: segment and position of the batch that starts at an offset.
#[derive(Debug, Default)]
pub(super) struct Cursors(Mutex<HashMap<(PartitionKey, Offset), Cursor>>);

/// Where a read ended.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    segment: Offset,
    position: u64,
    /// Swaps of the partition's files before: after another one the position means nothing.
    swaps: u64,
}

impl Cursors {
    fn take(&self, key: PartitionKey, offset: Offset) -> Option<Cursor> {
        self.0.lock().remove(&(key, offset))
    }

    fn remember(&self, key: PartitionKey, offset: Offset, cursor: Cursor) {
        let mut cursors = self.0.lock();
        if cursors.len() >= CURSORS_MAX {
            cursors.clear();
        }
        cursors.insert((key, offset), cursor);
    }

    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }
}

/// A batch found in a segment.
#[derive(Clone, Copy, Debug)]
struct Found {
    header: BatchHeader,
    position: u64,
}

/// Where a batch may lie, and what must be so of it: then none before it is missed.
#[derive(Clone, Copy, Debug)]
struct Guess {
    position: u64,
    claim: Claim,
}

#[derive(Clone, Copy, Debug)]
enum Claim {
    /// The batch ends with the offset, as its index entry says.
    Ends(Offset),
    /// The batch before ended before the offset.
    Begins(Offset),
}

impl Claim {
    fn holds(self, header: &BatchHeader) -> bool {
        match self {
            Self::Ends(last) => header.last_offset() == last,
            Self::Begins(offset) => header.base_offset >= offset,
        }
    }
}

/// What the next batch comes after.
#[derive(Clone, Copy, Debug)]
struct Follows {
    /// The lowest that it may begin at.
    offset: Offset,
    /// Position and bytes of the batch before.
    before: Option<(u64, usize)>,
}

/// One segment of a partition, to be read.
#[derive(Debug)]
struct Reader<'a> {
    store: &'a KafkaDirectories,
    dir: &'a Path,
    segment: Segment,
    swaps: u64,
}

/// The segments that a read may need.
#[derive(Debug)]
struct View {
    dir: PathBuf,
    segments: Vec<Segment>,
    swaps: u64,
}

impl KafkaDirectories {
    pub(super) async fn read_batches(
        &self,
        key: PartitionKey,
        from: ReadFrom,
        bytes_max: usize,
    ) -> Result<RecordChunks, SegmentError> {
        loop {
            let Some(view) = self.view(key, from.offset()).await else { return Ok(RecordChunks::new()) };
            let read = self.read_view(key, from, bytes_max, &view).await;
            let swaps = self.partitions.lock().get(&key).map(|files| files.swaps + u64::from(files.swapping));
            // Else the files changed their names under the read: what it found, or missed, may be of either segment.
            if swaps == Some(view.swaps) {
                return read;
            }
        }
    }

    /// The segments from `start` on, once no file is changing its name; none when the partition is gone.
    async fn view(&self, key: PartitionKey, start: Offset) -> Option<View> {
        loop {
            let swapped = self.swapped.notified();
            {
                let partitions = self.partitions.lock();
                let files = partitions.get(&key)?;
                if !files.swapping {
                    let first = files.segments.partition_point(|segment| segment.next <= start);
                    let segments = files.segments[first..].to_vec();
                    return Some(View { dir: files.dir(), segments, swaps: files.swaps });
                }
            }
            swapped.await;
        }
    }

    async fn read_view(
        &self,
        key: PartitionKey,
        from: ReadFrom,
        bytes_max: usize,
        view: &View,
    ) -> Result<RecordChunks, SegmentError> {
        for segment in &view.segments {
            let reader = Reader { store: self, dir: &view.dir, segment: segment.clone(), swaps: view.swaps };
            let found = match from {
                ReadFrom::Offset(offset) => reader.find(key, offset).await?,
                ReadFrom::Timestamp { from, timestamp } => reader.find_timestamp(from, timestamp).await?,
            };
            let Some(found) = found else { continue };
            let (chunks, next, position) = reader.whole_batches(found, bytes_max).await?;
            self.cursors.remember(key, next, Cursor { segment: segment.base, position, swaps: view.swaps });
            return Ok(chunks);
        }
        Ok(RecordChunks::new())
    }
}

impl Reader<'_> {
    fn path(&self, file: SegmentFile) -> PathBuf {
        file.path(self.dir, self.segment.base)
    }

    fn damaged(&self, position: u64, reason: impl ToString) -> SegmentError {
        SegmentError::Damaged { file: self.path(SegmentFile::Log), position, reason: reason.to_string() }
    }

    /// Bytes of the log from `position`, at most `length` and none beyond what is settled.
    async fn log(&self, position: u64, length: usize) -> Result<Bytes, SegmentError> {
        let left = usize::try_from(self.segment.log_bytes.saturating_sub(position)).unwrap_or(usize::MAX);
        let (file, length) = (self.path(SegmentFile::Log), length.min(left));
        match self.store.disk.read_cached(&file, position, length) {
            Some(bytes) if bytes.len() == length => Ok(bytes),
            _ => Ok(self.store.disk.read(file, position, length).await?),
        }
    }

    /// The batch that contains `offset`, or the first one after it.
    async fn find(&self, key: PartitionKey, offset: Offset) -> Result<Option<Found>, SegmentError> {
        let mine = |cursor: &Cursor| cursor.segment == self.segment.base && cursor.swaps == self.swaps;
        let guess = match self.store.cursors.take(key, offset).filter(mine) {
            // What follows there up to the segment's end was compacted away.
            Some(cursor) if cursor.position >= self.segment.log_bytes => return Ok(None),
            Some(cursor) => Guess { position: cursor.position, claim: Claim::Begins(offset) },
            None => self.index_floor(offset).await?,
        };
        let wanted = |header: &BatchHeader| header.last_offset() >= offset;
        self.scan_guessed(guess, wanted).await
    }

    /// The first batch, not before `from`, whose max timestamp is `timestamp` or later.
    async fn find_timestamp(&self, from: Offset, timestamp: TimestampMs) -> Result<Option<Found>, SegmentError> {
        if self.segment.max_timestamp < timestamp {
            return Ok(None);
        }
        let earlier = self.time_index_floor(timestamp).await?.unwrap_or(self.segment.base);
        let guess = self.index_floor(from.max(earlier)).await?;
        let wanted = |header: &BatchHeader| header.last_offset() >= from && header.max_timestamp >= timestamp;
        self.scan_guessed(guess, wanted).await
    }

    /// Scans from a guess; from the segment's start when the batch there is not what the guess claims.
    async fn scan_guessed(
        &self,
        guess: Guess,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<Found>, SegmentError> {
        if guess.position > 0 {
            let head = self.log(guess.position, HEADER_BYTES).await?;
            let header = BatchHeader::read(&head).ok().filter(|header| guess.claim.holds(header));
            if let Some(header) = header {
                return self.scan(guess.position, header.base_offset, NEAR_BYTES, wanted).await;
            }
            tracing::warn!(dir = ?self.dir, segment = %self.segment.base, "an index entry names no batch: scanning");
        }
        self.scan(0, self.segment.base, FAR_BYTES, wanted).await
    }

    /// The first wanted batch at or after `position`, where a batch lies that begins at `floor` or later.
    async fn scan(
        &self,
        position: u64,
        floor: Offset,
        window: usize,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<Found>, SegmentError> {
        let (mut position, mut follows) = (position, Follows { offset: floor, before: None });
        while position < self.segment.log_bytes {
            let window = self.log(position, window).await?;
            let mut at = 0;
            while at + HEADER_BYTES <= window.len() {
                let place = position + at as u64;
                let header = BatchHeader::read(&window[at..]).map_err(|error| self.damaged(place, error))?;
                self.check_follows(&follows, header.base_offset, place).await?;
                if wanted(&header) {
                    return Ok(Some(Found { header, position: place }));
                }
                follows = Follows { offset: header.next_offset(), before: Some((place, header.size_bytes())) };
                at = at.saturating_add(header.size_bytes());
            }
            if at == 0 {
                return Err(self.damaged(position, "the file ends inside a batch"));
            }
            position += at as u64;
        }
        self.check_follows(&follows, self.segment.next, position).await?;
        Ok(None)
    }

    /// Checks a batch's base offset, which its CRC does not cover, against the batch before. A hole is where a compaction
    /// removed batches, unless the length of the batch before, not covered either, has led past some.
    async fn check_follows(&self, follows: &Follows, offset: Offset, position: u64) -> Result<(), SegmentError> {
        if offset < follows.offset {
            let reason = format!("offset {offset} is below {}, which the batch before ends at", follows.offset);
            return Err(self.damaged(position, reason));
        }
        let Some((before, bytes)) = follows.before.filter(|_| offset > follows.offset) else { return Ok(()) };
        let batch = self.log(before, bytes).await?;
        Batch::parse(batch).map(|_| ()).map_err(|error| self.damaged(before, error))
    }

    /// Whole batches from `found` on, up to `bytes_max` bytes or the first one; with them the offset and position after.
    async fn whole_batches(&self, found: Found, bytes_max: usize) -> Result<(RecordChunks, Offset, u64), SegmentError> {
        let (mut next, mut position) = (found.header.base_offset, found.position);
        let mut chunks = RecordChunks::new();
        // What the next batch takes, as far as that is known.
        let mut need = found.header.size_bytes();
        let mut left = bytes_max.max(need);
        let mut follower_seen = false;
        while need <= left && position < self.segment.log_bytes {
            let bytes = self.log(position, left.min(PIECE_BYTES).max(need)).await?;
            if bytes.len() < need {
                break;
            }
            let (whole, follows) = self.whole_prefix(&bytes, position, &mut next)?;
            if whole > 0 {
                chunks.push(bytes.slice(..whole));
            }
            position += whole as u64;
            left -= whole;
            follower_seen = follows.is_some();
            need = follows.unwrap_or(HEADER_BYTES);
        }
        if chunks.is_empty() {
            return Err(self.damaged(found.position, "the file ends inside a batch"));
        }
        if !follower_seen {
            self.check_end(next, position).await?;
        }
        Ok((chunks, next, position))
    }

    /// Checks that what was read ends, at `next`, no later than what follows begins.
    async fn check_end(&self, next: Offset, position: u64) -> Result<(), SegmentError> {
        let begins = match position < self.segment.log_bytes {
            true => {
                let head = self.log(position, HEADER_BYTES).await?;
                BatchHeader::read(&head).map_err(|error| self.damaged(position, error))?.base_offset
            }
            false => self.segment.next,
        };
        self.check_follows(&Follows { offset: next, before: None }, begins, position).await
    }

    /// Bytes of the whole batches at the start of what was read from `position`, and the size of the batch after them
    /// when its header is there; `next` becomes the offset after them.
    fn whole_prefix(
        &self,
        bytes: &[u8],
        position: u64,
        next: &mut Offset,
    ) -> Result<(usize, Option<usize>), SegmentError> {
        let mut end = 0;
        while let Some(rest) = bytes.get(end..).filter(|rest| rest.len() >= HEADER_BYTES) {
            let header = BatchHeader::read(rest).map_err(|error| self.damaged(position + end as u64, error))?;
            if header.base_offset < *next {
                let reason = format!("offset {} is below {next}, which the batch before ends at", header.base_offset);
                return Err(self.damaged(position + end as u64, reason));
            }
            if header.size_bytes() > rest.len() {
                return Ok((end, Some(header.size_bytes())));
            }
            end += header.size_bytes();
            *next = header.next_offset();
        }
        Ok((end, None))
    }

    /// The last indexed batch that ends at or before `offset`; the segment's start when there is none.
    async fn index_floor(&self, offset: Offset) -> Result<Guess, SegmentError> {
        let entries = self.hint(SegmentFile::Index, self.segment.index_bytes).await?;
        let relative = u32::try_from(offset.since(self.segment.base)).unwrap_or_default();
        let floor =
            partition_point(&entries, INDEX_ENTRY_BYTES, |entry| IndexEntry::decode(entry).relative_offset <= relative);
        let guess = floor.map(IndexEntry::decode).map(|entry| Guess {
            position: u64::from(entry.position),
            claim: Claim::Ends(self.segment.base.plus(i64::from(entry.relative_offset))),
        });
        Ok(guess.unwrap_or(Guess { position: 0, claim: Claim::Begins(self.segment.base) }))
    }

    /// The largest indexed offset up to which all records are earlier than `timestamp`. The entry is believed only when
    /// the batch that it names has that end and timestamp.
    async fn time_index_floor(&self, timestamp: TimestampMs) -> Result<Option<Offset>, SegmentError> {
        let entries = self.hint(SegmentFile::TimeIndex, self.segment.time_index_bytes).await?;
        let floor = partition_point(&entries, TIME_INDEX_ENTRY_BYTES, |entry| {
            TimeIndexEntry::decode(entry).timestamp < timestamp
        });
        let Some(entry) = floor.map(TimeIndexEntry::decode) else { return Ok(None) };
        let offset = self.segment.base.plus(i64::from(entry.relative_offset));
        let guess = self.index_floor(offset).await?;
        let found = self.scan_guessed(guess, |header| header.last_offset() >= offset).await?;
        let right = found
            .is_some_and(|found| found.header.last_offset() == offset && found.header.max_timestamp == entry.timestamp);
        Ok(right.then_some(offset))
    }

    /// An index file as far as it was written; one that is missing says nothing.
    async fn hint(&self, file: SegmentFile, bytes: u64) -> Result<Bytes, SegmentError> {
        if bytes == 0 {
            return Ok(Bytes::new());
        }
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        match self.store.disk.read(self.path(file), 0, bytes).await {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind == DiskErrorKind::NotFound => Ok(Bytes::new()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The last of the sorted entries for which `below` holds.
fn partition_point(entries: &[u8], entry_bytes: usize, below: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
    let entry = |at: usize| &entries[at * entry_bytes..(at + 1) * entry_bytes];
    let (mut low, mut high) = (0, entries.len() / entry_bytes);
    while low < high {
        let middle = usize::midpoint(low, high);
        if below(entry(middle)) { low = middle + 1 } else { high = middle }
    }
    low.checked_sub(1).map(entry)
}

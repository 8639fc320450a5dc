//! The checkpoint file: one appended round per checkpoint, a record per changed partition; the newest record of a
//! partition counts. Byte table in docs/format/checkpoint.md.
//!
//! Rounds start on `ALIGN_BYTES` boundaries, so a damaged one does not hide those after it: a bad round at the end was
//! never finished and is cut off; a bad round before a good one is bit rot, and partitions without a newer record are
//! not trusted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millstream_model::crc32c::crc32c;
use millstream_model::wire::{ArrayLength, DecodeError, Decoder, Encoder};
use millstream_model::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId,
};
use parking_lot::Mutex;

use super::plan::Segment;
use crate::disk::{Disk, DiskError, DiskErrorKind, DiskOp};
use crate::lane::Ticket;
use crate::lane::slot::PartitionKey;
use crate::log::epochs::EpochStarts;
use crate::log::producers::{ProducerBatch, ProducerEntry};
use crate::log::state::{LogState, TimestampAt};
use crate::segments::SegmentError;

/// Where the file lies.
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint/partitions";
/// Bytes of a round's head.
pub(super) const ROUND_HEAD_BYTES: usize = 32;
/// Bytes of the length before each record of a round.
const RECORD_LENGTH_BYTES: usize = 4;
/// Boundary on which a round starts.
pub(crate) const ALIGN_BYTES: usize = 512;
const MAGIC: [u8; 8] = *b"MILLCKPT";
pub(crate) const VERSION: u16 = 2;
/// The file is written anew when it is this many times as long as the records that count, and longer by the minimum.
const GROWTH_MAX: u64 = 4;
const GROWTH_BYTES_MIN: u64 = 4 << 20;

/// Bits of a record's flags.
const VOLATILE: i8 = 1;
const OFFLINE: i8 = 2;
/// The partition was deleted: nothing follows, and no earlier record of it counts.
const DELETED: i8 = 4;
/// Files named `.swap` are to take the place of those without that suffix.
const SWAPPED: i8 = 8;

const _: () = assert!(ROUND_HEAD_BYTES == 8 + 4 + 2 + 2 + 8 + 4 + 4);

/// What a checkpoint says of one partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CheckpointRecord {
    pub(crate) key: PartitionKey,
    pub(crate) volatile: bool,
    pub(crate) offline: bool,
    /// Files of these segments may still have the names of a swap.
    pub(crate) swapped: bool,
    pub(crate) state: LogState,
    pub(crate) segments: Vec<Segment>,
    /// Whether the CRCs of the segments' transaction indexes are known; a version 1 did not keep them.
    pub(crate) txn_indexes_vouched: bool,
}

/// What the file was found to say.
#[derive(Debug, Default)]
pub(crate) struct LoadedCheckpoints {
    /// The newest record of each partition, as bytes.
    pub(crate) records: BTreeMap<PartitionKey, Bytes>,
    /// Where they lie in the file.
    places: BTreeMap<PartitionKey, Place>,
    /// A damaged round was followed by good ones: partitions that are not in `after_damage` cannot be trusted.
    pub(crate) damaged: bool,
    pub(crate) after_damage: Vec<PartitionKey>,
    /// There was no file.
    pub(crate) absent: bool,
}

impl LoadedCheckpoints {
    /// Takes the records of the round that starts at `at`.
    fn take(&mut self, round: Round, at: u64) {
        let records = split_records(round.payload);
        self.places.extend(places(at, round.bytes, records.iter().map(|(key, record)| (key, record))));
        for (key, record) in records {
            self.after_damage.push(key);
            if is_deleted(&record) {
                self.records.remove(&key);
                self.places.remove(&key);
            } else {
                self.records.insert(key, record);
            }
        }
    }
}

/// The file and where its next round goes.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    position: Position,
    /// Where the newest record of each partition lies.
    live: BTreeMap<PartitionKey, Place>,
    /// Deleted partitions whose records still count in the file.
    deleted: BTreeSet<PartitionKey>,
    /// The file cannot vouch for all of its partitions: it keeps its evidence and is not written anew.
    damaged: bool,
}

/// Where a record lies in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Start and length of its round,
    round_at: u64,
    round_bytes: usize,
    /// and its own length.
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    pub(crate) end: u64,
    pub(crate) round: u64,
}

impl State {
    fn has_grown(&self) -> bool {
        if self.position.end <= GROWTH_BYTES_MIN {
            return false;
        }
        let live: u64 = self.live.values().map(|place| (RECORD_LENGTH_BYTES + place.bytes) as u64).sum();
        self.position.end > (live * GROWTH_MAX).max(live + GROWTH_BYTES_MIN)
    }

    fn at(position: Position, loaded: &LoadedCheckpoints) -> Self {
        let live = loaded.places.clone();
        Self { position, live, deleted: BTreeSet::new(), damaged: loaded.damaged }
    }
}

impl CheckpointFile {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, state: Mutex::default() }
    }

    /// Rounds that are finished.
    pub(crate) fn rounds(&self) -> u64 {
        self.state.lock().position.round
    }

    /// Reads the file from the device: after a failed sync the page cache shows a round that is not there. It is known to
    /// have `rounds` rounds, or more.
    ///
    /// # Errors
    /// When a later version wrote it, or when finished rounds are missing, at its end or with all of it: nobody knows which
    /// partitions they covered, and what the lane has forgotten is in no older round.
    pub(super) async fn load(&self, rounds: u64) -> Result<LoadedCheckpoints, SegmentError> {
        let length = self.disk.length(CHECKPOINT_FILE.into()).await?;
        let (loaded, position) = match length.map(|length| usize::try_from(length).unwrap_or(usize::MAX)) {
            Some(length) => read_rounds(&self.disk.read_direct(CHECKPOINT_FILE.into(), 0, length).await?)?,
            None => (LoadedCheckpoints { absent: true, ..LoadedCheckpoints::default() }, Position::default()),
        };
        if position.round < rounds {
            let reason = format!("{} rounds are missing; restore it from a backup", rounds - position.round);
            return Err(SegmentError::Damaged { file: CHECKPOINT_FILE.into(), position: position.end, reason });
        }
        *self.state.lock() = State::at(position, &loaded);
        Ok(loaded)
    }

    /// Writes a round; durable when this resolves.
    pub(super) async fn append(&self, records: &[CheckpointRecord]) -> Result<(), SegmentError> {
        self.write_round(records.iter().map(|record| (record.key, encode_record(record))).collect()).await?;
        self.shorten().await
    }

    /// Forgets deleted partitions, durably unless the disk is full: then with the next round.
    pub(super) async fn forget(&self, deleted: impl IntoIterator<Item = PartitionKey>) -> Result<(), DiskError> {
        {
            let mut state = self.state.lock();
            let recorded: Vec<_> = deleted.into_iter().filter(|key| state.live.contains_key(key)).collect();
            if recorded.is_empty() {
                return Ok(());
            }
            state.deleted.extend(recorded);
        }
        match self.write_round(Vec::new()).await {
            Err(error) if error.kind == DiskErrorKind::NoSpace => Ok(()),
            done => done,
        }
    }

    /// Changes the newest record of a partition, durably, if `change` does so; says whether.
    pub(super) async fn amend(
        &self,
        key: PartitionKey,
        change: impl FnOnce(&mut CheckpointRecord) -> bool,
    ) -> Result<bool, SegmentError> {
        let Some(place) = self.state.lock().live.get(&key).copied() else { return Ok(false) };
        // With its CRC: what a flipped bit says must not become a good record.
        let round = self.disk.read(CHECKPOINT_FILE.into(), place.round_at, place.round_bytes).await?;
        let records = whole_round(&round).map(|round| split_records(round.payload)).unwrap_or_default();
        let found = records.into_iter().find(|(known, _)| *known == key).map(|(_, record)| decode_record(record));
        let Some(Ok(mut record)) = found else {
            tracing::error!(?key, position = place.round_at, "{CHECKPOINT_FILE} is damaged there: it is not changed");
            return Ok(false);
        };
        if !change(&mut record) {
            return Ok(false);
        }
        self.append(&[record]).await.map(|()| true)
    }

    async fn write_round(&self, records: Vec<(PartitionKey, Bytes)>) -> Result<(), DiskError> {
        let (position, deleted) = {
            let state = self.state.lock();
            (state.position, state.deleted.clone())
        };
        let contents = records.iter().map(|(_, record)| record.clone());
        let round = encode_round(position.round, contents.chain(deleted.iter().map(|key| encode_deleted(*key))));
        let end = position.end + round.len() as u64;
        let places = places(position.end, round.len(), records.iter().map(|(key, record)| (key, record)));
        self.disk.write(CHECKPOINT_FILE.into(), position.end, vec![round]).await?;
        self.disk.perform(DiskOp::SyncFile(CHECKPOINT_FILE.into())).await?;
        let mut state = self.state.lock();
        state.position = Position { end, round: position.round + 1 };
        state.live.extend(places);
        for key in deleted {
            state.live.remove(&key);
            state.deleted.remove(&key);
        }
        Ok(())
    }

    /// Writes the file anew when most of it does not count any more.
    async fn shorten(&self) -> Result<(), SegmentError> {
        let round = {
            let state = self.state.lock();
            if state.damaged || !state.has_grown() {
                return Ok(());
            }
            state.position.round
        };
        let content = self.disk.read_file(CHECKPOINT_FILE.into()).await?.unwrap_or_default();
        let (loaded, found) = read_rounds(&content)?;
        if loaded.damaged || found.round != round {
            self.state.lock().damaged = true;
            return Ok(());
        }
        match self.write_anew(loaded).await {
            // The round is written; the file stays long until there is space for a short one beside it.
            Err(error) if error.kind == DiskErrorKind::NoSpace => Ok(()),
            done => Ok(done?),
        }
    }

    /// Replaces the file by one round with what was loaded.
    pub(super) async fn write_anew(&self, mut loaded: LoadedCheckpoints) -> Result<(), DiskError> {
        let round = self.state.lock().position.round;
        let content = encode_round(round, loaded.records.values().cloned());
        loaded.places = places(0, content.len(), &loaded.records);
        let end = content.len() as u64;
        let file = Path::new(CHECKPOINT_FILE);
        let dir = file.parent().expect("it lies in a directory");
        self.disk.perform(DiskOp::CreateDir(dir.to_owned())).await?;
        self.disk.replace_file(file, content).await?;
        self.disk.perform(DiskOp::SyncDir("".into())).await?;
        *self.state.lock() = State::at(Position { end, round: round + 1 }, &loaded);
        Ok(())
    }
}

/// Where the records of a round lie.
fn places<'a>(
    round_at: u64,
    round_bytes: usize,
    records: impl IntoIterator<Item = (&'a PartitionKey, &'a Bytes)>,
) -> BTreeMap<PartitionKey, Place> {
    let place = |record: &Bytes| Place { round_at, round_bytes, bytes: record.len() };
    records.into_iter().map(|(key, record)| (*key, place(record))).collect()
}

pub(crate) fn encode_round(round: u64, records: impl Iterator<Item = Bytes>) -> Bytes {
    let mut out = vec![0; ROUND_HEAD_BYTES];
    let mut count: u32 = 0;
    for record in records {
        out.extend_from_slice(&u32::try_from(record.len()).expect("records are small").to_be_bytes());
        out.extend_from_slice(&record);
        count += 1;
    }
    let payload = u32::try_from(out.len() - ROUND_HEAD_BYTES).expect("a round is below 4 GiB");
    out[0..8].copy_from_slice(&MAGIC);
    out[12..14].copy_from_slice(&VERSION.to_be_bytes());
    out[16..24].copy_from_slice(&round.to_be_bytes());
    out[24..28].copy_from_slice(&payload.to_be_bytes());
    out[28..32].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c(&out[12..]);
    out[8..12].copy_from_slice(&crc.to_be_bytes());
    out.resize(out.len().next_multiple_of(ALIGN_BYTES), 0);
    out.into()
}

/// A round that is as it was written.
pub(crate) struct Round {
    pub(crate) version: u16,
    pub(crate) number: u64,
    pub(crate) payload: Bytes,
    /// Its length on disk.
    pub(crate) bytes: usize,
}

/// The whole round at the start of `content`.
pub(crate) fn whole_round(content: &Bytes) -> Option<Round> {
    let head = content.first_chunk::<ROUND_HEAD_BYTES>()?;
    let payload = u32::from_be_bytes(head[24..28].try_into().ok()?) as usize;
    let end = ROUND_HEAD_BYTES.checked_add(payload)?;
    if head[0..8] != MAGIC || end > content.len() || crc32c(&content[12..end]).to_be_bytes() != head[8..12] {
        return None;
    }
    Some(Round {
        version: u16::from_be_bytes([head[12], head[13]]),
        number: u64::from_be_bytes(head[16..24].try_into().ok()?),
        payload: content.slice(ROUND_HEAD_BYTES..end),
        bytes: end.next_multiple_of(ALIGN_BYTES),
    })
}

pub(crate) fn read_rounds(content: &Bytes) -> Result<(LoadedCheckpoints, Position), SegmentError> {
    let mut loaded = LoadedCheckpoints::default();
    let mut position = Position::default();
    let mut at = 0;
    let mut bad = false;
    while at < content.len() {
        let Some(round) = whole_round(&content.slice(at..)) else {
            bad = true;
            at += ALIGN_BYTES;
            continue;
        };
        if round.version > VERSION {
            let (file, found) = (CHECKPOINT_FILE.into(), round.version);
            return Err(SegmentError::Newer { file, found, known: VERSION });
        }
        let start = at;
        at += round.bytes;
        if bad && position.end > 0 && round.number < position.round {
            // A leftover of an older, longer file.
            continue;
        }
        if bad {
            loaded.damaged = true;
            loaded.after_damage.clear();
            bad = false;
        }
        position = Position { end: at as u64, round: round.number + 1 };
        loaded.take(round, start as u64);
    }
    Ok((loaded, position))
}

pub(crate) fn split_records(mut payload: Bytes) -> Vec<(PartitionKey, Bytes)> {
    let mut records = Vec::new();
    while let Some(length) = payload.first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let _ = payload.split_to(4);
        if length > payload.len() {
            break;
        }
        let record = payload.split_to(length);
        if let Ok(key) = decode_key(&mut Decoder::new(record.clone())) {
            records.push((key, record));
        }
    }
    records
}

fn encode_key(out: &mut Encoder, key: PartitionKey) {
    out.uuid(key.topic_id.0);
    out.i32(key.index.0);
}

fn encode_deleted(key: PartitionKey) -> Bytes {
    let mut out = Encoder::new();
    encode_key(&mut out, key);
    out.i8(DELETED);
    out.into_bytes()
}

pub(crate) fn is_deleted(record: &[u8]) -> bool {
    record.get(KEY_BYTES).is_some_and(|flags| flags.cast_signed() & DELETED != 0)
}

pub(crate) fn encode_record(record: &CheckpointRecord) -> Bytes {
    let mut out = Encoder::new();
    encode_key(&mut out, record.key);
    let flags = [(record.volatile, VOLATILE), (record.offline, OFFLINE), (record.swapped, SWAPPED)];
    out.i8(flags.iter().map(|(set, bit)| i8::from(*set) * bit).sum());
    let state = &record.state;
    out.i64(state.log_start.0);
    out.i64(state.log_end.0);
    let max = state.max_timestamp;
    out.i64(max.map_or(-1, |max| max.base_offset.0));
    out.i64(max.map_or(TimestampMs::NONE, |max| max.timestamp).0);
    let epochs = state.epochs.entries();
    array(&mut out, epochs, |out, (epoch, start)| {
        out.i32(epoch.0);
        out.i64(start.0);
    });
    let producers: Vec<(ProducerId, &ProducerEntry)> = state.producers.iter().collect();
    array(&mut out, &producers, |out, (id, entry)| encode_producer(out, *id, entry));
    array(&mut out, &record.segments, encode_segment);
    let indexed: Vec<&Segment> = record.segments.iter().filter(|segment| segment.txn_index_bytes > 0).collect();
    array(&mut out, &indexed, |out, segment| out.i32(segment.txn_index_crc.cast_signed()));
    out.into_bytes()
}

fn array<T>(out: &mut Encoder, elements: &[T], mut element: impl FnMut(&mut Encoder, &T)) {
    out.array_length(ArrayLength::Fixed, Some(elements.len()));
    for one in elements {
        element(out, one);
    }
}

fn encode_producer(out: &mut Encoder, id: ProducerId, entry: &ProducerEntry) {
    out.i64(id.0);
    out.i16(entry.epoch.0);
    out.i32(entry.coordinator_epoch);
    out.i64(entry.last_timestamp.0);
    out.i64(entry.transaction_start.unwrap_or(Offset(-1)).0);
    out.i32(i32::try_from(entry.batches.len()).expect("five at most"));
    for batch in &entry.batches {
        out.i32(batch.last_sequence.0);
        out.i64(batch.last_offset.0);
        out.i32(batch.offset_delta);
        out.i64(batch.timestamp.0);
    }
}

fn encode_segment(out: &mut Encoder, segment: &Segment) {
    out.i64(segment.base.0);
    out.i64(segment.next.0);
    for bytes in
        [segment.log_bytes, segment.index_bytes, segment.time_index_bytes, segment.txn_index_bytes, segment.since_index]
    {
        out.i64(i64::try_from(bytes).expect("files are below 2^63 bytes"));
    }
    out.i64(segment.first_timestamp.0);
    out.i64(segment.max_timestamp.0);
    out.i64(segment.max_timestamp_offset.0);
    out.i64(segment.indexed_timestamp.0);
}

const KEY_BYTES: usize = 16 + 4;
const EPOCH_BYTES: usize = 4 + 8;
const PRODUCER_BYTES_MIN: usize = 8 + 2 + 4 + 8 + 8 + 4;
const PRODUCER_BATCH_BYTES: usize = 4 + 8 + 4 + 8;
const SEGMENT_BYTES: usize = 11 * 8;
const CRC_BYTES: usize = 4;

fn decode_key(bytes: &mut Decoder) -> Result<PartitionKey, DecodeError> {
    Ok(PartitionKey { topic_id: TopicId(bytes.uuid()?), index: PartitionIndex(bytes.i32()?) })
}

/// Reads one partition's record.
pub(crate) fn decode_record(record: Bytes) -> Result<CheckpointRecord, DecodeError> {
    let mut bytes = Decoder::new(record);
    let bytes = &mut bytes;
    let key = decode_key(bytes)?;
    let flags = bytes.i8()?;
    let (volatile, offline, swapped) = (flags & VOLATILE != 0, flags & OFFLINE != 0, flags & SWAPPED != 0);
    let mut state = LogState { log_start: Offset(bytes.i64()?), log_end: Offset(bytes.i64()?), ..LogState::default() };
    let (base_offset, timestamp) = (Offset(bytes.i64()?), TimestampMs(bytes.i64()?));
    state.max_timestamp = (base_offset.0 >= 0).then_some(TimestampAt { timestamp, base_offset });
    let epochs =
        bytes.array(ArrayLength::Fixed, EPOCH_BYTES, |bytes| Ok((LeaderEpoch(bytes.i32()?), Offset(bytes.i64()?))))?;
    state.epochs = EpochStarts::from_entries(epochs);
    for (id, entry) in bytes.array(ArrayLength::Fixed, PRODUCER_BYTES_MIN, decode_producer)? {
        if let Some(first) = entry.transaction_start {
            state.transactions.opened(first, id);
        }
        state.producers.restore(id, entry);
    }
    let mut segments = bytes.array(ArrayLength::Fixed, SEGMENT_BYTES, decode_segment)?;
    let txn_indexes_vouched = bytes.remaining() > 0;
    if txn_indexes_vouched {
        let crcs = bytes.array(ArrayLength::Fixed, CRC_BYTES, |bytes| Ok(bytes.i32()?.cast_unsigned()))?;
        let indexed = segments.iter_mut().filter(|segment| segment.txn_index_bytes > 0);
        indexed.zip(crcs).for_each(|(segment, crc)| segment.txn_index_crc = crc);
    }
    bytes.finish()?;
    Ok(CheckpointRecord { key, volatile, offline, swapped, state, segments, txn_indexes_vouched })
}

fn decode_producer(bytes: &mut Decoder) -> Result<(ProducerId, ProducerEntry), DecodeError> {
    let id = ProducerId(bytes.i64()?);
    let epoch = ProducerEpoch(bytes.i16()?);
    let coordinator_epoch = bytes.i32()?;
    let last_timestamp = TimestampMs(bytes.i64()?);
    let transaction_start = Some(Offset(bytes.i64()?)).filter(|first| first.0 >= 0);
    let batches = bytes.array(ArrayLength::Fixed, PRODUCER_BATCH_BYTES, |bytes| {
        Ok(ProducerBatch {
            last_sequence: Sequence(bytes.i32()?),
            last_offset: Offset(bytes.i64()?),
            offset_delta: bytes.i32()?,
            timestamp: TimestampMs(bytes.i64()?),
            ticket: Ticket::default(),
        })
    })?;
    let batches = VecDeque::from(batches);
    Ok((id, ProducerEntry { epoch, coordinator_epoch, last_timestamp, batches, transaction_start }))
}

fn decode_segment(bytes: &mut Decoder) -> Result<Segment, DecodeError> {
    let mut segment = Segment::new(Offset(bytes.i64()?));
    segment.next = Offset(bytes.i64()?);
    for length in [
        &mut segment.log_bytes,
        &mut segment.index_bytes,
        &mut segment.time_index_bytes,
        &mut segment.txn_index_bytes,
        &mut segment.since_index,
    ] {
        *length = u64::try_from(bytes.i64()?).unwrap_or_default();
    }
    segment.first_timestamp = TimestampMs(bytes.i64()?);
    segment.max_timestamp = TimestampMs(bytes.i64()?);
    segment.max_timestamp_offset = Offset(bytes.i64()?);
    segment.indexed_timestamp = TimestampMs(bytes.i64()?);
    Ok(segment)
}

#[cfg(test)]
mod tests;

//! Format of a lane slot: header, batches in arrival order, index. The byte table is docs/format/lane-slot.md.
//!
//! The same bytes lie in a ring file and, in a cluster, in an object. A slot that decodes is whole: every part of it is
//! under a checksum. What does not decode is told apart: not a slot of this lane, or a slot whose body is damaged.

use bytes::Bytes;
use millstream_model::batch::Batch;
use millstream_model::crc32c::{Crc32c, crc32c};
use millstream_model::{Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TopicId};
use uuid::Uuid;

use crate::disk::{AlignedBuffer, BLOCK_BYTES};
use crate::log::stamp::StampedBatch;

/// Bytes of the header; the first batch follows it.
pub const HEADER_BYTES: usize = 96;
/// Bytes of one entry of the index.
pub const INDEX_ENTRY_BYTES: usize = 64;
/// First bytes of every slot.
pub const MAGIC: [u8; 8] = *b"MILLSLOT";
/// Version that is written; a slot of a later one is not read. Version 1 had no `Reached`.
pub const VERSION: u16 = 2;

const _: () =
    assert!(HEADER_BYTES.is_multiple_of(32) && INDEX_ENTRY_BYTES == 16 + 4 + 4 + 8 + 8 + 4 + 4 + 8 + 2 + 2 + 4);

/// Number of a lane, one per broker session, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u64);

/// Which partition a batch belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    pub topic_id: TopicId,
    pub index: PartitionIndex,
}

/// Why a slot was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// It carries entries.
    Data,
    /// It carries none and covers its predecessors with its `acked_upto`.
    Mark,
    /// Written by another broker to end the lane (cluster mode).
    Fence,
}

/// A slot's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotHeader {
    pub kind: SlotKind,
    pub lane: LaneId,
    /// Position in the lane, from 0 without gaps.
    pub sequence: u64,
    /// Drawn once per session: tells one's own slot from another's under the same number.
    pub nonce: u64,
    /// All slots below this number were durable when this one was sealed.
    pub acked_upto: u64,
    /// Slots below this number are no longer needed.
    pub low_water: u64,
    /// Bytes of the whole slot, a multiple of `BLOCK_BYTES`.
    pub slot_bytes: u32,
    index_at: u32,
    entry_count: u32,
    index_crc: u32,
    body_crc: u32,
}

/// What an entry to be written says.
#[derive(Clone, Debug)]
pub(crate) enum LaneEntryBody {
    Batch(StampedBatch),
    /// The partition's log starts at this offset from now on.
    LogStart(Offset),
    /// The partition's segments hold durably what lies below this offset and is in no slot.
    Reached(Offset),
}

/// One entry on its way into a slot.
#[derive(Clone, Debug)]
pub(crate) struct LaneEntry {
    pub(crate) key: PartitionKey,
    pub(crate) body: LaneEntryBody,
}

impl LaneEntry {
    /// Bytes the entry takes in a slot.
    pub(crate) fn slot_bytes(&self) -> usize {
        INDEX_ENTRY_BYTES
            + match &self.body {
                LaneEntryBody::Batch(batch) => batch.len(),
                LaneEntryBody::LogStart(_) | LaneEntryBody::Reached(_) => 0,
            }
    }
}

/// One entry of a slot, as written and as read back.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotEntry {
    pub key: PartitionKey,
    pub body: SlotEntryBody,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq)]
pub enum SlotEntryBody {
    /// A record batch with its final offsets.
    Batch(Batch),
    /// The partition's log starts at this offset from now on.
    LogStart(Offset),
    /// The partition's segments hold durably what lies below this offset and is in no slot.
    Reached(Offset),
}

/// A sealed or decoded slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    pub header: SlotHeader,
    pub entries: Vec<SlotEntry>,
}

/// What seals a slot: its place in the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) kind: SlotKind,
    pub(crate) lane: LaneId,
    pub(crate) sequence: u64,
    pub(crate) nonce: u64,
    pub(crate) acked_upto: u64,
    pub(crate) low_water: u64,
}

/// Why bytes are not a whole slot.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SlotError {
    /// No header of a slot lies here.
    #[error("no slot header")]
    NoHeader,
    /// A slot written by a later version.
    #[error("slot version {0} is newer than {VERSION}")]
    Newer(u16),
    /// The header is good, the index is not: nobody knows which partitions had entries.
    #[error("slot {sequence} of lane {lane:?} has a damaged index")]
    DamagedIndex { lane: LaneId, sequence: u64 },
    /// The index is good, a body is not; the slot has the entries that are whole, `lost` names the others' partitions.
    #[error("slot {} of lane {:?} has damaged batches", slot.header.sequence, slot.header.lane)]
    DamagedBody { slot: Box<Slot>, lost: Vec<PartitionKey> },
}

/// Encodes a slot into memory that can be written directly; the entries' bytes are slices of it.
pub(crate) fn encode(seal: Seal, entries: &[LaneEntry]) -> (Slot, Bytes) {
    let body: usize = entries.iter().map(|entry| entry.slot_bytes() - INDEX_ENTRY_BYTES).sum();
    let index_at = HEADER_BYTES + body;
    let used = index_at + entries.len() * INDEX_ENTRY_BYTES;
    let slot_bytes = used.next_multiple_of(BLOCK_BYTES);
    let mut buffer = AlignedBuffer::zeroed(slot_bytes);
    let out = buffer.as_mut_slice();
    let mut at = HEADER_BYTES;
    for (number, entry) in entries.iter().enumerate() {
        let length = match &entry.body {
            LaneEntryBody::Batch(batch) => batch.copy_to(&mut out[at..]),
            LaneEntryBody::LogStart(_) | LaneEntryBody::Reached(_) => 0,
        };
        let index = index_at + number * INDEX_ENTRY_BYTES;
        put_index_entry(&mut out[index..index + INDEX_ENTRY_BYTES], entry, at, length);
        at += length;
    }
    let header = SlotHeader {
        kind: seal.kind,
        lane: seal.lane,
        sequence: seal.sequence,
        nonce: seal.nonce,
        acked_upto: seal.acked_upto,
        low_water: seal.low_water,
        slot_bytes: small(slot_bytes),
        index_at: small(index_at),
        entry_count: small(entries.len()),
        index_crc: crc32c(&out[index_at..used]),
        body_crc: crc32c(&out[HEADER_BYTES..index_at]),
    };
    put_header(&mut out[..HEADER_BYTES], &header);
    let bytes = buffer.freeze();
    (Slot { header, entries: slices(entries, &bytes) }, bytes)
}

fn slices(entries: &[LaneEntry], bytes: &Bytes) -> Vec<SlotEntry> {
    let mut at = HEADER_BYTES;
    let slice = |entry: &LaneEntry| {
        let body = match &entry.body {
            LaneEntryBody::Batch(batch) => {
                let slice = bytes.slice(at..at + batch.len());
                at += batch.len();
                SlotEntryBody::Batch(Batch::framed(&slice).expect("a stamped batch keeps its frame"))
            }
            LaneEntryBody::LogStart(offset) => SlotEntryBody::LogStart(*offset),
            LaneEntryBody::Reached(offset) => SlotEntryBody::Reached(*offset),
        };
        SlotEntry { key: entry.key, body }
    };
    entries.iter().map(slice).collect()
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("requests, and so slots, are far below 4 GiB")
}

fn put_header(out: &mut [u8], header: &SlotHeader) {
    let kind: u16 = match header.kind {
        SlotKind::Data => 0,
        SlotKind::Mark => 1,
        SlotKind::Fence => 2,
    };
    out[0..8].copy_from_slice(&MAGIC);
    out[8..10].copy_from_slice(&VERSION.to_be_bytes());
    out[10..12].copy_from_slice(&kind.to_be_bytes());
    out[16..24].copy_from_slice(&header.lane.0.to_be_bytes());
    out[24..32].copy_from_slice(&header.sequence.to_be_bytes());
    out[32..40].copy_from_slice(&header.nonce.to_be_bytes());
    out[40..48].copy_from_slice(&header.acked_upto.to_be_bytes());
    out[48..56].copy_from_slice(&header.low_water.to_be_bytes());
    out[56..60].copy_from_slice(&header.slot_bytes.to_be_bytes());
    out[60..64].copy_from_slice(&header.index_at.to_be_bytes());
    out[64..68].copy_from_slice(&header.entry_count.to_be_bytes());
    out[68..72].copy_from_slice(&header.index_crc.to_be_bytes());
    out[72..76].copy_from_slice(&header.body_crc.to_be_bytes());
    let crc = header_crc(out);
    out[12..16].copy_from_slice(&crc.to_be_bytes());
}

/// Checksum of a header: all of it but the magic and the checksum itself.
fn header_crc(header: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(&header[8..12]);
    crc.update(&header[16..HEADER_BYTES]);
    crc.value()
}

const KIND_BATCH: u8 = 1;
const KIND_LOG_START: u8 = 2;
const KIND_REACHED: u8 = 3;

const NO_PRODUCER: (ProducerId, ProducerEpoch, Sequence) = (ProducerId::NONE, ProducerEpoch::NONE, Sequence::NONE);

fn put_index_entry(out: &mut [u8], entry: &LaneEntry, at: usize, length: usize) {
    out[0..16].copy_from_slice(entry.key.topic_id.0.as_bytes());
    out[16..20].copy_from_slice(&entry.key.index.0.to_be_bytes());
    let (kind, base, last, producer) = match &entry.body {
        LaneEntryBody::Batch(batch) => {
            let header = batch.header();
            let producer = (header.producer_id, header.producer_epoch, header.base_sequence);
            (KIND_BATCH, header.base_offset, header.last_offset(), producer)
        }
        LaneEntryBody::LogStart(offset) => (KIND_LOG_START, *offset, *offset, NO_PRODUCER),
        LaneEntryBody::Reached(offset) => (KIND_REACHED, *offset, *offset, NO_PRODUCER),
    };
    out[20] = kind;
    out[24..32].copy_from_slice(&base.0.to_be_bytes());
    out[32..40].copy_from_slice(&last.0.to_be_bytes());
    out[40..44].copy_from_slice(&small(at).to_be_bytes());
    out[44..48].copy_from_slice(&small(length).to_be_bytes());
    out[48..56].copy_from_slice(&producer.0.0.to_be_bytes());
    out[56..58].copy_from_slice(&producer.1.0.to_be_bytes());
    out[60..64].copy_from_slice(&producer.2.0.to_be_bytes());
}

/// Reads a slot's header from the first `HEADER_BYTES` of `bytes`.
///
/// # Errors
/// `NoHeader` when none lies here, `Newer` when a later version wrote it.
pub fn decode_header(bytes: &[u8]) -> Result<SlotHeader, SlotError> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Err(SlotError::NoHeader) };
    if header[0..8] != MAGIC || header_crc(header).to_be_bytes() != header[12..16] {
        return Err(SlotError::NoHeader);
    }
    let version = u16::from_be_bytes(array(&header[8..10]));
    if version > VERSION {
        return Err(SlotError::Newer(version));
    }
    let kind = match u16::from_be_bytes(array(&header[10..12])) {
        0 => SlotKind::Data,
        1 => SlotKind::Mark,
        2 => SlotKind::Fence,
        _ => return Err(SlotError::NoHeader),
    };
    let long = |at: usize| u64::from_be_bytes(array(&header[at..at + 8]));
    let int = |at: usize| u32::from_be_bytes(array(&header[at..at + 4]));
    let (slot_bytes, index_at, entry_count) = (int(56), int(60), int(64));
    let used = u64::from(index_at) + u64::from(entry_count) * INDEX_ENTRY_BYTES as u64;
    let fits = index_at as usize >= HEADER_BYTES && used <= u64::from(slot_bytes);
    if !fits || !(slot_bytes as usize).is_multiple_of(BLOCK_BYTES) {
        return Err(SlotError::NoHeader);
    }
    Ok(SlotHeader {
        kind,
        lane: LaneId(long(16)),
        sequence: long(24),
        nonce: long(32),
        acked_upto: long(40),
        low_water: long(48),
        slot_bytes,
        index_at,
        entry_count,
        index_crc: int(68),
        body_crc: int(72),
    })
}

/// What tells whose a slot is. It keeps its place in every version, so that one of a later version is not taken for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotIdentity {
    pub(crate) lane: LaneId,
    pub(crate) sequence: u64,
    pub(crate) nonce: u64,
}

/// The identity of a slot that `decode_header` knows, or finds to be of a later version.
pub(crate) fn identity(bytes: &[u8]) -> Option<SlotIdentity> {
    if !matches!(decode_header(bytes), Ok(_) | Err(SlotError::Newer(_))) {
        return None;
    }
    let long = |at: usize| u64::from_be_bytes(array(&bytes[at..at + 8]));
    Some(SlotIdentity { lane: LaneId(long(16)), sequence: long(24), nonce: long(32) })
}

/// Reads a whole slot and checks every byte that matters.
///
/// # Errors
/// What is damaged, as far as it can be told.
pub fn decode(bytes: &Bytes) -> Result<Slot, SlotError> {
    let header = decode_header(bytes)?;
    let (lane, sequence) = (header.lane, header.sequence);
    let index_at = header.index_at as usize;
    let used = index_at + header.entry_count as usize * INDEX_ENTRY_BYTES;
    if bytes.len() < used || crc32c(&bytes[index_at..used]) != header.index_crc {
        return Err(SlotError::DamagedIndex { lane, sequence });
    }
    let whole = crc32c(&bytes[HEADER_BYTES..index_at]) == header.body_crc;
    let mut entries = Vec::with_capacity(header.entry_count as usize);
    let mut lost = Vec::new();
    for index in bytes[index_at..used].chunks_exact(INDEX_ENTRY_BYTES) {
        match decode_entry(index, &bytes.slice(..index_at), whole) {
            Ok(entry) => entries.push(entry),
            Err(key) => lost.push(key),
        }
    }
    if lost.is_empty() && whole {
        return Ok(Slot { header, entries });
    }
    lost.sort_unstable();
    lost.dedup();
    Err(SlotError::DamagedBody { slot: Box::new(Slot { header, entries }), lost })
}

/// One entry; when its batch is not whole, the partition that lost it.
fn decode_entry(index: &[u8], body: &Bytes, whole: bool) -> Result<SlotEntry, PartitionKey> {
    let key = PartitionKey {
        topic_id: TopicId(Uuid::from_bytes(array(&index[0..16]))),
        index: PartitionIndex(i32::from_be_bytes(array(&index[16..20]))),
    };
    let base = Offset(i64::from_be_bytes(array(&index[24..32])));
    match index[20] {
        KIND_LOG_START => return Ok(SlotEntry { key, body: SlotEntryBody::LogStart(base) }),
        KIND_REACHED => return Ok(SlotEntry { key, body: SlotEntryBody::Reached(base) }),
        _ => {}
    }
    let at = u32::from_be_bytes(array(&index[40..44])) as usize;
    let length = u32::from_be_bytes(array(&index[44..48])) as usize;
    if index[20] != KIND_BATCH || at.checked_add(length).is_none_or(|end| end > body.len()) {
        return Err(key);
    }
    let bytes = body.slice(at..at + length);
    // In a damaged body a batch still has its own checksum.
    let batch = if whole { Batch::framed(&bytes) } else { Batch::parse(bytes).map(|(batch, _)| batch) };
    match batch {
        Ok(batch) if batch.header().base_offset == base && batch.bytes().len() == length => {
            Ok(SlotEntry { key, body: SlotEntryBody::Batch(batch) })
        }
        _ => Err(key),
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller's range has the array's length")
}

#[cfg(test)]
mod tests;

//! The 61 bytes before a batch's records: where each field stands, a checked view of them, and the changes that a
//! broker makes in place. The byte table is docs/format/record-batch.md.
//!
//! The CRC covers everything from the attributes on. So base offset and leader epoch are set freely, and a change of
//! attributes or timestamps must renew the CRC; only this file writes those fields.

use super::{BatchError, ProducerStamp};
use crate::compression::CompressionType;
use crate::crc32c::{crc32c, crc32c_combine};
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

/// Position of each field of a batch in format version 2 (KIP-98).
pub mod at {
    pub const BASE_OFFSET: usize = 0;
    pub const BATCH_LENGTH: usize = BASE_OFFSET + 8;
    pub const PARTITION_LEADER_EPOCH: usize = BATCH_LENGTH + 4;
    pub const MAGIC: usize = PARTITION_LEADER_EPOCH + 4;
    pub const CRC: usize = MAGIC + 1;
    pub const ATTRIBUTES: usize = CRC + 4;
    pub const LAST_OFFSET_DELTA: usize = ATTRIBUTES + 2;
    pub const BASE_TIMESTAMP: usize = LAST_OFFSET_DELTA + 4;
    pub const MAX_TIMESTAMP: usize = BASE_TIMESTAMP + 8;
    pub const PRODUCER_ID: usize = MAX_TIMESTAMP + 8;
    pub const PRODUCER_EPOCH: usize = PRODUCER_ID + 8;
    pub const BASE_SEQUENCE: usize = PRODUCER_EPOCH + 2;
    pub const RECORDS_COUNT: usize = BASE_SEQUENCE + 4;
    pub const RECORDS: usize = RECORDS_COUNT + 4;
}

/// Bytes of a batch before its first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes that the field `batch length` does not count: itself and the base offset before it.
pub const LENGTH_OVERHEAD_BYTES: usize = 12;
/// The only format version that is stored and served.
pub const MAGIC: i8 = 2;

const _: () = {
    assert!(at::RECORDS == HEADER_BYTES);
    assert!(at::BATCH_LENGTH + 4 == LENGTH_OVERHEAD_BYTES);
    assert!(at::MAGIC == 16 && at::CRC == 17 && at::ATTRIBUTES == 21);
};

/// Who set the timestamps of a batch's records (`message.timestamp.type`, KIP-32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer, record by record.
    #[default]
    CreateTime,
    /// The broker at the append: every record has the batch's max timestamp.
    LogAppendTime,
}

/// The attribute bits of a batch: codec (0–2), timestamp type (3), transactional (4), control (5), delete horizon (6).
/// Other bits are kept and mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// How the records are compressed; errors on the codec numbers that Kafka has not given out (5 to 7).
    pub fn compression(self) -> Result<CompressionType, BatchError> {
        let id = (self.0 & Self::CODEC) as i8;
        CompressionType::from_id(id).ok_or(BatchError::UnknownCompression { id })
    }

    pub const fn timestamp_type(self) -> TimestampType {
        if self.has(Self::LOG_APPEND_TIME) { TimestampType::LogAppendTime } else { TimestampType::CreateTime }
    }

    /// The records count only once their transaction's commit marker follows (KIP-98).
    pub const fn is_transactional(self) -> bool {
        self.has(Self::TRANSACTIONAL)
    }

    /// The batch holds a marker that the broker wrote, not a client's records.
    pub const fn is_control(self) -> bool {
        self.has(Self::CONTROL)
    }

    /// The base timestamp is the time after which compaction may drop the batch's tombstones (KIP-534).
    pub const fn has_delete_horizon(self) -> bool {
        self.has(Self::DELETE_HORIZON)
    }

    #[must_use]
    pub const fn with_compression(self, codec: CompressionType) -> Self {
        Self((self.0 & !Self::CODEC) | codec.id() as i16)
    }

    #[must_use]
    pub const fn with_timestamp_type(self, kind: TimestampType) -> Self {
        self.with(Self::LOG_APPEND_TIME, matches!(kind, TimestampType::LogAppendTime))
    }

    #[must_use]
    pub const fn with_transactional(self, on: bool) -> Self {
        self.with(Self::TRANSACTIONAL, on)
    }

    #[must_use]
    pub const fn with_control(self, on: bool) -> Self {
        self.with(Self::CONTROL, on)
    }

    #[must_use]
    pub const fn with_delete_horizon(self, on: bool) -> Self {
        self.with(Self::DELETE_HORIZON, on)
    }

    const fn has(self, bit: i16) -> bool {
        self.0 & bit != 0
    }

    const fn with(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// All fields of a batch's head but the magic, which is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes after this field: the batch's size less 12.
    pub batch_length: i32,
    pub partition_leader_epoch: LeaderEpoch,
    pub crc: u32,
    pub attributes: Attributes,
    /// Offset of the last record less the base offset; compaction keeps it when it removes records.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas add to.
    pub base_timestamp: TimestampMs,
    pub max_timestamp: TimestampMs,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: Sequence,
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads and checks the head of the batch that starts at `bytes[0]`: its length, magic and offset range. Neither the
    /// CRC nor the presence of the records is checked, so 61 bytes suffice: to walk a file without reading it whole.
    pub fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        if bytes.len() >= LENGTH_OVERHEAD_BYTES {
            batch_bytes(bytes)?;
        }
        check_magic(bytes)?;
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Truncated { needed: HEADER_BYTES, present: bytes.len() });
        };
        let header = Self::decode(head);
        header.check_range()?;
        Ok(header)
    }

    fn decode(head: &[u8; HEADER_BYTES]) -> Self {
        Self {
            base_offset: Offset(i64::from_be_bytes(field(head, at::BASE_OFFSET))),
            batch_length: i32::from_be_bytes(field(head, at::BATCH_LENGTH)),
            partition_leader_epoch: LeaderEpoch(i32::from_be_bytes(field(head, at::PARTITION_LEADER_EPOCH))),
            crc: u32::from_be_bytes(field(head, at::CRC)),
            attributes: Attributes(i16::from_be_bytes(field(head, at::ATTRIBUTES))),
            last_offset_delta: i32::from_be_bytes(field(head, at::LAST_OFFSET_DELTA)),
            base_timestamp: TimestampMs(i64::from_be_bytes(field(head, at::BASE_TIMESTAMP))),
            max_timestamp: TimestampMs(i64::from_be_bytes(field(head, at::MAX_TIMESTAMP))),
            producer_id: ProducerId(i64::from_be_bytes(field(head, at::PRODUCER_ID))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(head, at::PRODUCER_EPOCH))),
            base_sequence: Sequence(i32::from_be_bytes(field(head, at::BASE_SEQUENCE))),
            records_count: i32::from_be_bytes(field(head, at::RECORDS_COUNT)),
        }
    }

    /// The head's bytes; the inverse of `read`.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut head = [0; HEADER_BYTES];
        put(&mut head, at::BASE_OFFSET, self.base_offset.0.to_be_bytes());
        put(&mut head, at::BATCH_LENGTH, self.batch_length.to_be_bytes());
        put(&mut head, at::PARTITION_LEADER_EPOCH, self.partition_leader_epoch.0.to_be_bytes());
        put(&mut head, at::MAGIC, MAGIC.to_be_bytes());
        put(&mut head, at::CRC, self.crc.to_be_bytes());
        put(&mut head, at::ATTRIBUTES, self.attributes.0.to_be_bytes());
        put(&mut head, at::LAST_OFFSET_DELTA, self.last_offset_delta.to_be_bytes());
        put(&mut head, at::BASE_TIMESTAMP, self.base_timestamp.0.to_be_bytes());
        put(&mut head, at::MAX_TIMESTAMP, self.max_timestamp.0.to_be_bytes());
        put(&mut head, at::PRODUCER_ID, self.producer_id.0.to_be_bytes());
        put(&mut head, at::PRODUCER_EPOCH, self.producer_epoch.0.to_be_bytes());
        put(&mut head, at::BASE_SEQUENCE, self.base_sequence.0.to_be_bytes());
        put(&mut head, at::RECORDS_COUNT, self.records_count.to_be_bytes());
        head
    }

    fn check_range(&self) -> Result<(), BatchError> {
        let last = self.base_offset.0.checked_add(i64::from(self.last_offset_delta));
        if self.base_offset.0 < 0 || self.last_offset_delta < 0 || last.is_none_or(|last| last == i64::MAX) {
            let (base_offset, last_offset_delta) = (self.base_offset, self.last_offset_delta);
            return Err(BatchError::OffsetRange { base_offset, last_offset_delta });
        }
        // Compaction may leave fewer records than offsets, never more.
        if self.records_count < 0 || i64::from(self.records_count) > i64::from(self.last_offset_delta) + 1 {
            let (count, last_offset_delta) = (self.records_count, self.last_offset_delta);
            return Err(BatchError::Count { count, last_offset_delta });
        }
        self.attributes.compression().map(|_| ())
    }

    /// Bytes of the whole batch, head and records.
    pub const fn size_bytes(&self) -> usize {
        self.batch_length as usize + LENGTH_OVERHEAD_BYTES
    }

    /// Offset of the last record that the batch was written with.
    pub const fn last_offset(&self) -> Offset {
        self.base_offset.plus(self.last_offset_delta as i64)
    }

    /// The offset after the batch.
    pub const fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// Sequence of the last record; `NONE` when the batch has no sequence.
    pub const fn last_sequence(&self) -> Sequence {
        if self.base_sequence.0 < 0 { Sequence::NONE } else { self.base_sequence.plus(self.last_offset_delta) }
    }

    /// Whether an idempotent producer wrote the batch (KIP-98).
    pub const fn has_producer_id(&self) -> bool {
        self.producer_id.0 > ProducerId::NONE.0
    }

    /// How the records are compressed.
    pub fn compression(&self) -> CompressionType {
        self.attributes.compression().expect("the codec was checked when the head was read")
    }

    /// The timestamp of a record: its own, or the append's for the whole batch.
    pub fn timestamp_of(&self, timestamp_delta: i64) -> TimestampMs {
        match self.attributes.timestamp_type() {
            TimestampType::CreateTime => TimestampMs(self.base_timestamp.0.wrapping_add(timestamp_delta)),
            TimestampType::LogAppendTime => self.max_timestamp,
        }
    }
}

/// A batch's head, to be changed in place: in a copy of 61 bytes, or at the start of a batch in a buffer.
#[derive(Debug)]
pub struct HeadMut<'a>(&'a mut [u8; HEADER_BYTES]);

impl<'a> HeadMut<'a> {
    /// The head at the start of `batch`, which must hold a batch that was parsed.
    ///
    /// # Panics
    /// When there are fewer than 61 bytes.
    pub fn new(batch: &'a mut [u8]) -> Self {
        Self(batch.first_chunk_mut().expect("a parsed batch has a whole head"))
    }

    /// Not covered by the CRC.
    pub fn set_base_offset(&mut self, offset: Offset) {
        put(self.0, at::BASE_OFFSET, offset.0.to_be_bytes());
    }

    /// Not covered by the CRC.
    pub fn set_partition_leader_epoch(&mut self, epoch: LeaderEpoch) {
        put(self.0, at::PARTITION_LEADER_EPOCH, epoch.0.to_be_bytes());
    }

    /// Makes the batch one of the broker's time (`message.timestamp.type=LogAppendTime`), with a new CRC. The records
    /// keep their deltas; readers ignore them.
    pub fn set_log_append_time(&mut self, now: TimestampMs) {
        let attributes = Attributes(i16::from_be_bytes(field(self.0, at::ATTRIBUTES)));
        let attributes = attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.rewrite(|head| {
            put(head, at::ATTRIBUTES, attributes.0.to_be_bytes());
            put(head, at::MAX_TIMESTAMP, now.0.to_be_bytes());
        });
    }

    /// Sets the max timestamp, with a new CRC: Kafka mends a producer's wrong one so.
    pub fn set_max_timestamp(&mut self, max: TimestampMs) {
        self.rewrite(|head| put(head, at::MAX_TIMESTAMP, max.0.to_be_bytes()));
    }

    /// Stamps the batch with its producer, with a new CRC: a producer gives sequences when it sends.
    pub fn set_producer(&mut self, stamp: ProducerStamp) {
        let attributes = Attributes(i16::from_be_bytes(field(self.0, at::ATTRIBUTES)));
        let attributes = attributes.with_transactional(stamp.transactional);
        self.rewrite(|head| {
            put(head, at::ATTRIBUTES, attributes.0.to_be_bytes());
            put(head, at::PRODUCER_ID, stamp.producer_id.0.to_be_bytes());
            put(head, at::PRODUCER_EPOCH, stamp.producer_epoch.0.to_be_bytes());
            put(head, at::BASE_SEQUENCE, stamp.base_sequence.0.to_be_bytes());
        });
    }

    /// Changes covered fields and renews the CRC without reading the records: CRC is linear, so the whole's change is
    /// the head's change, moved past as many bytes as the records have.
    fn rewrite(&mut self, change: impl FnOnce(&mut [u8; HEADER_BYTES])) {
        let length = i32::from_be_bytes(field(self.0, at::BATCH_LENGTH)) as usize;
        let records_bytes = (length + LENGTH_OVERHEAD_BYTES - HEADER_BYTES) as u64;
        let before = crc32c(&self.0[at::ATTRIBUTES..]);
        change(self.0);
        let after = crc32c(&self.0[at::ATTRIBUTES..]);
        let crc = u32::from_be_bytes(field(self.0, at::CRC)) ^ crc32c_combine(before ^ after, 0, records_bytes);
        put(self.0, at::CRC, crc.to_be_bytes());
    }
}

/// Size of the batch that starts at `bytes[0]`, from its length field; `bytes` hold at least that field.
pub(super) fn batch_bytes(bytes: &[u8]) -> Result<usize, BatchError> {
    let length = i32::from_be_bytes(field(bytes, at::BATCH_LENGTH));
    if length < (HEADER_BYTES - LENGTH_OVERHEAD_BYTES) as i32 {
        // A batch of an old format may be shorter; its magic, not its size, is what is wrong with it.
        check_magic(bytes)?;
        return Err(BatchError::LengthTooSmall { length });
    }
    Ok(length as usize + LENGTH_OVERHEAD_BYTES)
}

/// Checks the CRC of the batch that starts at `bytes[0]`; one that is not there in full has none.
pub(super) fn check_crc(bytes: &[u8]) -> Result<(), BatchError> {
    let needed = batch_bytes(bytes)?;
    let Some(covered) = bytes.get(at::ATTRIBUTES..needed) else {
        return Err(BatchError::Truncated { needed, present: bytes.len() });
    };
    let (stored, computed) = (u32::from_be_bytes(field(bytes, at::CRC)), crc32c(covered));
    if stored == computed { Ok(()) } else { Err(BatchError::Crc { stored, computed }) }
}

fn check_magic(bytes: &[u8]) -> Result<(), BatchError> {
    match bytes.get(at::MAGIC).map(|magic| *magic as i8) {
        Some(MAGIC) | None => Ok(()),
        Some(magic @ (0 | 1)) => Err(BatchError::OldMagic { magic }),
        Some(magic) => Err(BatchError::UnknownMagic { magic }),
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

fn put<const N: usize>(head: &mut [u8; HEADER_BYTES], at: usize, value: [u8; N]) {
    head[at..at + N].copy_from_slice(&value);
}

//! Record batches, format version 2 (KIP-98): what a producer sends, what lies in the log and what a consumer gets.
//!
//! A `Batch` is opaque bytes with a checked head: it passes from socket to disk to socket uncopied, and only the head's
//! few fields change (`HeadMut`). Whoever needs the records iterates over them (`RecordIter`, over decompressed bytes);
//! whoever accepts them from a client walks them once with `validate_records`, without holding them. `BatchBuilder`
//! writes batches.

mod builder;
mod control;
mod header;
mod record;
mod selection;
mod validate;

use bytes::{Bytes, BytesMut};

pub use builder::{BatchBuilder, Header, ProducerStamp, RecordTooLarge, batch_bytes_bound, record_bytes};
pub use control::{ControlRecord, ControlRecordType, InvalidControlRecord};
pub use header::{Attributes, BatchHeader, HEADER_BYTES, HeadMut, LENGTH_OVERHEAD_BYTES, MAGIC, TimestampType, at};
pub use record::{HeaderIter, MalformedRecord, Record, RecordHeader, RecordIter};
pub use selection::{SelectError, Selection};
pub use validate::{
    RECORD_ERRORS_MAX, RecordError, RecordErrorReason, RecordRules, Validated, ValidationError, validate_records,
};

use crate::compression::{Compression, DecompressError, Decompressor, compress};
use crate::crc32c::crc32c;
use crate::{LeaderEpoch, Offset};

/// Why bytes are not a batch. The names of Kafka's answers stand beside, where a broker gives one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Kafka ignores such an end of a Produce payload, and answers INVALID_RECORD when it was all there was.
    #[error("a record batch of {needed} bytes ends after {present}")]
    Truncated { needed: usize, present: usize },
    /// CORRUPT_MESSAGE.
    #[error("batch length {length} is less than the head of a batch")]
    LengthTooSmall { length: i32 },
    /// INVALID_RECORD: message formats 0 and 1, gone since Kafka 4.0 (KIP-724).
    #[error("message format {magic} is no longer supported, only version 2 is")]
    OldMagic { magic: i8 },
    /// CORRUPT_MESSAGE.
    #[error("{magic} is not a message format")]
    UnknownMagic { magic: i8 },
    /// CORRUPT_MESSAGE.
    #[error("record batch is corrupt (stored crc = {stored}, computed crc = {computed})")]
    Crc { stored: u32, computed: u32 },
    /// INVALID_RECORD.
    #[error("no compression codec has the number {id}")]
    UnknownCompression { id: i8 },
    /// INVALID_RECORD.
    #[error("a batch cannot span {last_offset_delta} offsets after base offset {base_offset}")]
    OffsetRange { base_offset: Offset, last_offset_delta: i32 },
    /// INVALID_RECORD.
    #[error("a batch whose last offset delta is {last_offset_delta} cannot have {count} records")]
    Count { count: i32, last_offset_delta: i32 },
}

/// One record batch whose length, magic, CRC, codec and offset range were checked. Its records are as they came:
/// possibly compressed, not looked at. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Cuts the first batch off the front of `bytes`, sharing their memory; `bytes` is left as it was on an error.
    pub fn split_from(bytes: &mut Bytes) -> Result<Self, BatchError> {
        let batch = match Self::framed(bytes) {
            // A field that was damaged on its way is told by the CRC, so that the producer sends the batch again.
            Err(
                error @ (BatchError::UnknownCompression { .. }
                | BatchError::OffsetRange { .. }
                | BatchError::Count { .. }),
            ) => return Err(header::check_crc(bytes).err().unwrap_or(error)),
            framed => framed?,
        };
        header::check_crc(&batch.bytes)?;
        let _ = bytes.split_to(batch.bytes.len());
        Ok(batch)
    }

    /// The one batch that `bytes` are the start of, and what follows it.
    pub fn parse(mut bytes: Bytes) -> Result<(Self, Bytes), BatchError> {
        Self::split_from(&mut bytes).map(|batch| (batch, bytes))
    }

    /// The first batch in `bytes`, all but the CRC checked: for bytes that were checked when they were stored.
    pub fn framed(bytes: &Bytes) -> Result<Self, BatchError> {
        if bytes.len() < LENGTH_OVERHEAD_BYTES {
            return Err(BatchError::Truncated { needed: HEADER_BYTES, present: bytes.len() });
        }
        let header = BatchHeader::read(bytes)?;
        let needed = header.size_bytes();
        if needed > bytes.len() {
            return Err(BatchError::Truncated { needed, present: bytes.len() });
        }
        Ok(Self { header, bytes: bytes.slice(..needed) })
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Head and records as they stand on the wire and on disk.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// A copy of the head, to be changed with `HeadMut` and written before `records_bytes`.
    pub fn head(&self) -> [u8; HEADER_BYTES] {
        *self.bytes.first_chunk().expect("a parsed batch has a whole head")
    }

    /// What follows the head, compressed as it came; shares the batch's memory.
    pub fn records_bytes(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..)
    }

    /// The batch at its place in a log, as bytes of its own. (To avoid the copy of the records, write a changed `head`
    /// before `records_bytes`.)
    #[must_use]
    pub fn placed(&self, base_offset: Offset, epoch: LeaderEpoch) -> Self {
        self.with_head(|head| {
            head.set_base_offset(base_offset);
            head.set_partition_leader_epoch(epoch);
        })
    }

    /// The batch with a changed head, in its own memory when nobody shares it, else in a copy.
    #[must_use]
    pub fn into_changed(self, change: impl FnOnce(&mut HeadMut<'_>)) -> Self {
        let mut bytes = self.bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        change(&mut HeadMut::new(&mut bytes));
        let header = BatchHeader::read(&bytes).expect("a changed head is still one");
        Self { header, bytes: bytes.freeze() }
    }

    /// A copy of the batch with a changed head.
    #[must_use]
    pub fn with_head(&self, change: impl FnOnce(&mut HeadMut<'_>)) -> Self {
        let mut bytes = self.bytes.to_vec();
        change(&mut HeadMut::new(&mut bytes));
        let header = BatchHeader::read(&bytes).expect("a changed head is still one");
        Self { header, bytes: bytes.into() }
    }

    /// The records' bytes, decompressed; uncompressed ones are shared, not copied. Errors when they are more than
    /// `bytes_max`, whatever the compressed bytes claim.
    pub fn decompressed(&self, bytes_max: usize) -> Result<Bytes, DecompressError> {
        crate::compression::decompress(self.header.compression(), self.records_bytes(), bytes_max)
    }

    /// The same records under another codec (`compression.type` other than `producer`). Holds the compressed bytes only,
    /// and reads at most `bytes_max` decompressed ones.
    pub fn recompressed(&self, compression: Compression, bytes_max: usize) -> Result<Self, DecompressError> {
        let records = self.records_bytes();
        let mut source = Decompressor::new(self.header.compression(), &records, bytes_max)?;
        let mut bytes = vec![0; HEADER_BYTES];
        compress(compression, &mut source, &mut bytes).map_err(DecompressError::from)?;
        let mut header = self.header;
        header.attributes = header.attributes.with_compression(compression.kind());
        Ok(Self::sealed(header, bytes))
    }

    /// Writes `header` with the right length and CRC into the 61 bytes that `bytes` keep free before the records.
    fn sealed(mut header: BatchHeader, mut bytes: Vec<u8>) -> Self {
        header.batch_length =
            i32::try_from(bytes.len() - LENGTH_OVERHEAD_BYTES).expect("builders refuse records beyond 2 GiB");
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        header.crc = crc32c(&bytes[at::ATTRIBUTES..]);
        bytes[at::CRC..at::CRC + 4].copy_from_slice(&header.crc.to_be_bytes());
        Self { header, bytes: bytes.into() }
    }
}

/// The batches in a partition's bytes, one after the other; ends at the first error.
#[derive(Clone, Debug)]
pub struct BatchIter {
    rest: Bytes,
}

impl BatchIter {
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }
}

impl Iterator for BatchIter {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let next = Batch::split_from(&mut self.rest);
        if next.is_err() {
            self.rest.clear();
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests;

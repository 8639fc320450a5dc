//! `BatchBuilder`: writes records into a batch. Called by producers, by the coordinators for their own records, and by tests.
//!
//! Records are encoded when they are appended and compressed once, in `build`; the sizes before that are of
//! uncompressed bytes, so a limit on them holds for what is sent.

use super::{Attributes, Batch, BatchHeader, HEADER_BYTES, TimestampType};
use crate::compression::{Compression, compress};
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

/// What `RecordTooLarge` guards: lengths in a batch are signed 32-bit numbers.
const BATCH_BYTES_MAX: usize = i32::MAX as usize - 64 * 1024;
/// The most bytes that record size, attributes, deltas and the three counts take.
const RECORD_OVERHEAD_BYTES_MAX: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;

/// A record header to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub key: &'a str,
    pub value: Option<&'a [u8]>,
}

/// The idempotent producer that writes a batch (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the batch's first record; `NONE` in a control batch.
    pub base_sequence: Sequence,
    pub transactional: bool,
}

impl ProducerStamp {
    /// A producer without idempotence.
    pub const NONE: Self = Self {
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: Sequence::NONE,
        transactional: false,
    };
}

/// The batch would outgrow the format's 32-bit lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch cannot hold another record of {bytes} bytes")]
pub struct RecordTooLarge {
    pub bytes: usize,
}

/// An upper bound of one record's bytes in a batch, uncompressed.
pub fn record_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> usize {
    let headers: usize = headers.iter().map(|header| 10 + header.key.len() + header.value.map_or(0, <[u8]>::len)).sum();
    RECORD_OVERHEAD_BYTES_MAX + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers
}

/// An upper bound of the bytes of a batch that holds one such record, uncompressed.
pub fn batch_bytes_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> usize {
    HEADER_BYTES + record_bytes(key, value, headers)
}

/// A batch in the making: base offset 0, no leader epoch, offset deltas 0, 1, 2 …
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    attributes: Attributes,
    producer: ProducerStamp,
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
    count: i32,
    /// Room for the head, then the records, uncompressed.
    bytes: Vec<u8>,
}

impl BatchBuilder {
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            attributes: Attributes::default(),
            producer: ProducerStamp::NONE,
            base_timestamp: TimestampMs::NONE,
            max_timestamp: TimestampMs::NONE,
            count: 0,
            bytes: vec![0; HEADER_BYTES],
        }
    }

    /// Stamps the batch with its producer; the last call counts.
    #[must_use]
    pub fn producer(mut self, stamp: ProducerStamp) -> Self {
        self.producer = stamp;
        self
    }

    /// Marks the timestamps as the broker's: readers see the batch's max timestamp on every record.
    #[must_use]
    pub fn timestamp_type(mut self, kind: TimestampType) -> Self {
        self.attributes = self.attributes.with_timestamp_type(kind);
        self
    }

    /// Makes it a batch of control records, which readers of records pass over.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.attributes = self.attributes.with_control(true);
        self
    }

    /// Appends a record and returns its offset delta.
    pub fn append(
        &mut self,
        timestamp: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<i32, RecordTooLarge> {
        let bytes = record_bytes(key, value, headers);
        if self.bytes.len().saturating_add(bytes) > BATCH_BYTES_MAX || self.count == i32::MAX {
            return Err(RecordTooLarge { bytes });
        }
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        self.put_record(timestamp_delta, key, value, headers);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.count += 1;
        Ok(self.count - 1)
    }

    /// Encodes the fields behind the batch, then moves them back by as much as their size's varint needs.
    fn put_record(&mut self, timestamp_delta: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) {
        let start = self.bytes.len();
        self.bytes.push(0); // attributes
        put_varint(&mut self.bytes, timestamp_delta);
        put_varint(&mut self.bytes, i64::from(self.count));
        put_nullable(&mut self.bytes, key);
        put_nullable(&mut self.bytes, value);
        put_varint(&mut self.bytes, headers.len() as i64);
        for header in headers {
            put_nullable(&mut self.bytes, Some(header.key.as_bytes()));
            put_nullable(&mut self.bytes, header.value);
        }
        let fields_end = self.bytes.len();
        put_varint(&mut self.bytes, (fields_end - start) as i64);
        let size_bytes = self.bytes.len() - fields_end;
        self.bytes[start..].rotate_right(size_bytes);
    }

    pub fn records_count(&self) -> i32 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size of the batch if it is not compressed.
    pub fn uncompressed_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The finished batch.
    ///
    /// # Panics
    /// When it is empty: no broker takes such a batch.
    pub fn build(self) -> Batch {
        assert!(self.count > 0, "a batch has at least one record");
        let header = BatchHeader {
            base_offset: Offset::ZERO,
            batch_length: 0, // set when the records' compressed size is known, as is the CRC
            partition_leader_epoch: LeaderEpoch::NONE,
            crc: 0,
            attributes: self
                .attributes
                .with_compression(self.compression.kind())
                .with_transactional(self.producer.transactional),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer.producer_id,
            producer_epoch: self.producer.producer_epoch,
            base_sequence: self.producer.base_sequence,
            records_count: self.count,
        };
        if self.compression == Compression::None {
            return Batch::sealed(header, self.bytes);
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.bytes.len() / 2);
        bytes.resize(HEADER_BYTES, 0);
        compress(self.compression, &mut &self.bytes[HEADER_BYTES..], &mut bytes).expect("memory takes every write");
        Batch::sealed(header, bytes)
    }
}

fn put_nullable(out: &mut Vec<u8>, value: Option<&[u8]>) {
    put_varint(out, value.map_or(-1, |value| value.len() as i64));
    out.extend_from_slice(value.unwrap_or_default());
}

/// Zigzag LEB128; for a value of 32 bits the same bytes as its 32-bit form.
pub(super) fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

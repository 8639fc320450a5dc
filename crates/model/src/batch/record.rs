//! Records inside a batch: parsed lazily and borrowed, from bytes that are not compressed (any more).
//!
//! One parser serves two sources: slices, whose fields are handed out (`RecordIter`), and streams out of a decompressor,
//! whose fields are only measured (`validate`). Every length is checked against what its record has left.

use std::borrow::Cow;
use std::io::{self, BufRead};

/// Why bytes are not a record. Kafka answers INVALID_RECORD.
#[derive(Debug, thiserror::Error)]
pub enum MalformedRecord {
    #[error("the records end inside a record")]
    Truncated,
    #[error("{0} is not a length")]
    Length(i64),
    #[error("a field of {needed} bytes does not fit the {left} that its record has left")]
    Overrun { needed: u64, left: u64 },
    #[error("{0} bytes of a record's size are not used by its fields")]
    Underrun(u64),
    #[error("a variable-length integer is longer than its type")]
    Varint,
    #[error("a header has no key")]
    NullHeaderKey,
    #[error("the compressed records cannot be read: {0}")]
    Source(#[source] io::Error),
}

/// One record, borrowed from its batch's decompressed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Offset less the batch's base offset.
    pub offset_delta: i32,
    /// Timestamp less the batch's base timestamp; see `BatchHeader::timestamp_of`.
    pub timestamp_delta: i64,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone on a compacted topic.
    pub value: Option<&'a [u8]>,
    headers_count: usize,
    headers: &'a [u8],
}

impl<'a> Record<'a> {
    /// The headers in their order; a key may come several times.
    pub fn headers(&self) -> HeaderIter<'a> {
        HeaderIter { left: self.headers_count, rest: self.headers }
    }
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// UTF-8 by agreement, unchecked.
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl<'a> RecordHeader<'a> {
    /// The key as text, a replacement character in place of what is not UTF-8, as Java reads it.
    pub fn key_text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.key)
    }
}

/// The headers of a record, in their order.
#[derive(Clone, Debug)]
pub struct HeaderIter<'a> {
    left: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = RecordHeader<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut source = Slice(self.rest);
        let mut fields = Fields { left: self.rest.len() as u64, source: &mut source };
        let (key, value) = fields.header().expect("headers were checked with their record");
        self.rest = source.0;
        Some(RecordHeader { key, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for HeaderIter<'_> {}

/// The records in decompressed bytes, up to the header's count; ends at the first error. Left-over bytes are an error.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> RecordIter<'a> {
    /// `count` is the batch header's `records_count`, `bytes` what `Batch::decompressed` gave.
    pub fn new(bytes: &'a [u8], count: i32) -> Self {
        Self { rest: bytes, left: count.max(0) as usize }
    }

    /// Bytes that are not read yet.
    pub(super) fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    fn parse_next(&mut self) -> Result<Record<'a>, MalformedRecord> {
        let mut source = Slice(self.rest);
        let size = record_size(&mut source)?;
        let (body, rest) = source.0.split_at_checked(size as usize).ok_or(MalformedRecord::Truncated)?;
        self.rest = rest;
        let mut body = Slice(body);
        let mut fields = Fields { source: &mut body, left: size };
        let head = fields.head()?;
        let headers_count = fields.headers_count()?;
        let headers = fields.source.0;
        fields.skip_headers(headers_count)?;
        fields.finish()?;
        let RecordHead { offset_delta, timestamp_delta, key, value } = head;
        Ok(Record { offset_delta, timestamp_delta, key, value, headers_count, headers })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, MalformedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut next = self.parse_next();
        if next.is_ok() && self.left == 0 && !self.rest.is_empty() {
            next = Err(MalformedRecord::Underrun(self.rest.len() as u64));
        }
        if next.is_err() {
            self.left = 0;
        }
        Some(next)
    }
}

/// A record around its timestamp delta.
#[derive(Debug)]
pub(super) struct AroundTimestamp<'a> {
    pub(super) attributes: u8,
    pub(super) timestamp_delta: i64,
    /// Everything of the record after the delta.
    pub(super) rest: &'a [u8],
}

/// The first record in `bytes`, and what follows it.
pub(super) fn split_timestamp(bytes: &[u8]) -> Result<(AroundTimestamp<'_>, &[u8]), MalformedRecord> {
    let mut source = Slice(bytes);
    let size = record_size(&mut source)?;
    let (body, after) = source.0.split_at_checked(size as usize).ok_or(MalformedRecord::Truncated)?;
    let mut body = Slice(body);
    let attributes = body.byte()?;
    let timestamp_delta = Fields { left: size, source: &mut body }.varlong()?;
    Ok((AroundTimestamp { attributes, timestamp_delta, rest: body.0 }, after))
}

/// Reads one record of a stream without keeping its key, value and headers.
pub(super) fn read_record<R: BufRead>(stream: &mut Stream<R>) -> Result<RecordHead<()>, MalformedRecord> {
    let left = record_size(stream)?;
    let mut fields = Fields { source: stream, left };
    let head = fields.head()?;
    let headers_count = fields.headers_count()?;
    fields.skip_headers(headers_count)?;
    fields.finish()?;
    Ok(head)
}

/// The fields of a record before its headers.
#[derive(Debug)]
pub(super) struct RecordHead<C> {
    pub(super) offset_delta: i32,
    pub(super) timestamp_delta: i64,
    pub(super) key: Option<C>,
    value: Option<C>,
}

/// Where records are read from: a slice that hands out pieces of itself, or a stream that skips them.
pub(super) trait Source {
    type Chunk;

    fn byte(&mut self) -> Result<u8, MalformedRecord>;

    fn chunk(&mut self, bytes: u64) -> Result<Self::Chunk, MalformedRecord>;
}

struct Slice<'a>(&'a [u8]);

impl<'a> Source for Slice<'a> {
    type Chunk = &'a [u8];

    fn byte(&mut self) -> Result<u8, MalformedRecord> {
        let (first, rest) = self.0.split_first().ok_or(MalformedRecord::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    fn chunk(&mut self, bytes: u64) -> Result<&'a [u8], MalformedRecord> {
        let (chunk, rest) = self.0.split_at_checked(bytes as usize).ok_or(MalformedRecord::Truncated)?;
        self.0 = rest;
        Ok(chunk)
    }
}

/// A reader whose chunks are passed over.
pub(super) struct Stream<R>(pub(super) R);

impl<R: BufRead> Stream<R> {
    fn buffered(&mut self) -> Result<&[u8], MalformedRecord> {
        match self.0.fill_buf() {
            Ok([]) => Err(MalformedRecord::Truncated),
            Ok(buffer) => Ok(buffer),
            Err(error) => Err(MalformedRecord::Source(error)),
        }
    }

    /// Whether nothing is left.
    pub(super) fn at_end(&mut self) -> Result<bool, MalformedRecord> {
        match self.buffered() {
            Ok(_) => Ok(false),
            Err(MalformedRecord::Truncated) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl<R: BufRead> Source for Stream<R> {
    type Chunk = ();

    fn byte(&mut self) -> Result<u8, MalformedRecord> {
        let byte = self.buffered()?[0];
        self.0.consume(1);
        Ok(byte)
    }

    fn chunk(&mut self, bytes: u64) -> Result<(), MalformedRecord> {
        let mut left = bytes;
        while left > 0 {
            let step = (self.buffered()?.len() as u64).min(left);
            self.0.consume(step as usize);
            left -= step;
        }
        Ok(())
    }
}

fn record_size<S: Source>(source: &mut S) -> Result<u64, MalformedRecord> {
    let mut read = 0;
    let size = varint_of(32, || source.byte(), &mut read)?;
    length(i64::from(zigzag32(size)))
}

fn length(claimed: i64) -> Result<u64, MalformedRecord> {
    u64::try_from(claimed).map_err(|_| MalformedRecord::Length(claimed))
}

/// The fields of one record: a source, and how many bytes of the record's claimed size are left.
struct Fields<'s, S> {
    source: &'s mut S,
    left: u64,
}

impl<S: Source> Fields<'_, S> {
    fn head(&mut self) -> Result<RecordHead<S::Chunk>, MalformedRecord> {
        self.take(1)?;
        let _attributes = self.source.byte()?; // none are defined
        Ok(RecordHead {
            timestamp_delta: self.varlong()?,
            offset_delta: self.varint()?,
            key: self.nullable_chunk()?,
            value: self.nullable_chunk()?,
        })
    }

    fn headers_count(&mut self) -> Result<usize, MalformedRecord> {
        length(i64::from(self.varint()?)).map(|count| count as usize)
    }

    /// Each turn takes bytes of the record, so a lying count ends soon.
    fn skip_headers(&mut self, count: usize) -> Result<(), MalformedRecord> {
        (0..count).try_for_each(|_| self.header().map(|_| ()))
    }

    fn header(&mut self) -> Result<(S::Chunk, Option<S::Chunk>), MalformedRecord> {
        let key = self.nullable_chunk()?.ok_or(MalformedRecord::NullHeaderKey)?;
        Ok((key, self.nullable_chunk()?))
    }

    fn nullable_chunk(&mut self) -> Result<Option<S::Chunk>, MalformedRecord> {
        let claimed = self.varint()?;
        if claimed < 0 {
            return Ok(None);
        }
        let bytes = claimed as u64;
        self.take(bytes)?;
        self.source.chunk(bytes).map(Some)
    }

    fn varint(&mut self) -> Result<i32, MalformedRecord> {
        self.varint_bits(32).map(zigzag32)
    }

    fn varlong(&mut self) -> Result<i64, MalformedRecord> {
        let raw = self.varint_bits(64)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    fn varint_bits(&mut self, bits: u32) -> Result<u64, MalformedRecord> {
        let mut read = 0;
        let value = varint_of(bits, || self.source.byte(), &mut read)?;
        self.take(read)?;
        Ok(value)
    }

    fn take(&mut self, bytes: u64) -> Result<(), MalformedRecord> {
        let left = self.left;
        self.left = left.checked_sub(bytes).ok_or(MalformedRecord::Overrun { needed: bytes, left })?;
        Ok(())
    }

    fn finish(self) -> Result<(), MalformedRecord> {
        if self.left == 0 { Ok(()) } else { Err(MalformedRecord::Underrun(self.left)) }
    }
}

fn zigzag32(raw: u64) -> i32 {
    let raw = raw as u32;
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

/// LEB128 of at most `bits` bits; `read` counts its bytes.
fn varint_of(
    bits: u32,
    mut next: impl FnMut() -> Result<u8, MalformedRecord>,
    read: &mut u64,
) -> Result<u64, MalformedRecord> {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let byte = next()?;
        *read += 1;
        let payload = u64::from(byte & 0x7f);
        if shift >= bits || (bits - shift < 7 && payload >> (bits - shift) != 0) {
            return Err(MalformedRecord::Varint);
        }
        value |= payload << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
        shift += 7;
    }
}

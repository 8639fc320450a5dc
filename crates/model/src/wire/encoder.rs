//! `Encoder`: gathers one message or frame. Called by generated code and by the record formats.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::decoder::STRING_BYTES_MAX;
use super::{ArrayLength, Records};

/// Why a message cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("{message} version {version} has no field {field}, which is set")]
    UnsupportedField { message: &'static str, field: &'static str, version: i16 },
    #[error("{message} version {version} cannot hold null in {field}")]
    UnexpectedNull { message: &'static str, field: &'static str, version: i16 },
    #[error("a string of {bytes} bytes cannot be written; Kafka allows 32767")]
    StringTooLong { bytes: usize },
}

/// Record bytes shorter than this are copied into the frame: a copy costs less than one more slice to write.
const SHARED_BYTES_MIN: usize = 4096;

/// Gathers a message. Large record bytes are not copied: the frame names them between its own bytes.
#[derive(Debug, Default)]
pub struct Encoder {
    own: BytesMut,
    /// Shared slices, each with the position in `own` before which it stands.
    shared: Vec<(usize, Bytes)>,
    shared_bytes: usize,
}

/// An encoded message: slices that, one behind the other, are its bytes.
#[derive(Debug)]
pub struct Frame {
    pub chunks: Vec<Bytes>,
    pub bytes: usize,
}

impl Frame {
    /// All bytes in one slice; copies only when there are several chunks.
    pub fn into_contiguous(mut self) -> Bytes {
        if self.chunks.len() <= 1 {
            return self.chunks.pop().unwrap_or_default();
        }
        self.chunks.concat().into()
    }
}

impl Encoder {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_capacity(bytes: usize) -> Self {
        Self { own: BytesMut::with_capacity(bytes), ..Self::default() }
    }

    /// Bytes gathered so far.
    pub fn len(&self) -> usize {
        self.own.len() + self.shared_bytes
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message's bytes in one slice.
    pub fn into_bytes(self) -> Bytes {
        self.into_frame().into_contiguous()
    }

    /// The message as slices.
    pub fn into_frame(self) -> Frame {
        let bytes = self.len();
        let mut own = self.own.freeze();
        if self.shared.is_empty() {
            return Frame { chunks: vec![own], bytes };
        }
        let mut chunks = Vec::with_capacity(self.shared.len() * 2 + 1);
        let mut taken = 0;
        for (position, slice) in self.shared {
            if position > taken {
                chunks.push(own.split_to(position - taken));
                taken = position;
            }
            chunks.push(slice);
        }
        if !own.is_empty() {
            chunks.push(own);
        }
        Frame { chunks, bytes }
    }

    /// The message behind a 32-bit length, as Kafka frames it. The encoder must have been begun with `framed`.
    pub fn into_framed(mut self) -> Frame {
        let length = i32::try_from(self.len() - 4).expect("fetches and requests are bounded far below 2 GiB");
        self.own[..4].copy_from_slice(&length.to_be_bytes());
        self.into_frame()
    }

    /// An encoder that leaves room for the frame's length; ends with `into_framed`.
    pub fn framed(bytes: usize) -> Self {
        let mut encoder = Self::with_capacity(bytes + 4);
        encoder.i32(0);
        encoder
    }

    pub fn bool(&mut self, value: bool) {
        self.own.put_u8(u8::from(value));
    }

    pub fn i8(&mut self, value: i8) {
        self.own.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.own.put_i16(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.own.put_u16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.own.put_i32(value);
    }

    pub fn u32(&mut self, value: u32) {
        self.own.put_u32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.own.put_i64(value);
    }

    pub fn f64(&mut self, value: f64) {
        self.own.put_f64(value);
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.own.put_slice(value.as_bytes());
    }

    fn varint_of(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.own.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.own.put_u8(value as u8);
    }

    /// Unsigned LEB128.
    pub fn unsigned_varint(&mut self, value: u32) {
        self.varint_of(u64::from(value));
    }

    /// Zigzag LEB128 of 32 bits.
    pub fn varint(&mut self, value: i32) {
        self.unsigned_varint(((value << 1) ^ (value >> 31)) as u32);
    }

    /// Zigzag LEB128 of 64 bits.
    pub fn varlong(&mut self, value: i64) {
        self.varint_of(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.own.put_slice(bytes);
    }

    /// Count of an array, or null.
    pub fn array_length(&mut self, form: ArrayLength, count: Option<usize>) {
        match form {
            ArrayLength::Fixed => self.i32(count.map_or(-1, |count| count as i32)),
            ArrayLength::Compact => self.unsigned_varint(count.map_or(0, |count| count as u32 + 1)),
        }
    }

    /// An array whose elements are written by `element`, or null.
    pub fn nullable_array<T>(
        &mut self,
        form: ArrayLength,
        elements: Option<&[T]>,
        mut element: impl FnMut(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.array_length(form, elements.map(<[T]>::len));
        elements.unwrap_or_default().iter().try_for_each(|value| element(self, value))
    }

    /// An array whose elements are written by `element`.
    pub fn array<T>(
        &mut self,
        form: ArrayLength,
        elements: &[T],
        element: impl FnMut(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.nullable_array(form, Some(elements), element)
    }

    /// Says whether a structure that may be null follows: 1, or -1 for null.
    pub fn present(&mut self, present: bool) {
        self.i8(if present { 1 } else { -1 });
    }

    /// A string, or null; a fixed length has 16 bits. Errors above 32767 bytes, which a fixed length cannot say and
    /// Kafka refuses in either form.
    pub fn nullable_string(&mut self, form: ArrayLength, value: Option<&str>) -> Result<(), EncodeError> {
        let bytes = value.map_or(0, str::len);
        if bytes > STRING_BYTES_MAX {
            return Err(EncodeError::StringTooLong { bytes });
        }
        match form {
            ArrayLength::Fixed => self.i16(value.map_or(-1, |text| text.len() as i16)),
            ArrayLength::Compact => self.unsigned_varint(value.map_or(0, |text| text.len() as u32 + 1)),
        }
        self.raw(value.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// As `nullable_string`, never null.
    pub fn string(&mut self, form: ArrayLength, value: &str) -> Result<(), EncodeError> {
        self.nullable_string(form, Some(value))
    }

    /// Bytes, or null; a fixed length has 32 bits.
    pub fn nullable_bytes(&mut self, form: ArrayLength, value: Option<&[u8]>) {
        self.array_length(form, value.map(<[u8]>::len));
        self.raw(value.unwrap_or_default());
    }

    pub fn bytes(&mut self, form: ArrayLength, value: &[u8]) {
        self.nullable_bytes(form, Some(value));
    }

    /// Record batches, or null: large ones are named, not copied.
    pub fn nullable_records(&mut self, form: ArrayLength, value: Option<&Records>) {
        self.array_length(form, value.map(Records::len));
        for chunk in value.map(Records::chunks).unwrap_or_default() {
            if chunk.len() < SHARED_BYTES_MIN {
                self.raw(chunk);
            } else {
                self.shared.push((self.own.len(), chunk.clone()));
                self.shared_bytes += chunk.len();
            }
        }
    }

    /// A section of tagged fields with nothing in it.
    pub fn no_tagged_fields(&mut self) {
        self.unsigned_varint(0);
    }

    /// A tagged field (KIP-482): tag, length, then what `write` gathers.
    pub fn tagged_field(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut field = Self::new();
        write(&mut field)?;
        self.unsigned_varint(tag);
        self.unsigned_varint(field.len() as u32);
        self.raw(&field.into_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_records_are_named_not_copied() {
        let records = Bytes::from(vec![7; SHARED_BYTES_MIN]);
        let mut encoder = Encoder::framed(64);
        encoder.i16(1);
        encoder.nullable_records(ArrayLength::Fixed, Some(&records.clone().into()));
        encoder.i8(2);
        let frame = encoder.into_framed();
        assert_eq!(frame.chunks[1].as_ptr(), records.as_ptr());
        let bytes = frame.into_contiguous();
        assert_eq!(bytes.len(), 4 + 2 + 4 + SHARED_BYTES_MIN + 1);
        assert_eq!(bytes[..4], ((bytes.len() - 4) as i32).to_be_bytes());
        assert_eq!(bytes[bytes.len() - 1], 2);
    }

    #[test]
    fn null_and_empty_differ() {
        let mut encoder = Encoder::new();
        encoder.nullable_string(ArrayLength::Compact, None).unwrap();
        encoder.nullable_string(ArrayLength::Compact, Some("")).unwrap();
        encoder.nullable_string(ArrayLength::Fixed, None).unwrap();
        assert_eq!(&encoder.into_bytes()[..], [0, 1, 0xff, 0xff]);
    }

    #[test]
    fn a_string_beyond_16_bits_is_refused_in_both_forms() {
        let text = "x".repeat(STRING_BYTES_MAX + 1);
        for form in [ArrayLength::Fixed, ArrayLength::Compact] {
            assert_eq!(Encoder::new().string(form, &text), Err(EncodeError::StringTooLong { bytes: text.len() }));
            Encoder::new().string(form, &text[1..]).unwrap();
        }
    }
}

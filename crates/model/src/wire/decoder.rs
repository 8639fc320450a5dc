//! `Decoder`: a bounded cursor over the bytes of one message. Called by generated code and by the record formats.

use bytes::Bytes;
use uuid::Uuid;

use super::Records;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the message ends {missing} bytes early, at byte {position}")]
    Truncated { position: usize, missing: usize },
    #[error("a length or count of {claimed} at byte {position} cannot be: {remaining} bytes remain")]
    ImpossibleLength { position: usize, claimed: i64, remaining: usize },
    #[error("null at byte {position} where a value is required")]
    UnexpectedNull { position: usize },
    #[error("text at byte {position} is not UTF-8")]
    InvalidUtf8 { position: usize },
    #[error("text at byte {position} has {claimed} bytes; Kafka allows 32767")]
    StringTooLong { position: usize, claimed: usize },
    #[error("a variable-length integer at byte {position} is longer than its type")]
    VarintTooLong { position: usize },
    #[error("the message would occupy more than {limit} bytes of memory")]
    OverBudget { limit: usize },
    #[error("{count} bytes follow the message's end")]
    TrailingBytes { count: usize },
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("tagged field {tag} at byte {position} is out of order or overlong")]
    InvalidTag { tag: u32, position: usize },
}

/// How an array's or a string's length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayLength {
    /// 32 bits, -1 for null.
    Fixed,
    /// Unsigned varint of the length plus one, 0 for null (KIP-482).
    Compact,
}

impl ArrayLength {
    /// The form in a message version that is flexible (KIP-482) or not.
    pub const fn of(flexible: bool) -> Self {
        if flexible { Self::Compact } else { Self::Fixed }
    }
}

/// The longest string of a message, in bytes, in either form.
pub(super) const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// What one message may make the process retain, in units of its own size: decoded structures are larger than their
/// wire form, and nested arrays multiply.
const BUDGET_PER_WIRE_BYTE: usize = 32;
const BUDGET_BYTES_MIN: usize = 64 * 1024;

/// A cursor over one message. Slices that it hands out share the message's memory.
#[derive(Debug)]
pub struct Decoder {
    bytes: Bytes,
    position: usize,
    budget: usize,
    budget_limit: usize,
}

impl Decoder {
    /// A cursor at the start of `bytes`, with a memory budget in proportion to their length.
    pub fn new(bytes: Bytes) -> Self {
        let limit = Self::budget(bytes.len());
        Self { bytes, position: 0, budget: limit, budget_limit: limit }
    }

    /// Bytes that a message of `bytes` bytes may make the decoder reserve.
    pub const fn budget(bytes: usize) -> usize {
        let proportional = bytes.saturating_mul(BUDGET_PER_WIRE_BYTE);
        if proportional > BUDGET_BYTES_MIN { proportional } else { BUDGET_BYTES_MIN }
    }

    pub fn position(&self) -> usize {
        self.position
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Errors unless every byte has been read.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes { count }),
        }
    }

    fn advance(&mut self, count: usize) -> Result<usize, DecodeError> {
        let start = self.position;
        if count > self.remaining() {
            return Err(DecodeError::Truncated { position: start, missing: count - self.remaining() });
        }
        self.position += count;
        Ok(start)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let start = self.advance(N)?;
        let mut value = [0; N];
        value.copy_from_slice(&self.bytes[start..start + N]);
        Ok(value)
    }

    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.fixed::<1>()? != [0])
    }

    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.fixed().map(f64::from_be_bytes)
    }

    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.fixed().map(Uuid::from_bytes)
    }

    fn varint_of(&mut self, bits: u32) -> Result<u64, DecodeError> {
        let start = self.position;
        let mut value = 0_u64;
        let mut shift = 0;
        loop {
            let [byte] = self.fixed::<1>()?;
            let payload = u64::from(byte & 0x7f);
            if shift >= bits || (bits - shift < 7 && payload >> (bits - shift) != 0) {
                return Err(DecodeError::VarintTooLong { position: start });
            }
            value |= payload << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// Unsigned LEB128 of at most 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        self.varint_of(32).map(|value| value as u32)
    }

    /// Zigzag LEB128 of at most 32 bits.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let raw = self.unsigned_varint()?;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// Zigzag LEB128 of at most 64 bits.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let raw = self.varint_of(64)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The next `count` bytes, sharing the message's memory.
    pub fn slice(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        let start = self.advance(count)?;
        Ok(self.bytes.slice(start..start + count))
    }

    fn checked_length(&self, position: usize, claimed: i64, unit: usize) -> Result<Option<usize>, DecodeError> {
        let remaining = self.remaining();
        match usize::try_from(claimed) {
            Ok(length) if length <= remaining / unit.max(1) => Ok(Some(length)),
            Err(_) if claimed == -1 => Ok(None),
            _ => Err(DecodeError::ImpossibleLength { position, claimed, remaining }),
        }
    }

    /// Count of an array whose elements take at least `element_bytes_min` bytes each; `None` for null.
    pub fn array_length(&mut self, form: ArrayLength, element_bytes_min: usize) -> Result<Option<usize>, DecodeError> {
        let position = self.position;
        let claimed = match form {
            ArrayLength::Fixed => i64::from(self.i32()?),
            ArrayLength::Compact => i64::from(self.unsigned_varint()?) - 1,
        };
        self.checked_length(position, claimed, element_bytes_min)
    }

    /// An array whose elements take at least `element_bytes_min` bytes each and are read by `element`; `None` for null.
    pub fn nullable_array<T>(
        &mut self,
        form: ArrayLength,
        element_bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.array_length(form, element_bytes_min)? else { return Ok(None) };
        let mut elements = self.reserve(count)?;
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// As `nullable_array`, where null is an error.
    pub fn array<T>(
        &mut self,
        form: ArrayLength,
        element_bytes_min: usize,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let position = self.position;
        self.nullable_array(form, element_bytes_min, element)?.ok_or(DecodeError::UnexpectedNull { position })
    }

    /// Whether a structure that may be null follows: one byte, negative for null.
    pub fn present(&mut self) -> Result<bool, DecodeError> {
        self.i8().map(|marker| marker >= 0)
    }

    /// An empty vector for `count` elements, charged to the memory budget before it is reserved.
    pub fn reserve<T>(&mut self, count: usize) -> Result<Vec<T>, DecodeError> {
        self.charge(count.saturating_mul(size_of::<T>()))?;
        Ok(Vec::with_capacity(count))
    }

    fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.budget = self.budget.checked_sub(bytes).ok_or(DecodeError::OverBudget { limit: self.budget_limit })?;
        Ok(())
    }

    fn string_length(&mut self, form: ArrayLength) -> Result<Option<usize>, DecodeError> {
        let position = self.position;
        let claimed = match form {
            ArrayLength::Fixed => i64::from(self.i16()?),
            ArrayLength::Compact => i64::from(self.unsigned_varint()?) - 1,
        };
        match self.checked_length(position, claimed, 1)? {
            Some(claimed) if claimed > STRING_BYTES_MAX => Err(DecodeError::StringTooLong { position, claimed }),
            length => Ok(length),
        }
    }

    /// A string, or `None` for null; a fixed length has 16 bits.
    pub fn nullable_string(&mut self, form: ArrayLength) -> Result<Option<String>, DecodeError> {
        let Some(length) = self.string_length(form)? else { return Ok(None) };
        self.charge(length)?;
        let start = self.advance(length)?;
        match std::str::from_utf8(&self.bytes[start..start + length]) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(DecodeError::InvalidUtf8 { position: start }),
        }
    }

    pub fn string(&mut self, form: ArrayLength) -> Result<String, DecodeError> {
        let position = self.position;
        self.nullable_string(form)?.ok_or(DecodeError::UnexpectedNull { position })
    }

    /// Bytes that share the message's memory, or `None` for null; a fixed length has 32 bits.
    pub fn nullable_bytes(&mut self, form: ArrayLength) -> Result<Option<Bytes>, DecodeError> {
        match self.array_length(form, 1)? {
            Some(length) => self.slice(length).map(Some),
            None => Ok(None),
        }
    }

    pub fn bytes(&mut self, form: ArrayLength) -> Result<Bytes, DecodeError> {
        let position = self.position;
        self.nullable_bytes(form)?.ok_or(DecodeError::UnexpectedNull { position })
    }

    /// Record batches that share the message's memory, or `None` for null.
    pub fn nullable_records(&mut self, form: ArrayLength) -> Result<Option<Records>, DecodeError> {
        Ok(self.nullable_bytes(form)?.map(Records::from))
    }

    /// Skips a section of tagged fields of which none is known.
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(false))
    }

    /// Reads a section of tagged fields (KIP-482): `known` is called with each tag and a cursor confined to that
    /// field, and says whether it knows the tag; unknown fields are skipped.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.unsigned_varint()?;
        let mut previous = None;
        for _ in 0..count {
            let position = self.position;
            let tag = self.unsigned_varint()?;
            if previous.is_some_and(|previous| tag <= previous) {
                return Err(DecodeError::InvalidTag { tag, position });
            }
            previous = Some(tag);
            let length = self.unsigned_varint()? as usize;
            self.tagged_field(tag, length, &mut known)?;
        }
        Ok(())
    }

    fn tagged_field(
        &mut self,
        tag: u32,
        length: usize,
        known: &mut impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let field = self.slice(length)?;
        let mut inner = Self { bytes: field, position: 0, budget: self.budget, budget_limit: self.budget_limit };
        if known(tag, &mut inner)? {
            inner.finish()?;
        }
        self.budget = inner.budget;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(bytes: &'static [u8]) -> Decoder {
        Decoder::new(Bytes::from_static(bytes))
    }

    #[test]
    fn a_count_beyond_the_remaining_bytes_is_refused() {
        let mut hostile = decoder(&[0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
        let error = hostile.array_length(ArrayLength::Fixed, 4).unwrap_err();
        assert_eq!(error, DecodeError::ImpossibleLength { position: 0, claimed: 0x7fff_ffff, remaining: 4 });
    }

    #[test]
    fn a_length_below_null_is_refused() {
        assert!(decoder(&[0xff, 0xff, 0xff, 0xfe]).array_length(ArrayLength::Fixed, 1).is_err());
        assert_eq!(decoder(&[0xff, 0xff, 0xff, 0xff]).array_length(ArrayLength::Fixed, 1), Ok(None));
    }

    #[test]
    fn structures_beyond_the_budget_are_refused() {
        let mut small = decoder(&[0; 16]);
        assert!(small.reserve::<[u8; 1024]>(65).is_err());
    }

    #[test]
    fn varints_read_their_whole_range_and_no_more() {
        assert_eq!(decoder(&[0xff, 0xff, 0xff, 0xff, 0x0f]).unsigned_varint(), Ok(u32::MAX));
        assert!(decoder(&[0xff, 0xff, 0xff, 0xff, 0x1f]).unsigned_varint().is_err());
        assert_eq!(decoder(&[0x01]).varint(), Ok(-1));
        assert_eq!(decoder(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).varlong(), Ok(i64::MIN));
    }

    #[test]
    fn unknown_tagged_fields_are_skipped() {
        let mut fields = decoder(&[2, 0, 1, 7, 5, 2, 1, 2]);
        let mut seen = None;
        fields
            .tagged_fields(|tag, field| {
                if tag == 0 {
                    seen = Some(field.i8()?);
                }
                Ok(tag == 0)
            })
            .unwrap();
        assert_eq!(seen, Some(7));
        fields.finish().unwrap();
    }
}

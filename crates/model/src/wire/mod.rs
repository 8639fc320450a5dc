//! Primitive encodings of Kafka's messages and record formats: big-endian integers, varints, strings, arrays,
//! tagged fields (KIP-482).
//!
//! `Decoder` treats every byte as hostile: a claimed count never exceeds what the remaining bytes could hold, and
//! what one message may retain in memory has a budget. `Encoder` gathers a frame without copying record bytes.

mod decoder;
mod encoder;
#[cfg(feature = "testing")]
pub mod sample;

pub use decoder::{ArrayLength, DecodeError, Decoder};
pub use encoder::{EncodeError, Encoder, Frame};

use std::ops::RangeInclusive;

use bytes::Bytes;
use smallvec::SmallVec;

/// A message of Kafka's protocols or formats: its name and the versions that can be read and written.
pub trait Message: Sized {
    /// Kafka's name, as in its message definitions: `ListOffsetsRequest`.
    const NAME: &'static str;
    const VERSIONS: RangeInclusive<i16>;
    /// First version with compact lengths and tagged fields (KIP-482), where there is one.
    const FLEXIBLE_FROM: Option<i16>;

    /// Whether `version` has compact lengths and tagged fields.
    fn is_flexible(version: i16) -> bool {
        Self::FLEXIBLE_FROM.is_some_and(|from| version >= from)
    }
}

/// A message that can be read.
pub trait Decode: Message {
    /// Reads the message where the decoder stands. Bytes may follow: `Decoder::finish` says whether they do.
    fn decode(decoder: &mut Decoder, version: i16) -> Result<Self, DecodeError>;
}

/// A message that can be written.
pub trait Encode: Message {
    /// Appends the message. On an error the encoder holds part of it and is of no more use.
    fn encode(&self, encoder: &mut Encoder, version: i16) -> Result<(), EncodeError>;
}

/// Record batches of one partition as they travel: one slice of a request, or several slices of what was stored.
#[derive(Clone, Debug, Default)]
pub struct Records {
    chunks: SmallVec<[Bytes; 1]>,
}

impl Records {
    /// Bytes in all chunks.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.iter().all(Bytes::is_empty)
    }

    /// Adds a slice behind the others.
    pub fn push(&mut self, chunk: Bytes) {
        self.chunks.push(chunk);
    }

    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// All bytes in one slice; copies only when there are several chunks.
    pub fn into_contiguous(mut self) -> Bytes {
        if self.chunks.len() <= 1 {
            return self.chunks.pop().unwrap_or_default();
        }
        self.chunks.concat().into()
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self { chunks: SmallVec::from_iter([bytes]) }
    }
}

impl FromIterator<Bytes> for Records {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        Self { chunks: chunks.into_iter().collect() }
    }
}

/// Equal when the bytes are equal, however they are cut.
impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.clone().into_contiguous() == other.clone().into_contiguous()
    }
}

impl Eq for Records {}

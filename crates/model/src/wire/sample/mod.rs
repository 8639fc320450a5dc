//! Samples of generated messages, for the tests of the crates that own them (feature `testing`).
//!
//! The generator writes each message a second time, as a table of fields; from the table and a seed come bytes of any
//! version, which the generated code must read and write again. The same seed gives the same bytes.

mod checks;
mod golden;
mod sampler;

use std::fmt::Debug;

use bytes::Bytes;

pub use checks::{check_bytes_return, check_hostile_bytes, check_other_versions, check_tagged_fields};
pub use golden::check_golden;

use super::{Decode, DecodeError, Decoder, Encode, EncodeError, Encoder};

/// A message and the generated code for it.
#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    /// First and last version.
    pub versions: (i16, i16),
    /// First flexible version, `i16::MAX` where there is none.
    pub flexible_from: i16,
    /// Fields of the message and of its structures; the message's own come first.
    pub structs: &'static [&'static [Field]],
    /// Reads and forgets.
    pub decode: fn(Bytes, i16) -> Result<(), DecodeError>,
    /// Reads and writes.
    pub read: fn(Bytes, i16) -> Result<Written, DecodeError>,
    pub write_default: fn(i16) -> Result<Bytes, EncodeError>,
}

/// A field of a structure, in its place on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub kind: Kind,
    /// First and last version that carries it.
    pub versions: (i16, i16),
    /// First and last version in which it may be null; `(0, -1)` for none.
    pub nullable: (i16, i16),
    pub tag: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    String,
    Bytes,
    Records,
    Uuid,
    /// By its place in `Case::structs`.
    Struct(usize),
    Array(&'static Self),
}

/// What became of bytes that could be read.
#[derive(Debug)]
pub struct Written {
    /// The message written again in the same version.
    pub bytes: Bytes,
    /// Written in every version of the message.
    pub other_versions: Vec<(i16, Result<Bytes, EncodeError>)>,
    pub debug: String,
}

/// `Case::decode` of a message type.
pub fn decode<M: Decode>(bytes: Bytes, version: i16) -> Result<(), DecodeError> {
    let mut decoder = Decoder::new(bytes);
    M::decode(&mut decoder, version)?;
    decoder.finish()
}

/// `Case::read` of a message type: reads, writes, and reads what was written.
///
/// # Panics
/// If what was read cannot be written, or reads back as something else: generated code is then wrong.
pub fn read_and_write<M: Decode + Encode + PartialEq + Debug>(
    bytes: Bytes,
    version: i16,
) -> Result<Written, DecodeError> {
    let read = |bytes: &Bytes, version| {
        let mut decoder = Decoder::new(bytes.clone());
        let message = M::decode(&mut decoder, version)?;
        decoder.finish().map(|()| message)
    };
    let write = |message: &M, version| {
        let mut encoder = Encoder::new();
        message.encode(&mut encoder, version).map(|()| encoder.into_bytes())
    };
    let message = read(&bytes, version)?;
    let bytes = write(&message, version).expect("what was read can be written in the same version");
    let again = read(&bytes, version).expect("what was written can be read");
    let debug = format!("{message:?}");
    assert!(again == message || debug.contains("NaN"), "{debug}\nreads back as\n{again:?}");
    let other_versions = M::VERSIONS.map(|other| (other, write(&message, other))).collect();
    Ok(Written { bytes, other_versions, debug })
}

/// `Case::write_default` of a message type: the message as nobody touched it.
pub fn write_default<M: Encode + Default>(version: i16) -> Result<Bytes, EncodeError> {
    let mut encoder = Encoder::new();
    M::default().encode(&mut encoder, version).map(|()| encoder.into_bytes())
}

impl Case {
    /// Every version.
    pub fn versions(&self) -> impl Iterator<Item = i16> + use<> {
        self.versions.0..=self.versions.1
    }
}

//! Samples of generated messages, for the tests of the crates that own them (feature `testing`).
//!
//! The generator writes each message a second time, as a table of fields; from the table and a seed come bytes of any
//! version, which the generated code must read and write again. The same seed gives the same bytes.

use std::fmt::Debug;

use bytes::Bytes;
use uuid::Uuid;

use super::{ArrayLength, Decode, DecodeError, Decoder, Encode, EncodeError, Encoder, Records};

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

/// Numbers that look random and follow from a seed (SplitMix64).
#[derive(Clone, Debug)]
struct Seed(u64);

impl Seed {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which must not be zero.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Often an edge of the range, otherwise anything.
    fn integer(&mut self) -> i64 {
        const EDGES: [i64; 6] = [0, 1, -1, i64::MIN, i64::MAX, 0x7f];
        let choice = self.below(EDGES.len() * 2);
        EDGES.get(choice).copied().unwrap_or_else(|| self.next() as i64)
    }

    fn text(&mut self) -> String {
        const LETTERS: [char; 8] = ['a', 'Z', '0', '.', '_', 'é', '水', '\u{1f30a}'];
        let length = self.below(9);
        (0..length).map(|_| LETTERS[self.below(LETTERS.len())]).collect()
    }

    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        let length = self.below(limit);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// A sample being written.
#[derive(Debug)]
struct Sampler<'a> {
    case: &'a Case,
    version: i16,
    seed: Seed,
    /// Whether tagged fields are written, known and unknown ones.
    tagged: bool,
}

impl Case {
    /// Bytes of one message. Without tagged fields they are the only way to write that message.
    pub fn sample(&self, version: i16, seed: u64, tagged: bool) -> Bytes {
        let mut sampler = Sampler { case: self, version, seed: Seed(seed), tagged };
        let mut encoder = Encoder::new();
        sampler.structure(0, &mut encoder).expect("samples hold no text beyond Kafka's limit");
        encoder.into_bytes()
    }

    /// Every version.
    pub fn versions(&self) -> impl Iterator<Item = i16> + use<> {
        self.versions.0..=self.versions.1
    }
}

impl Sampler<'_> {
    fn is_in(&self, (low, high): (i16, i16)) -> bool {
        (low..=high).contains(&self.version)
    }

    fn flexible(&self) -> bool {
        self.version >= self.case.flexible_from
    }

    fn structure(&mut self, index: usize, encoder: &mut Encoder) -> Result<(), EncodeError> {
        let present = |sampler: &Self, field: &&Field| sampler.is_in(field.versions);
        let fields: Vec<Field> =
            self.case.structs[index].iter().filter(|field| present(self, field)).copied().collect();
        for field in fields.iter().filter(|field| field.tag.is_none()) {
            self.field(field, encoder)?;
        }
        if !self.flexible() {
            return Ok(());
        }
        let mut tagged: Vec<(u32, Option<Field>)> = Vec::new();
        if self.tagged {
            tagged = fields.iter().filter_map(|field| field.tag.map(|tag| (tag, Some(*field)))).collect();
            tagged.retain(|_| self.seed.below(4) != 0);
            tagged.sort_by_key(|(tag, _)| *tag);
            if self.seed.below(4) == 0 {
                tagged.push((1000, None));
            }
        }
        encoder.unsigned_varint(tagged.len() as u32);
        for (tag, field) in tagged {
            encoder.tagged_field(tag, |encoder| match field {
                Some(field) => self.field(&field, encoder),
                None => {
                    encoder.raw(&self.seed.bytes(20));
                    Ok(())
                }
            })?;
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, encoder: &mut Encoder) -> Result<(), EncodeError> {
        let nullable = self.is_in(field.nullable);
        let null = nullable && self.seed.below(4) == 0;
        let form = ArrayLength::of(self.flexible());
        match field.kind {
            Kind::String if null => encoder.nullable_string(form, None)?,
            Kind::Bytes | Kind::Records | Kind::Array(_) if null => encoder.array_length(form, None),
            Kind::Struct(index) if nullable => {
                encoder.present(!null);
                if !null {
                    self.structure(index, encoder)?;
                }
            }
            kind => self.value(kind, encoder)?,
        }
        Ok(())
    }

    fn value(&mut self, kind: Kind, encoder: &mut Encoder) -> Result<(), EncodeError> {
        let form = ArrayLength::of(self.flexible());
        match kind {
            Kind::Bool => encoder.bool(self.seed.below(2) == 1),
            Kind::Int8 => encoder.i8(self.seed.integer() as i8),
            Kind::Int16 => encoder.i16(self.seed.integer() as i16),
            Kind::Uint16 => encoder.u16(self.seed.integer() as u16),
            Kind::Int32 => encoder.i32(self.seed.integer() as i32),
            Kind::Uint32 => encoder.u32(self.seed.integer() as u32),
            Kind::Int64 => encoder.i64(self.seed.integer()),
            Kind::Float64 => encoder.f64(self.seed.integer() as i32 as f64 / 8.0),
            Kind::Uuid => encoder.uuid(Uuid::from_u64_pair(self.seed.next(), self.seed.next())),
            Kind::String => encoder.string(form, &self.seed.text())?,
            Kind::Bytes => encoder.bytes(form, &self.seed.bytes(20)),
            Kind::Records => encoder.nullable_records(form, Some(&Records::from(Bytes::from(self.seed.bytes(9000))))),
            Kind::Struct(index) => self.structure(index, encoder)?,
            Kind::Array(element) => {
                let count = self.seed.below(4);
                encoder.array_length(form, Some(count));
                for _ in 0..count {
                    self.value(*element, encoder)?;
                }
            }
        }
        Ok(())
    }
}

fn each_version(cases: &[Case], mut check: impl FnMut(&Case, i16)) {
    for case in cases {
        for version in case.versions() {
            check(case, version);
        }
    }
}

/// Reads a sample, which must be possible.
fn read(case: &Case, bytes: Bytes, version: i16, seed: u64) -> Written {
    (case.read)(bytes, version).unwrap_or_else(|error| panic!("{} version {version}, seed {seed}: {error}", case.name))
}

/// What is read is written again byte for byte.
///
/// # Panics
/// Like the checks below, with the seed, when it is not so.
pub fn check_bytes_return(cases: &[Case], seed: u64) {
    each_version(cases, |case, version| {
        let bytes = case.sample(version, seed, false);
        let written = read(case, bytes.clone(), version, seed);
        assert_eq!(written.bytes, bytes, "{} version {version}, seed {seed}: {}", case.name, written.debug);
    });
}

/// Known tagged fields read back; unknown ones are skipped.
pub fn check_tagged_fields(cases: &[Case], seed: u64) {
    each_version(cases, |case, version| {
        let written = read(case, case.sample(version, seed, true), version, seed);
        let again = read(case, written.bytes.clone(), version, seed);
        assert_eq!(again.bytes, written.bytes, "{} version {version}, seed {seed}", case.name);
    });
}

/// Written in another version, a message is readable there, or refused.
pub fn check_other_versions(cases: &[Case], seed: u64) {
    each_version(cases, |case, version| {
        for (other, bytes) in read(case, case.sample(version, seed, true), version, seed).other_versions {
            if let Ok(bytes) = bytes {
                read(case, bytes, other, seed);
            }
        }
    });
}

/// Damaged and random bytes are read or refused; `around` surrounds each attempt and may measure it.
pub fn check_hostile_bytes(cases: &[Case], seed: u64, mut around: impl FnMut(&Case, &Bytes, &mut dyn FnMut())) {
    let mut seed = Seed(seed);
    each_version(cases, |case, version| {
        let sample = case.sample(version, seed.next(), true);
        for bytes in [damaged(&sample, &mut seed), seed.bytes(64).into()] {
            around(case, &bytes, &mut || drop((case.read)(bytes.clone(), version)));
        }
    });
}

/// Bytes like `bytes`, damaged: cut, flipped, or with a length that lies.
fn damaged(bytes: &Bytes, seed: &mut Seed) -> Bytes {
    let mut damaged = bytes.to_vec();
    for _ in 0..=seed.below(3) {
        if damaged.is_empty() {
            damaged = seed.bytes(64);
            continue;
        }
        let at = seed.below(damaged.len());
        match seed.below(4) {
            0 => damaged.truncate(at),
            1 => damaged[at] ^= 1 << seed.below(8),
            2 => damaged[at] = [0, 0x7f, 0x80, 0xff][seed.below(4)],
            _ => {
                let lie = [0x7fff_ffff_u32, 0x00ff_ffff, 0xffff_ffff, 0xffff_ff0f][seed.below(4)].to_be_bytes();
                let end = damaged.len().min(at + lie.len());
                damaged[at..end].copy_from_slice(&lie[..end - at]);
            }
        }
    }
    damaged.into()
}

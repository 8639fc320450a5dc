//! Bytes from a table of fields and a seed.

use bytes::Bytes;
use uuid::Uuid;

use super::super::{ArrayLength, EncodeError, Encoder, Records};
use super::{Case, Field, Kind};

/// Numbers that look random and follow from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Seed(pub(super) u64);

impl Seed {
    pub(super) fn next(&mut self) -> u64 {
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
}

impl Case {
    /// Bytes that somebody might send in place of a message: damaged, greedy, random, endlessly repeating.
    pub fn hostile(&self, version: i16, seed: u64) -> [Bytes; 4] {
        let mut seed = Seed(seed);
        let sample = self.sample(version, seed.next(), true);
        let repeating = vec![seed.below(5) as u8; 4096];
        [damaged(&sample, &mut seed), greedy(&sample, &mut seed), seed.bytes(64).into(), repeating.into()]
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
                match field.tag {
                    Some(_) => encoder.unsigned_varint(u32::from(!null)),
                    None => encoder.present(!null),
                }
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

/// Bytes like `bytes`, with one length that promises thousands of elements where there are bytes for so many and no
/// more: it can be believed, and must still not reserve more than the message's budget.
fn greedy(bytes: &Bytes, seed: &mut Seed) -> Bytes {
    const TAIL_BYTES: usize = 4096;
    let mut greedy = bytes.to_vec();
    let promise = TAIL_BYTES >> seed.below(6);
    let mut length = Encoder::new();
    match seed.below(2) {
        0 => length.unsigned_varint(promise as u32),
        _ => length.i32(promise as i32),
    }
    let at = seed.below(greedy.len() + 1);
    greedy.truncate(at);
    greedy.extend_from_slice(&length.into_bytes());
    greedy.resize(greedy.len() + TAIL_BYTES, 1);
    greedy.into()
}

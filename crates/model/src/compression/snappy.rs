//! Snappy as Kafka carries it: Xerial's framing (a head, then blocks each behind its length), which Java and librdkafka
//! write, and one raw block, which some clients send. Both are read, the framing is written.

use std::io::{self, Read};

use super::DecompressError;

/// `0x82 SNAPPY 0x00`, then the version and the oldest compatible version, both 1.
const HEAD: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const MAGIC_BYTES: usize = 8;
/// Uncompressed bytes per block, as the Java library's default.
const BLOCK_BYTES: usize = 32 * 1024;
/// The densest element of the format makes 64 bytes of 3, so a claim beyond 22 times the block's size is a lie.
const EXPANSION_MAX: usize = 22;

/// Appends all of `source` to `out` in Xerial's framing.
pub(super) fn write_xerial(source: &mut impl Read, out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = snap::raw::Encoder::new();
    let mut plain = Vec::with_capacity(BLOCK_BYTES);
    let mut packed = vec![0; snap::raw::max_compress_len(BLOCK_BYTES)];
    out.extend_from_slice(&HEAD);
    loop {
        plain.clear();
        source.take(BLOCK_BYTES as u64).read_to_end(&mut plain)?;
        if plain.is_empty() {
            return Ok(());
        }
        let bytes = encoder.compress(&plain, &mut packed).map_err(io::Error::other)?;
        out.extend_from_slice(&(bytes as u32).to_be_bytes());
        out.extend_from_slice(&packed[..bytes]);
    }
}

/// Reads both forms, a block at a time.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    framed: bool,
    bytes_max: usize,
    block: Vec<u8>,
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], bytes_max: usize) -> Self {
        let framed = bytes.len() >= HEAD.len() && bytes.starts_with(&HEAD[..MAGIC_BYTES]);
        let rest = if framed { &bytes[HEAD.len()..] } else { bytes };
        Self { rest, framed, bytes_max, block: Vec::new(), position: 0 }
    }

    /// The next compressed block, or `None` at the end.
    fn next_block(&mut self) -> io::Result<Option<&'a [u8]>> {
        if !self.framed {
            let whole = std::mem::take(&mut self.rest);
            return Ok((!whole.is_empty()).then_some(whole));
        }
        // Streams may be concatenated: a head stands where a length would.
        while self.rest.len() >= HEAD.len() && self.rest.starts_with(&HEAD[..MAGIC_BYTES]) {
            self.rest = &self.rest[HEAD.len()..];
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (length, rest) = self.rest.split_first_chunk().ok_or_else(cut_short)?;
        let (block, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(Some(block))
    }

    /// Decompresses into `self.block`, whose size is bounded before it is allocated.
    fn unpack(&mut self, packed: &[u8]) -> io::Result<()> {
        let bytes = snap::raw::decompress_len(packed).map_err(invalid)?;
        if bytes > packed.len().saturating_mul(EXPANSION_MAX) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a snappy block claims an impossible size"));
        }
        if bytes > self.bytes_max {
            return Err(DecompressError::OverLimit { bytes_max: self.bytes_max }.into());
        }
        self.block.resize(bytes, 0);
        let written = snap::raw::Decoder::new().decompress(packed, &mut self.block).map_err(invalid)?;
        self.block.truncate(written);
        self.position = 0;
        Ok(())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.position == self.block.len() {
            let Some(packed) = self.next_block()? else { return Ok(0) };
            self.unpack(packed)?;
        }
        let read = (&self.block[self.position..]).read(out)?;
        self.position += read;
        Ok(read)
    }
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a snappy block is cut short")
}

fn invalid(error: snap::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

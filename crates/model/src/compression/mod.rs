//! The codecs of record batches, compatible both ways with Kafka's clients.
//!
//! `Decompressor` streams and stops at a limit, so a small batch cannot make the process hold or produce gigabytes.
//! Writing: gzip; snappy in Xerial's framing; lz4 frames of independent 64 KiB blocks (Kafka refuses linked ones); zstd.

mod snappy;

use std::fmt;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::str::FromStr;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

/// A codec, under Kafka's name and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum CompressionType {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl CompressionType {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in a batch's attributes.
    pub const fn id(self) -> i8 {
        self as i8
    }

    pub fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.id() == id)
    }

    /// The name in Kafka's configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for CompressionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No codec has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression name: {0}")]
pub struct UnknownCompressionName(String);

impl FromStr for CompressionType {
    type Err = UnknownCompressionName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|codec| codec.name() == name);
        found.ok_or_else(|| UnknownCompressionName(name.to_owned()))
    }
}

/// A codec with its level, for writing (KIP-390). Levels outside their range count as the nearest in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    /// `compression.gzip.level`.
    Gzip {
        level: i32,
    },
    Snappy,
    /// `compression.lz4.level` is accepted and has no effect: the encoder has one speed.
    Lz4,
    /// `compression.zstd.level`.
    Zstd {
        level: i32,
    },
}

impl Compression {
    /// gzip's own default, written as a level.
    pub const GZIP_LEVEL_DEFAULT: i32 = -1;
    pub const GZIP_LEVELS: RangeInclusive<i32> = 1..=9;
    pub const LZ4_LEVEL_DEFAULT: i32 = 9;
    pub const LZ4_LEVELS: RangeInclusive<i32> = 1..=17;
    pub const ZSTD_LEVEL_DEFAULT: i32 = 3;
    pub const ZSTD_LEVELS: RangeInclusive<i32> = -131_072..=22;

    pub const fn kind(self) -> CompressionType {
        match self {
            Self::None => CompressionType::None,
            Self::Gzip { .. } => CompressionType::Gzip,
            Self::Snappy => CompressionType::Snappy,
            Self::Lz4 => CompressionType::Lz4,
            Self::Zstd { .. } => CompressionType::Zstd,
        }
    }
}

/// The codec at Kafka's default level.
impl From<CompressionType> for Compression {
    fn from(codec: CompressionType) -> Self {
        match codec {
            CompressionType::None => Self::None,
            CompressionType::Gzip => Self::Gzip { level: Self::GZIP_LEVEL_DEFAULT },
            CompressionType::Snappy => Self::Snappy,
            CompressionType::Lz4 => Self::Lz4,
            CompressionType::Zstd => Self::Zstd { level: Self::ZSTD_LEVEL_DEFAULT },
        }
    }
}

/// Why compressed bytes cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    #[error("the records decompress to more than {bytes_max} bytes")]
    OverLimit { bytes_max: usize },
    #[error("the compressed records are corrupt: {0}")]
    Corrupt(#[source] io::Error),
}

impl From<io::Error> for DecompressError {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Corrupt)
    }
}

impl From<DecompressError> for io::Error {
    fn from(error: DecompressError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Appends all of `source`, compressed, to `out`. Errors are the source's.
pub fn compress(compression: Compression, source: &mut impl Read, out: &mut Vec<u8>) -> io::Result<()> {
    match compression {
        Compression::None => {
            io::copy(source, out)?;
        }
        Compression::Gzip { level } => {
            let level = match level {
                Compression::GZIP_LEVEL_DEFAULT => flate2::Compression::default(),
                level => flate2::Compression::new(level.clamp(1, 9) as u32),
            };
            let mut encoder = GzEncoder::new(out, level);
            io::copy(source, &mut encoder)?;
            encoder.finish()?;
        }
        Compression::Snappy => snappy::write_xerial(source, out)?,
        Compression::Lz4 => {
            let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
            let mut encoder = FrameEncoder::with_frame_info(info, out);
            io::copy(source, &mut encoder)?;
            encoder.finish()?;
        }
        Compression::Zstd { level } => {
            let level = level.clamp(*Compression::ZSTD_LEVELS.start(), *Compression::ZSTD_LEVELS.end());
            let mut encoder = zstd::stream::Encoder::new(out, level)?;
            io::copy(source, &mut encoder)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

/// All of `bytes`, decompressed, at most `bytes_max`; uncompressed bytes are returned as they are.
pub fn decompress(codec: CompressionType, bytes: Bytes, bytes_max: usize) -> Result<Bytes, DecompressError> {
    if codec == CompressionType::None {
        return if bytes.len() > bytes_max { Err(DecompressError::OverLimit { bytes_max }) } else { Ok(bytes) };
    }
    let mut out = Vec::with_capacity(bytes.len().saturating_mul(2).min(bytes_max));
    Decompressor::new(codec, &bytes, bytes_max)?.read_to_end(&mut out)?;
    Ok(out.into())
}

/// Reads compressed bytes as what they were, and errors when that is more than a limit. Its errors turn into
/// `DecompressError`.
pub struct Decompressor<'a> {
    source: Source<'a>,
    left: usize,
    bytes_max: usize,
}

enum Source<'a> {
    None(&'a [u8]),
    Gzip(Box<MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Reader<'a>),
    Lz4(Box<FrameDecoder<&'a [u8]>>),
    Zstd(zstd::stream::read::Decoder<'static, &'a [u8]>),
}

impl<'a> Decompressor<'a> {
    /// Starts at the front of `bytes`. Errors when the codec's memory cannot be had.
    pub fn new(codec: CompressionType, bytes: &'a [u8], bytes_max: usize) -> Result<Self, DecompressError> {
        let source = match codec {
            CompressionType::None => Source::None(bytes),
            CompressionType::Gzip => Source::Gzip(Box::new(MultiGzDecoder::new(bytes))),
            CompressionType::Snappy => Source::Snappy(snappy::Reader::new(bytes, bytes_max)),
            CompressionType::Lz4 => Source::Lz4(Box::new(FrameDecoder::new(bytes))),
            CompressionType::Zstd => Source::Zstd(zstd::stream::read::Decoder::with_buffer(bytes)?),
        };
        Ok(Self { source, left: bytes_max, bytes_max })
    }

    fn read_source(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::None(bytes) => bytes.read(out),
            Source::Gzip(decoder) => decoder.read(out),
            Source::Snappy(reader) => reader.read(out),
            Source::Lz4(decoder) => decoder.read(out),
            Source::Zstd(decoder) => decoder.read(out),
        }
    }
}

impl Read for Decompressor<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return match self.read_source(&mut [0])? {
                0 => Ok(0),
                _ => Err(DecompressError::OverLimit { bytes_max: self.bytes_max }.into()),
            };
        }
        let room = out.len().min(self.left);
        let read = self.read_source(&mut out[..room])?;
        self.left -= read;
        Ok(read)
    }
}

impl fmt::Debug for Decompressor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

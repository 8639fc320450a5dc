//! Framings that clients differ in, and claims that cannot be true.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

fn packed(codec: CompressionType, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress(codec.into(), &mut &bytes[..], &mut out).unwrap();
    out
}

fn unpacked(codec: CompressionType, bytes: &[u8]) -> Result<Bytes, DecompressError> {
    decompress(codec, Bytes::copy_from_slice(bytes), LIMIT)
}

proptest! {
    #[test]
    fn every_codec_gives_back_what_it_took(bytes: Vec<u8>, times in 1_usize..2000) {
        let bytes = bytes.repeat(times.min(LIMIT / bytes.len().max(1)));
        for codec in CompressionType::ALL {
            prop_assert_eq!(unpacked(codec, &packed(codec, &bytes)).unwrap(), bytes.clone());
        }
    }

    #[test]
    fn the_limit_is_exact(bytes in proptest::collection::vec(any::<u8>(), 1..5000)) {
        for codec in CompressionType::ALL {
            let packed = Bytes::from(packed(codec, &bytes));
            prop_assert!(decompress(codec, packed.clone(), bytes.len()).is_ok());
            let over = decompress(codec, packed, bytes.len() - 1);
            let over_limit = matches!(over, Err(DecompressError::OverLimit { .. }));
            prop_assert!(over_limit, "{}: {:?}", codec, over);
        }
    }

    #[test]
    fn garbage_never_panics(bytes: Vec<u8>, keep in 0_usize..16) {
        for codec in CompressionType::ALL {
            let mut bytes = bytes.clone();
            let head = packed(codec, b"some text");
            let keep = keep.min(head.len());
            bytes.splice(..0, head[..keep].iter().copied());
            let _ = unpacked(codec, &bytes);
        }
    }
}

#[test]
fn a_cut_stream_is_an_error_and_not_a_shorter_text() {
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(|i| (i / 3).to_be_bytes()).collect();
    for codec in [CompressionType::Gzip, CompressionType::Snappy, CompressionType::Lz4, CompressionType::Zstd] {
        let packed = packed(codec, &bytes);
        let read = unpacked(codec, &packed[..packed.len() - 10]);
        assert!(matches!(read, Err(DecompressError::Corrupt(_))), "{codec}");
    }
}

#[test]
fn snappy_is_read_raw_framed_and_framed_twice() {
    let text = b"one two one two one two ".repeat(9);
    let raw = snap::raw::Encoder::new().compress_vec(&text).unwrap();
    assert_eq!(unpacked(CompressionType::Snappy, &raw).unwrap(), text);
    let framed = packed(CompressionType::Snappy, &text);
    assert_eq!(framed[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    assert_eq!(unpacked(CompressionType::Snappy, &framed.repeat(2)).unwrap(), text.repeat(2));
}

#[test]
fn a_snappy_block_that_claims_gigabytes_is_refused_before_they_are_allocated() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    assert!(matches!(unpacked(CompressionType::Snappy, &claim), Err(DecompressError::Corrupt(_))));
}

#[test]
fn lz4_is_written_as_kafka_reads_it() {
    let bytes = packed(CompressionType::Lz4, &vec![7; 200_000]);
    let (flags, block_size) = (bytes[4], bytes[5]);
    assert_eq!(flags & 0b0010_0000, 0b0010_0000, "blocks are independent");
    assert_eq!(flags & 0b0000_1000, 0, "no content size");
    assert_eq!(block_size >> 4, 4, "64 KiB blocks");
}

#[test]
fn names_and_numbers_are_kafkas() {
    for (id, name) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let codec: CompressionType = name.parse().unwrap();
        assert_eq!((codec.id(), codec.to_string()), (id as i8, name.to_owned()));
        assert_eq!(CompressionType::from_id(id as i8), Some(codec));
    }
    assert_eq!(CompressionType::from_id(5), None);
    assert!("GZIP".parse::<CompressionType>().is_err());
}

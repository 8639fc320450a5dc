//! The file in which Kafka keeps a partition's producers (`<20 digits>.snapshot`, version 1): written for a Kafka that is to
//! start as after a clean stop, which takes a missing one for "no producers". Byte table in docs/format/segment.md.

use bytes::Bytes;
use millstream_model::crc32c::crc32c;
use millstream_model::wire::Encoder;
use millstream_model::{Offset, ProducerId, Sequence};

use crate::log::producers::{ProducerEntry, Producers};

const VERSION: i16 = 1;
/// Bytes before the checksummed ones.
const HEAD_BYTES: usize = 2 + 4;
/// Bytes of one producer.
const ENTRY_BYTES: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;
const _: () = assert!(ENTRY_BYTES == 46);

/// Name of the file for a log that ends at `log_end`.
pub(super) fn file_name(log_end: Offset) -> String {
    format!("{:020}.snapshot", log_end.0)
}

/// The file's bytes.
pub(super) fn encode(producers: &Producers) -> Bytes {
    let entries: Vec<(ProducerId, &ProducerEntry)> = producers.iter().collect();
    let mut body = Encoder::with_capacity(4 + entries.len() * ENTRY_BYTES);
    body.i32(i32::try_from(entries.len()).expect("producers fit in memory"));
    for (id, entry) in entries {
        encode_entry(&mut body, id, entry);
    }
    let body = body.into_bytes();
    let mut out = Encoder::with_capacity(HEAD_BYTES + body.len());
    out.i16(VERSION);
    out.i32(crc32c(&body).cast_signed());
    out.raw(&body);
    out.into_bytes()
}

/// Of the batches Kafka keeps the newest one.
fn encode_entry(out: &mut Encoder, id: ProducerId, entry: &ProducerEntry) {
    let newest = entry.batches.back();
    out.i64(id.0);
    out.i16(entry.epoch.0);
    out.i32(newest.map_or(Sequence::NONE, |batch| batch.last_sequence).0);
    out.i64(newest.map_or(Offset(-1), |batch| batch.last_offset).0);
    out.i32(newest.map_or(0, |batch| batch.offset_delta));
    out.i64(entry.last_timestamp.0);
    out.i32(entry.coordinator_epoch);
    out.i64(entry.transaction_start.unwrap_or(Offset(-1)).0);
}

#[cfg(test)]
mod tests {
    use millstream_model::{ProducerEpoch, TimestampMs};

    use super::*;

    /// What Kafka 4.4.0 wrote for a partition whose only producer's transaction was ended by a marker.
    #[test]
    fn the_file_is_kafkas_bytes() {
        let mut producers = Producers::default();
        let entry = ProducerEntry {
            epoch: ProducerEpoch(6),
            coordinator_epoch: 0,
            last_timestamp: TimestampMs(0x01a2_1378_261e),
            batches: std::collections::VecDeque::new(),
            transaction_start: None,
        };
        producers.restore(ProducerId(7), entry);
        let golden = b"\0\x01\xe4\x43\x33\xf7\0\0\0\x01\
            \0\0\0\0\0\0\0\x07\0\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\
            \0\0\x01\xa2\x13\x78\x26\x1e\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(&encode(&producers)[..], &golden[..]);
        assert_eq!(file_name(Offset(24)), "00000000000000000024.snapshot");
    }

    #[test]
    fn a_file_without_producers_is_ten_bytes() {
        let bytes = encode(&Producers::default());
        assert_eq!(bytes.len(), HEAD_BYTES + 4);
        assert_eq!(&bytes[6..], [0; 4]);
    }
}

//! What a batch is after some of its records went, under every codec.

use super::*;
use crate::batch::{BatchBuilder, Header, ProducerStamp};
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

const LIMIT: usize = 1 << 20;

fn stamp() -> ProducerStamp {
    ProducerStamp {
        producer_id: ProducerId(7),
        producer_epoch: ProducerEpoch(2),
        base_sequence: Sequence(40),
        transactional: true,
    }
}

/// Ten records at offsets from 100: keys 0 to 9, every third without a value.
fn batch(codec: CompressionType) -> Batch {
    let mut builder = BatchBuilder::new(codec.into()).producer(stamp());
    for number in 0..10_i64 {
        let (key, value) = (number.to_string(), "v".repeat(number as usize * 9));
        let value = (number % 3 != 0).then_some(value.as_bytes());
        let header = Header { key: "h", value: Some(b"w") };
        builder.append(TimestampMs(5_000 - number * 7), Some(key.as_bytes()), value, &[header]).unwrap();
    }
    builder.build().placed(Offset(100), LeaderEpoch(3))
}

/// Offset, timestamp, key, value and headers of each record.
type Plain = (i64, i64, Vec<u8>, Option<Vec<u8>>, usize);

fn plain(batch: &Batch) -> Vec<Plain> {
    let (batch, rest) = Batch::parse(batch.bytes().clone()).expect("its CRC and length are right");
    assert!(rest.is_empty());
    let header = *batch.header();
    let bytes = batch.decompressed(LIMIT).unwrap();
    let records = RecordIter::new(&bytes, header.records_count);
    let record = |record: Record<'_>| {
        (
            header.base_offset.0 + i64::from(record.offset_delta),
            header.timestamp_of(record.timestamp_delta).0,
            record.key.unwrap().to_vec(),
            record.value.map(<[u8]>::to_vec),
            record.headers().count(),
        )
    };
    records.map(|one| record(one.unwrap())).collect()
}

fn even(record: &Record<'_>) -> bool {
    record.offset_delta % 2 == 0
}

#[test]
fn kept_records_are_as_they_were_under_every_codec() {
    for codec in CompressionType::ALL {
        for horizon in [None, Some(TimestampMs(9_000_000))] {
            let batch = batch(codec);
            let selection = batch.select(LIMIT, even).unwrap();
            assert!(!selection.is_empty() && !selection.is_complete() && selection.has_tombstones());
            let cleaned = batch.with_selected(&selection, horizon);
            let expected: Vec<Plain> = plain(&batch).into_iter().filter(|record| record.0 % 2 == 0).collect();
            assert_eq!(plain(&cleaned), expected, "{codec} {horizon:?}");
            let (before, after) = (batch.header(), cleaned.header());
            assert_eq!(after.compression(), codec);
            assert_eq!((after.base_offset, after.last_offset()), (before.base_offset, before.last_offset()));
            assert_eq!((after.producer_id, after.producer_epoch), (before.producer_id, before.producer_epoch));
            assert_eq!(after.last_sequence(), before.last_sequence());
            assert_eq!(after.partition_leader_epoch, before.partition_leader_epoch);
            assert_eq!(after.max_timestamp, TimestampMs(5_000));
            assert_eq!(cleaned.delete_horizon(), horizon);
        }
    }
}

#[test]
fn the_largest_timestamp_is_that_of_the_records_that_stay() {
    let batch = batch(CompressionType::None);
    let last = batch.select(LIMIT, |record| record.offset_delta == 9).unwrap();
    assert_eq!(batch.with_selected(&last, None).header().max_timestamp, TimestampMs(5_000 - 63));
    let stamped = batch.with_head(|head| head.set_log_append_time(TimestampMs(77)));
    let last = stamped.select(LIMIT, |record| record.offset_delta == 9).unwrap();
    let cleaned = stamped.with_selected(&last, Some(TimestampMs(1)));
    assert_eq!(plain(&cleaned)[0].1, 77, "the append's time is every record's");
}

#[test]
fn a_horizon_outlives_the_next_cleaning() {
    let batch = batch(CompressionType::Lz4);
    let all = batch.select(LIMIT, |_| true).unwrap();
    assert!(all.is_complete());
    let marked = batch.with_selected(&all, Some(TimestampMs(8_000)));
    let again = marked.with_selected(&marked.select(LIMIT, even).unwrap(), None);
    assert_eq!(again.delete_horizon(), Some(TimestampMs(8_000)));
    assert_eq!(plain(&again).len(), 5);
    assert_eq!(plain(&again)[1].1, 5_000 - 14);
}

#[test]
fn an_emptied_batch_keeps_its_end_and_its_producer() {
    let batch = batch(CompressionType::Zstd);
    assert!(batch.select(LIMIT, |_| false).unwrap().is_empty());
    let emptied = batch.emptied();
    assert_eq!(emptied.bytes().len(), HEADER_BYTES);
    assert_eq!(plain(&emptied), []);
    let (before, after) = (batch.header(), emptied.header());
    assert_eq!(after.next_offset(), before.next_offset());
    assert_eq!((after.producer_id, after.last_sequence()), (before.producer_id, before.last_sequence()));
    assert_eq!((after.max_timestamp, after.base_timestamp), (before.max_timestamp, TimestampMs::NONE));
    assert!(after.attributes.is_transactional() && !after.attributes.has_delete_horizon());
    assert_eq!(after.compression(), CompressionType::None);
}

#[test]
fn records_beyond_the_limit_are_an_error() {
    let refused = batch(CompressionType::Gzip).select(100, |_| true).unwrap_err();
    assert!(matches!(refused, SelectError::Decompress(DecompressError::OverLimit { bytes_max: 100 })), "{refused}");
}

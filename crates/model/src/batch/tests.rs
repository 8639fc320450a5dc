//! Hostile and lying batches, and the laws of the builder and the head.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{ProducerEpoch, ProducerId, Sequence, TimestampMs};

const BYTES_MAX: usize = 1 << 20;

type OwnedRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn record() -> impl Strategy<Value = OwnedRecord> {
    let bytes = || proptest::option::of(vec(any::<u8>(), 0..80));
    (any::<i64>(), bytes(), bytes(), vec((".{0,9}", bytes()), 0..4))
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![
        Just(Compression::None),
        (1..=9).prop_map(|level| Compression::Gzip { level }),
        Just(Compression::Snappy),
        Just(Compression::Lz4),
        (-3..=5).prop_map(|level| Compression::Zstd { level }),
    ]
}

fn build(compression: Compression, records: &[OwnedRecord]) -> Batch {
    let mut builder = BatchBuilder::new(compression);
    for (timestamp, key, value, headers) in records {
        let headers: Vec<_> = headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let before = builder.uncompressed_bytes();
        builder.append(TimestampMs(*timestamp), key.as_deref(), value.as_deref(), &headers).unwrap();
        let bound = record_bytes(key.as_deref(), value.as_deref(), &headers);
        assert!(builder.uncompressed_bytes() - before <= bound);
    }
    builder.build()
}

fn text(timestamp: i64, key: Option<&str>, value: &str) -> OwnedRecord {
    (timestamp, key.map(Into::into), Some(value.into()), Vec::new())
}

fn rules() -> RecordRules {
    RecordRules {
        key_required: false,
        timestamp_type: TimestampType::CreateTime,
        now: TimestampMs(1000),
        before_max_ms: 500,
        after_max_ms: 100,
        decompressed_bytes_max: BYTES_MAX,
    }
}

/// The batch with `change` made to its bytes and a CRC that vouches for it.
fn forged(batch: &Batch, change: impl FnOnce(&mut Vec<u8>)) -> Result<Batch, BatchError> {
    let mut bytes = batch.bytes().to_vec();
    change(&mut bytes);
    let length = (bytes.len() - LENGTH_OVERHEAD_BYTES) as i32;
    bytes[at::BATCH_LENGTH..][..4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&bytes[at::ATTRIBUTES..]);
    bytes[at::CRC..][..4].copy_from_slice(&crc.to_be_bytes());
    Batch::parse(bytes.into()).map(|(batch, _)| batch)
}

fn with_i32(at: usize, value: i32) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| bytes[at..at + 4].copy_from_slice(&value.to_be_bytes())
}

fn two() -> Batch {
    build(Compression::None, &[text(900, Some("a"), "x"), text(901, None, "y")])
}

proptest! {
    #[test]
    fn records_come_back_as_they_were_appended(records in vec(record(), 1..20), compression in compression()) {
        let batch = build(compression, &records);
        let (parsed, rest) = Batch::parse(batch.bytes().clone()).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(&parsed, &batch);
        let bytes = parsed.decompressed(BYTES_MAX).unwrap();
        let read: Vec<OwnedRecord> = RecordIter::new(&bytes, parsed.header().records_count)
            .map(|record| {
                let record = record.unwrap();
                let headers =
                    record.headers().map(|header| (header.key_text().into(), header.value.map(Into::into))).collect();
                let timestamp = parsed.header().timestamp_of(record.timestamp_delta).0;
                (timestamp, record.key.map(Into::into), record.value.map(Into::into), headers)
            })
            .collect();
        prop_assert_eq!(read, records);
    }

    #[test]
    fn mutated_batches_are_refused_or_read_and_never_panic(
        records in vec(record(), 1..6),
        compression in compression(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let batch = build(compression, &records);
        let changed = forged(&batch, |bytes| {
            bytes.truncate(HEADER_BYTES + cut.index(bytes.len() - HEADER_BYTES + 1));
            for (index, value) in flips {
                let index = at::ATTRIBUTES + index.index(bytes.len() - at::ATTRIBUTES);
                bytes[index] = value;
            }
        });
        if let Ok(batch) = changed {
            let _ = validate_records(&batch, &rules());
            let _ = batch.recompressed(Compression::Lz4, BYTES_MAX);
            if let Ok(bytes) = batch.decompressed(BYTES_MAX) {
                for record in RecordIter::new(&bytes, batch.header().records_count).map_while(Result::ok) {
                    let _ = record.headers().count();
                }
            }
        }
    }

    #[test]
    fn random_bytes_are_not_a_batch(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(Batch::parse(bytes.clone().into()).is_err());
        let _ = BatchHeader::read(&bytes);
    }

    #[test]
    fn the_walk_and_the_iterator_agree(records in vec(record(), 1..6), compression in compression(), flip in any::<(prop::sample::Index, u8)>()) {
        let batch = build(Compression::None, &records);
        let changed = forged(&batch, |bytes| {
            let index = HEADER_BYTES + flip.0.index(bytes.len() - HEADER_BYTES);
            bytes[index] = flip.1;
        });
        let batch = changed.unwrap().recompressed(compression, BYTES_MAX).unwrap();
        let bytes = batch.decompressed(BYTES_MAX).unwrap();
        let iterated = RecordIter::new(&bytes, batch.header().records_count)
            .enumerate()
            .all(|(i, record)| record.is_ok_and(|record| record.offset_delta as usize == i));
        let any_time = RecordRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
        prop_assert_eq!(validate_records(&batch, &any_time).is_ok(), iterated);
    }

    #[test]
    fn a_changed_head_keeps_a_true_crc(records in vec(record(), 1..4), offset in 0..i64::MAX / 2, now: i64, id: i64, sequence: i32) {
        let stamp = ProducerStamp {
            producer_id: ProducerId(id),
            producer_epoch: ProducerEpoch(7),
            base_sequence: Sequence(sequence),
            transactional: true,
        };
        let batch = build(Compression::Snappy, &records).placed(Offset(offset), LeaderEpoch(3)).with_head(|head| {
            head.set_log_append_time(TimestampMs(now));
            head.set_producer(stamp);
        });
        let (parsed, _) = Batch::parse(batch.bytes().clone()).unwrap();
        prop_assert_eq!(parsed.header().base_offset, Offset(offset));
        prop_assert_eq!(parsed.header().timestamp_of(5), TimestampMs(now));
        prop_assert_eq!(parsed.header().base_sequence, Sequence(sequence));
        prop_assert!(parsed.header().attributes.is_transactional());
    }
}

#[test]
fn a_payload_is_split_into_its_batches_and_what_follows_is_kept() {
    let payload: Bytes = [two().bytes().as_ref(), two().bytes(), b"tail"].concat().into();
    let batches: Vec<_> = BatchIter::new(payload.clone()).collect();
    assert_eq!(batches[..2], [Ok(two()), Ok(two())]);
    assert_eq!(batches[2], Err(BatchError::Truncated { needed: HEADER_BYTES, present: 4 }));
    assert_eq!(batches.len(), 3);
    assert_eq!(Batch::parse(payload).unwrap().1.len(), two().bytes().len() + 4);
}

#[test]
fn a_batch_cut_anywhere_is_truncated() {
    let bytes = two().into_bytes();
    for present in 0..bytes.len() {
        let error = Batch::parse(bytes.slice(..present)).unwrap_err();
        assert!(
            matches!(error, BatchError::Truncated { present: found, .. } if found == present),
            "{present}: {error}"
        );
    }
}

#[test]
fn every_flipped_bit_that_the_crc_covers_is_noticed() {
    let bytes = two().into_bytes();
    for bit in at::ATTRIBUTES * 8..bytes.len() * 8 {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Batch::parse(bytes.into()).is_err(), "bit {bit}");
    }
}

#[test]
fn a_lying_head_is_refused_with_its_own_error() {
    fn check(change: impl FnOnce(&mut Vec<u8>), error: BatchError) {
        assert_eq!(forged(&two(), change).unwrap_err(), error);
    }
    check(|bytes| bytes[at::MAGIC] = 1, BatchError::OldMagic { magic: 1 });
    check(|bytes| bytes[at::MAGIC] = 3, BatchError::UnknownMagic { magic: 3 });
    check(|bytes| bytes[at::ATTRIBUTES + 1] |= 6, BatchError::UnknownCompression { id: 6 });
    let range = |last_offset_delta| BatchError::OffsetRange { base_offset: Offset(0), last_offset_delta };
    check(with_i32(at::LAST_OFFSET_DELTA, -1), range(-1));
    check(with_i32(at::RECORDS_COUNT, -1), BatchError::Count { count: -1, last_offset_delta: 1 });
    check(with_i32(at::RECORDS_COUNT, 3), BatchError::Count { count: 3, last_offset_delta: 1 });
}

#[test]
fn a_length_below_a_head_is_refused_before_anything_is_read() {
    let mut bytes = two().into_bytes().to_vec();
    with_i32(at::BATCH_LENGTH, 48)(&mut bytes);
    assert_eq!(Batch::parse(bytes.clone().into()).unwrap_err(), BatchError::LengthTooSmall { length: 48 });
    with_i32(at::BATCH_LENGTH, -1)(&mut bytes);
    assert_eq!(Batch::parse(bytes.into()).unwrap_err(), BatchError::LengthTooSmall { length: -1 });
}

fn refusal(batch: &Batch, rules: &RecordRules) -> ValidationError {
    validate_records(batch, rules).unwrap_err()
}

#[test]
fn a_clients_head_must_tell_the_truth() {
    let error = refusal(&two().placed(Offset(5), LeaderEpoch(0)), &rules());
    assert!(matches!(error, ValidationError::BaseOffset(Offset(5))));
    let error = refusal(&forged(&two(), with_i32(at::RECORDS_COUNT, 0)).unwrap(), &rules());
    assert!(matches!(error, ValidationError::NoRecords(0)));
    let error = refusal(&forged(&two(), with_i32(at::RECORDS_COUNT, 1)).unwrap(), &rules());
    assert!(matches!(error, ValidationError::CountAgainstRange { count: 1, last_offset_delta: 1 }));
    let marker = ControlRecord { kind: ControlRecordType::Commit, coordinator_epoch: 0 };
    let marker = marker.into_batch(ProducerId(1), ProducerEpoch(0), TimestampMs(1000));
    assert!(matches!(refusal(&marker, &rules()), ValidationError::ControlBatch));
    let unsequenced = ProducerStamp { producer_id: ProducerId(9), ..ProducerStamp::NONE };
    let error = refusal(&two().with_head(|head| head.set_producer(unsequenced)), &rules());
    assert!(matches!(error, ValidationError::Sequence { .. }));
}

#[test]
fn records_that_are_fewer_or_more_than_counted_are_refused() {
    for compression in [Compression::None, Compression::Snappy] {
        let batch = two().recompressed(compression, BYTES_MAX).unwrap();
        let claim = |count: i32| {
            forged(&batch, |bytes| {
                with_i32(at::RECORDS_COUNT, count)(bytes);
                with_i32(at::LAST_OFFSET_DELTA, count - 1)(bytes);
            })
            .unwrap()
        };
        assert!(matches!(refusal(&claim(1), &rules()), ValidationError::RecordsRemain(1)));
        let error = refusal(&claim(3), &rules());
        assert!(
            matches!(error, ValidationError::Malformed { index: 2, reason: MalformedRecord::Truncated }),
            "{error}"
        );
    }
}

#[test]
fn offset_deltas_must_count_up() {
    // The second record's offset delta is the third byte of its fields: size, attributes, timestamp delta, offset delta.
    let batch = forged(&two(), |bytes| {
        let second = HEADER_BYTES + 1 + (bytes[HEADER_BYTES] / 2) as usize;
        assert_eq!(bytes[second + 3], 2, "zigzag of 1");
        bytes[second + 3] = 10;
    });
    let error = refusal(&batch.unwrap(), &rules());
    assert!(matches!(error, ValidationError::OffsetDelta { index: 1, offset_delta: 5 }), "{error}");
}

#[test]
fn rejected_records_are_named_one_by_one() {
    let records = [text(500, Some("k"), ""), text(499, Some("k"), ""), text(-1, None, ""), text(1101, Some("k"), "")];
    let compacted = RecordRules { key_required: true, ..rules() };
    let ValidationError::Rejected { errors, count } = refusal(&build(Compression::Lz4, &records), &compacted) else {
        panic!("not a rejection of records");
    };
    assert_eq!((count, errors.len()), (3, 3));
    let out_of_range = |timestamp, offset| RecordErrorReason::TimestampOutOfRange {
        timestamp: TimestampMs(timestamp),
        offset,
        earliest: TimestampMs(500),
        latest: TimestampMs(1100),
    };
    assert_eq!(errors[0], RecordError { batch_index: 1, reason: out_of_range(499, 1) });
    assert_eq!(errors[1], RecordError { batch_index: 2, reason: RecordErrorReason::NoKey });
    assert_eq!(errors[2], RecordError { batch_index: 3, reason: out_of_range(1101, 3) });
    let text = "Timestamp 499 of message with offset 1 is out of range. The timestamp should be within [500, 1100]";
    assert_eq!(errors[0].reason.to_string(), text);
}

#[test]
fn the_list_of_rejected_records_is_bounded_and_their_number_told() {
    let records = vec![text(1, None, ""); RECORD_ERRORS_MAX + 5];
    let ValidationError::Rejected { errors, count } = refusal(&build(Compression::None, &records), &rules()) else {
        panic!("not a rejection of records");
    };
    assert_eq!((errors.len(), count), (RECORD_ERRORS_MAX, RECORD_ERRORS_MAX + 5));
}

#[test]
fn a_producer_may_not_claim_log_append_time() {
    let batch = two().with_head(|head| head.set_log_append_time(TimestampMs(950)));
    let by_broker = RecordRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    assert!(matches!(refusal(&batch, &by_broker), ValidationError::Rejected { count: 2, .. }));
    validate_records(&two(), &by_broker).unwrap();
}

#[test]
fn the_true_max_timestamp_is_learnt_whatever_the_head_says() {
    let batch = build(Compression::Gzip { level: 1 }, &[text(905, None, ""), text(950, None, ""), text(950, None, "")]);
    let batch = batch.with_head(|head| head.set_max_timestamp(TimestampMs(77)));
    let learnt = validate_records(&batch, &rules()).unwrap();
    assert_eq!(learnt, Validated { max_timestamp: TimestampMs(950), max_timestamp_delta: 1 });
    let mended = batch.with_head(|head| head.set_max_timestamp(learnt.max_timestamp));
    assert_eq!(mended.header().max_timestamp, TimestampMs(950));
    Batch::parse(mended.into_bytes()).unwrap();
}

#[test]
fn a_decompression_bomb_stops_at_the_limit() {
    let bomb = build(Compression::Zstd { level: 3 }, &[(900, None, Some(vec![0; 2 * BYTES_MAX]), Vec::new())]);
    assert!(bomb.bytes().len() < 1000, "the bomb is small");
    let over = |error: &DecompressError| matches!(error, DecompressError::OverLimit { bytes_max: BYTES_MAX });
    assert!(matches!(refusal(&bomb, &rules()), ValidationError::Decompress(error) if over(&error)));
    assert!(over(&bomb.decompressed(BYTES_MAX).unwrap_err()));
    assert!(over(&bomb.recompressed(Compression::Snappy, BYTES_MAX).unwrap_err()));
}

#[test]
#[should_panic(expected = "at least one record")]
fn an_empty_batch_is_never_built() {
    let _ = BatchBuilder::new(Compression::None).build();
}

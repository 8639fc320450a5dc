//! Batches that Apache Kafka's own code wrote (golden/GoldenBatches.java) are read, validated and written again.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use bytes::Bytes;
use millstream_model::batch::{
    Batch, BatchBuilder, ControlRecord, ControlRecordType, HeadMut, Header, ProducerStamp, RecordIter, RecordRules,
    TimestampType, validate_records,
};
use millstream_model::compression::{Compression, CompressionType};
use millstream_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

const T0: i64 = 1_700_000_000_000;
const BYTES_MAX: usize = 1 << 20;

struct Expected {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<Header<'static>>,
}

fn mixed() -> Vec<Expected> {
    let record = |timestamp, key: Option<&str>, value: Option<&str>| Expected {
        timestamp,
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers: Vec::new(),
    };
    let mut records = vec![
        record(T0, Some("k0"), Some("v0")),
        record(T0 + 5, None, Some("no key")),
        record(T0 - 3, Some("tombstone"), None),
        record(T0 + 70_000, Some(""), Some("")),
    ];
    records[1].headers = vec![
        Header { key: "trace", value: Some(b"a") },
        Header { key: "trace", value: Some(b"b") },
        Header { key: "nothing", value: None },
        Header { key: "", value: Some(b"") },
    ];
    records
}

fn large() -> Vec<Expected> {
    let record = |i: usize| Expected {
        timestamp: T0 + i as i64,
        key: Some(format!("key-{i}").into()),
        value: Some((0..1000).map(|j| ((i * 31 + j / 100) % 251) as u8).collect()),
        headers: Vec::new(),
    };
    (0..300).map(record).collect()
}

fn golden(name: &str) -> Batch {
    let path = format!("{}/tests/golden/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (batch, rest) = Batch::parse(Bytes::from(bytes)).unwrap();
    assert!(rest.is_empty());
    batch
}

fn build(compression: Compression, stamp: ProducerStamp, records: &[Expected]) -> Batch {
    let mut builder = BatchBuilder::new(compression).producer(stamp);
    for record in records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder.append(TimestampMs(record.timestamp), key, value, &record.headers).unwrap();
    }
    builder.build()
}

fn check_records(name: &str, batch: &Batch, expected: &[Expected]) {
    let header = batch.header();
    assert_eq!(header.records_count as usize, expected.len(), "{name}");
    let bytes = batch.decompressed(BYTES_MAX).unwrap();
    let records = RecordIter::new(&bytes, header.records_count).collect::<Result<Vec<_>, _>>().unwrap();
    for (i, (record, expected)) in records.iter().zip(expected).enumerate() {
        assert_eq!(record.offset_delta as usize, i, "{name}");
        assert_eq!(header.timestamp_of(record.timestamp_delta), TimestampMs(expected.timestamp), "{name} {i}");
        assert_eq!((record.key, record.value), (expected.key.as_deref(), expected.value.as_deref()), "{name} {i}");
        let headers: Vec<_> = record.headers().map(|header| (header.key_text().into_owned(), header.value)).collect();
        let wanted: Vec<_> = expected.headers.iter().map(|header| (header.key.to_owned(), header.value)).collect();
        assert_eq!(headers, wanted, "{name} {i}");
    }
}

fn rules() -> RecordRules {
    RecordRules {
        key_required: false,
        timestamp_type: TimestampType::CreateTime,
        now: TimestampMs(T0),
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        decompressed_bytes_max: BYTES_MAX,
    }
}

#[test]
fn every_codec_of_kafka_is_read_and_passes_validation() {
    for codec in CompressionType::ALL {
        for (shape, expected) in [("mixed", mixed()), ("large", large())] {
            if (codec, shape) == (CompressionType::None, "large") {
                continue;
            }
            let name = format!("{codec}-{shape}");
            let batch = golden(&name);
            assert_eq!(batch.header().compression(), codec, "{name}");
            assert_eq!(batch.header().partition_leader_epoch, LeaderEpoch::NONE, "{name}");
            check_records(&name, &batch, &expected);
            let validated = validate_records(&batch, &rules()).unwrap();
            assert_eq!(validated.max_timestamp, batch.header().max_timestamp, "{name}");
            assert_eq!(validated.max_timestamp_delta as usize, expected.len() - 1, "{name}");
        }
    }
}

#[test]
fn what_is_written_in_each_codec_is_read_back() {
    for codec in CompressionType::ALL {
        for expected in [mixed(), large()] {
            let batch = build(codec.into(), ProducerStamp::NONE, &expected);
            let (parsed, _) = Batch::parse(batch.bytes().clone()).unwrap();
            check_records(codec.name(), &parsed, &expected);
            validate_records(&parsed, &rules()).unwrap();
        }
    }
}

#[test]
fn uncompressed_batches_are_written_byte_for_byte_as_kafka_does() {
    assert_eq!(build(Compression::None, ProducerStamp::NONE, &mixed()), golden("none-mixed"));
    let stamp = ProducerStamp {
        producer_id: ProducerId(4711),
        producer_epoch: ProducerEpoch(3),
        base_sequence: Sequence(17),
        transactional: true,
    };
    assert_eq!(build(Compression::None, stamp, &mixed()), golden("idempotent"));
    let stamped_late =
        build(Compression::None, ProducerStamp::NONE, &mixed()).with_head(|head| head.set_producer(stamp));
    assert_eq!(stamped_late, golden("idempotent"));
}

#[test]
fn the_head_is_changed_as_kafka_changes_it() {
    let change = |head: &mut HeadMut<'_>| {
        head.set_base_offset(Offset(1000));
        head.set_partition_leader_epoch(LeaderEpoch(7));
        head.set_log_append_time(TimestampMs(T0 + 99));
    };
    assert_eq!(golden("none-mixed").with_head(change), golden("log-append-time"));
    let mut head = golden("none-mixed").head();
    change(&mut HeadMut::new(&mut head));
    let gathered = [&head[..], &golden("none-mixed").records_bytes()].concat();
    assert_eq!(gathered, golden("log-append-time").into_bytes());
}

#[test]
fn transaction_markers_are_kafkas() {
    for (name, kind) in [("commit", ControlRecordType::Commit), ("abort", ControlRecordType::Abort)] {
        let marker = ControlRecord { kind, coordinator_epoch: 12 };
        assert_eq!(marker.into_batch(ProducerId(4711), ProducerEpoch(3), TimestampMs(T0)), golden(name));
        let bytes = golden(name).decompressed(BYTES_MAX).unwrap();
        let record = RecordIter::new(&bytes, 1).next().unwrap().unwrap();
        assert_eq!(ControlRecord::parse(record.key.unwrap(), record.value).unwrap(), marker);
    }
}

#[test]
fn another_codec_keeps_records_and_head() {
    for codec in CompressionType::ALL {
        let batch = golden("gzip-large").recompressed(codec.into(), BYTES_MAX).unwrap();
        let (parsed, _) = Batch::parse(batch.into_bytes()).unwrap();
        assert_eq!(parsed.header().compression(), codec);
        assert_eq!(parsed.header().max_timestamp, golden("gzip-large").header().max_timestamp);
        check_records(codec.name(), &parsed, &large());
    }
}

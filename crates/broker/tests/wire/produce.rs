//! What Produce refuses, with Apache Kafka 4.4's codes, messages and names of bad records. With `KAFKA=HOST:PORT` the same
//! claims are made of the Kafka that runs there, which proves them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bytes::Bytes;
use millstream_model::batch::{Batch, BatchBuilder, ProducerStamp, TimestampType, at};
use millstream_model::compression::{Compression, CompressionType};
use millstream_model::{ProducerEpoch, ProducerId, Sequence, TimestampMs, crc32c};
use millstream_protocol::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use millstream_protocol::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millstream_protocol::init_producer_id::InitProducerIdRequest;
use millstream_protocol::produce::{PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData};
use millstream_protocol::{ErrorCode, Records};

use crate::server::{PATIENCE, Peer, Server};
use crate::topic::batches_of;

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
/// A version that names topics by name and bad records by index.
const VERSION: i16 = 9;
const ALL: i16 = -1;

/// The broker that is asked, and whether it is Kafka.
struct Target {
    peer: Peer,
    kafka: bool,
    _server: Option<Server>,
}

fn target() -> Target {
    if let Ok(address) = std::env::var("KAFKA") {
        return Target { peer: Peer::connect(address.parse().unwrap()), kafka: true, _server: None };
    }
    let server = Server::start(&[]);
    Target { peer: server.peer(), kafka: false, _server: Some(server) }
}

impl Target {
    /// A new topic with these configs and one batch of two records in it, so that it is known to be led.
    fn topic(&mut self, configs: &[(&str, &str)]) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("produce-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
        };
        let topic = CreatableTopic {
            name: name.clone(),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..CreateTopicsRequest::default() };
        let created = self.peer.ask(&request, 7).unwrap().topics.remove(0);
        assert_eq!(created.error_code, 0, "{:?}", created.error_message);
        let end = Instant::now() + PATIENCE;
        while self.produce(&name, timeless()).error_code != 0 {
            assert!(Instant::now() < end, "{name} is not led");
        }
        name
    }

    fn produce(&mut self, topic: &str, records: impl Into<Bytes>) -> PartitionProduceResponse {
        self.produce_as(topic, VERSION, ALL, records)
    }

    fn produce_as(
        &mut self,
        topic: &str,
        version: i16,
        acks: i16,
        records: impl Into<Bytes>,
    ) -> PartitionProduceResponse {
        let partition_data = vec![PartitionProduceData { index: 0, records: Some(Records::from(records.into())) }];
        let topic = TopicProduceData { name: topic.to_owned(), partition_data, ..TopicProduceData::default() };
        let request = ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() };
        self.peer.ask(&request, version).unwrap().responses.remove(0).partition_responses.remove(0)
    }

    fn check(&mut self, what: &str, topic: &str, records: impl Into<Bytes>, code: ErrorCode) {
        let answer = self.produce(topic, records);
        assert_eq!(ErrorCode::from_code(answer.error_code), Some(code), "{what}: {:?}", answer.error_message);
    }

    fn batches(&mut self, topic: &str, fetch_offset: i64) -> Vec<Batch> {
        let partition = FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        let topic = FetchTopic { topic: topic.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
        let request = FetchRequest { max_wait_ms: 100, topics: vec![topic], ..FetchRequest::default() };
        batches_of(self.peer.ask(&request, 12).unwrap().responses.remove(0).partitions.remove(0))
    }
}

/// Records without a time of their own, which every topic here takes.
fn timeless() -> Bytes {
    records(&[(Some(b"k"), TimestampMs::NONE), (Some(b"k"), TimestampMs::NONE)])
}

fn batch(codec: Compression, values: &[&str]) -> Batch {
    let mut builder = BatchBuilder::new(codec);
    for value in values {
        builder.append(NOW, Some(b"k"), Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build()
}

fn sound() -> Batch {
    batch(Compression::None, &["a", "b"])
}

/// One record with such a key and timestamp for each.
fn records(records: &[(Option<&[u8]>, TimestampMs)]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for (key, timestamp) in records {
        builder.append(*timestamp, *key, Some(b"v"), &[]).unwrap();
    }
    builder.build().into_bytes()
}

/// The batch with other bytes at a place.
fn with(batch: &Batch, at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = batch.bytes().to_vec();
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

/// With the CRC that belongs to the bytes.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&bytes[at::ATTRIBUTES..]);
    bytes[at::CRC..at::CRC + 4].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The batch with another count and last offset delta.
fn counted(batch: &Batch, count: i32, last_offset_delta: i32) -> Vec<u8> {
    let mut bytes = with(batch, at::RECORDS_COUNT, &count.to_be_bytes());
    bytes[at::LAST_OFFSET_DELTA..at::LAST_OFFSET_DELTA + 4].copy_from_slice(&last_offset_delta.to_be_bytes());
    sealed(bytes)
}

#[test]
fn bytes_that_are_no_sound_batch_get_kafkas_code_and_are_not_stored() {
    use ErrorCode::{CorruptMessage, InvalidRecord};
    let mut target = target();
    let topic = target.topic(&[]);
    let sound = sound();
    let bytes = sound.bytes();
    let (size, length) = (bytes.len(), bytes.len() as i32 - 12);
    // Places in the first record: its size, then attributes, timestamp delta, offset delta, key, value, headers.
    let (record, key, headers) = (at::RECORDS, at::RECORDS + 4, at::RECORDS + 8);
    let cases = [
        ("a wrong CRC", with(&sound, size - 1, &[0xff]), CorruptMessage),
        ("a wrong CRC where the count is damaged", with(&sound, at::RECORDS_COUNT, &[0xff]), CorruptMessage),
        ("a wrong CRC where the codec is damaged", with(&sound, at::ATTRIBUTES + 1, &[7]), CorruptMessage),
        ("message format 0", with(&sound, at::MAGIC, &[0]), InvalidRecord),
        ("message format 1", with(&sound, at::MAGIC, &[1]), InvalidRecord),
        ("message format 3", with(&sound, at::MAGIC, &[3]), CorruptMessage),
        ("cut short", bytes[..size - 1].to_vec(), InvalidRecord),
        ("cut in the head", bytes[..20].to_vec(), InvalidRecord),
        ("nothing at all", Vec::new(), InvalidRecord),
        ("two batches", [&bytes[..], &bytes[..]].concat(), InvalidRecord),
        ("a length below the head's", with(&sound, at::BATCH_LENGTH, &10_i32.to_be_bytes()), CorruptMessage),
        ("a negative length", with(&sound, at::BATCH_LENGTH, &(-1_i32).to_be_bytes()), CorruptMessage),
        ("a length too short", with(&sound, at::BATCH_LENGTH, &(length - 3).to_be_bytes()), CorruptMessage),
        ("a length too long", with(&sound, at::BATCH_LENGTH, &5000_i32.to_be_bytes()), InvalidRecord),
        ("more records than offsets", counted(&sound, 3, 1), InvalidRecord),
        ("fewer records than offsets", counted(&sound, 1, 1), InvalidRecord),
        ("more records than there are", counted(&sound, 3, 2), InvalidRecord),
        ("fewer records than there are", counted(&sound, 1, 0), InvalidRecord),
        ("no records", counted(&sound, 0, -1), InvalidRecord),
        ("a negative count", counted(&sound, -1, 1), InvalidRecord),
        ("as many records as can be counted", counted(&sound, i32::MAX, i32::MAX - 1), InvalidRecord),
        ("a record's size too long", sealed(with(&sound, record, &[40])), InvalidRecord),
        ("a record's size too short", sealed(with(&sound, record, &[4])), InvalidRecord),
        ("a record's size negative", sealed(with(&sound, record, &[1])), InvalidRecord),
        ("a key beyond its record", sealed(with(&sound, key, &[100])), InvalidRecord),
        ("headers that are not there", sealed(with(&sound, headers, &[100])), InvalidRecord),
        ("headers fewer than none", sealed(with(&sound, headers, &[1])), InvalidRecord),
        ("a base offset", with(&sound, at::BASE_OFFSET, &5_i64.to_be_bytes()), InvalidRecord),
        ("a negative base offset", with(&sound, at::BASE_OFFSET, &(-1_i64).to_be_bytes()), InvalidRecord),
        ("a control batch", sealed(with(&sound, at::ATTRIBUTES, &[0, 0x20])), InvalidRecord),
    ];
    for (what, bytes, code) in cases {
        target.check(what, &topic, bytes, code);
    }
    assert_eq!(target.produce(&topic, bytes.clone()).base_offset, 2, "nothing of that was stored");
}

#[test]
fn the_beginning_of_another_batch_behind_the_first_is_passed_over() {
    let mut target = target();
    let topic = target.topic(&[]);
    let bytes = sound().into_bytes();
    for behind in [5, 30, bytes.len() - 1] {
        let sent = [&bytes[..], &bytes[..behind]].concat();
        target.check(&format!("{behind} bytes behind"), &topic, sent, ErrorCode::None);
    }
    let stored = target.batches(&topic, 2);
    assert_eq!(stored.iter().map(|batch| batch.header().base_offset.0).collect::<Vec<_>>(), [2, 4, 6]);
    assert!(stored.iter().all(|batch| batch.bytes().len() == bytes.len()));
}

const CODECS: [Compression; 4] =
    [Compression::Gzip { level: -1 }, Compression::Snappy, Compression::Lz4, Compression::Zstd { level: 3 }];

#[test]
fn compressed_batches_are_counted_too() {
    let mut target = target();
    let topic = target.topic(&[]);
    for codec in CODECS {
        let compressed = batch(codec, &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b", "c"]);
        target.check(&format!("{codec:?}, one more"), &topic, counted(&compressed, 4, 3), ErrorCode::InvalidRecord);
        target.check(&format!("{codec:?}, one fewer"), &topic, counted(&compressed, 2, 1), ErrorCode::InvalidRecord);
        target.check(&format!("{codec:?}, all"), &topic, counted(&compressed, 3, 2), ErrorCode::None);
    }
}

#[test]
fn records_that_cannot_be_decompressed_are_not_asked_for_again() {
    let mut target = target();
    // Kafka says that it does not know what happened; to a client that is as final.
    let code = if target.kafka { ErrorCode::UnknownServerError } else { ErrorCode::InvalidRecord };
    let topic = target.topic(&[]);
    for codec in 1..=7 {
        let rubbish = sealed(with(&sound(), at::ATTRIBUTES, &[0, codec]));
        target.check(&format!("codec {codec}"), &topic, rubbish, code);
    }
    let bounded = target.topic(&[("max.decompressed.message.bytes", "1000")]);
    let bomb = batch(Compression::Gzip { level: -1 }, &["x".repeat(3000).as_str()]);
    target.check("a bomb", &bounded, bomb.into_bytes(), ErrorCode::InvalidRecord);
}

#[test]
fn zstd_needs_version_7() {
    let mut target = target();
    let topic = target.topic(&[]);
    let bytes = batch(Compression::Zstd { level: 3 }, &["a"]).into_bytes();
    let answers = [3, 6, 7].map(|version| target.produce_as(&topic, version, ALL, bytes.clone()).error_code);
    let refused = ErrorCode::UnsupportedCompressionType.code();
    assert_eq!(answers, [refused, refused, 0]);
}

#[test]
fn acks_are_none_one_or_all() {
    let mut target = target();
    let topic = target.topic(&[]);
    let answers = [2, -2, 100, 1].map(|acks| target.produce_as(&topic, VERSION, acks, sound().into_bytes()).error_code);
    let refused = ErrorCode::InvalidRequiredAcks.code();
    assert_eq!(answers, [refused, refused, refused, 0]);
}

#[test]
fn sizes_are_limited_before_the_crc_is_looked_at_and_after_recompression() {
    let mut target = target();
    let large = batch(Compression::None, &["x".repeat(300).as_str()]);
    let squeezed = batch(Compression::Gzip { level: -1 }, &["x".repeat(3000).as_str()]);
    let small = target.topic(&[("max.message.bytes", "200")]);
    target.check("too large", &small, large.bytes().clone(), ErrorCode::MessageTooLarge);
    let damaged = with(&large, large.bytes().len() - 1, &[0xff]);
    target.check("too large, with a wrong CRC", &small, damaged, ErrorCode::MessageTooLarge);
    target.check("small when compressed", &small, squeezed.bytes().clone(), ErrorCode::None);
    let unpacked = target.topic(&[("max.message.bytes", "1000"), ("compression.type", "uncompressed")]);
    target.check("large when unpacked", &unpacked, squeezed.into_bytes(), ErrorCode::MessageTooLarge);
    let segmented = target.topic(&[("segment.bytes", "1048576"), ("max.message.bytes", "3000000")]);
    let beyond = batch(Compression::None, &["x".repeat(1_048_600).as_str()]);
    target.check("larger than a segment", &segmented, beyond.into_bytes(), ErrorCode::RecordListTooLarge);
}

#[test]
fn another_compression_type_than_the_producers_is_applied() {
    let mut target = target();
    let configs = ["gzip", "snappy", "lz4", "zstd", "uncompressed"];
    let kinds = [
        CompressionType::Gzip,
        CompressionType::Snappy,
        CompressionType::Lz4,
        CompressionType::Zstd,
        CompressionType::None,
    ];
    for (config, kind) in configs.into_iter().zip(kinds) {
        let topic = target.topic(&[("compression.type", config)]);
        for codec in CODECS.into_iter().chain([Compression::None]) {
            target.check(config, &topic, batch(codec, &["one", "two"]).into_bytes(), ErrorCode::None);
        }
        let stored = target.batches(&topic, 2);
        assert_eq!(stored.len(), 5);
        for batch in stored {
            assert_eq!((batch.header().compression(), batch.header().records_count), (kind, 2));
            assert_eq!(
                batch.decompressed(1000).unwrap(),
                self::batch(Compression::None, &["one", "two"]).records_bytes()
            );
        }
    }
}

#[test]
fn the_brokers_time_replaces_the_producers_where_the_topic_says_so() {
    let mut target = target();
    let topic = target.topic(&[("message.timestamp.type", "LogAppendTime")]);
    let answer = target.produce(&topic, sound().into_bytes());
    let stored = target.batches(&topic, 2).remove(0);
    assert_eq!(stored.header().attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(stored.header().max_timestamp.0, answer.log_append_time_ms);
    assert!(answer.log_append_time_ms > NOW.0);
    let claimed = sealed(with(&sound(), at::ATTRIBUTES, &[0, 8]));
    target.check("a producer that sets it", &topic, claimed, ErrorCode::InvalidTimestamp);
}

#[test]
fn records_of_another_time_are_named_one_by_one() {
    let mut target = target();
    let limits = [("message.timestamp.before.max.ms", "60000"), ("message.timestamp.after.max.ms", "60000")];
    let topic = target.topic(&limits);
    for (what, timestamp) in [("old", 1_700_000_000_000), ("of the future", 9_000_000_000_000)] {
        let refused = target.produce(&topic, records(&[(None, TimestampMs(timestamp)), (None, TimestampMs(-1))]));
        assert_eq!(refused.error_code, ErrorCode::InvalidTimestamp.code(), "{what}");
        let message = "One or more records have been rejected due to invalid timestamp";
        assert_eq!(refused.error_message.as_deref(), Some(message));
        let [error] = &refused.record_errors[..] else { panic!("{what}: {:?}", refused.record_errors) };
        let text =
            format!("Timestamp {timestamp} of message with offset 0 is out of range. The timestamp should be within [");
        assert!(error.batch_index_error_message.as_ref().unwrap().starts_with(&text), "{error:?}");
        assert_eq!(error.batch_index, 0);
    }
}

#[test]
fn records_without_a_key_are_named_where_the_topic_is_compacted() {
    let mut target = target();
    let topic = target.topic(&[("cleanup.policy", "compact")]);
    let refused =
        target.produce(&topic, records(&[(None, NOW), (Some(b"k"), NOW), (None, NOW), (None, NOW), (None, NOW)]));
    assert_eq!(refused.error_code, ErrorCode::InvalidRecord.code());
    let reason = format!("Compacted topic cannot accept message without key in topic partition {topic}-0");
    let named = refused.record_errors.into_iter().map(|error| (error.batch_index, error.batch_index_error_message));
    assert_eq!(named.collect::<Vec<_>>(), [0, 2, 3, 4].map(|index| (index, Some(reason.clone()))));
    let shown = [0, 2, 3].map(|index| format!("RecordError(batchIndex={index}, message='{reason}')")).join(", ");
    let message = format!(
        "One or more records have been rejected due to 4 record errors in total, and only showing the first three \
         errors at most: [{shown}]"
    );
    assert_eq!(refused.error_message, Some(message));
}

#[test]
fn sequences_of_idempotent_producers_are_checked_as_kafka_checks_them() {
    use ErrorCode::{InvalidProducerEpoch, InvalidRecord, None as Taken, OutOfOrderSequenceNumber};
    let mut target = target();
    let topic = target.topic(&[]);
    let end = Instant::now() + PATIENCE;
    let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
    let producer_id = loop {
        let answer = target.peer.ask(&request, 4).unwrap();
        if answer.error_code == 0 {
            break ProducerId(answer.producer_id);
        }
        assert!(Instant::now() < end, "no producer id");
    };
    let of = |epoch, sequence, count| {
        let stamp = ProducerStamp {
            producer_id,
            producer_epoch: ProducerEpoch(epoch),
            base_sequence: Sequence(sequence),
            transactional: false,
        };
        let mut builder = BatchBuilder::new(Compression::None).producer(stamp);
        for _ in 0..count {
            builder.append(NOW, None, Some(b"v"), &[]).unwrap();
        }
        builder.build().into_bytes()
    };
    // What, epoch, base sequence, records; then the code and the base offset.
    let steps = [
        ("any first sequence", (0, 5, 2), (Taken, 2)),
        ("the next", (0, 7, 1), (Taken, 4)),
        ("a gap", (0, 9, 1), (OutOfOrderSequenceNumber, -1)),
        ("the last again", (0, 7, 1), (Taken, 4)),
        ("an earlier one again", (0, 5, 2), (Taken, 2)),
        ("part of an earlier one", (0, 6, 1), (OutOfOrderSequenceNumber, -1)),
        ("across two earlier ones", (0, 6, 2), (OutOfOrderSequenceNumber, -1)),
        ("no sequence", (0, -1, 1), (InvalidRecord, -1)),
        ("a new epoch not from 0", (1, 3, 1), (OutOfOrderSequenceNumber, -1)),
        ("a new epoch", (1, 0, 1), (Taken, 5)),
        ("the old epoch", (0, 8, 1), (InvalidProducerEpoch, -1)),
        ("the old epoch's last", (0, 7, 1), (InvalidProducerEpoch, -1)),
        ("second", (1, 1, 1), (Taken, 6)),
        ("third", (1, 2, 1), (Taken, 7)),
        ("fourth", (1, 3, 1), (Taken, 8)),
        ("fifth", (1, 4, 1), (Taken, 9)),
        ("sixth", (1, 5, 1), (Taken, 10)),
        ("more than five batches ago", (1, 0, 1), (OutOfOrderSequenceNumber, -1)),
        ("five batches ago", (1, 1, 1), (Taken, 6)),
        ("no epoch", (-1, 6, 1), (InvalidProducerEpoch, -1)),
    ];
    for (what, (epoch, sequence, count), (code, base_offset)) in steps {
        let answer = target.produce(&topic, of(epoch, sequence, count));
        assert_eq!((answer.error_code, answer.base_offset), (code.code(), base_offset), "{what}");
    }
}

//! Configs that Kafka lets change while a broker runs, and that docs/reference/configs.md says are acted on: a change over
//! IncrementalAlterConfigs takes effect at once, outlives a restart, and ends when it is taken back.

use std::fs;
use std::time::Instant;

use bytes::Bytes;
use millstream_model::batch::{Batch, BatchBuilder, ProducerStamp};
use millstream_model::compression::Compression;
use millstream_model::{ProducerEpoch, ProducerId, Sequence, TimestampMs};
use millstream_protocol::ErrorCode;
use millstream_protocol::api_versions::ApiVersionsRequest;
use millstream_protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millstream_protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use crate::server::{PATIENCE, Peer, Server};
use crate::topic::{TOPIC, batch, batch_of, batches_of, create, fetch, produce};

const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
/// The moment that stands for a log's start.
const EARLIEST: i64 = -2;

/// Sets a config of all brokers, or takes it back.
pub(crate) fn alter(peer: &mut Peer, name: &str, value: Option<&str>) {
    let config = AlterableConfig {
        name: name.to_owned(),
        config_operation: if value.is_some() { SET } else { DELETE },
        value: value.map(str::to_owned),
    };
    let resource = AlterConfigsResource { resource_type: BROKER, resource_name: String::new(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = peer.ask(&request, 1).unwrap().responses.remove(0);
    assert_eq!(answer.error_code, 0, "{name}: {:?}", answer.error_message);
}

/// Checks that `shows` holds while the config is set, and only then. The topic of these tests is there.
fn check(given: &[(&str, &str)], name: &str, value: &str, shows: impl Fn(&Server, &mut Peer) -> bool) {
    let server = Server::start(given);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    assert!(!shows(&server, &mut peer), "{name} before it is set");
    alter(&mut peer, name, Some(value));
    assert!(shows(&server, &mut peer), "{name} once it is set");
    drop(peer);
    let server = Server::start_in(server.stop(), given);
    let mut peer = server.peer();
    assert!(shows(&server, &mut peer), "{name} after a restart");
    alter(&mut peer, name, None);
    assert!(!shows(&server, &mut peer), "{name} once it is taken back");
}

fn is_refused(peer: &mut Peer, records: Bytes, code: ErrorCode) -> bool {
    let answered = produce(peer, records).error_code;
    assert!([code.code(), 0].contains(&answered), "{answered}");
    answered != 0
}

/// A record with a key.
fn keyed(timestamp: i64, compression: Compression, value: &str) -> Batch {
    let mut builder = BatchBuilder::new(compression);
    builder.append(TimestampMs(timestamp), Some(b"k"), Some(value.as_bytes()), &[]).unwrap();
    builder.build()
}

const PAST: i64 = 1_700_000_000_000;
const FUTURE: i64 = 9_000_000_000_000;

/// How the topic stores what is produced.
fn stored(peer: &mut Peer, produced: Batch) -> Batch {
    let answer = produce(peer, produced.into_bytes());
    assert_eq!(answer.error_code, 0);
    batches_of(fetch(peer, answer.base_offset, 0, 1 << 20)).remove(0)
}

#[test]
fn message_max_bytes_is_followed_at_once() {
    let large = || batch(&["x".repeat(300).as_str()]);
    check(&[], "message.max.bytes", "200", |_, peer| is_refused(peer, large(), ErrorCode::MessageTooLarge));
}

#[test]
fn max_decompressed_message_bytes_is_followed_at_once() {
    let bomb = || keyed(PAST, Compression::Gzip { level: -1 }, &"x".repeat(3000)).into_bytes();
    let name = "max.decompressed.message.bytes";
    check(&[], name, "1000", |_, peer| is_refused(peer, bomb(), ErrorCode::InvalidRecord));
}

#[test]
fn log_message_timestamp_before_max_ms_is_followed_at_once() {
    let old = || keyed(PAST, Compression::None, "old").into_bytes();
    let name = "log.message.timestamp.before.max.ms";
    check(&[], name, "1000", |_, peer| is_refused(peer, old(), ErrorCode::InvalidTimestamp));
}

#[test]
fn log_message_timestamp_after_max_ms_is_followed_at_once() {
    let new = || keyed(FUTURE, Compression::None, "new").into_bytes();
    let name = "log.message.timestamp.after.max.ms";
    check(&[], name, &i64::MAX.to_string(), |_, peer| !is_refused(peer, new(), ErrorCode::InvalidTimestamp));
}

#[test]
fn log_message_timestamp_type_is_followed_at_once() {
    let name = "log.message.timestamp.type";
    check(&[], name, "LogAppendTime", |_, peer| produce(peer, batch(&["a"])).log_append_time_ms > PAST);
}

#[test]
fn log_cleanup_policy_is_followed_at_once() {
    let name = "log.cleanup.policy";
    check(&[], name, "compact", |_, peer| is_refused(peer, batch(&["no key"]), ErrorCode::InvalidRecord));
}

#[test]
fn min_insync_replicas_is_followed_at_once() {
    let name = "min.insync.replicas";
    check(&[], name, "2", |_, peer| is_refused(peer, batch(&["a"]), ErrorCode::NotEnoughReplicas));
}

#[test]
fn compression_type_is_followed_at_once() {
    let lz4 = Compression::Lz4;
    check(&[], "compression.type", "lz4", |_, peer| {
        stored(peer, keyed(PAST, Compression::None, "a")).header().compression() == lz4.kind()
    });
}

/// Text that compresses better with more effort.
fn text() -> String {
    (0..5_000_u64).map(|number| (number * number % 7_919).to_string()).collect()
}

fn is_compressed_like(peer: &mut Peer, compression: Compression) -> bool {
    let sent = keyed(PAST, Compression::None, &text());
    let expected = sent.recompressed(compression, 1 << 20).unwrap();
    stored(peer, sent).records_bytes() == expected.records_bytes()
}

#[test]
fn compression_gzip_level_is_followed_at_once() {
    let given = [("compression.type", "gzip")];
    let fast = Compression::Gzip { level: 1 };
    check(&given, "compression.gzip.level", "1", |_, peer| is_compressed_like(peer, fast));
}

#[test]
fn compression_zstd_level_is_followed_at_once() {
    let given = [("compression.type", "zstd")];
    let fast = Compression::Zstd { level: -5 };
    check(&given, "compression.zstd.level", "-5", |_, peer| is_compressed_like(peer, fast));
}

#[test]
fn millstream_durability_is_followed_at_once() {
    // What goes to the system at once is in the segment's file when it is answered, and never in the journal.
    check(&[], "millstream.durability", "os", |server, peer| {
        let before = server.metric("lane_bytes_written_total");
        let end = Instant::now() + PATIENCE;
        // While a log goes over from one to the other, producers are asked to come again.
        while produce(peer, batch(&["x".repeat(400_000).as_str()])).error_code != 0 {
            assert!(Instant::now() < end, "the log does not go over");
        }
        server.metric("lane_bytes_written_total") - before < 400_000
    });
}

#[test]
fn producer_id_expiration_ms_is_followed_at_the_next_check() {
    let server = Server::start(&[("producer.id.expiration.check.interval.ms", "20")]);
    let mut peer = server.peer();
    // Else the records' own time says that their producer has long been silent.
    create(&mut peer, &[("message.timestamp.type", "LogAppendTime")]);
    let mut send = |base_sequence| {
        let (producer_id, producer_epoch) = (ProducerId(1), ProducerEpoch(0));
        let stamp =
            ProducerStamp { producer_id, producer_epoch, base_sequence: Sequence(base_sequence), transactional: false };
        produce(&mut peer, batch_of(&["x"], stamp).into_bytes()).error_code
    };
    let out_of_order = ErrorCode::OutOfOrderSequenceNumber.code();
    assert_eq!((send(0), send(7)), (0, out_of_order), "the producer is known");
    alter(&mut server.peer(), "producer.id.expiration.ms", Some("1"));
    let end = Instant::now() + PATIENCE;
    while send(7) == out_of_order {
        assert!(Instant::now() < end, "the producer is not forgotten");
    }
}

#[test]
fn max_connections_is_followed_at_once() {
    check(&[], "max.connections", "1", |server, _| is_turned_away(server));
}

#[test]
fn max_connections_per_ip_is_followed_at_once() {
    check(&[], "max.connections.per.ip", "1", |server, _| is_turned_away(server));
}

/// Whether one more connection than there is gets no answer.
fn is_turned_away(server: &Server) -> bool {
    server.peer().ask(&ApiVersionsRequest::default(), 0).is_none()
}

#[test]
fn connections_are_counted_for_each_node() {
    let server = Server::start_nodes(2, &[("max.connections", "1")]);
    let mut peers: Vec<Peer> = server.addresses().into_iter().map(Peer::connect).collect();
    assert!(peers.iter_mut().all(|peer| peer.ask(&ApiVersionsRequest::default(), 0).is_some()));
    assert!(server.peer().is_closed());
}

/// Files of the topic's log with this ending and at least so many bytes.
fn files(server: &Server, ending: &str, bytes: u64) -> usize {
    let log = server.directory().join(format!("kafka/{TOPIC}-0"));
    let Ok(entries) = fs::read_dir(log) else { return 0 };
    let files = entries.filter_map(Result::ok).filter(|entry| entry.file_name().to_string_lossy().ends_with(ending));
    files.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() >= bytes)).count()
}

/// Sets a config, writes, and waits until the log's files show it; the same after a restart.
fn check_files(given: &[(&str, &str)], name: &str, value: &str, shows: impl Fn(&Server) -> bool) {
    let write = |server: &Server| {
        let mut peer = server.peer();
        for seconds in 0..4 {
            let record = keyed(PAST + 1000 * seconds, Compression::None, &"x".repeat(600_000));
            assert_eq!(produce(&mut peer, record.into_bytes()).error_code, 0);
        }
    };
    let server = Server::start(given);
    create(&mut server.peer(), &[]);
    write(&server);
    let directory = server.stop();
    // What was written is in its files after a stop.
    let server = Server::start_in(directory, given);
    assert!(!shows(&server), "{name} before it is set");
    alter(&mut server.peer(), name, Some(value));
    write(&server);
    let server = Server::start_in(server.stop(), given);
    assert!(shows(&server), "{name} once it is set");
}

#[test]
fn log_segment_bytes_is_followed_at_once() {
    check_files(&[], "log.segment.bytes", "1048576", |server| files(server, ".log", 0) > 2);
}

#[test]
fn log_roll_ms_is_followed_at_once() {
    check_files(&[], "log.roll.ms", "1", |server| files(server, ".log", 0) > 1);
}

#[test]
fn log_index_interval_bytes_is_followed_at_once() {
    let given = [("log.index.interval.bytes", "2000000000")];
    check_files(&given, "log.index.interval.bytes", "1", |server| files(server, ".index", 8) > 0);
}

#[test]
fn log_index_size_max_bytes_is_followed_at_once() {
    check_files(&[], "log.index.size.max.bytes", "12", |server| files(server, ".log", 0) > 1);
}

/// Sets a config and waits until old records go; the same after a restart.
fn check_retention(name: &str, value: &str) {
    // Without a limit of its own the record of 2023 would go at once.
    let given =
        [("log.retention.check.interval.ms", "10"), ("log.retention.ms", "-1"), ("log.segment.bytes", "1048576")];
    let server = Server::start(&given);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    let large = batch(&["x".repeat(600_000).as_str()]);
    for _ in 0..6 {
        assert_eq!(produce(&mut peer, large.clone()).error_code, 0);
    }
    assert_eq!(fetch(&mut peer, 0, 0, 1).log_start_offset, 0);
    alter(&mut peer, name, Some(value));
    let start = start_after(&mut peer, 0);
    drop(peer);
    let server = Server::start_in(server.stop(), &given);
    let mut peer = server.peer();
    for _ in 0..6 {
        assert_eq!(produce(&mut peer, large.clone()).error_code, 0);
    }
    start_after(&mut peer, start);
}

/// The log's start once it lies behind `before`.
fn start_after(peer: &mut Peer, before: i64) -> i64 {
    let end = Instant::now() + PATIENCE;
    loop {
        let partition = ListOffsetsPartition { timestamp: EARLIEST, ..ListOffsetsPartition::default() };
        let topic = ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![partition] };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
        let start = peer.ask(&request, 7).unwrap().topics[0].partitions[0].offset;
        if start > before {
            return start;
        }
        assert!(Instant::now() < end, "the log still starts at {start}");
    }
}

#[test]
fn log_retention_ms_is_followed_at_once() {
    check_retention("log.retention.ms", "3600000");
}

#[test]
fn log_retention_bytes_is_followed_at_once() {
    check_retention("log.retention.bytes", "1500000");
}

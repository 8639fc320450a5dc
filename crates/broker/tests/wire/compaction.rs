//! Compacted topics through the socket: what was replaced goes, the last record of each key stays where it was, and the
//! topic in which groups commit stays small.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use millstream_model::TimestampMs;
use millstream_model::batch::{BatchBuilder, RecordIter};
use millstream_model::compression::Compression;
use millstream_protocol::ErrorCode;
use millstream_protocol::create_topics::{CreatableTopic, CreateTopicsRequest};
use millstream_protocol::find_coordinator::FindCoordinatorRequest;
use millstream_protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millstream_protocol::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use millstream_protocol::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};

use crate::dynamic_configs::alter;
use crate::server::{PATIENCE, Peer, Server};
use crate::topic::{TOPIC, batch, batches_of, create, fetch, produce};

const KEYS: i64 = 10;
/// Records of the first test, each of so many bytes: more than a checkpoint waits for, and several segments.
const RECORDS: i64 = 100;
const RECORD_BYTES: usize = 190_000;
const SEGMENT_BYTES: u64 = 1 << 20;
/// Configs that make the cleaner look often.
pub(crate) const BUSY_CLEANER: (&str, &str) = ("log.cleaner.backoff.ms", "20");

pub(crate) fn keyed(key: i64, value: &str, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::Lz4);
    let key = format!("key {key}");
    builder.append(TimestampMs(timestamp), Some(key.as_bytes()), Some(value.as_bytes()), &[]).unwrap();
    builder.build().into_bytes()
}

/// A value that does not compress much, and says which one it is.
fn value(number: i64) -> String {
    let mut state = number as u64 + 1;
    let mut text = format!("{number}:");
    while text.len() < RECORD_BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{state:016x}"));
    }
    text
}

/// Offset, key and the number in the value of every record.
fn all(peer: &mut Peer) -> Vec<(i64, String, String)> {
    let mut found: Vec<(i64, String, String)> = Vec::new();
    let mut next = 0;
    loop {
        let batches = batches_of(fetch(peer, next, 0, 1 << 20));
        let Some(last) = batches.last() else { return found };
        next = last.header().next_offset().0;
        for batch in batches {
            let records = batch.decompressed(1 << 20).unwrap();
            for record in RecordIter::new(&records, batch.header().records_count).map(Result::unwrap) {
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
                let offset = batch.header().base_offset.0 + i64::from(record.offset_delta);
                let number = text(record.value).split(':').next().unwrap().to_owned();
                found.push((offset, text(record.key), number));
            }
        }
    }
}

/// Bytes of the log files in a partition's directory.
pub(crate) fn log_bytes(server: &Server, partition: &str) -> u64 {
    let dir = server.directory().join("kafka").join(partition);
    let is_log = |path: &Path| path.extension().is_some_and(|kind| kind == "log");
    // A file may be on its way out.
    let entries = fs::read_dir(dir).unwrap().filter_map(Result::ok).filter(|entry| is_log(&entry.path()));
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Waits for what the broker does by itself.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

fn offset_of(peer: &mut Peer, timestamp: i64) -> i64 {
    let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![partition] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let partition = peer.ask(&request, 8).unwrap().topics[0].partitions[0].clone();
    assert_eq!(partition.error_code, 0);
    partition.offset
}

#[test]
fn of_each_key_the_last_record_stays_at_its_offset() {
    let server = Server::start(&[("log.cleaner.backoff.ms", "3600000")]);
    let mut peer = server.peer();
    let segment_bytes = SEGMENT_BYTES.to_string();
    // Where its last checkpoint lies decides how much of it may be cleaned at a time: whatever there is, is.
    let eager = ("min.cleanable.dirty.ratio", "0.01");
    create(&mut peer, &[("cleanup.policy", "compact"), ("segment.bytes", &segment_bytes), eager]);
    // The largest timestamp is that of a record that goes.
    let written: Vec<(i64, String)> = (0..RECORDS).map(|number| (number % KEYS, value(number))).collect();
    for ((key, value), number) in written.iter().zip(0..) {
        let timestamp = 1_700_000_000_000 + if number == 5 { 1_000_000 } else { number };
        assert_eq!(produce(&mut peer, keyed(*key, value, timestamp)).base_offset, number);
    }
    let before = all(&mut peer);
    assert_eq!(server.metric("cleaner_runs_total"), 0, "it looked when it started");
    alter(&mut peer, BUSY_CLEANER.0, Some(BUSY_CLEANER.1));
    wait_until("the log is cleaned", || {
        server.metric("cleaner_runs_total") > 0 && log_bytes(&server, "measurements-0") < 4 * SEGMENT_BYTES
    });
    let check = |peer: &mut Peer| {
        // The cleaner may be at it again: what belongs together is read between two equal readings.
        let (found, first_by_time) = loop {
            let (found, first) = (all(peer), offset_of(peer, 1_700_000_000_000));
            if all(peer) == found {
                break (found, first);
            }
        };
        assert!(found.len() < before.len() / 2, "{found:?}");
        assert!(found.iter().all(|record| before.contains(record)), "{found:?}");
        let last: BTreeMap<&str, i64> = found.iter().map(|(offset, key, _)| (key.as_str(), *offset)).collect();
        let expected = (0..KEYS).map(|key| RECORDS - KEYS + key).collect::<Vec<_>>();
        assert_eq!(last.into_values().collect::<Vec<_>>(), expected);
        assert_eq!(fetch(peer, RECORDS, 0, 1).high_watermark, RECORDS, "the log's end stays");
        let (offset, ..) = found[0];
        assert_eq!(first_by_time, offset, "the first record by time");
        assert_eq!(offset_of(peer, -3), RECORDS - 1, "the record with the largest timestamp of those that are left");
    };
    check(&mut peer);
    drop(peer);
    let server = Server::start_in(server.stop(), &[BUSY_CLEANER]);
    check(&mut server.peer());
    let mut peer = server.peer();
    assert_eq!(produce(&mut peer, keyed(0, "next", 1_700_000_000_000)).base_offset, RECORDS);
    assert_eq!(produce(&mut peer, batch(&["no key"])).error_code, ErrorCode::InvalidRecord.code());
    server.stop();
}

pub(crate) const GROUP: &str = "readers";
/// Commits, and partitions in each.
const COMMITS: i64 = 2_000;
const PARTITIONS: i32 = 40;

/// Makes the topic with all its partitions.
pub(crate) fn create_wide(peer: &mut Peer) {
    let (name, num_partitions) = (TOPIC.to_owned(), PARTITIONS);
    let topic = CreatableTopic { name, num_partitions, replication_factor: 1, ..CreatableTopic::default() };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    assert_eq!(peer.ask(&request, 7).unwrap().topics[0].error_code, 0);
}

pub(crate) fn commit(peer: &mut Peer, committed_offset: i64, metadata: &str) {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset,
        committed_metadata: Some(metadata.to_owned()),
        ..OffsetCommitRequestPartition::default()
    };
    let partitions = (0..PARTITIONS).map(partition).collect();
    let topic = OffsetCommitRequestTopic { name: TOPIC.to_owned(), partitions, ..OffsetCommitRequestTopic::default() };
    let request =
        OffsetCommitRequest { group_id: GROUP.to_owned(), topics: vec![topic], ..OffsetCommitRequest::default() };
    let answer = peer.ask(&request, 8).unwrap();
    assert!(answer.topics[0].partitions.iter().all(|partition| partition.error_code == 0), "{answer:?}");
}

pub(crate) fn find_coordinator(peer: &mut Peer) {
    let request =
        FindCoordinatorRequest { coordinator_keys: vec![GROUP.to_owned()], ..FindCoordinatorRequest::default() };
    assert_eq!(peer.ask(&request, 4).unwrap().coordinators[0].error_code, 0);
}

/// What the group has committed for every partition.
fn committed(peer: &mut Peer) -> Vec<i64> {
    find_coordinator(peer);
    let partition_indexes = (0..PARTITIONS).collect();
    let topic =
        OffsetFetchRequestTopics { name: TOPIC.to_owned(), partition_indexes, ..OffsetFetchRequestTopics::default() };
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    let answer = peer.ask(&request, 8).unwrap();
    answer.groups[0].topics[0].partitions.iter().map(|partition| partition.committed_offset).collect()
}

#[test]
fn the_topic_of_commits_stays_small_over_thousands_of_them() {
    let segment_bytes = SEGMENT_BYTES.to_string();
    let configs =
        [BUSY_CLEANER, ("offsets.topic.num.partitions", "1"), ("offsets.topic.segment.bytes", &segment_bytes)];
    let server = Server::start(&configs);
    let mut peer = server.peer();
    create_wide(&mut peer);
    find_coordinator(&mut peer);
    let metadata = "m".repeat(200);
    for number in 0..COMMITS {
        commit(&mut peer, number, &metadata);
    }
    wait_until("the topic of commits is cleaned", || {
        server.metric("cleaner_runs_total") > 0 && log_bytes(&server, "__consumer_offsets-0") < 3 * SEGMENT_BYTES
    });
    assert_eq!(server.metric("cleaner_uncleanable_partitions"), 0);
    assert!(server.metric("cleaner_read_bytes_total") > 10 * SEGMENT_BYTES, "most of what was committed is gone");
    assert_eq!(committed(&mut peer), [COMMITS - 1; PARTITIONS as usize]);
    drop(peer);
    let server = Server::start_in(server.stop(), &configs);
    assert_eq!(committed(&mut server.peer()), [COMMITS - 1; PARTITIONS as usize]);
    server.stop();
}

//! Metadata that Kafka 4.4.0 wrote, metadata that we write, and files that lie. `golden/` holds the snapshot of a directory
//! that was formatted with one SCRAM user, and the log after it had topics, ACLs, quotas and a clean stop.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use millstream_model::batch::BatchBuilder;
use millstream_model::compression::Compression;
use millstream_model::wire::{Encode, Encoder};
use millstream_model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::catalog::{adopt, describe};
use crate::generated::begin_transaction::BeginTransactionRecord;
use crate::generated::config::ConfigRecord;
use crate::generated::end_transaction::EndTransactionRecord;
use crate::generated::feature_level::FeatureLevelRecord;
use crate::generated::partition::PartitionRecord;
use crate::generated::partition_change::PartitionChangeRecord;
use crate::generated::remove_topic::RemoveTopicRecord;
use crate::generated::topic::TopicRecord;
use crate::store::{MemoryStore, MetadataStore as _};

const FORMATTED: &[u8] = include_bytes!("golden/formatted.checkpoint");
const LOG: &[u8] = include_bytes!("golden/metadata.log");
const LOG_FILE: &str = "00000000000000000000.log";

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn read(files: &[(&str, &[u8])]) -> Result<Cluster, ReadMetadataError> {
    read_metadata(directory(files).path(), Tail::Whole)
}

fn kafkas_cluster() -> Cluster {
    read(&[(SNAPSHOT_FILE, FORMATTED), (LOG_FILE, LOG)]).unwrap()
}

fn node() -> Node {
    let directory = Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);
    Node { id: BrokerId(1), directory, controller: ("localhost".to_owned(), 9093), broker_epoch: 0 }
}

/// A record's value as it stands in a batch.
fn framed(record_type: i16, version: i16, record: &impl Encode) -> Vec<u8> {
    let mut out = Encoder::new();
    out.unsigned_varint(1);
    out.unsigned_varint(record_type.unsigned_abs().into());
    out.unsigned_varint(version.unsigned_abs().into());
    record.encode(&mut out, version).unwrap();
    out.into_bytes().to_vec()
}

/// A log of one batch with these values, from an offset on.
fn log_at(base: i64, values: &[Vec<u8>]) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Compression::None);
    for value in values {
        batch.append(TimestampMs(0), None, Some(value), &[]).unwrap();
    }
    batch.build().placed(Offset(base), LeaderEpoch(1)).bytes().to_vec()
}

fn topic(name: &str, id: u128) -> Vec<u8> {
    let record = TopicRecord { name: name.to_owned(), topic_id: Uuid::from_u128(id) };
    framed(TopicRecord::RECORD_TYPE, 0, &record)
}

#[test]
fn a_snapshot_of_kafka_is_read() {
    let cluster = read(&[(SNAPSHOT_FILE, FORMATTED)]).unwrap();
    let features: Vec<_> = cluster.features.iter().map(|(name, level)| (name.as_str(), *level)).collect();
    let expected = [
        ("eligible.leader.replicas.version", 1),
        ("group.version", 1),
        ("metadata.version", 33),
        ("share.version", 2),
        ("streams.version", 1),
        ("transaction.version", 2),
    ];
    assert_eq!(features, expected);
    let credential = &cluster.scram[&(ScramMechanism::Sha256, "alice".to_owned())];
    assert_eq!((&credential.salt[..4], credential.iterations), (&b"j16r"[..], 4096));
    assert!(cluster.topics.is_empty());
}

#[test]
fn a_log_of_kafka_is_read() {
    let cluster = kafkas_cluster();
    let names: Vec<_> = cluster.topics.values().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names.len(), 9, "{names:?}");
    assert!(!names.contains(&"deleted"), "{names:?}");
    let id: TopicId = "gTw8WWQQRTyb7WZUSnBBUQ".parse().unwrap();
    let codecs = &cluster.topics[&id];
    assert_eq!((codecs.name.as_str(), codecs.partitions.len()), ("codecs", 5));
    let partition = &codecs.partitions[&PartitionIndex(4)];
    assert_eq!(partition.replicas, [BrokerId(1)]);
    // Once more when the node was stopped.
    assert_eq!(partition.leader_epoch, LeaderEpoch(1));
    assert_eq!(cluster.brokers, [BrokerId(1)].into());
    let configs = &cluster.configs;
    assert_eq!(configs[&ConfigOwner::Topic("compacted".into())]["cleanup.policy"], "compact");
    assert_eq!(configs[&ConfigOwner::Broker(None)]["log.retention.ms"], "600000000");
    assert_eq!(configs[&ConfigOwner::Broker(Some(BrokerId(1)))]["message.max.bytes"], "2000000");
    assert_eq!(configs[&ConfigOwner::Group("first".into())]["consumer.session.timeout.ms"], "46000");
    assert_eq!(cluster.next_producer_id, 1000);
    assert_eq!(cluster.scram.len(), 2);
    let acl = cluster.acls.values().find(|acl| acl.principal == "User:bob").unwrap();
    assert_eq!(
        (acl.pattern_type, acl.operation, acl.permission),
        (PatternType::Prefixed, AclOperation::All, Permission::Deny)
    );
    let everybody = QuotaEntity::from([("user".to_owned(), None)]);
    assert_eq!(cluster.quotas[&everybody]["consumer_byte_rate"].to_bits(), 12345.0_f64.to_bits());
}

/// Kafka's bytes, from the snapshot above: the frame, type 12, version 0, the name, the level.
#[test]
fn records_are_kafkas_bytes() {
    let feature = FeatureLevelRecord { name: "metadata.version".to_owned(), feature_level: 33 };
    let golden = b"\x01\x0c\x00\x11metadata.version\x00\x21\x00";
    assert_eq!(framed(FeatureLevelRecord::RECORD_TYPE, 0, &feature), golden);
    let ours = snapshot(&Cluster::default(), &node(), TimestampMs(0)).unwrap();
    for bytes in [&golden[..], b"\x01\x0c\x00\x14transaction.version\x00\x02\x00"] {
        for (whose, file) in [("Kafka's", FORMATTED), ("our", &ours)] {
            assert!(file.windows(bytes.len()).any(|window| window == bytes), "{bytes:?} in {whose} snapshot");
        }
    }
    // The header's value, and the footer at the end: key of type 4, version 0.
    assert_eq!(ours[ours.len() - 14..], FORMATTED[FORMATTED.len() - 14..]);
}

#[test]
fn what_is_written_is_read_again() {
    let mut cluster = kafkas_cluster();
    let bytes = snapshot(&cluster, &node(), TimestampMs(7)).unwrap();
    let again = read(&[(SNAPSHOT_FILE, &bytes)]).unwrap();
    for partition in cluster.topics.values_mut().flat_map(|topic| topic.partitions.values_mut()) {
        partition.directories = vec![node().directory];
    }
    assert_eq!(again, cluster);
}

#[tokio::test]
async fn the_catalog_keeps_all_of_a_cluster() {
    let mut cluster = kafkas_cluster();
    let store = MemoryStore::default();
    store.write(adopt("c", BrokerId(1), &cluster)).await.unwrap();
    let described = describe(&store.list("").await.unwrap()).unwrap();
    assert_eq!((described.cluster_id.as_str(), described.node), ("c", BrokerId(1)));
    // Levels of features are the broker's own affair, registrations and directories the running node's.
    cluster.features.clear();
    cluster.brokers.clear();
    for partition in cluster.topics.values_mut().flat_map(|topic| topic.partitions.values_mut()) {
        partition.directories.clear();
    }
    assert_eq!(described.cluster, cluster);
}

#[test]
fn a_topic_goes_with_its_configs_and_a_change_of_leader_counts() {
    let config = |value: Option<&str>| ConfigRecord {
        resource_type: 2,
        resource_name: "t".to_owned(),
        name: "retention.ms".to_owned(),
        value: value.map(str::to_owned),
    };
    let partition = PartitionRecord {
        partition_id: 0,
        topic_id: Uuid::from_u128(1),
        replicas: vec![1],
        leader_epoch: 4,
        ..PartitionRecord::default()
    };
    let change = |leader| PartitionChangeRecord {
        partition_id: 0,
        topic_id: Uuid::from_u128(1),
        leader,
        ..PartitionChangeRecord::default()
    };
    let mut values = vec![
        topic("t", 1),
        framed(PartitionRecord::RECORD_TYPE, 0, &partition),
        framed(PartitionChangeRecord::RECORD_TYPE, 0, &change(1)),
        framed(PartitionChangeRecord::RECORD_TYPE, 0, &change(-2)),
        framed(ConfigRecord::RECORD_TYPE, 0, &config(Some("1"))),
    ];
    let cluster = read(&[(LOG_FILE, &log_at(0, &values))]).unwrap();
    let id = TopicId(Uuid::from_u128(1));
    assert_eq!(cluster.topics[&id].partitions[&PartitionIndex(0)].leader_epoch, LeaderEpoch(5));
    assert_eq!(cluster.configs.len(), 1);
    values.push(framed(RemoveTopicRecord::RECORD_TYPE, 0, &RemoveTopicRecord { topic_id: id.0 }));
    assert_eq!(read(&[(LOG_FILE, &log_at(0, &values))]).unwrap(), Cluster::default());
    values.pop();
    values.push(framed(ConfigRecord::RECORD_TYPE, 0, &config(None)));
    assert!(read(&[(LOG_FILE, &log_at(0, &values))]).unwrap().configs.is_empty());
}

#[test]
fn a_metadata_transaction_counts_when_it_ends() {
    let begin = framed(BeginTransactionRecord::RECORD_TYPE, 0, &BeginTransactionRecord::default());
    let end = framed(EndTransactionRecord::RECORD_TYPE, 0, &EndTransactionRecord::default());
    let open = [topic("a", 1), begin, topic("b", 2)];
    let names = |values: &[Vec<u8>]| {
        let cluster = read(&[(LOG_FILE, &log_at(0, values))]).unwrap();
        cluster.topics.into_values().map(|topic| topic.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&open), ["a"]);
    let mut ended = open.to_vec();
    ended.push(end.clone());
    assert_eq!(names(&ended), ["a", "b"]);
    let refused = read(&[(LOG_FILE, &log_at(0, &[end]))]).unwrap_err().to_string();
    assert!(refused.contains("a metadata transaction ends that did not begin"), "{refused}");
}

#[test]
fn the_log_counts_from_the_snapshots_end() {
    // The snapshot's name says that it holds everything below offset 2; the topic at offset 1 was removed again since.
    let name = "00000000000000000002-0000000001.checkpoint";
    let log = log_at(0, &[topic("a", 1), topic("b", 2), topic("c", 3)]);
    let cluster = read(&[(name, FORMATTED), (LOG_FILE, &log)]).unwrap();
    let names: Vec<_> = cluster.topics.values().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["c"]);
    assert_eq!(cluster.scram.len(), 1);
}

#[test]
fn what_a_newer_kafka_wrote_is_refused() {
    let check = |value: Vec<u8>, complaint: &str| {
        let said = read(&[(LOG_FILE, &log_at(0, &[value]))]).unwrap_err().to_string();
        assert!(said.contains("the record at offset 0 of") && said.ends_with(complaint), "{said}");
    };
    check(vec![1, 99, 0, 0], "records of type 99 are not known: a newer Kafka wrote it");
    check(vec![2, 2, 0], "frames of version 2 are not known: a newer Kafka wrote it");
    check(vec![1, 2, 7], "it is no record: TopicRecord has no version 7");
    let newer = FeatureLevelRecord { name: METADATA_VERSION_FEATURE.to_owned(), feature_level: METADATA_VERSION + 1 };
    let complaint = "metadata.version is 34, the newest that is known is 33 (Kafka 4.4)";
    check(framed(FeatureLevelRecord::RECORD_TYPE, 0, &newer), complaint);
    let config = ConfigRecord { resource_type: 64, resource_name: "x".to_owned(), ..ConfigRecord::default() };
    check(
        framed(ConfigRecord::RECORD_TYPE, 0, &config),
        "configs of `x`, type 64, are not known: a newer Kafka wrote it",
    );
    check(
        framed(RemoveTopicRecord::RECORD_TYPE, 0, &RemoveTopicRecord { topic_id: Uuid::nil() }),
        "it names topic AAAAAAAAAAAAAAAAAAAAAA, of which no earlier record tells",
    );
}

#[test]
fn missing_files_are_missed() {
    let said = |files: &[(&str, &[u8])]| read(files).unwrap_err().to_string();
    assert!(said(&[]).ends_with("has no metadata: neither a snapshot nor a log"));
    let log = log_at(5, &[topic("a", 1)]);
    let late = said(&[("00000000000000000005.log", &log)]);
    assert!(late.contains("00000000000000000005.log begins at offset 5"), "{late}");
    let first = log_at(0, &[topic("a", 1)]);
    let gap = said(&[(LOG_FILE, &first), ("00000000000000000005.log", &log)]);
    assert!(gap.contains("00000000000000000005.log begins at offset 5"), "{gap}");
}

#[test]
fn a_snapshot_that_was_cut_anywhere_is_refused_with_its_name_and_position() {
    for length in 0..FORMATTED.len() {
        let error = read(&[(SNAPSHOT_FILE, &FORMATTED[..length])]).unwrap_err();
        let ReadMetadataError::Damaged { file, position, .. } = &error else { panic!("{length}: {error}") };
        assert!(file.ends_with(SNAPSHOT_FILE) && *position <= length as u64, "{length}: {error}");
    }
}

/// Every byte under a CRC, every length, every offset; the epoch of the leader alone concerns nobody.
#[test]
fn a_flipped_bit_is_found() {
    let epochs: Vec<usize> = {
        let mut starts = vec![];
        let mut rest = Bytes::from_static(FORMATTED);
        while !rest.is_empty() {
            let start = FORMATTED.len() - rest.len();
            starts.extend(start + 12..start + 16);
            millstream_model::batch::Batch::split_from(&mut rest).unwrap();
        }
        starts
    };
    for at in 0..FORMATTED.len() {
        for bit in [0, 7] {
            let mut bytes = FORMATTED.to_vec();
            bytes[at] ^= 1 << bit;
            let read = read(&[(SNAPSHOT_FILE, &bytes)]);
            assert_eq!(read.is_ok(), epochs.contains(&at), "byte {at}, bit {bit}: {:?}", read.err());
        }
    }
}

#[test]
fn a_torn_end_of_the_log_is_cut_only_where_that_is_allowed() {
    let whole = [log_at(0, &[topic("a", 1)]), log_at(1, &[topic("b", 2)])].concat();
    let dir = directory(&[(LOG_FILE, &whole[..whole.len() - 1])]);
    let error = read_metadata(dir.path(), Tail::Whole).unwrap_err().to_string();
    let position = log_at(0, &[topic("a", 1)]).len();
    assert!(error.contains(&format!("{LOG_FILE} is damaged at position {position}: ")), "{error}");
    assert_eq!(read_metadata(dir.path(), Tail::Torn).unwrap().topics.len(), 1);
    // Not in the middle of the log.
    fs::write(dir.path().join("00000000000000000002.log"), log_at(2, &[topic("c", 3)])).unwrap();
    assert!(read_metadata(dir.path(), Tail::Torn).is_err());
}

#[test]
fn a_directory_that_is_none_is_named() {
    let error = read_metadata(Path::new("/nowhere/at/all"), Tail::Whole).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/at/all cannot be read: "), "{error}");
}

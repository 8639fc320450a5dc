//! What cannot be taken over is refused with a sentence that names it, and nothing is left where it was to go.

use std::fs::{self, File};
use std::path::Path;

use millstream_metadata::generated::config::ConfigRecord;
use millstream_metadata::generated::feature_level::FeatureLevelRecord;
use millstream_metadata::generated::partition_change::PartitionChangeRecord;
use millstream_metadata::generated::register_broker::RegisterBrokerRecord;
use millstream_metadata::generated::zk_migration_state::ZkMigrationStateRecord;
use millstream_metadata::kafka::{METADATA_DIR, SNAPSHOT_FILE, Tail, read_metadata};
use millstream_model::batch::BatchBuilder;
use millstream_model::compression::Compression;
use millstream_model::wire::{Encode, Encoder};
use millstream_model::{LeaderEpoch, Offset, TimestampMs};
use rustix::fs::{FlockOperation, fcntl_lock};

use crate::broker::Broker;
use crate::command::{contents, copied, export_refused, import_refused};
use crate::unclean::{CLEAN, first_log, kafka_directory};

/// Adds a record to the metadata log.
fn add_record(logs: &Path, record_type: i16, record: &impl Encode) {
    let mut value = Encoder::new();
    for number in [1, record_type.unsigned_abs(), 0] {
        value.unsigned_varint(number.into());
    }
    record.encode(&mut value, 0).unwrap();
    let mut batch = BatchBuilder::new(Compression::None);
    batch.append(TimestampMs(0), None, Some(&value.into_bytes()), &[]).unwrap();
    let batch = batch.build().placed(Offset(0), LeaderEpoch(1));
    fs::write(logs.join(METADATA_DIR).join("00000000000000000000.log"), batch.bytes()).unwrap();
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// Changes a copy of the directory, whose import must then be refused with the complaint.
type Case<'a> = (&'a str, &'a dyn Fn(&Path));

fn check(logs: &Path, cases: &[Case<'_>]) {
    for (complaint, change) in cases {
        let dir = tempfile::tempdir().unwrap();
        let changed = copied(logs, &dir.path().join("logs"));
        change(&changed);
        let before = contents(&changed);
        let said = import_refused(&[], &[&changed], &dir.path().join("data"));
        assert!(said.starts_with("error: ") && said.contains(complaint), "`{complaint}` is not in: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(contents(&changed) == before, "a refused import changes nothing");
    }
}

#[test]
fn directories_that_are_not_a_stopped_nodes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let logs = kafka_directory(dir.path());
    let meta = |logs: &Path| logs.join("meta.properties");
    check(
        &logs,
        &[
            ("is missing): start Kafka on it and stop it cleanly", &|logs| fs::remove_file(logs.join(CLEAN)).unwrap()),
            ("is no log directory of a Kafka node", &|logs| fs::remove_file(meta(logs)).unwrap()),
            ("version=2 is newer than 1: a newer Kafka wrote it", &|logs| {
                replace(&meta(logs), "version=1", "version=2");
            }),
            ("these are the directories of node 2, but the cluster's broker is node 1", &|logs| {
                replace(&meta(logs), "node.id=1", "node.id=2");
            }),
            ("none of the directories has __cluster_metadata-0", &|logs| {
                fs::remove_dir_all(logs.join(METADATA_DIR)).unwrap();
            }),
            ("t-1 is in none of the directories", &|logs| fs::remove_dir_all(logs.join("t-1")).unwrap()),
            ("its line 3 is no offset", &|logs| {
                fs::write(logs.join("log-start-offset-checkpoint"), "0\n1\nt zero 1\n").unwrap();
            }),
        ],
    );
}

#[test]
fn damage_is_named_with_its_file_and_position() {
    let dir = tempfile::tempdir().unwrap();
    let logs = kafka_directory(dir.path());
    let snapshot = |logs: &Path| logs.join(METADATA_DIR).join(SNAPSHOT_FILE);
    let length = fs::metadata(snapshot(&logs)).unwrap().len();
    check(
        &logs,
        &[
            ("0000000000.checkpoint is damaged at position ", &|logs| {
                File::options().write(true).open(snapshot(logs)).unwrap().set_len(length - 1).unwrap();
            }),
            ("0000000000.checkpoint is damaged at position 0: ", &|logs| flip(&snapshot(logs), 70)),
            ("t-0/00000000000000000000.log is damaged at position 0: ", &|logs| flip(&first_log(logs, "t-0"), 70)),
            ("t-1/00000000000000000000.log is damaged at position 0: ", &|logs| flip(&first_log(logs, "t-1"), 8)),
            ("has records of message format 1 at position 0: only format 2 is read", &|logs| {
                let log = first_log(logs, "t-1");
                let mut bytes = fs::read(&log).unwrap();
                bytes[16] = 1;
                fs::write(&log, bytes).unwrap();
            }),
        ],
    );
}

#[test]
fn clusters_that_one_node_of_ours_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let logs = kafka_directory(dir.path());
    let cluster = read_metadata(&logs.join(METADATA_DIR), Tail::Whole).unwrap();
    let topic_id = cluster.topics.iter().find(|(_, topic)| topic.name == "t").unwrap().0.0;
    check(
        &logs,
        &[
            ("metadata.version is 34, the newest that is known is 33 (Kafka 4.4)", &|logs| {
                let record = FeatureLevelRecord { name: "metadata.version".to_owned(), feature_level: 34 };
                add_record(logs, FeatureLevelRecord::RECORD_TYPE, &record);
            }),
            ("records of type 99 are not known: a newer Kafka wrote it", &|logs| {
                add_record(logs, 99, &FeatureLevelRecord::default());
            }),
            ("the cluster has the nodes 1, 2: the data of one node is imported, not of several", &|logs| {
                let record = RegisterBrokerRecord { broker_id: 2, ..RegisterBrokerRecord::default() };
                add_record(logs, RegisterBrokerRecord::RECORD_TYPE, &record);
            }),
            ("t-1 has its replicas on the nodes 1, 2, these are the directories of node 1", &|logs| {
                let replicas = Some(vec![1, 2]);
                let record = PartitionChangeRecord { partition_id: 1, topic_id, replicas, ..Default::default() };
                add_record(logs, PartitionChangeRecord::RECORD_TYPE, &record);
            }),
            ("older records of t are in tiered storage (remote.storage.enable=true)", &|logs| {
                let record = ConfigRecord {
                    resource_type: 2,
                    resource_name: "t".to_owned(),
                    name: "remote.storage.enable".to_owned(),
                    value: Some("true".to_owned()),
                };
                add_record(logs, ConfigRecord::RECORD_TYPE, &record);
            }),
            ("a migration from ZooKeeper is under way: let it end first", &|logs| {
                add_record(
                    logs,
                    ZkMigrationStateRecord::RECORD_TYPE,
                    &ZkMigrationStateRecord { zk_migration_state: 2 },
                );
            }),
        ],
    );
}

#[test]
fn what_is_in_use_and_what_is_in_the_way_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let logs = kafka_directory(dir.path());
    let lock = File::create(logs.join(".lock")).unwrap();
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let said = import_refused(&[], &[&logs], &dir.path().join("data"));
    assert!(said.contains("is in use: stop Kafka first"), "{said}");
    drop(lock);
    let said = import_refused(&[], &[&logs], &dir.path().join("origin"));
    assert!(said.contains("origin is not empty: name a new directory"), "{said}");

    let (origin, out) = (dir.path().join("origin"), dir.path().join("out"));
    let broker = Broker::start(&origin);
    let said = export_refused(&out, &origin);
    assert!(said.contains("origin is in use: stop the broker first"), "{said}");
    broker.stop();
    let said = export_refused(&logs, &origin);
    assert!(said.contains("logs is not empty: name a new directory"), "{said}");
    let said = export_refused(&out, &dir.path().join("none"));
    assert!(said.contains("none is no broker's data directory: it has no metadata.redb"), "{said}");
    assert!(!dir.path().join("none").exists());
}

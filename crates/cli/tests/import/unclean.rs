//! Imports without a Kafka at hand: directories that a crash left, several of one node, and one of ZooKeeper's era.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use millstream_model::batch::{Batch, BatchBuilder};
use millstream_model::compression::Compression;
use millstream_model::{LeaderEpoch, Offset, TimestampMs};

use crate::broker::Broker;
use crate::command::{copied, export, import, import_refused, import_unclean};

pub(crate) const CLEAN: &str = ".kafka_cleanshutdown";

/// A log directory as Kafka leaves it: the topic `t` with two partitions and records in both.
pub(crate) fn kafka_directory(dir: &Path) -> PathBuf {
    let data = dir.join("origin");
    let broker = Broker::start(&data);
    broker.tool(&["topics", "--create", "--topic", "t", "--partitions", "2"], "");
    let lines: String = (0..60).map(|number| format!("key{number}\tvalue{number}\n")).collect();
    broker.tool(&["console-producer", "--topic", "t", "--reader-property", "parse.key=true"], &lines);
    broker.stop();
    let out = dir.join("logs");
    export(&out, &data, "localhost:9093");
    for partition in ["t-0", "t-1"] {
        assert!(fs::metadata(first_log(&out, partition)).unwrap().len() > 0, "both partitions have records");
    }
    out
}

pub(crate) fn first_log(logs: &Path, partition: &str) -> PathBuf {
    logs.join(partition).join("00000000000000000000.log")
}

pub(crate) fn batch(offset: i64, value: &str) -> Batch {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.append(TimestampMs(1_700_000_000_000), None, Some(value.as_bytes()), &[]).unwrap();
    batch.build().placed(Offset(offset), LeaderEpoch(0))
}

fn values(data: &Path, topic: &str, count: usize) -> Vec<String> {
    let broker = Broker::start(data);
    let count = count.to_string();
    let words = ["console-consumer", "--topic", topic, "--from-beginning", "--max-messages", &count];
    let read = broker.tool(&words, "");
    let mut values: Vec<String> = read.lines().map(str::to_owned).collect();
    values.sort();
    broker.stop();
    values
}

fn describe(data: &Path, tool: &str, words: &[&str]) -> String {
    let broker = Broker::start(data);
    let said = broker.tool(&[&[tool], words].concat(), "");
    broker.stop();
    said
}

fn expected() -> Vec<String> {
    let mut values: Vec<String> = (0..60).map(|number| format!("value{number}")).collect();
    values.sort();
    values
}

#[test]
fn what_a_crash_left_is_cut_where_it_was_not_synced_and_refused_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let logs = kafka_directory(dir.path());
    fs::remove_file(logs.join(CLEAN)).unwrap();
    let log = first_log(&logs, "t-0");
    let torn = batch(1000, "torn");
    File::options().append(true).open(&log).unwrap().write_all(&torn.bytes()[..70]).unwrap();
    let data = dir.path().join("data");
    let said = import_refused(&[], &[&logs], &data);
    assert!(said.contains("was not closed cleanly (.kafka_cleanshutdown is missing): start Kafka on it"), "{said}");
    let said = import_unclean(&logs, &data);
    assert!(said.contains("cut off: 70 bytes of t-0 behind offset "), "{said}");
    assert_eq!(values(&data, "t", 60), expected());

    // Before the recovery point nothing was ever half written: that is damage.
    let damaged = copied(&logs, &dir.path().join("damaged"));
    let log = first_log(&damaged, "t-0");
    let mut bytes = fs::read(&log).unwrap();
    bytes[70] ^= 1;
    fs::write(&log, bytes).unwrap();
    let said = import_refused(&["--unclean"], &[&damaged], &dir.path().join("other"));
    assert!(said.contains(&format!("{} is damaged at position 0: ", log.display())), "{said}");
}

#[test]
fn several_directories_of_a_node_are_imported_together_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let logs = kafka_directory(dir.path());
    let second = dir.path().join("second");
    fs::create_dir(&second).unwrap();
    fs::rename(logs.join("t-1"), second.join("t-1")).unwrap();
    fs::copy(logs.join(CLEAN), second.join(CLEAN)).unwrap();
    let meta = fs::read_to_string(logs.join("meta.properties")).unwrap();
    fs::write(second.join("meta.properties"), &meta).unwrap();
    let data = dir.path().join("data");
    let said = import_refused(&[], &[&logs], &data);
    assert!(said.contains("t-1 is in none of the directories: name all of the node's log.dirs."), "{said}");
    let other = meta.replace("node.id=1", "node.id=2");
    fs::write(second.join("meta.properties"), other).unwrap();
    let said = import_refused(&[], &[&logs, &second], &data);
    assert!(said.contains("belongs to another node or cluster"), "{said}");
    fs::write(second.join("meta.properties"), &meta).unwrap();
    import(&[&logs, &second], &data);
    assert_eq!(values(&data, "t", 60), expected());
}

/// A directory of ZooKeeper's era: no metadata, and topics older than topic ids.
fn zookeepers(dir: &Path) -> PathBuf {
    let logs = dir.join("zookeeper");
    for (partition, base, count) in [("old-0", 0, 3), ("old-1", 7, 2), ("__consumer_offsets-0", 0, 1)] {
        fs::create_dir_all(logs.join(partition)).unwrap();
        let batches = (base..base + count).flat_map(|n| batch(n, &format!("{partition} {n}")).bytes().to_vec());
        fs::write(logs.join(partition).join(format!("{base:020}.log")), batches.collect::<Vec<u8>>()).unwrap();
    }
    fs::create_dir(logs.join("gone-0.0123456789abcdef0123456789abcdef-delete")).unwrap();
    fs::write(logs.join("meta.properties"), "#\nversion=0\nbroker.id=1\ncluster.id=ijFvUuPPQxmBwF7wKDUm8w\n").unwrap();
    fs::write(logs.join("log-start-offset-checkpoint"), "0\n1\nold 0 2\n").unwrap();
    fs::write(logs.join(CLEAN), "").unwrap();
    logs
}

#[test]
fn of_zookeepers_era_the_logs_are_imported_and_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let logs = zookeepers(dir.path());
    let data = dir.path().join("data");
    let said = import(&[&logs], &data);
    assert!(said.starts_with("imported cluster ijFvUuPPQxmBwF7wKDUm8w as node 1 into "), "{said}");
    assert!(said.contains("left out: configs, ACLs, credentials and quotas: they were in ZooKeeper"), "{said}");
    assert!(said.contains("-delete: Kafka had done with it"), "{said}");
    let described = describe(&data, "topics", &["--describe", "--topic", "old"]);
    assert!(described.contains("retention.ms=-1"), "{described}");
    let described = describe(&data, "topics", &["--describe", "--topic", "__consumer_offsets"]);
    assert!(described.contains("cleanup.policy=compact"), "{described}");
    // The first two records of old-0 are below the log's start.
    assert_eq!(values(&data, "old", 3), ["old-0 2", "old-1 7", "old-1 8"]);
    fs::remove_dir_all(logs.join("old-0")).unwrap();
    let said = import_refused(&[], &[&logs], &dir.path().join("other"));
    assert!(said.contains("old-0 is in none of the directories"), "{said}");
}

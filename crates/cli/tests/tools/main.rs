//! Our Kafka tools print and end as Apache Kafka's do: a transcript recorded from Kafka's own tools is replayed, command
//! by command, on an empty cluster. `golden/record.bash` recorded it.
//!
//! The cluster is this binary's broker, or the one that MILLSTREAM_TEST_BOOTSTRAP names.

use std::process::Command;

use broker::Broker;
use transcript::{Replay, agree, recorded};

mod broker;
mod transcript;

const MILLSTREAM: &str = env!("CARGO_BIN_EXE_millstream");

#[test]
fn our_tools_print_and_end_as_kafkas_do() {
    let (bootstrap, _broker) = match std::env::var("MILLSTREAM_TEST_BOOTSTRAP") {
        Ok(bootstrap) => (bootstrap, None),
        Err(_) => {
            let broker = Broker::start();
            set_what_kafka_sets(&broker.bootstrap);
            (broker.bootstrap.clone(), Some(broker))
        }
    };
    let mut replay = Replay::new(&bootstrap);
    let mut differences = Vec::new();
    for kafka in recorded() {
        let ours = replay.tell(&kafka.line);
        if !agree(&kafka, &ours) {
            differences.push(format!("$ {}\n--- Kafka's\n{kafka}\n--- ours\n{ours}", kafka.line));
        }
    }
    assert!(differences.is_empty(), "{} commands differ\n{}", differences.len(), differences.join("\n"));
}

/// Kafka sets this for itself when its storage is formatted: docs/reference/tools.md.
fn set_what_kafka_sets(bootstrap: &str) {
    let set = ["--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "min.insync.replicas=1"];
    let set = Command::new(MILLSTREAM).args(["configs", "--bootstrap-server", bootstrap]).args(set).output();
    assert!(set.expect("the binary starts").status.success(), "the broker takes Kafka's own setting");
}

#[test]
fn started_under_a_scripts_name_it_is_that_tool() {
    let folder = tempfile::tempdir().unwrap();
    let installed = Command::new(MILLSTREAM).arg("install-tools").arg(folder.path()).output().unwrap();
    assert!(installed.status.success(), "{installed:?}");
    let topics = folder.path().join("kafka-topics.sh");
    let version = Command::new(&topics).arg("--version").output().unwrap();
    assert_eq!((String::from_utf8(version.stdout).unwrap().as_str(), version.status.code()), ("4.3.1\n", Some(0)));
    let refused = Command::new(&topics).args(["--list"]).output().unwrap();
    assert_eq!(String::from_utf8(refused.stderr).unwrap(), "--bootstrap-server must be specified\n");
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn a_script_of_kafkas_own_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("kafka-topics.sh");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let refused = Command::new(MILLSTREAM).arg("install-tools").arg(folder.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("is no link"));
    assert_eq!(std::fs::read_to_string(&script).unwrap(), "#!/bin/sh\n");
}

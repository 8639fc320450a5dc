//! There and back: what Kafka's own client reads of the one cluster it reads of the other, word for word.

use std::fs;
use std::path::Path;

use crate::broker::Broker;
use crate::command::{contents, copied, export, import};
use crate::kafka::{Jars, addresses};

/// Lines with which ACLs are in force.
const AUTHORIZER: &str = "super.users=User:ANONYMOUS\n\
    authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n";

fn fresh_properties(logs: &Path, broker: &str, controller: &str) -> String {
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers={controller}\n\
         listeners=PLAINTEXT://{broker},CONTROLLER://{controller}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={}\n\
         offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\nshare.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n{AUTHORIZER}",
        logs.display()
    )
}

/// The lines that an export said, with the broker's address of the test's choice.
fn exported_properties(lines: &str, broker: &str) -> String {
    assert!(lines.contains("PLAINTEXT://127.0.0.1:9092,"), "{lines}");
    lines.replace("127.0.0.1:9092", broker)
}

/// Both texts are long: only where they part is told.
fn assert_equal(left: &str, right: &str, what: &str) {
    assert!(left.lines().count() > 5, "{what}: {left}");
    let mut lines = left.lines().zip(right.lines());
    assert_eq!(lines.find(|(left, right)| left != right), None, "{what}");
    assert_eq!(left.lines().count(), right.lines().count(), "{what}");
}

#[test]
fn kafkas_data_reads_equal_here_is_written_on_and_reads_equal_there_again() {
    let Some(jars) = Jars::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (logs, properties) = (dir.path().join("logs"), dir.path().join("server.properties"));
    let (address, controller) = addresses();
    fs::write(&properties, fresh_properties(&logs, &address, &controller)).unwrap();
    jars.format(&properties);
    let kafka = jars.start(&properties, &address);
    jars.data("security", &kafka.bootstrap);
    jars.data("write", &kafka.bootstrap);
    let (written, security) = (jars.data("dump", &kafka.bootstrap), jars.data("dump-security", &kafka.bootstrap));
    kafka.stop();

    let (before, data) = (contents(&logs), dir.path().join("data"));
    let said = import(&[&logs], &data);
    assert!(said.starts_with("imported cluster 4L6g3nShT-eMCtK--X86sw as node 1 into "), "{said}");
    assert!(said.contains("2 ACLs, 2 SCRAM credentials, 2 quotas: kept"), "{said}");
    assert!(contents(&logs) == before, "an import changes nothing");

    let broker = Broker::start(&data);
    assert_equal(&jars.data("dump", &broker.address), &written, "as Kafka wrote it");
    jars.data("more", &broker.address);
    let more = jars.data("dump", &broker.address);
    broker.kill();

    let out = dir.path().join("out");
    let (address, controller) = addresses();
    let lines = export(&out, &data, &controller);
    let mut files = contents(&out).into_keys();
    assert!(files.any(|file| file.extension().is_some_and(|kind| kind == "txnindex")), "transactions were aborted");
    jars.accept(&copied(&out, &dir.path().join("accepted")));
    let properties = dir.path().join("exported.properties");
    fs::write(&properties, exported_properties(&lines, &address) + AUTHORIZER).unwrap();
    let kafka = jars.start(&properties, &address);
    assert_equal(&jars.data("dump", &kafka.bootstrap), &more, "as it was written on");
    assert_equal_security(&jars.data("dump-security", &kafka.bootstrap), &security);
    jars.data("more", &kafka.bootstrap);
    kafka.stop();

    let broker = Broker::start(&data);
    assert_equal(&jars.data("dump", &broker.address), &more, "after the export");
    broker.stop();
}

fn assert_equal_security(found: &str, expected: &str) {
    assert_eq!(found, expected);
    for what in ["acl ", "scram ", "quota "] {
        assert_eq!(found.lines().filter(|line| line.starts_with(what)).count(), 2, "{found}");
    }
}

#[test]
fn what_was_written_here_opens_in_kafka_and_comes_back() {
    let Some(jars) = Jars::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let broker = Broker::start(&data);
    jars.data("write-plainly", &broker.address);
    jars.data("more", &broker.address);
    let written = jars.data("dump", &broker.address);
    broker.stop();
    let out = dir.path().join("out");
    let (address, controller) = addresses();
    let properties = dir.path().join("server.properties");
    let lines = export(&out, &data, &controller);
    jars.accept(&copied(&out, &dir.path().join("accepted")));
    fs::write(&properties, exported_properties(&lines, &address)).unwrap();
    let kafka = jars.start(&properties, &address);
    // Kafka sets it for itself where eligible leader replicas are on (KIP-966), with the value that is the default.
    let found = jars.data("dump", &kafka.bootstrap).replace("config BROKER  min.insync.replicas=1\n", "");
    assert_equal(&found, &written, "in Kafka");
    jars.data("more", &kafka.bootstrap);
    let more = jars.data("dump", &kafka.bootstrap);
    kafka.stop();
    // Kafka's directory, with snapshots and a log of its own making by now.
    let again = dir.path().join("again");
    import(&[&out], &again);
    let broker = Broker::start(&again);
    assert_equal(&jars.data("dump", &broker.address), &more, "back here");
    broker.stop();
}

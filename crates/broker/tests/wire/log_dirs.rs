//! DescribeLogDirs, which `kafka-log-dirs` prints, says of each partition what its `.log` files have on disk, whatever
//! shortened them.

use std::collections::BTreeMap;

use millstream_protocol::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use millstream_protocol::delete_topics::DeleteTopicsRequest;
use millstream_protocol::describe_log_dirs::DescribeLogDirsRequest;

use crate::compaction::{BUSY_CLEANER, keyed, log_bytes, wait_until};
use crate::server::{Peer, Server};
use crate::topic::{TOPIC, batch, create, produce};

const PARTITION: &str = "measurements-0";
const SMALL_SEGMENTS: (&str, &str) = ("segment.bytes", "1048576");
/// Batches of so many bytes; the lane holds about 18 of them without a checkpoint.
const BATCH_BYTES: usize = 900_000;

/// Bytes that the broker says each partition has.
fn described(peer: &mut Peer) -> BTreeMap<String, u64> {
    let answer = peer.ask(&DescribeLogDirsRequest { topics: None }, 4).unwrap();
    let topics =
        answer.results.into_iter().inspect(|result| assert_eq!(result.error_code, 0)).flat_map(|dir| dir.topics);
    let partitions = topics.flat_map(|topic| {
        topic.partitions.into_iter().map(move |partition| {
            (format!("{}-{}", topic.name, partition.partition_index), partition.partition_size.unsigned_abs())
        })
    });
    partitions.collect()
}

/// Waits until disk and answer agree, and says on what.
fn agreed(server: &Server, peer: &mut Peer) -> u64 {
    let mut bytes = 0;
    wait_until("the answer is what lies on the disk", || {
        bytes = log_bytes(server, PARTITION);
        described(peer)[PARTITION] == bytes && bytes == log_bytes(server, PARTITION)
    });
    bytes
}

fn fill(peer: &mut Peer, batches: usize) {
    let value = "x".repeat(BATCH_BYTES);
    for _ in 0..batches {
        assert_eq!(produce(peer, batch(&[&value])).error_code, 0);
    }
}

/// The same after a restart, which drops what no reader sees any more.
fn agrees_after_a_restart(server: Server, configs: &[(&str, &str)]) -> u64 {
    let server = Server::start_in(server.stop(), configs);
    agreed(&server, &mut server.peer())
}

#[test]
fn log_dirs_are_what_lies_on_disk_after_retention() {
    let configs = [("log.retention.check.interval.ms", "10")];
    let server = Server::start(&configs);
    let mut peer = server.peer();
    create(&mut peer, &[SMALL_SEGMENTS, ("retention.bytes", "2000000"), ("retention.ms", "-1")]);
    let batches = 60;
    fill(&mut peer, batches);
    wait_until("old segments go", || log_bytes(&server, PARTITION) < (batches / 2 * BATCH_BYTES) as u64);
    assert!(agreed(&server, &mut peer) > 0);
    drop(peer);
    let server = Server::start_in(server.stop(), &configs);
    let mut peer = server.peer();
    // Segments go with the checkpoint that covers the log's new start.
    wait_until("what may go is gone", || agreed(&server, &mut peer) < 5_000_000);
}

#[test]
fn log_dirs_are_what_lies_on_disk_after_delete_records() {
    for durability in ["fsync", "os"] {
        let server = Server::start(&[]);
        let mut peer = server.peer();
        create(&mut peer, &[SMALL_SEGMENTS, ("millstream.durability", durability), ("retention.ms", "-1")]);
        fill(&mut peer, 4);
        let before = agreed(&server, &mut peer);
        let partition = DeleteRecordsPartition { partition_index: 0, offset: 3 };
        let topic = DeleteRecordsTopic { name: TOPIC.to_owned(), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 30_000 };
        assert_eq!(peer.ask(&request, 2).unwrap().topics[0].partitions[0].error_code, 0);
        agreed(&server, &mut peer);
        drop(peer);
        let after = agrees_after_a_restart(server, &[]);
        assert!(after < before / 2, "{durability}: {after} of {before}");
    }
}

#[test]
fn log_dirs_are_what_lies_on_disk_after_compaction_and_deletion() {
    let server = Server::start(&[BUSY_CLEANER]);
    let mut peer = server.peer();
    create(&mut peer, &[("cleanup.policy", "compact"), SMALL_SEGMENTS]);
    let value = |number: i64| (0..40_000).map(|at| format!("{:x}", (at * 7919 + number) % 104_729)).collect::<String>();
    for number in 0..200 {
        assert_eq!(produce(&mut peer, keyed(number % 5, &value(number), 1_700_000_000_000)).error_code, 0);
    }
    wait_until("the log is cleaned", || server.metric("cleaner_runs_total") > 0);
    assert!(agreed(&server, &mut peer) > 0);
    drop(peer);
    let server = Server::start_in(server.stop(), &[BUSY_CLEANER]);
    let mut peer = server.peer();
    assert!(agreed(&server, &mut peer) > 0);
    let request = DeleteTopicsRequest {
        topic_names: vec![TOPIC.to_owned()],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(peer.ask(&request, 4).unwrap().responses[0].error_code, 0);
    assert!(!described(&mut peer).contains_key(PARTITION));
    wait_until("its directory goes", || !server.directory().join("kafka").join(PARTITION).exists());
}

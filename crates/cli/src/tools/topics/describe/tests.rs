//! What `topics --describe` prints, against lines recorded from kafka-topics.sh.

use millstream_client::{
    PartitionMetadata, TopicId, TopicPartition,
    admin::{ConfigSource, TopicDescription},
};

use super::*;

fn partition(index: i32, leader: i32, replicas: &[i32], isr: &[i32]) -> DescribedPartition {
    let metadata = PartitionMetadata {
        index,
        leader,
        leader_epoch: 0,
        replicas: replicas.to_vec(),
        isr: isr.to_vec(),
        offline_replicas: Vec::new(),
    };
    DescribedPartition { metadata, eligible_leader_replicas: Some(Vec::new()), last_known_elr: Some(Vec::new()) }
}

fn config(name: &str, value: &str, source: ConfigSource) -> ConfigEntry {
    ConfigEntry {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
        is_read_only: false,
        is_sensitive: false,
        synonyms: Vec::new(),
        documentation: None,
    }
}

fn printed(report: &Report, partitions: Vec<DescribedPartition>, moves: &[Reassignment]) -> String {
    let topic = TopicDescription { name: "t1".to_owned(), id: TopicId::default(), is_internal: false, partitions };
    let configs = [
        config("min.insync.replicas", "2", ConfigSource::DynamicDefaultBrokerConfig),
        config("retention.ms", "604800000", ConfigSource::DefaultConfig),
        config("segment.bytes", "1073741824", ConfigSource::StaticBrokerConfig),
    ];
    let mut out = Vec::new();
    report.print(&topic, &configs, moves, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_topic_and_its_partitions_stand_as_in_kafka() {
    let partitions = vec![partition(0, 1, &[1, 2], &[1, 2]), partition(1, -1, &[2, 1], &[])];
    let expected = "\
Topic: t1\tPartitionCount: 2\tReplicationFactor: 2\tConfigs: min.insync.replicas=2,segment.bytes=1073741824
\tTopic: t1\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\tElr: \tLastKnownElr: 
\tTopic: t1\tPartition: 1\tLeader: none\tReplicas: 2,1\tIsr: \tElr: \tLastKnownElr: 
";
    assert_eq!(printed(&Report::default(), partitions, &[]), expected);
}

#[test]
fn a_report_shows_partitions_in_trouble_only() {
    let partitions = || {
        vec![
            partition(0, 1, &[1, 2], &[1, 2]),
            partition(1, 2, &[1, 2], &[2]),
            partition(2, 3, &[3, 1], &[3, 1]),
            partition(3, -1, &[1, 2], &[]),
        ]
    };
    let check = |report: Report, expected: &[&str]| {
        let printed = printed(&report, partitions(), &[]);
        let shown: Vec<&str> = printed.lines().filter_map(|line| line.split('\t').nth(2)).collect();
        assert_eq!(shown, expected, "{report:?}");
    };
    let live_brokers = vec![1, 2];
    check(Report { under_replicated: true, ..Report::default() }, &["Partition: 1", "Partition: 3"]);
    check(Report { unavailable: true, live_brokers, ..Report::default() }, &["Partition: 2", "Partition: 3"]);
    check(Report { under_min_isr: true, ..Report::default() }, &["Partition: 1", "Partition: 3"]);
    check(Report { at_min_isr: true, ..Report::default() }, &["Partition: 0", "Partition: 2"]);
}

#[test]
fn a_replica_that_is_being_added_does_not_count_yet() {
    let moving = Reassignment {
        partition: TopicPartition::new("t1", 0),
        replicas: vec![3, 1, 2],
        adding: vec![3],
        removing: vec![1],
    };
    let printed = printed(&Report::default(), vec![partition(0, 1, &[3, 1, 2], &[1, 2])], &[moving]);
    assert!(printed.contains("\tReplicationFactor: 2\t"), "{printed}");
    assert!(printed.contains("\tAdding Replicas: 3\tRemoving Replicas: 1\t"), "{printed}");
}

#[test]
fn overrides_leave_out_the_partitions() {
    let report = Report { overrides_only: true, ..Report::default() };
    assert_eq!(printed(&report, vec![partition(0, 1, &[1], &[1])], &[]).lines().count(), 1);
}

//! The group coordinator: classic, consumer and streams groups, committed offsets.

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::{Is, Null};
use crate::configs::Effect::ActedOn;
use crate::configs::Importance::{High, Low, Medium};
use crate::configs::Update::{ClusterWide, ReadOnly};
use crate::configs::Valid::{Any, AtLeast, ListOf, NonEmptyListOf, OneOfAnyCase};
use crate::configs::reason::{
    COMMITS_WAIT, CONSUMER_PROTOCOL_LATER, NO_JAVA, NO_POOLS, OFFSETS_PLAIN, OWN_BUFFERS, STREAMS_GROUPS_LATER,
};
use crate::configs::row::{boolean, class, int, list, long, short, string};

/// Sorted by name.
pub(super) const KEYS: &[ConfigKey] = &[
    int("group.consumer.assignment.interval.ms", Is("1000"), AtLeast(0), Medium, ClusterWide, CONSUMER_PROTOCOL_LATER)
        .doc("Shortest time between two assignments of a consumer group, in milliseconds."),
    boolean("group.consumer.assignor.offload.enable", Is("true"), Any, Medium, ClusterWide, CONSUMER_PROTOCOL_LATER)
        .internal()
        .doc("Whether assignments of consumer groups are computed away from their coordinator's thread."),
    list(
        "group.consumer.assignors",
        Is("uniform,range"),
        NonEmptyListOf(&[]),
        Medium,
        ReadOnly,
        CONSUMER_PROTOCOL_LATER,
    )
    .doc("Assignors that consumer groups may use; the first is the default."),
    int("group.consumer.heartbeat.interval.ms", Is("5000"), AtLeast(1), Medium, ReadOnly, CONSUMER_PROTOCOL_LATER)
        .doc("Time between heartbeats that members of consumer groups are told to keep, in milliseconds."),
    int(
        "group.consumer.max.assignment.interval.ms",
        Is("15000"),
        AtLeast(0),
        Medium,
        ReadOnly,
        CONSUMER_PROTOCOL_LATER,
    )
    .doc("Largest value of a consumer group's `consumer.assignment.interval.ms`."),
    int("group.consumer.max.heartbeat.interval.ms", Is("15000"), AtLeast(1), Medium, ReadOnly, CONSUMER_PROTOCOL_LATER)
        .doc("Largest value of a consumer group's `consumer.heartbeat.interval.ms`."),
    int("group.consumer.max.session.timeout.ms", Is("60000"), AtLeast(1), Medium, ReadOnly, CONSUMER_PROTOCOL_LATER)
        .doc("Largest value of a consumer group's `consumer.session.timeout.ms`."),
    int("group.consumer.max.size", Is("2147483647"), AtLeast(1), Medium, ReadOnly, CONSUMER_PROTOCOL_LATER)
        .doc("Members that one consumer group may have."),
    string(
        "group.consumer.migration.policy",
        Is("bidirectional"),
        OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]),
        Medium,
        ReadOnly,
        CONSUMER_PROTOCOL_LATER,
    )
    .doc("Which way groups may change between the classic and the consumer protocol."),
    int("group.consumer.min.assignment.interval.ms", Is("0"), AtLeast(0), Medium, ReadOnly, CONSUMER_PROTOCOL_LATER)
        .doc("Smallest value of a consumer group's `consumer.assignment.interval.ms`."),
    int("group.consumer.min.heartbeat.interval.ms", Is("5000"), AtLeast(1), Medium, ReadOnly, CONSUMER_PROTOCOL_LATER)
        .doc("Smallest value of a consumer group's `consumer.heartbeat.interval.ms`."),
    int("group.consumer.min.session.timeout.ms", Is("45000"), AtLeast(1), Medium, ReadOnly, CONSUMER_PROTOCOL_LATER)
        .doc("Smallest value of a consumer group's `consumer.session.timeout.ms`."),
    int(
        "group.consumer.regex.refresh.interval.ms",
        Is("600000"),
        AtLeast(10000),
        Medium,
        ReadOnly,
        CONSUMER_PROTOCOL_LATER,
    )
    .internal()
    .doc("Time between looks for new topics that match a subscribed expression, in milliseconds."),
    int("group.consumer.session.timeout.ms", Is("45000"), AtLeast(1), Medium, ReadOnly, CONSUMER_PROTOCOL_LATER)
        .doc("Silence after which a member of a consumer group is removed, in milliseconds."),
    int("group.coordinator.append.linger.ms", Is("-1"), AtLeast(-1), Medium, ReadOnly, OWN_BUFFERS)
        .doc("Time that the coordinator gathers records before it writes them; -1 adapts to the load."),
    int("group.coordinator.background.threads", Is("2"), AtLeast(1), High, ReadOnly, NO_POOLS)
        .doc("Threads for the coordinator's background work."),
    int("group.coordinator.cached.buffer.max.bytes", Is("1048588"), AtLeast(524_288), Medium, ClusterWide, OWN_BUFFERS)
        .doc("Size above which the coordinator does not keep a write buffer for reuse."),
    list(
        "group.coordinator.rebalance.protocols",
        Is("classic,consumer,streams"),
        NonEmptyListOf(&["consumer", "classic", "share", "streams"]),
        Medium,
        ReadOnly,
        CONSUMER_PROTOCOL_LATER,
    )
    .doc("Group protocols that the broker serves."),
    int("group.coordinator.threads", Is("4"), AtLeast(1), High, ReadOnly, NO_POOLS)
        .doc("Threads of the group coordinator."),
    int("group.initial.rebalance.delay.ms", Is("3000"), Any, Medium, ReadOnly, ActedOn)
        .doc("Time that the first rebalance of a group waits for more members, in milliseconds."),
    int("group.max.session.timeout.ms", Is("1800000"), Any, Medium, ReadOnly, ActedOn)
        .doc("Longest session timeout that a member of a classic group may ask for, in milliseconds."),
    int("group.max.size", Is("2147483647"), AtLeast(1), Medium, ReadOnly, ActedOn)
        .doc("Members that one classic group may have."),
    int("group.min.session.timeout.ms", Is("6000"), Any, Medium, ReadOnly, ActedOn)
        .doc("Shortest session timeout that a member of a classic group may ask for, in milliseconds."),
    long("group.streams.acceptable.recovery.lag", Is("10000"), AtLeast(0), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .internal()
        .doc("Records that a streams task may lag behind and still count as caught up."),
    int("group.streams.assignment.interval.ms", Is("1000"), AtLeast(0), Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .doc("Shortest time between two assignments of a streams group, in milliseconds."),
    boolean("group.streams.assignor.offload.enable", Is("true"), Any, Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .internal()
        .doc("Whether assignments of streams groups are computed away from their coordinator's thread."),
    list("group.streams.assignors", Is("sticky"), NonEmptyListOf(&[]), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Assignors that streams groups may use; the first is the default."),
    int("group.streams.heartbeat.interval.ms", Is("5000"), AtLeast(1), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Time between heartbeats that members of streams groups are told to keep, in milliseconds."),
    int("group.streams.initial.rebalance.delay.ms", Is("3000"), AtLeast(0), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Time that the first assignment of a streams group waits for more members, in milliseconds."),
    int("group.streams.max.assignment.interval.ms", Is("15000"), AtLeast(0), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Largest value of a streams group's `streams.assignment.interval.ms`."),
    int("group.streams.max.heartbeat.interval.ms", Is("15000"), AtLeast(1), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Largest value of a streams group's `streams.heartbeat.interval.ms`."),
    int("group.streams.max.session.timeout.ms", Is("60000"), AtLeast(1), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Largest value of a streams group's `streams.session.timeout.ms`."),
    int("group.streams.max.size", Is("2147483647"), AtLeast(1), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Members that one streams group may have."),
    int("group.streams.max.standby.replicas", Is("2"), AtLeast(0), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Largest value of a streams group's `streams.num.standby.replicas`."),
    int("group.streams.max.warmup.replicas", Is("20"), AtLeast(0), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .internal()
        .doc("Largest value of a streams group's `streams.num.warmup.replicas`."),
    int("group.streams.min.assignment.interval.ms", Is("0"), AtLeast(0), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Smallest value of a streams group's `streams.assignment.interval.ms`."),
    int("group.streams.min.heartbeat.interval.ms", Is("5000"), AtLeast(1), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Smallest value of a streams group's `streams.heartbeat.interval.ms`."),
    int("group.streams.min.session.timeout.ms", Is("45000"), AtLeast(1), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Smallest value of a streams group's `streams.session.timeout.ms`."),
    int("group.streams.min.task.offset.interval.ms", Is("15000"), AtLeast(1), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .internal()
        .doc("Smallest value of a streams group's `streams.task.offset.interval.ms`."),
    int("group.streams.num.standby.replicas", Is("0"), AtLeast(0), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Standby copies of each stateful task of a streams group."),
    int("group.streams.num.warmup.replicas", Is("2"), AtLeast(0), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .internal()
        .doc("Extra tasks of a streams group that may warm up at the same time."),
    list("group.streams.rack.aware.assignment.tags", Is(""), ListOf(&[]), Low, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Client tags by which standby tasks of streams groups are spread."),
    int("group.streams.session.timeout.ms", Is("45000"), AtLeast(1), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .doc("Silence after which a member of a streams group is removed, in milliseconds."),
    int("group.streams.task.offset.interval.ms", Is("60000"), AtLeast(1), Medium, ReadOnly, STREAMS_GROUPS_LATER)
        .internal()
        .doc("Time between reports of task offsets by members of streams groups, in milliseconds."),
    class("group.streams.topology.description.plugin.class", Null, Any, Medium, ReadOnly, NO_JAVA)
        .doc("Class that stores the descriptions of streams topologies."),
    int("offset.metadata.max.bytes", Is("4096"), Any, High, ReadOnly, ActedOn)
        .doc("Largest text that may go with a committed offset, in bytes."),
    int("offsets.commit.timeout.ms", Is("5000"), AtLeast(1), High, ReadOnly, COMMITS_WAIT)
        .doc("Time that an offset commit may wait to become durable, in milliseconds."),
    int("offsets.load.buffer.size", Is("5242880"), AtLeast(1), High, ReadOnly, OWN_BUFFERS)
        .doc("Bytes that are read at a time when committed offsets are loaded."),
    long("offsets.retention.check.interval.ms", Is("600000"), AtLeast(1), High, ReadOnly, ActedOn)
        .doc("Time between checks for offsets whose time is over, in milliseconds."),
    int("offsets.retention.minutes", Is("10080"), AtLeast(1), High, ReadOnly, ActedOn)
        .doc("Time that committed offsets outlive their group's last member, in minutes."),
    int("offsets.topic.compression.codec", Is("0"), Any, High, ReadOnly, OFFSETS_PLAIN)
        .doc("Codec of the offsets topic: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."),
    int("offsets.topic.num.partitions", Is("50"), AtLeast(1), High, ReadOnly, ActedOn)
        .doc("Partitions of the offsets topic when it is made."),
    short("offsets.topic.replication.factor", Is("3"), AtLeast(1), High, ReadOnly, ActedOn)
        .doc("Replicas of the offsets topic when it is made."),
    int("offsets.topic.segment.bytes", Is("104857600"), AtLeast(1), High, ReadOnly, ActedOn)
        .doc("Segment size of the offsets topic, in bytes."),
];

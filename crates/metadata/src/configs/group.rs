//! What a group may set for itself (Kafka's GroupConfig), and what it falls back to on the broker.

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::{Is, Null};
use crate::configs::Importance::{Low, Medium};
use crate::configs::Update::ClusterWide;
use crate::configs::Valid::{Any, AtLeast, AutoOffsetReset, ListOf, OneOf};
use crate::configs::reason::{CONSUMER_PROTOCOL_LATER, SHARE_GROUPS_LATER, STREAMS_GROUPS_LATER};
use crate::configs::row::{boolean, int, list, long, same, string};

/// Sorted by name.
pub const KEYS: &[ConfigKey] = &[
    int("consumer.assignment.interval.ms", Is("1000"), AtLeast(0), Medium, ClusterWide, CONSUMER_PROTOCOL_LATER)
        .synonyms(&[same("group.consumer.assignment.interval.ms")])
        .doc("Shortest time between two assignments of a consumer group, in milliseconds."),
    boolean("consumer.assignor.offload.enable", Is("true"), Any, Medium, ClusterWide, CONSUMER_PROTOCOL_LATER)
        .synonyms(&[same("group.consumer.assignor.offload.enable")])
        .internal()
        .doc("Whether a consumer group's assignment is computed away from its coordinator's thread."),
    int("consumer.heartbeat.interval.ms", Is("5000"), AtLeast(1), Medium, ClusterWide, CONSUMER_PROTOCOL_LATER)
        .synonyms(&[same("group.consumer.heartbeat.interval.ms")])
        .doc("Time between heartbeats that members of a consumer group are told to keep, in milliseconds."),
    int("consumer.session.timeout.ms", Is("45000"), AtLeast(1), Medium, ClusterWide, CONSUMER_PROTOCOL_LATER)
        .synonyms(&[same("group.consumer.session.timeout.ms")])
        .doc("Silence after which a member of a consumer group is removed, in milliseconds."),
    boolean("errors.deadletterqueue.copy.record.enable", Is("false"), Any, Medium, ClusterWide, SHARE_GROUPS_LATER)
        .doc("Whether key and value travel along when a share group gives up on a record."),
    string("errors.deadletterqueue.topic.name", Is(""), Any, Medium, ClusterWide, SHARE_GROUPS_LATER)
        .doc("Topic that takes the records that a share group gave up on."),
    int("share.assignment.interval.ms", Is("1000"), AtLeast(0), Medium, ClusterWide, SHARE_GROUPS_LATER)
        .synonyms(&[same("group.share.assignment.interval.ms")])
        .doc("Shortest time between two assignments of a share group, in milliseconds."),
    boolean("share.assignor.offload.enable", Is("true"), Any, Medium, ClusterWide, SHARE_GROUPS_LATER)
        .synonyms(&[same("group.share.assignor.offload.enable")])
        .internal()
        .doc("Whether a share group's assignment is computed away from its coordinator's thread."),
    string("share.auto.offset.reset", Is("latest"), AutoOffsetReset, Medium, ClusterWide, SHARE_GROUPS_LATER)
        .doc("Where a share group begins on a partition that it has not read yet."),
    int("share.delivery.count.limit", Is("5"), AtLeast(2), Medium, ClusterWide, SHARE_GROUPS_LATER)
        .synonyms(&[same("group.share.delivery.count.limit")])
        .doc("Attempts to deliver a record to a share group before it is given up."),
    int("share.heartbeat.interval.ms", Is("5000"), AtLeast(1), Medium, ClusterWide, SHARE_GROUPS_LATER)
        .synonyms(&[same("group.share.heartbeat.interval.ms")])
        .doc("Time between heartbeats that members of a share group are told to keep, in milliseconds."),
    string(
        "share.isolation.level",
        Is("read_uncommitted"),
        OneOf(&["read_committed", "read_uncommitted"]),
        Medium,
        ClusterWide,
        SHARE_GROUPS_LATER,
    )
    .doc("Whether a share group sees records of transactions that are not committed."),
    int("share.partition.max.record.locks", Is("2000"), AtLeast(100), Medium, ClusterWide, SHARE_GROUPS_LATER)
        .synonyms(&[same("group.share.partition.max.record.locks")])
        .doc("Records of one partition that a share group may hold unacknowledged."),
    int("share.record.lock.duration.ms", Is("30000"), AtLeast(1000), Medium, ClusterWide, SHARE_GROUPS_LATER)
        .synonyms(&[same("group.share.record.lock.duration.ms")])
        .doc("Time that a member of a share group has to acknowledge a record, in milliseconds."),
    boolean("share.renew.acknowledge.enable", Is("true"), Any, Medium, ClusterWide, SHARE_GROUPS_LATER)
        .doc("Whether members of a share group may ask for more time for a record."),
    int("share.session.timeout.ms", Is("45000"), AtLeast(1), Medium, ClusterWide, SHARE_GROUPS_LATER)
        .synonyms(&[same("group.share.session.timeout.ms")])
        .doc("Silence after which a member of a share group is removed, in milliseconds."),
    long("streams.acceptable.recovery.lag", Is("10000"), AtLeast(0), Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.acceptable.recovery.lag")])
        .internal()
        .doc("Records that a streams task may lag behind and still count as caught up."),
    int("streams.assignment.interval.ms", Is("1000"), AtLeast(0), Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.assignment.interval.ms")])
        .doc("Shortest time between two assignments of a streams group, in milliseconds."),
    string("streams.assignor.name", Null, Any, Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.assignors")])
        .doc("Assignor that distributes the tasks of a streams group."),
    boolean("streams.assignor.offload.enable", Is("true"), Any, Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.assignor.offload.enable")])
        .internal()
        .doc("Whether a streams group's assignment is computed away from its coordinator's thread."),
    int("streams.heartbeat.interval.ms", Is("5000"), AtLeast(1), Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.heartbeat.interval.ms")])
        .doc("Time between heartbeats that members of a streams group are told to keep, in milliseconds."),
    int("streams.initial.rebalance.delay.ms", Is("3000"), AtLeast(0), Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.initial.rebalance.delay.ms")])
        .doc("Time that the first assignment of a streams group waits for more members, in milliseconds."),
    int("streams.num.standby.replicas", Is("0"), AtLeast(0), Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.num.standby.replicas")])
        .doc("Standby copies of each stateful task of a streams group."),
    int("streams.num.warmup.replicas", Is("2"), AtLeast(0), Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.num.warmup.replicas")])
        .internal()
        .doc("Extra tasks of a streams group that may warm up at the same time."),
    list("streams.rack.aware.assignment.tags", Is(""), ListOf(&[]), Low, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.rack.aware.assignment.tags")])
        .doc("Client tags by which standby tasks of a streams group are spread."),
    int("streams.session.timeout.ms", Is("45000"), AtLeast(1), Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.session.timeout.ms")])
        .doc("Silence after which a member of a streams group is removed, in milliseconds."),
    int("streams.task.offset.interval.ms", Is("60000"), AtLeast(1), Medium, ClusterWide, STREAMS_GROUPS_LATER)
        .synonyms(&[same("group.streams.task.offset.interval.ms")])
        .internal()
        .doc("Time between reports of task offsets by members of a streams group, in milliseconds."),
];

/// The config of that name.
#[must_use]
pub fn key(name: &str) -> Option<&'static ConfigKey> {
    crate::configs::find(KEYS, name)
}

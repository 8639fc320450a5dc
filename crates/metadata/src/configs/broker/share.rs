//! Share groups and their coordinator (KIP-932).

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::Is;
use crate::configs::Importance::{High, Low, Medium};
use crate::configs::Update::{ClusterWide, ReadOnly};
use crate::configs::Valid::{Any, AtLeast, Between, NonEmptyListOf};
use crate::configs::reason::{NO_JAVA, NO_PURGATORY, SHARE_GROUPS_LATER};
use crate::configs::row::{boolean, int, list, short, string};

/// Sorted by name.
pub(super) const KEYS: &[ConfigKey] = &[
    boolean(
        "errors.deadletterqueue.auto.create.topics.enable",
        Is("false"),
        Any,
        Medium,
        ClusterWide,
        SHARE_GROUPS_LATER,
    )
    .doc("Whether topics for records that share groups gave up on are made on demand."),
    string("errors.deadletterqueue.topic.name.prefix", Is("dlq."), Any, Medium, ClusterWide, SHARE_GROUPS_LATER)
        .doc("Beginning of the names of topics for records that share groups gave up on."),
    int("group.share.assignment.interval.ms", Is("1000"), AtLeast(0), Medium, ClusterWide, SHARE_GROUPS_LATER)
        .doc("Shortest time between two assignments of a share group, in milliseconds."),
    boolean("group.share.assignor.offload.enable", Is("true"), Any, Medium, ClusterWide, SHARE_GROUPS_LATER)
        .internal()
        .doc("Whether assignments of share groups are computed away from their coordinator's thread."),
    list("group.share.assignors", Is("simple"), NonEmptyListOf(&[]), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Assignors that share groups may use."),
    int("group.share.delivery.count.limit", Is("5"), Between(2, 10), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Attempts to deliver a record to a share group before it is given up."),
    string(
        "group.share.dlq.manager.class.name",
        Is("org.apache.kafka.server.share.dlq.DefaultShareGroupDLQManager"),
        Any,
        Medium,
        ReadOnly,
        NO_JAVA,
    )
    .internal()
    .doc("Class that handles the records that share groups gave up on."),
    int("group.share.heartbeat.interval.ms", Is("5000"), AtLeast(1), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Time between heartbeats that members of share groups are told to keep, in milliseconds."),
    int("group.share.initialize.retry.interval.ms", Is("30000"), AtLeast(1), Low, ReadOnly, SHARE_GROUPS_LATER)
        .internal()
        .doc("Wait before the state of a share partition is initialised again, in milliseconds."),
    int("group.share.max.assignment.interval.ms", Is("15000"), AtLeast(0), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Largest value of a share group's `share.assignment.interval.ms`."),
    int("group.share.max.delivery.count.limit", Is("10"), Between(5, 25), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Largest value of a share group's `share.delivery.count.limit`."),
    int("group.share.max.heartbeat.interval.ms", Is("15000"), AtLeast(1), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Largest value of a share group's `share.heartbeat.interval.ms`."),
    int(
        "group.share.max.partition.max.record.locks",
        Is("4000"),
        Between(2000, 10000),
        Medium,
        ReadOnly,
        SHARE_GROUPS_LATER,
    )
    .doc("Largest value of a share group's `share.partition.max.record.locks`."),
    int(
        "group.share.max.record.lock.duration.ms",
        Is("60000"),
        Between(30000, 3_600_000),
        Medium,
        ReadOnly,
        SHARE_GROUPS_LATER,
    )
    .doc("Largest value of a share group's `share.record.lock.duration.ms`."),
    int("group.share.max.session.timeout.ms", Is("60000"), AtLeast(1), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Largest value of a share group's `share.session.timeout.ms`."),
    int("group.share.max.share.sessions", Is("2000"), AtLeast(1), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Share sessions that the broker keeps."),
    int("group.share.max.size", Is("200"), Between(1, 1000), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Members that one share group may have."),
    int("group.share.min.assignment.interval.ms", Is("0"), AtLeast(0), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Smallest value of a share group's `share.assignment.interval.ms`."),
    int("group.share.min.delivery.count.limit", Is("2"), Between(2, 5), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Smallest value of a share group's `share.delivery.count.limit`."),
    int("group.share.min.heartbeat.interval.ms", Is("5000"), AtLeast(1), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Smallest value of a share group's `share.heartbeat.interval.ms`."),
    int(
        "group.share.min.partition.max.record.locks",
        Is("100"),
        Between(100, 2000),
        Medium,
        ReadOnly,
        SHARE_GROUPS_LATER,
    )
    .doc("Smallest value of a share group's `share.partition.max.record.locks`."),
    int(
        "group.share.min.record.lock.duration.ms",
        Is("15000"),
        Between(1000, 30000),
        Medium,
        ReadOnly,
        SHARE_GROUPS_LATER,
    )
    .doc("Smallest value of a share group's `share.record.lock.duration.ms`."),
    int("group.share.min.session.timeout.ms", Is("45000"), AtLeast(1), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Smallest value of a share group's `share.session.timeout.ms`."),
    int(
        "group.share.partition.max.record.locks",
        Is("2000"),
        Between(100, 10000),
        Medium,
        ReadOnly,
        SHARE_GROUPS_LATER,
    )
    .doc("Records of one partition that a share group may hold unacknowledged."),
    string(
        "group.share.persister.class.name",
        Is("org.apache.kafka.server.share.persister.DefaultStatePersister"),
        Any,
        Medium,
        ReadOnly,
        NO_JAVA,
    )
    .internal()
    .doc("Class that stores the state of share groups."),
    int(
        "group.share.record.lock.duration.ms",
        Is("30000"),
        Between(1000, 3_600_000),
        Medium,
        ReadOnly,
        SHARE_GROUPS_LATER,
    )
    .doc("Time that a member of a share group has to acknowledge a record, in milliseconds."),
    int("group.share.session.timeout.ms", Is("45000"), AtLeast(1), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Silence after which a member of a share group is removed, in milliseconds."),
    int("share.coordinator.append.linger.ms", Is("-1"), AtLeast(-1), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Time that the share coordinator gathers records before it writes them; -1 adapts to the load."),
    int(
        "share.coordinator.cached.buffer.max.bytes",
        Is("1048588"),
        AtLeast(524_288),
        Medium,
        ClusterWide,
        SHARE_GROUPS_LATER,
    )
    .doc("Size above which the share coordinator does not keep a write buffer for reuse."),
    int(
        "share.coordinator.cold.partition.snapshot.interval.ms",
        Is("300000"),
        AtLeast(1),
        Low,
        ReadOnly,
        SHARE_GROUPS_LATER,
    )
    .internal()
    .doc("Time between snapshots of share partitions that rest, in milliseconds."),
    int("share.coordinator.load.buffer.size", Is("5242880"), AtLeast(1), High, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Bytes that are read at a time when share state is loaded."),
    int(
        "share.coordinator.snapshot.update.records.per.snapshot",
        Is("500"),
        Between(0, 500),
        Medium,
        ReadOnly,
        SHARE_GROUPS_LATER,
    )
    .doc("Updates of a share partition between two snapshots."),
    int("share.coordinator.state.topic.compression.codec", Is("0"), Any, High, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Codec of the share state topic: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."),
    short("share.coordinator.state.topic.min.isr", Is("2"), AtLeast(1), High, ReadOnly, SHARE_GROUPS_LATER)
        .doc("In-sync replicas that writes to the share state topic need."),
    int("share.coordinator.state.topic.num.partitions", Is("50"), AtLeast(1), High, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Partitions of the share state topic when it is made."),
    int("share.coordinator.state.topic.prune.interval.ms", Is("300000"), AtLeast(1), Low, ReadOnly, SHARE_GROUPS_LATER)
        .internal()
        .doc("Time between removals of share state that is no longer needed, in milliseconds."),
    short("share.coordinator.state.topic.replication.factor", Is("3"), AtLeast(1), High, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Replicas of the share state topic when it is made."),
    int("share.coordinator.state.topic.segment.bytes", Is("104857600"), AtLeast(1), High, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Segment size of the share state topic, in bytes."),
    int("share.coordinator.threads", Is("1"), AtLeast(1), Medium, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Threads of the share coordinator."),
    int("share.coordinator.write.timeout.ms", Is("5000"), AtLeast(1), High, ReadOnly, SHARE_GROUPS_LATER)
        .doc("Time that a write of share state may wait to become durable, in milliseconds."),
    int("share.fetch.purgatory.purge.interval.requests", Is("1000"), Any, Medium, ReadOnly, NO_PURGATORY)
        .doc("Share fetches between two clean-ups of the waiting list."),
];

//! Copying between brokers, which shared storage makes unnecessary.

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::{Is, Null};
use crate::configs::Importance::{High, Low, Medium};
use crate::configs::Update::{ClusterWide, ReadOnly};
use crate::configs::Valid::{Any, AtLeast};
use crate::configs::reason::{NO_JAVA, NO_REPLICAS, NO_TIERING};
use crate::configs::row::{boolean, int, long, string};

/// Sorted by name.
pub(super) const KEYS: &[ConfigKey] = &[
    int("alter.log.dirs.replication.quota.window.num", Is("11"), AtLeast(1), Low, ReadOnly, NO_REPLICAS)
        .doc("Samples kept for throttling moves between folders."),
    int("alter.log.dirs.replication.quota.window.size.seconds", Is("1"), AtLeast(1), Low, ReadOnly, NO_REPLICAS)
        .doc("Length of a sample for throttling moves between folders."),
    boolean("follower.fetch.last.tiered.offset.enable", Is("false"), Any, Medium, ClusterWide, NO_TIERING)
        .doc("Whether a new replica starts at the last offset that lies in remote storage."),
    long(
        "follower.replication.throttled.rate",
        Is("9223372036854775807"),
        AtLeast(0),
        Medium,
        ClusterWide,
        NO_REPLICAS,
    )
    .doc("Bytes per second that throttled replicas may copy as followers."),
    long("leader.replication.throttled.rate", Is("9223372036854775807"), AtLeast(0), Medium, ClusterWide, NO_REPLICAS)
        .doc("Bytes per second that throttled replicas may be served as leaders."),
    int("num.replica.alter.log.dirs.threads", Null, Any, High, ReadOnly, NO_REPLICAS)
        .doc("Threads that move replicas between folders."),
    int("num.replica.fetchers", Is("1"), AtLeast(1), High, ClusterWide, NO_REPLICAS)
        .doc("Threads that copy from each other broker."),
    long(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        Is("9223372036854775807"),
        AtLeast(0),
        Medium,
        ClusterWide,
        NO_REPLICAS,
    )
    .doc("Bytes per second that moves between folders may copy."),
    int("replica.fetch.backoff.ms", Is("1000"), AtLeast(0), Medium, ReadOnly, NO_REPLICAS)
        .doc("Pause of a replica after a failed fetch, in milliseconds."),
    int("replica.fetch.max.bytes", Is("1048576"), AtLeast(0), Medium, ReadOnly, NO_REPLICAS)
        .doc("Bytes that a replica fetches of one partition at a time."),
    int("replica.fetch.min.bytes", Is("1"), Any, High, ReadOnly, NO_REPLICAS)
        .doc("Bytes that a replica's fetch waits for."),
    int("replica.fetch.response.max.bytes", Is("10485760"), AtLeast(0), Medium, ReadOnly, NO_REPLICAS)
        .doc("Bytes that one answer to a replica's fetch may carry."),
    int("replica.fetch.wait.max.ms", Is("500"), Any, High, ReadOnly, NO_REPLICAS)
        .doc("Longest wait of a replica's fetch, in milliseconds."),
    long("replica.high.watermark.checkpoint.interval.ms", Is("5000"), Any, High, ReadOnly, NO_REPLICAS)
        .doc("Time between checkpoints of the high watermarks, in milliseconds."),
    long("replica.lag.time.max.ms", Is("30000"), Any, High, ReadOnly, NO_REPLICAS)
        .doc("Time after which a replica that lags leaves the in-sync replicas, in milliseconds."),
    string("replica.selector.class", Null, Any, Medium, ReadOnly, NO_JAVA)
        .doc("Class that picks the replica a consumer reads from."),
    int("replica.socket.receive.buffer.bytes", Is("65536"), Any, High, ReadOnly, NO_REPLICAS)
        .doc("Receive buffer of a replica's connection, in bytes."),
    int("replica.socket.timeout.ms", Is("30000"), Any, High, ReadOnly, NO_REPLICAS)
        .doc("Time that a replica's connection may stall, in milliseconds."),
    int("replication.quota.window.num", Is("11"), AtLeast(1), Low, ReadOnly, NO_REPLICAS)
        .doc("Samples kept for throttling replication."),
    int("replication.quota.window.size.seconds", Is("1"), AtLeast(1), Low, ReadOnly, NO_REPLICAS)
        .doc("Length of a sample for throttling replication."),
];

//! Tiered storage (KIP-405).

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::{Is, Null};
use crate::configs::Importance::{Low, Medium};
use crate::configs::Update::{ClusterWide, ReadOnly};
use crate::configs::Valid::{Any, AtLeast, BetweenDecimal, NonEmpty};
use crate::configs::reason::{NO_JAVA, NO_TIERING};
use crate::configs::row::{boolean, double, int, long, string};

/// Sorted by name.
pub(super) const KEYS: &[ConfigKey] = &[
    int("remote.fetch.max.wait.ms", Is("500"), AtLeast(1), Medium, ClusterWide, NO_TIERING)
        .doc("Longest time that a fetch waits for remote storage, in milliseconds."),
    long("remote.list.offsets.request.timeout.ms", Is("30000"), AtLeast(1), Medium, ClusterWide, NO_TIERING)
        .doc("Longest time that ListOffsets waits for remote storage, in milliseconds."),
    long("remote.log.index.file.cache.total.size.bytes", Is("1073741824"), AtLeast(1), Low, ClusterWide, NO_TIERING)
        .doc("Disk space for indexes brought from remote storage, in bytes."),
    long("remote.log.index.file.cache.ttl.ms", Is("900000"), AtLeast(-1), Low, ReadOnly, NO_TIERING)
        .internal()
        .doc("Time that an index brought from remote storage is kept unused, in milliseconds."),
    int("remote.log.manager.copier.thread.pool.size", Is("10"), AtLeast(1), Medium, ClusterWide, NO_TIERING)
        .doc("Threads that copy segments to remote storage."),
    long(
        "remote.log.manager.copy.max.bytes.per.second",
        Is("9223372036854775807"),
        AtLeast(1),
        Medium,
        ClusterWide,
        NO_TIERING,
    )
    .doc("Bytes per second that may be copied to remote storage."),
    int("remote.log.manager.copy.quota.window.num", Is("11"), AtLeast(1), Medium, ReadOnly, NO_TIERING)
        .doc("Samples kept for throttling copies to remote storage."),
    int("remote.log.manager.copy.quota.window.size.seconds", Is("1"), AtLeast(1), Medium, ReadOnly, NO_TIERING)
        .doc("Length of a sample for throttling copies to remote storage."),
    int("remote.log.manager.expiration.thread.pool.size", Is("10"), AtLeast(1), Medium, ClusterWide, NO_TIERING)
        .doc("Threads that remove expired segments from remote storage."),
    long(
        "remote.log.manager.fetch.max.bytes.per.second",
        Is("9223372036854775807"),
        AtLeast(1),
        Medium,
        ClusterWide,
        NO_TIERING,
    )
    .doc("Bytes per second that may be read from remote storage."),
    int("remote.log.manager.fetch.quota.window.num", Is("11"), AtLeast(1), Medium, ReadOnly, NO_TIERING)
        .doc("Samples kept for throttling reads from remote storage."),
    int("remote.log.manager.fetch.quota.window.size.seconds", Is("1"), AtLeast(1), Medium, ReadOnly, NO_TIERING)
        .doc("Length of a sample for throttling reads from remote storage."),
    int("remote.log.manager.follower.thread.pool.size", Is("2"), AtLeast(1), Medium, ClusterWide, NO_TIERING)
        .doc("Threads that follow the state of remote storage for partitions led elsewhere."),
    long("remote.log.manager.task.interval.ms", Is("30000"), AtLeast(1), Low, ReadOnly, NO_TIERING)
        .doc("Time between rounds of copying and expiring remote segments, in milliseconds."),
    long("remote.log.manager.task.retry.backoff.max.ms", Is("30000"), AtLeast(1), Low, ReadOnly, NO_TIERING)
        .internal()
        .doc("Longest wait before remote work is tried again, in milliseconds."),
    long("remote.log.manager.task.retry.backoff.ms", Is("500"), AtLeast(1), Low, ReadOnly, NO_TIERING)
        .internal()
        .doc("Wait before remote work is tried again, in milliseconds."),
    double("remote.log.manager.task.retry.jitter", Is("0.2"), BetweenDecimal(0.0, 0.5), Low, ReadOnly, NO_TIERING)
        .internal()
        .doc("Random share of the wait before remote work is tried again."),
    int("remote.log.manager.thread.pool.size", Is("2"), AtLeast(1), Medium, ReadOnly, NO_TIERING)
        .doc("Threads of the remote log manager."),
    int("remote.log.metadata.custom.metadata.max.bytes", Is("128"), AtLeast(0), Low, ReadOnly, NO_TIERING)
        .doc("Bytes of its own data that a storage plugin may keep with a remote segment."),
    string(
        "remote.log.metadata.manager.class.name",
        Is("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"),
        NonEmpty,
        Medium,
        ReadOnly,
        NO_JAVA,
    )
    .doc("Class that keeps the metadata of remote segments."),
    string("remote.log.metadata.manager.class.path", Null, Any, Medium, ReadOnly, NO_JAVA)
        .doc("Where the class that keeps the metadata of remote segments is found."),
    string("remote.log.metadata.manager.impl.prefix", Is("rlmm.config."), NonEmpty, Medium, ReadOnly, NO_JAVA)
        .doc("Beginning of the configs meant for the class that keeps the metadata of remote segments."),
    string("remote.log.metadata.manager.listener.name", Null, NonEmpty, Medium, ReadOnly, NO_TIERING)
        .doc("Listener over which the metadata of remote segments is exchanged."),
    int("remote.log.reader.max.pending.tasks", Is("100"), AtLeast(1), Medium, ReadOnly, NO_TIERING)
        .doc("Reads from remote storage that may wait."),
    int("remote.log.reader.threads", Is("10"), AtLeast(1), Medium, ClusterWide, NO_TIERING)
        .doc("Threads that read from remote storage."),
    string("remote.log.storage.manager.class.name", Null, NonEmpty, Medium, ReadOnly, NO_JAVA)
        .doc("Class that talks to remote storage."),
    string("remote.log.storage.manager.class.path", Null, Any, Medium, ReadOnly, NO_JAVA)
        .doc("Where the class that talks to remote storage is found."),
    string("remote.log.storage.manager.impl.prefix", Is("rsm.config."), NonEmpty, Medium, ReadOnly, NO_JAVA)
        .doc("Beginning of the configs meant for the class that talks to remote storage."),
    boolean("remote.log.storage.system.enable", Is("false"), Any, Medium, ReadOnly, NO_TIERING)
        .doc("Whether the broker offers remote storage at all."),
];

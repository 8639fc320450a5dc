//! Logs on disk: the brokers' defaults of what topics may set, folders, cleaning, flushing.

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::{Is, Null};
use crate::configs::Effect::ActedOn;
use crate::configs::Importance::{High, Low, Medium};
use crate::configs::Update::{ClusterWide, PerBroker, ReadOnly};
use crate::configs::Valid::{Any, AtLeast, Between, BetweenDecimal, BetweenOrMinusOne, ListOf, NonEmptyListOf, OneOf};
use crate::configs::reason::{
    CLEANED_IN_PIECES, DELETED_AT_ONCE, FLUSHED_ANYWAY, FLUSHED_WHEN_DUE, NO_POOLS, NO_PREALLOCATION, NO_PURGATORY,
    NO_REPLICAS, NO_TIERING, ONE_CLEANER, ONE_FOLDER, ONE_LZ4_LEVEL, OWN_CHECKPOINTS, OWN_INTERVALS,
};
use crate::configs::row::{boolean, double, hours, int, list, long, minutes, same, string};

/// Sorted by name.
pub(super) const KEYS: &[ConfigKey] = &[
    int("compression.gzip.level", Is("-1"), BetweenOrMinusOne(1, 9), Medium, ClusterWide, ActedOn)
        .doc("Effort of gzip for topics that do not set `compression.gzip.level`; -1 is gzip's own default."),
    int("compression.lz4.level", Is("9"), Between(1, 17), Medium, ClusterWide, ONE_LZ4_LEVEL)
        .doc("Effort of lz4 for topics that do not set `compression.lz4.level`."),
    string(
        "compression.type",
        Is("producer"),
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        High,
        ClusterWide,
        ActedOn,
    )
    .doc("Codec in which batches are stored, for topics that do not set it; `producer` keeps the producer's bytes."),
    int("compression.zstd.level", Is("3"), Between(-131_072, 22), Medium, ClusterWide, ActedOn)
        .doc("Effort of zstd for topics that do not set `compression.zstd.level`."),
    list("cordoned.log.dirs", Is(""), ListOf(&[]), Medium, PerBroker, ONE_FOLDER)
        .doc("Folders of `log.dirs` that get no new partitions."),
    int("delete.records.purgatory.purge.interval.requests", Is("1"), Any, Medium, ReadOnly, NO_PURGATORY)
        .doc("DeleteRecords requests between two clean-ups of the waiting list."),
    long("log.cleaner.backoff.ms", Is("15000"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .doc("Pause of the log cleaner when there is nothing to clean, in milliseconds."),
    long("log.cleaner.dedupe.buffer.size", Is("134217728"), Any, Medium, ClusterWide, ActedOn)
        .doc("Memory of all cleaner threads for finding the last record of each key, in bytes."),
    long("log.cleaner.delete.retention.ms", Is("86400000"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .doc("Default of the topics' `delete.retention.ms`, in milliseconds."),
    boolean("log.cleaner.enable", Is("true"), Any, Medium, ReadOnly, ActedOn).doc("Whether compaction runs at all."),
    double("log.cleaner.io.buffer.load.factor", Is("0.9"), Any, Medium, ClusterWide, ActedOn)
        .doc("How full the cleaner's buffer of keys may get."),
    int("log.cleaner.io.buffer.size", Is("524288"), AtLeast(0), Medium, ClusterWide, CLEANED_IN_PIECES)
        .doc("Memory of all cleaner threads for reading and writing, in bytes."),
    double("log.cleaner.io.max.bytes.per.second", Is("1.7976931348623157E308"), Any, Medium, ClusterWide, ActedOn)
        .doc("Bytes per second that the cleaner may read and write."),
    long("log.cleaner.max.compaction.lag.ms", Is("9223372036854775807"), AtLeast(1), Medium, ClusterWide, ActedOn)
        .doc("Default of the topics' `max.compaction.lag.ms`, in milliseconds."),
    double("log.cleaner.min.cleanable.ratio", Is("0.5"), BetweenDecimal(0.0, 1.0), Medium, ClusterWide, ActedOn)
        .doc("Default of the topics' `min.cleanable.dirty.ratio`."),
    long("log.cleaner.min.compaction.lag.ms", Is("0"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .doc("Default of the topics' `min.compaction.lag.ms`, in milliseconds."),
    int("log.cleaner.threads", Is("1"), AtLeast(0), Medium, ClusterWide, ONE_CLEANER).doc("Threads that clean logs."),
    list("log.cleanup.policy", Is("delete"), ListOf(&["compact", "delete"]), Medium, ClusterWide, ActedOn)
        .doc("Default of the topics' `cleanup.policy`."),
    list("log.dir", Is("/tmp/kafka-logs"), NonEmptyListOf(&[]), High, ReadOnly, ActedOn)
        .doc("Folder of the data, when `log.dirs` does not say."),
    long("log.dir.failure.timeout.ms", Is("30000"), AtLeast(1), Low, ReadOnly, ONE_FOLDER)
        .doc("Time after which a broker stops that could not report a failed folder, in milliseconds."),
    list("log.dirs", Null, NonEmptyListOf(&[]), High, ReadOnly, ActedOn).doc("Folders of the data."),
    long("log.flush.interval.messages", Is("9223372036854775807"), AtLeast(1), High, ClusterWide, FLUSHED_ANYWAY)
        .doc("Default of the topics' `flush.messages`."),
    long("log.flush.interval.ms", Null, Any, High, ClusterWide, FLUSHED_ANYWAY)
        .synonyms(&[same("log.flush.scheduler.interval.ms")])
        .doc("Default of the topics' `flush.ms`, in milliseconds; unset follows `log.flush.scheduler.interval.ms`."),
    int("log.flush.offset.checkpoint.interval.ms", Is("60000"), AtLeast(0), High, ReadOnly, OWN_CHECKPOINTS)
        .doc("Time between checkpoints of the recovery point, in milliseconds."),
    long("log.flush.scheduler.interval.ms", Is("9223372036854775807"), Any, High, ReadOnly, FLUSHED_WHEN_DUE)
        .doc("Time between checks for logs that are due to be synced, in milliseconds."),
    int("log.flush.start.offset.checkpoint.interval.ms", Is("60000"), AtLeast(0), High, ReadOnly, OWN_CHECKPOINTS)
        .doc("Time between checkpoints of the log start offsets, in milliseconds."),
    int("log.index.interval.bytes", Is("4096"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .doc("Default of the topics' `index.interval.bytes`."),
    int("log.index.size.max.bytes", Is("10485760"), AtLeast(4), Medium, ClusterWide, ActedOn)
        .doc("Default of the topics' `segment.index.bytes`."),
    long("log.initial.task.delay.ms", Is("30000"), AtLeast(0), Low, ReadOnly, OWN_INTERVALS)
        .internal()
        .doc("Time between the start and the first work on logs in the background, in milliseconds."),
    long("log.local.retention.bytes", Is("-2"), AtLeast(-2), Medium, ClusterWide, NO_TIERING)
        .doc("Default of the topics' `local.retention.bytes`."),
    long("log.local.retention.ms", Is("-2"), AtLeast(-2), Medium, ClusterWide, NO_TIERING)
        .doc("Default of the topics' `local.retention.ms`."),
    long("log.message.timestamp.after.max.ms", Is("3600000"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .doc("Default of the topics' `message.timestamp.after.max.ms`."),
    long("log.message.timestamp.before.max.ms", Is("9223372036854775807"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .doc("Default of the topics' `message.timestamp.before.max.ms`."),
    string(
        "log.message.timestamp.type",
        Is("CreateTime"),
        OneOf(&["CreateTime", "LogAppendTime"]),
        Medium,
        ClusterWide,
        ActedOn,
    )
    .doc("Default of the topics' `message.timestamp.type`."),
    boolean("log.preallocate", Is("false"), Any, Medium, ClusterWide, NO_PREALLOCATION)
        .doc("Default of the topics' `preallocate`."),
    long("log.remote.copy.lag.bytes", Is("-1"), AtLeast(-1), Medium, ClusterWide, NO_TIERING)
        .doc("Default of the topics' `remote.copy.lag.bytes`."),
    long("log.remote.copy.lag.ms", Is("0"), AtLeast(-1), Medium, ClusterWide, NO_TIERING)
        .doc("Default of the topics' `remote.copy.lag.ms`."),
    long("log.retention.bytes", Is("-1"), Any, High, ClusterWide, ActedOn)
        .doc("Default of the topics' `retention.bytes`."),
    long("log.retention.check.interval.ms", Is("300000"), AtLeast(1), Medium, ReadOnly, ActedOn)
        .doc("Time between checks for segments whose time is over, in milliseconds."),
    int("log.retention.hours", Is("168"), Any, High, ReadOnly, ActedOn)
        .doc("Default age of the topics' `retention.ms` in hours, unless the finer configs say."),
    int("log.retention.minutes", Null, Any, High, ReadOnly, ActedOn)
        .doc("Default age of the topics' `retention.ms` in minutes, unless `log.retention.ms` says."),
    long("log.retention.ms", Null, Any, High, ClusterWide, ActedOn)
        .synonyms(&[minutes("log.retention.minutes"), hours("log.retention.hours")])
        .doc("Default of the topics' `retention.ms`."),
    int("log.roll.hours", Is("168"), AtLeast(1), High, ReadOnly, ActedOn)
        .doc("Default of the topics' `segment.ms` in hours, unless `log.roll.ms` says."),
    int("log.roll.jitter.hours", Is("0"), AtLeast(0), High, ReadOnly, ActedOn)
        .doc("Default of the topics' `segment.jitter.ms` in hours, unless `log.roll.jitter.ms` says."),
    long("log.roll.jitter.ms", Null, Any, High, ClusterWide, ActedOn)
        .synonyms(&[hours("log.roll.jitter.hours")])
        .doc("Default of the topics' `segment.jitter.ms`."),
    long("log.roll.ms", Null, Any, High, ClusterWide, ActedOn)
        .synonyms(&[hours("log.roll.hours")])
        .doc("Default of the topics' `segment.ms`."),
    int("log.segment.bytes", Is("1073741824"), AtLeast(1_048_576), High, ClusterWide, ActedOn)
        .doc("Default of the topics' `segment.bytes`."),
    long("log.segment.delete.delay.ms", Is("60000"), AtLeast(0), High, ClusterWide, DELETED_AT_ONCE)
        .doc("Default of the topics' `file.delete.delay.ms`."),
    int("max.decompressed.message.bytes", Is("2147483639"), Between(1, 2_147_483_639), Medium, ClusterWide, ActedOn)
        .doc("Default of the topics' `max.decompressed.message.bytes`."),
    int("message.max.bytes", Is("1048588"), AtLeast(0), High, ClusterWide, ActedOn)
        .doc("Default of the topics' `max.message.bytes`."),
    string("millstream.durability", Is("fsync"), OneOf(&["fsync", "os"]), High, ClusterWide, ActedOn)
        .doc("Default of the topics' `millstream.durability`."),
    int("min.insync.replicas", Is("1"), AtLeast(1), High, ClusterWide, ActedOn)
        .doc("Default of the topics' `min.insync.replicas`."),
    int("num.recovery.threads.per.data.dir", Is("2"), AtLeast(1), High, ClusterWide, NO_POOLS)
        .doc("Threads per folder that recover logs at start and flush them at shutdown."),
    int("producer.id.expiration.check.interval.ms", Is("600000"), AtLeast(1), Low, ReadOnly, ActedOn)
        .internal()
        .doc("Time between checks for idle producer ids, in milliseconds."),
    int("producer.id.expiration.ms", Is("86400000"), AtLeast(1), Low, ClusterWide, ActedOn)
        .doc("Time after which an idle producer id is forgotten, in milliseconds."),
    boolean("unclean.leader.election.enable", Is("false"), Any, High, ClusterWide, NO_REPLICAS)
        .doc("Default of the topics' `unclean.leader.election.enable`."),
    long("unclean.leader.election.interval.ms", Is("300000"), AtLeast(1), Medium, ReadOnly, NO_REPLICAS)
        .internal()
        .doc("Time between looks for partitions that need an unclean election, in milliseconds."),
];

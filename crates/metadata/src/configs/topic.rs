//! What a topic may set for itself (Kafka's LogConfig), and what it falls back to on the broker.

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::{Is, Null};
use crate::configs::Effect::ActedOn;
use crate::configs::Importance::{High, Medium};
use crate::configs::Update::ClusterWide;
use crate::configs::Valid::{
    Any, AtLeast, Between, BetweenDecimal, BetweenOrMinusOne, ListOf, OneOf, ThrottledReplicas,
};
use crate::configs::reason::{
    DELETED_AT_ONCE, FLUSHED_ANYWAY, KAFKA_TESTS, NO_PREALLOCATION, NO_REPLICAS, NO_TIERING, ONE_LZ4_LEVEL,
    SHARE_GROUPS_LATER,
};
use crate::configs::row::{boolean, double, hours, int, list, long, minutes, same, string};

/// Sorted by name.
pub const KEYS: &[ConfigKey] = &[
    list("cleanup.policy", Is("delete"), ListOf(&["compact", "delete"]), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.cleanup.policy")])
        .doc("What becomes of old records: `delete` drops old segments, `compact` keeps the last record of each key."),
    int("compression.gzip.level", Is("-1"), BetweenOrMinusOne(1, 9), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("compression.gzip.level")])
        .doc("Effort of gzip where `compression.type` is gzip, from 1 to 9; -1 is gzip's own default."),
    int("compression.lz4.level", Is("9"), Between(1, 17), Medium, ClusterWide, ONE_LZ4_LEVEL)
        .synonyms(&[same("compression.lz4.level")])
        .doc("Effort of lz4 where `compression.type` is lz4, from 1 to 17."),
    string("compression.type", Is("producer"), OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("compression.type")])
        .doc("Codec in which batches are stored; `producer` keeps the bytes that the producer sent."),
    int("compression.zstd.level", Is("3"), Between(-131_072, 22), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("compression.zstd.level")])
        .doc("Effort of zstd where `compression.type` is zstd; negative levels are faster and larger."),
    long("delete.retention.ms", Is("86400000"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.cleaner.delete.retention.ms")])
        .doc("How long the tombstone of a key stays readable in a compacted topic, in milliseconds."),
    boolean("errors.deadletterqueue.group.enable", Is("false"), Any, Medium, ClusterWide, SHARE_GROUPS_LATER)
        .doc("Whether this topic may take records that share groups gave up on."),
    long("file.delete.delay.ms", Is("60000"), AtLeast(0), Medium, ClusterWide, DELETED_AT_ONCE)
        .synonyms(&[same("log.segment.delete.delay.ms")])
        .doc("How long a file outlives its removal from the log, in milliseconds."),
    long("flush.messages", Is("9223372036854775807"), AtLeast(1), Medium, ClusterWide, FLUSHED_ANYWAY)
        .synonyms(&[same("log.flush.interval.messages")])
        .doc("Sync a partition at the latest after this many records; it only adds to what the durability setting promises."),
    long("flush.ms", Is("9223372036854775807"), AtLeast(0), Medium, ClusterWide, FLUSHED_ANYWAY)
        .synonyms(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")])
        .doc("Sync a partition at the latest this many milliseconds after a write; it only adds to the durability setting."),
    list("follower.replication.throttled.replicas", Is(""), ThrottledReplicas, Medium, ClusterWide, NO_REPLICAS)
        .doc("Replicas whose copying is throttled on the follower's side, as `partition:broker` items or `*`."),
    int("index.interval.bytes", Is("4096"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.index.interval.bytes")])
        .doc("Bytes of log between two entries of the offset index."),
    int("internal.segment.bytes", Null, Any, Medium, ClusterWide, KAFKA_TESTS)
        .internal()
        .doc("Segment size below the floor of `segment.bytes`, for Kafka's own tests."),
    list("leader.replication.throttled.replicas", Is(""), ThrottledReplicas, Medium, ClusterWide, NO_REPLICAS)
        .doc("Replicas whose copying is throttled on the leader's side, as `partition:broker` items or `*`."),
    long("local.retention.bytes", Is("-2"), AtLeast(-2), Medium, ClusterWide, NO_TIERING)
        .synonyms(&[same("log.local.retention.bytes")])
        .doc("Bytes of a tiered partition that stay on the local disk; -2 follows `retention.bytes`."),
    long("local.retention.ms", Is("-2"), AtLeast(-2), Medium, ClusterWide, NO_TIERING)
        .synonyms(&[same("log.local.retention.ms")])
        .doc("Age up to which segments of a tiered partition stay on the local disk; -2 follows `retention.ms`."),
    long("max.compaction.lag.ms", Is("9223372036854775807"), AtLeast(1), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.cleaner.max.compaction.lag.ms")])
        .doc("Age at which a record must have become eligible for compaction, in milliseconds."),
    int("max.decompressed.message.bytes", Is("2147483639"), Between(1, 2_147_483_639), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("max.decompressed.message.bytes")])
        .doc("Largest size that a compressed batch may have once it is unpacked, in bytes."),
    int("max.message.bytes", Is("1048588"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("message.max.bytes")])
        .doc("Largest record batch that the topic takes, after compression, in bytes."),
    long("message.timestamp.after.max.ms", Is("3600000"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.message.timestamp.after.max.ms")])
        .doc("How far a record's timestamp may lie ahead of the broker's clock, in milliseconds."),
    long("message.timestamp.before.max.ms", Is("9223372036854775807"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.message.timestamp.before.max.ms")])
        .doc("How far a record's timestamp may lie behind the broker's clock, in milliseconds."),
    string("message.timestamp.type", Is("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.message.timestamp.type")])
        .doc("Whether records keep the producer's time or get the time of their append."),
    string("millstream.durability", Is("fsync"), OneOf(&["fsync", "os"]), High, ClusterWide, ActedOn)
        .synonyms(&[same("millstream.durability")])
        .doc("When a write is answered: `fsync` once it is synced, `os` once the system has it, as Kafka does."),
    double("min.cleanable.dirty.ratio", Is("0.5"), BetweenDecimal(0.0, 1.0), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.cleaner.min.cleanable.ratio")])
        .doc("Share of a compacted log that must be uncleaned before it is cleaned again."),
    long("min.compaction.lag.ms", Is("0"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.cleaner.min.compaction.lag.ms")])
        .doc("Age that a record must reach before compaction may remove it, in milliseconds."),
    int("min.insync.replicas", Is("1"), AtLeast(1), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("min.insync.replicas")])
        .doc("In-sync replicas that a write with acks=all needs."),
    boolean("preallocate", Is("false"), Any, Medium, ClusterWide, NO_PREALLOCATION)
        .synonyms(&[same("log.preallocate")])
        .doc("Whether a segment's file is made at full size at once."),
    long("remote.copy.lag.bytes", Is("-1"), AtLeast(-1), Medium, ClusterWide, NO_TIERING)
        .synonyms(&[same("log.remote.copy.lag.bytes")])
        .doc("Bytes by which copying to remote storage may lag behind a closed segment."),
    long("remote.copy.lag.ms", Is("0"), AtLeast(-1), Medium, ClusterWide, NO_TIERING)
        .synonyms(&[same("log.remote.copy.lag.ms")])
        .doc("Time by which copying to remote storage may lag behind a closed segment, in milliseconds."),
    boolean("remote.log.copy.disable", Is("false"), Any, Medium, ClusterWide, NO_TIERING)
        .doc("Makes a tiered topic read-only in remote storage: nothing new is copied there."),
    boolean("remote.log.delete.on.disable", Is("false"), Any, Medium, ClusterWide, NO_TIERING)
        .doc("Whether turning tiering off deletes what lies in remote storage."),
    boolean("remote.storage.enable", Is("false"), Any, Medium, ClusterWide, NO_TIERING)
        .doc("Whether closed segments move to remote storage."),
    long("retention.bytes", Is("-1"), Any, Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.retention.bytes")])
        .doc("Bytes that a partition may reach before its oldest segments go; -1 is no limit."),
    long("retention.ms", Is("604800000"), AtLeast(-1), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")])
        .doc("Age in milliseconds at which a record's segment goes; -1 keeps it for ever."),
    int("segment.bytes", Is("1073741824"), AtLeast(1_048_576), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.segment.bytes")])
        .doc("Size at which a segment is closed and the next begun, in bytes."),
    int("segment.index.bytes", Is("10485760"), AtLeast(4), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.index.size.max.bytes")])
        .doc("Largest size of a segment's index, in bytes; a full index closes its segment."),
    long("segment.jitter.ms", Is("0"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")])
        .doc("Random time taken off `segment.ms`, so that partitions do not all begin segments at once."),
    long("segment.ms", Is("604800000"), AtLeast(1), Medium, ClusterWide, ActedOn)
        .synonyms(&[same("log.roll.ms"), hours("log.roll.hours")])
        .doc("Age at which a segment is closed even when it is not full, in milliseconds."),
    boolean("unclean.leader.election.enable", Is("false"), Any, Medium, ClusterWide, NO_REPLICAS)
        .synonyms(&[same("unclean.leader.election.enable")])
        .doc("Whether a replica that is not in sync may lead when no other can, at the price of lost records."),
];

/// The config of that name.
#[must_use]
pub fn key(name: &str) -> Option<&'static ConfigKey> {
    crate::configs::find(KEYS, name)
}

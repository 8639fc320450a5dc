//! A topic's configs as the data path needs them, and the cache of them. Recomputed whenever the catalog has changed.

use std::sync::Arc;

use millstream_metadata::catalog::{Image, Topic};
use millstream_metadata::configs::{self, MessageTimestampType};
use millstream_metadata::store::Revision;
use millstream_model::batch::{RecordRules, TimestampType};
use millstream_model::compression::Compression;
use millstream_model::{BrokerId, PartitionIndex, TimestampMs, TopicId};
use millstream_storage::{Compaction, Durability, LogConfig, Retention};

use crate::Broker;

/// Topics that the broker keeps for itself; clients read them and do not write them.
const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Whether a topic is one of Kafka's internal ones.
pub(crate) fn is_internal(name: &str) -> bool {
    INTERNAL_TOPICS.contains(&name)
}

/// What produce and fetch ask of a topic.
#[derive(Debug)]
pub(crate) struct TopicSettings {
    pub(crate) name: Arc<str>,
    pub(crate) is_internal: bool,
    pub(crate) replication_factor: usize,
    /// `min.insync.replicas`.
    pub(crate) min_insync_replicas: usize,
    /// `compression.type`; `None` for the producer's own.
    pub(crate) compression: Option<Compression>,
    /// `max.message.bytes`.
    pub(crate) message_bytes_max: usize,
    /// `cleanup.policy` contains `delete`.
    pub(crate) deletes: bool,
    pub(crate) log: LogConfig,
    rules: RecordRules,
    /// Of the catalog from which this was made.
    revision: Revision,
}

impl TopicSettings {
    /// What a client's records are checked against now.
    pub(crate) fn record_rules(&self, now: TimestampMs) -> RecordRules {
        RecordRules { now, ..self.rules }
    }

    /// The settings of a topic in this image.
    pub(crate) fn of(topic: &Topic, image: &Image) -> Self {
        let leader = topic.partitions.first().map_or_else(BrokerId::default, |partition| partition.leader);
        Self::new(topic, &image.log_config(leader, &topic.configs), image.revision())
    }

    fn new(topic: &Topic, config: &configs::LogConfig, revision: Revision) -> Self {
        let timestamp_type = match config.message_timestamp_type {
            MessageTimestampType::CreateTime => TimestampType::CreateTime,
            MessageTimestampType::LogAppendTime => TimestampType::LogAppendTime,
        };
        Self {
            name: Arc::clone(&topic.name),
            is_internal: is_internal(&topic.name),
            replication_factor: topic.replication_factor(),
            min_insync_replicas: usize::try_from(config.min_insync_replicas).unwrap_or(0),
            compression: compression(config),
            message_bytes_max: usize::try_from(config.max_message_bytes).unwrap_or(0),
            deletes: config.cleanup_delete,
            log: log_config(config, timestamp_type),
            rules: RecordRules {
                key_required: config.cleanup_compact,
                timestamp_type,
                now: TimestampMs::NONE,
                before_max_ms: config.message_timestamp_before_max_ms,
                after_max_ms: config.message_timestamp_after_max_ms,
                decompressed_bytes_max: usize::try_from(config.max_decompressed_message_bytes).unwrap_or(0),
            },
            revision,
        }
    }
}

fn compression(config: &configs::LogConfig) -> Option<Compression> {
    match config.compression_type {
        configs::CompressionType::Producer => None,
        configs::CompressionType::Uncompressed => Some(Compression::None),
        configs::CompressionType::Gzip => Some(Compression::Gzip { level: config.compression_gzip_level }),
        configs::CompressionType::Snappy => Some(Compression::Snappy),
        configs::CompressionType::Lz4 => Some(Compression::Lz4),
        configs::CompressionType::Zstd => Some(Compression::Zstd { level: config.compression_zstd_level }),
    }
}

fn log_config(config: &configs::LogConfig, timestamp_type: TimestampType) -> LogConfig {
    LogConfig {
        durability: match config.durability {
            configs::Durability::Fsync => Durability::Fsync,
            configs::Durability::Os => Durability::Os,
        },
        flush_messages: unless_never(config.flush_messages),
        flush_ms: unless_never(config.flush_ms),
        segment_bytes: config.segment_bytes.unsigned_abs(),
        segment_ms: config.segment_ms.unsigned_abs(),
        segment_jitter_ms: config.segment_jitter_ms.max(0).unsigned_abs(),
        segment_index_bytes: config.segment_index_bytes.unsigned_abs(),
        retention: if config.cleanup_delete { retention(config) } else { Retention::default() },
        compaction: config.cleanup_compact.then(|| Compaction {
            dirty_share_min_ppm: config.min_cleanable_dirty_ratio_ppm,
            lag_min_ms: config.min_compaction_lag_ms.unsigned_abs(),
            lag_max_ms: config.max_compaction_lag_ms.unsigned_abs(),
            delete_retention_ms: config.delete_retention_ms.unsigned_abs(),
        }),
        index_interval_bytes: config.index_interval_bytes.unsigned_abs(),
        timestamp_type,
    }
}

/// The largest number, Kafka's default, means never.
fn unless_never(number: i64) -> Option<u64> {
    (number < i64::MAX).then_some(number.max(0).unsigned_abs())
}

fn retention(config: &configs::LogConfig) -> Retention {
    let limit = |number: i64| u64::try_from(number).ok();
    Retention { age_max_ms: limit(config.retention_ms), bytes_max: limit(config.retention_bytes) }
}

impl Broker {
    /// The settings of a topic of this image.
    pub(crate) fn topic_settings(&self, image: &Image, topic: &Topic) -> Arc<TopicSettings> {
        let revision = image.revision();
        if let Some(known) = self.topic_settings.read().get(&topic.id)
            && known.revision == revision
        {
            return Arc::clone(known);
        }
        let settings = Arc::new(TopicSettings::of(topic, image));
        let mut known = self.topic_settings.write();
        // What the newest image does not have, nobody would forget.
        if self.image().revision() == revision {
            known.insert(topic.id, Arc::clone(&settings));
        }
        settings
    }

    /// Lets the logs of a topic that are in use follow its configs, after they may have changed.
    pub(crate) fn apply_topic_configs(&self, topic_id: TopicId) {
        loop {
            let image = self.image();
            let Some(topic) = image.topic_by_id(topic_id) else { return };
            let settings = self.topic_settings(&image, topic);
            for index in (0..topic.partitions.len() as i32).map(PartitionIndex) {
                if let Some(log) = self.storage().partition(topic_id, index) {
                    log.set_config(settings.log.clone());
                }
            }
            // Whoever changed them meanwhile may have come first; the newest holds.
            if self.image().revision() == image.revision() {
                return;
            }
        }
    }

    /// Forgets the settings of a topic that is gone.
    pub(crate) fn forget_topic_settings(&self, topic: &Topic) {
        self.topic_settings.write().remove(&topic.id);
    }
}

//! The configs of a topic that something follows from, as values. Made from the layers whenever they change.

use super::{ConfigValue, Layers, Overrides, topic};

/// When a write is answered (`millstream.durability`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Once it is synced.
    Fsync,
    /// Once the system has it, as Kafka does.
    Os,
}

/// `compression.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// As the producer sent it.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageTimestampType {
    CreateTime,
    LogAppendTime,
}

/// Fields are named after the configs; units stand in the names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// `cleanup.policy` has `compact`: records need a key, and only the last of each stays.
    pub cleanup_compact: bool,
    /// `cleanup.policy` has `delete`: records may be deleted on request.
    pub cleanup_delete: bool,
    /// 1 to 9, or -1 for gzip's own default.
    pub compression_gzip_level: i32,
    pub compression_type: CompressionType,
    pub compression_zstd_level: i32,
    pub delete_retention_ms: i64,
    pub durability: Durability,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub index_interval_bytes: i32,
    pub max_compaction_lag_ms: i64,
    pub max_decompressed_message_bytes: i32,
    pub max_message_bytes: i32,
    pub message_timestamp_after_max_ms: i64,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_type: MessageTimestampType,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub min_cleanable_dirty_ratio_ppm: u32,
    pub min_compaction_lag_ms: i64,
    pub min_insync_replicas: i32,
    /// -1 is no limit.
    pub retention_bytes: i64,
    /// -1 is no limit.
    pub retention_ms: i64,
    pub segment_bytes: i32,
    pub segment_index_bytes: i32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
}

impl LogConfig {
    /// The configs of a topic with these overrides on a broker with these layers.
    #[must_use]
    pub fn of(layers: Layers<'_>, overrides: &Overrides) -> Self {
        Self::read(&Read(|name| layers.resource_value(topic::key(name)?, overrides)))
    }

    pub(super) fn read<F: Fn(&'static str) -> Option<ConfigValue>>(read: &Read<F>) -> Self {
        Self {
            cleanup_compact: read.list("cleanup.policy").iter().any(|policy| policy == "compact"),
            cleanup_delete: read.list("cleanup.policy").iter().any(|policy| policy == "delete"),
            compression_gzip_level: read.int("compression.gzip.level"),
            compression_type: match read.text("compression.type").as_str() {
                "uncompressed" => CompressionType::Uncompressed,
                "gzip" => CompressionType::Gzip,
                "snappy" => CompressionType::Snappy,
                "lz4" => CompressionType::Lz4,
                "zstd" => CompressionType::Zstd,
                _ => CompressionType::Producer,
            },
            compression_zstd_level: read.int("compression.zstd.level"),
            delete_retention_ms: read.long("delete.retention.ms"),
            durability: match read.text("millstream.durability").as_str() {
                "os" => Durability::Os,
                _ => Durability::Fsync,
            },
            flush_messages: read.long("flush.messages"),
            flush_ms: read.long("flush.ms"),
            index_interval_bytes: read.int("index.interval.bytes"),
            max_compaction_lag_ms: read.long("max.compaction.lag.ms"),
            max_decompressed_message_bytes: read.int("max.decompressed.message.bytes"),
            max_message_bytes: read.int("max.message.bytes"),
            message_timestamp_after_max_ms: read.long("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: read.long("message.timestamp.before.max.ms"),
            message_timestamp_type: match read.text("message.timestamp.type").as_str() {
                "LogAppendTime" => MessageTimestampType::LogAppendTime,
                _ => MessageTimestampType::CreateTime,
            },
            min_cleanable_dirty_ratio_ppm: (read.double("min.cleanable.dirty.ratio") * 1e6).round() as u32,
            min_compaction_lag_ms: read.long("min.compaction.lag.ms"),
            min_insync_replicas: read.int("min.insync.replicas"),
            retention_bytes: read.long("retention.bytes"),
            retention_ms: read.long("retention.ms"),
            segment_bytes: read.int("segment.bytes"),
            segment_index_bytes: read.int("segment.index.bytes"),
            segment_jitter_ms: read.long("segment.jitter.ms"),
            segment_ms: read.long("segment.ms"),
        }
    }
}

/// Reads through a function from a config's name to its value, as the types that the table gives: a wrong name or type
/// is a mistake in this file.
pub(super) struct Read<F>(pub(super) F);

impl<F: Fn(&'static str) -> Option<ConfigValue>> Read<F> {
    fn value(&self, name: &'static str) -> ConfigValue {
        self.0(name).unwrap_or_else(|| panic!("{name} has a default"))
    }

    fn long(&self, name: &'static str) -> i64 {
        match self.value(name) {
            ConfigValue::Number(number) => number,
            other => unreachable!("{name} is a number, not {other:?}"),
        }
    }

    fn double(&self, name: &'static str) -> f64 {
        match self.value(name) {
            ConfigValue::Double(number) => number,
            other => unreachable!("{name} is a double, not {other:?}"),
        }
    }

    fn int(&self, name: &'static str) -> i32 {
        i32::try_from(self.long(name)).expect("an int was parsed as one")
    }

    fn text(&self, name: &'static str) -> String {
        match self.value(name) {
            ConfigValue::Text(text) => text,
            other => unreachable!("{name} is text, not {other:?}"),
        }
    }

    fn list(&self, name: &'static str) -> Vec<String> {
        match self.value(name) {
            ConfigValue::List(items) => items,
            other => unreachable!("{name} is a list, not {other:?}"),
        }
    }
}

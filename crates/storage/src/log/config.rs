//! What a topic's configuration means to its partitions' logs. The broker maps Kafka's config names to it.

use std::time::Duration;

use millstream_model::batch::TimestampType;

use super::retention::Retention;

/// When an append counts as done (`millstream.durability`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on the device.
    #[default]
    Fsync,
    /// When it is in the page cache, as Kafka does by default: a crash of the machine may lose acknowledged records.
    Os,
}

/// The configuration of a partition's log; `Default` has Kafka's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    pub durability: Durability,
    /// `flush.messages`: under `Durability::Os` a write is synced before it is acknowledged when so many records would
    /// not be. Under `Fsync` each is anyway.
    pub flush_messages: Option<u64>,
    /// `flush.ms`: under `Durability::Os` no record stays unsynced for longer.
    pub flush_ms: Option<u64>,
    /// `segment.bytes`: a segment that would grow beyond is closed and a new one begun.
    pub segment_bytes: u32,
    /// `segment.ms`: as `segment_bytes`, by the time between a segment's first record and the next append.
    pub segment_ms: u64,
    /// `segment.jitter.ms`: up to so much, different for each segment, is taken off `segment_ms`.
    pub segment_jitter_ms: u64,
    /// `segment.index.bytes`: a segment whose index is full is closed.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: bytes of log between two index entries.
    pub index_interval_bytes: u32,
    /// What `cleanup.policy=delete` removes.
    pub retention: Retention,
    /// How `cleanup.policy=compact` cleans; none without it.
    pub compaction: Option<Compaction>,
    /// `message.timestamp.type`: with `LogAppendTime` an append stamps its batches with the broker's time.
    pub timestamp_type: TimestampType,
}

/// When a compacted log is cleaned, and what stays; `Default` has Kafka's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// `min.cleanable.dirty.ratio`, in millionths: the uncleaned share of the log from which on it is cleaned.
    pub dirty_share_min_ppm: u32,
    /// `min.compaction.lag.ms`: younger records stay as they are.
    pub lag_min_ms: u64,
    /// `max.compaction.lag.ms`: a log with older uncleaned records is cleaned whatever their share.
    pub lag_max_ms: u64,
    /// `delete.retention.ms`: tombstones and markers stay so long after they were first cleaned.
    pub delete_retention_ms: u64,
}

impl Default for Compaction {
    fn default() -> Self {
        let delete_retention_ms = 24 * 3600 * 1000;
        Self { dirty_share_min_ppm: 500_000, lag_min_ms: 0, lag_max_ms: u64::MAX, delete_retention_ms }
    }
}

impl LogConfig {
    /// Time after which a segment is closed: what may not stay uncleaned for long may not stay in an open one.
    pub(crate) fn segment_ms_max(&self) -> u64 {
        self.compaction.map_or(self.segment_ms, |compaction| self.segment_ms.min(compaction.lag_max_ms))
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            flush_messages: None,
            flush_ms: None,
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention: Retention::default(),
            compaction: None,
            timestamp_type: TimestampType::CreateTime,
        }
    }
}

/// Bounds and intervals of the engine; `Default` is what a broker uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineLimits {
    /// A slot is sealed when it holds this many bytes; one larger batch gets a slot of its own.
    pub slot_bytes_max: usize,
    /// From so many bytes on that a partition has waiting, its batches go to the segment without the lane.
    pub direct_bytes_min: usize,
    /// Slots that are being written at the same time.
    pub slots_in_flight_max: usize,
    /// Appended bytes that may wait for their slot; beyond, appends are refused.
    pub waiting_bytes_max: usize,
    /// Durable bytes that may wait for their segments; beyond, slots wait.
    pub unsettled_bytes_max: usize,
    /// Durable slots wait this long for more, so that one write carries several of a partition's batches to its segment,
    pub settle_after: Duration,
    /// unless so many bytes wait.
    pub settle_bytes: usize,
    /// Newest batches kept in memory for readers.
    pub tail_bytes_max: usize,
    /// A checkpoint is taken when data has waited for it so long,
    pub checkpoint_interval: Duration,
    /// or when the lane holds so many bytes since the last.
    pub checkpoint_bytes: u64,
    /// or when segments hold so many that did not come through the lane: a recovery scans them.
    pub scan_bytes_max: u64,
    /// With less space on the disk than this (or an eighth of it, if that is less), producers are refused; deletes and internal topics go on.
    pub reserve_bytes: u64,
}

impl EngineLimits {
    /// The limits for a disk of `total` bytes: what a checkpoint covers fits into the reserve, the reserve into the disk.
    pub(crate) fn fitting(self, total: u64) -> Self {
        let share = |parts: u64| usize::try_from(total / parts).unwrap_or(usize::MAX);
        Self {
            slot_bytes_max: self.slot_bytes_max.min(share(128)),
            unsettled_bytes_max: self.unsettled_bytes_max.min(share(32)),
            checkpoint_bytes: self.checkpoint_bytes.min(total / 16),
            reserve_bytes: self.reserve_bytes.min(total / 8),
            ..self
        }
    }
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            slot_bytes_max: 4 << 20,
            direct_bytes_min: 1 << 20,
            slots_in_flight_max: 4,
            waiting_bytes_max: 256 << 20,
            unsettled_bytes_max: 64 << 20,
            settle_after: Duration::from_millis(10),
            settle_bytes: 1 << 20,
            tail_bytes_max: 32 << 20,
            checkpoint_interval: Duration::from_secs(10),
            checkpoint_bytes: 16 << 20,
            scan_bytes_max: 256 << 20,
            reserve_bytes: 64 << 20,
        }
    }
}

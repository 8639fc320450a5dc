//! One partition as the broker sees it: append, read, offsets, watchers. Everything is durable or unseen.
//!
//! `append` is synchronous and assigns offsets under the partition's lock; its ticket says when they are durable.

mod by_time;
mod direct;
mod reading;
mod vouched;

use std::sync::Arc;

pub use by_time::TimestampedOffset;
use direct::DirectWrite;
pub(crate) use direct::WaitsForSpace;
use millstream_model::batch::{Batch, TimestampType};
use millstream_model::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::StorageError;
use crate::lane::Ticket;
use crate::lane::slot::{LaneEntry, LaneEntryBody, PartitionKey, SlotEntryBody};
use crate::log::config::{Durability, LogConfig};
use crate::log::partition_log::{AppendOrigin, AppendPlan, Fault, LogOffsets, PartitionLog};
use crate::log::producers::{ProducerEntry, SequenceError};
use crate::log::transactions::AbortedTransaction;
use crate::segments::{RecordChunks, SegmentError, SegmentTarget};
use crate::shared::{Phase, Shared};

/// A partition that is to exist.
#[derive(Clone, Debug)]
pub struct PartitionSpec {
    pub topic_id: TopicId,
    pub topic: Arc<str>,
    pub index: PartitionIndex,
    pub config: LogConfig,
}

impl PartitionSpec {
    pub(crate) fn key(&self) -> PartitionKey {
        PartitionKey { topic_id: self.topic_id, index: self.index }
    }

    pub(crate) fn target(&self) -> SegmentTarget {
        SegmentTarget { key: self.key(), topic: Arc::clone(&self.topic), config: self.config.clone() }
    }
}

/// Batches of one append, all or none of which are taken.
pub type Batches = SmallVec<[Batch; 1]>;

/// Answer to an append.
#[derive(Debug)]
pub struct Appended {
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// The broker's time, on topics with `LogAppendTime`; of a repeat the original's largest timestamp.
    pub log_append_time: Option<TimestampMs>,
    pub log_start: Offset,
    /// The batches repeat earlier ones, whose offsets these are.
    pub repeated: bool,
    /// When it is durable.
    pub(crate) ticket: Ticket,
    /// Of batches that do not go through the lane.
    write: Option<DirectWrite>,
}

impl Appended {
    /// Waits until the batches are as durable as the partition's `millstream.durability` asks, and does what is to be done
    /// for that. The storage does it when nobody waits.
    ///
    /// # Errors
    /// As `Ticket::durable`.
    pub async fn durable(&self) -> Result<(), StorageError> {
        self.write.iter().for_each(DirectWrite::perform);
        self.ticket.durable().await
    }
}

/// Why nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// The partition's data cannot be trusted: KAFKA_STORAGE_ERROR.
    #[error("the partition is offline: {0}")]
    Offline(String),
    /// UNKNOWN_TOPIC_OR_PARTITION.
    #[error("the partition was deleted")]
    Deleted,
    /// KAFKA_STORAGE_ERROR until there is space.
    #[error("the disk is full")]
    NoSpace,
    /// More was appended than the disk takes: try again.
    #[error("too much waits to be written")]
    Overloaded,
    /// The topic's durability is being changed: try again in a moment.
    #[error("the topic's durability is being changed")]
    Switching,
    /// The storage is shutting down or has failed.
    #[error("the storage has stopped")]
    Stopped,
}

/// Why nothing was read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the offset is outside of {log_start}..{log_end}")]
    OutOfRange { log_start: Offset, log_end: Offset },
    #[error("the partition is offline: {0}")]
    Offline(String),
    #[error("the partition was deleted")]
    Deleted,
    /// The segment cannot be read: KAFKA_STORAGE_ERROR.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// What a read gave.
#[derive(Clone, Debug, Default)]
pub struct ReadSlice {
    /// Whole batches; the first may begin before the offset that was asked for.
    pub records: RecordChunks,
    pub offsets: LogOffsets,
    /// Aborted transactions in the range, for a reader of committed records.
    pub aborted: Vec<AbortedTransaction>,
}

impl ReadSlice {
    /// Bytes of all batches.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.records.iter().map(bytes::Bytes::len).sum()
    }
}

/// Why the log's start was not moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRecordsError {
    /// OFFSET_OUT_OF_RANGE.
    #[error("offset {0} is above the high watermark")]
    OutOfRange(Offset),
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// A partition's log. Held by the storage and by whoever uses the partition.
#[derive(Debug)]
pub struct Partition {
    key: PartitionKey,
    topic: Arc<str>,
    log: Mutex<PartitionLog>,
    shared: Arc<Shared>,
}

/// Keeps a waiter registered with a partition; dropping it ends that.
#[derive(Debug)]
pub struct Watch {
    partition: Arc<Partition>,
    waiter: Arc<Notify>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.partition.log.lock().unwatch(&self.waiter);
    }
}

impl Partition {
    pub(crate) fn new(key: PartitionKey, topic: Arc<str>, log: PartitionLog, shared: Arc<Shared>) -> Self {
        Self { key, topic, log: Mutex::new(log), shared }
    }

    pub(crate) fn key(&self) -> PartitionKey {
        self.key
    }

    /// Id of the topic.
    #[must_use]
    pub fn topic_id(&self) -> TopicId {
        self.key.topic_id
    }

    /// Name of the topic.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Number in its topic.
    #[must_use]
    pub fn index(&self) -> PartitionIndex {
        self.key.index
    }

    /// Appends validated batches as one: all or none. Does not wait; `now` is the broker's time for `LogAppendTime`.
    /// A client's repeat of one of its producer's last five batches is answered with the original's offsets and ticket.
    ///
    /// # Errors
    /// What Kafka refuses of an idempotent producer, and what keeps this storage from writing.
    pub fn append(
        self: &Arc<Self>,
        batches: impl Into<Batches>,
        origin: AppendOrigin,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        let batches = batches.into();
        assert!(!batches.is_empty(), "an append has batches");
        let mut log = self.log.lock();
        self.check_writable(&log)?;
        let log_append_time = (log.config.timestamp_type == TimestampType::LogAppendTime).then_some(now);
        let log_start = log.live.log_start;
        let plan = log.plan(&batches, origin);
        if let Ok((AppendPlan::Repeats { base_offset, last_offset, timestamp }, ticket)) = plan {
            // As Kafka, which says so whatever `message.timestamp.type` is.
            let log_append_time = Some(timestamp);
            let (repeated, write) = (true, None);
            return Ok(Appended { base_offset, last_offset, log_append_time, log_start, repeated, ticket, write });
        }
        let bytes = batches.iter().map(|batch| batch.bytes().len()).sum();
        // Before the sequence is judged: the batch before may have been refused for the same reason.
        self.check_room(origin, bytes)?;
        plan?;
        let base_offset = log.live.log_end;
        self.shared.counters.appended_bytes.add(bytes as u64);
        self.shared.counters.appended_batches.add(batches.len() as u64);
        let (ticket, write) = if log.goes_direct(bytes, self.shared.limits.direct_bytes_min) {
            self.append_direct(&mut log, batches, bytes, log_append_time)
        } else {
            (self.enqueue_all(&mut log, &batches, log_append_time), None)
        };
        let last_offset = log.live.log_end.plus(-1);
        drop(log);
        Ok(Appended { base_offset, last_offset, log_append_time, log_start, repeated: false, ticket, write })
    }

    fn check_writable(&self, log: &PartitionLog) -> Result<(), AppendError> {
        match &log.fault {
            Some(Fault::Offline(reason) | Fault::Unloaded(reason)) => return Err(AppendError::Offline(reason.clone())),
            Some(Fault::Deleted) => return Err(AppendError::Deleted),
            None => {}
        }
        if *self.shared.phase.borrow() != Phase::Running || self.shared.is_halted() {
            return Err(AppendError::Stopped);
        }
        if log.path != log.config.durability {
            return Err(AppendError::Switching);
        }
        Ok(())
    }

    fn check_room(&self, origin: AppendOrigin, bytes: usize) -> Result<(), AppendError> {
        if !self.shared.room.admits(origin, bytes) {
            // The space may have come back since it was looked at.
            self.shared.settle_work.notify_one();
            self.shared.counters.refused_for_space.add(1);
            return Err(AppendError::NoSpace);
        }
        let direct_room = self.shared.direct.bytes() < self.shared.limits.waiting_bytes_max;
        if !direct_room || !self.shared.lane.lock().has_room() {
            self.shared.counters.refused_for_load.add(1);
            return Err(AppendError::Overloaded);
        }
        Ok(())
    }

    /// Puts batches on their way through the lane.
    fn enqueue_all(&self, log: &mut PartitionLog, batches: &[Batch], append_time: Option<TimestampMs>) -> Ticket {
        let mut ticket = Ticket::default();
        for batch in batches {
            let stamped = log.stamp(batch, append_time);
            ticket = self.enqueue(LaneEntryBody::Batch(stamped.clone()));
            log.appended(batch, &stamped, ticket.clone());
        }
        ticket
    }

    /// Puts an entry on its way through the lane while the log is locked, so that entries leave in offset order.
    fn enqueue(&self, body: LaneEntryBody) -> Ticket {
        let ticket = self.shared.lane.lock().append(LaneEntry { key: self.key, body });
        self.shared.lane_work.notify_one();
        ticket
    }

    pub(crate) fn target(&self, log: &PartitionLog) -> SegmentTarget {
        SegmentTarget { key: self.key, topic: Arc::clone(&self.topic), config: log.config.clone() }
    }

    /// Positions of the log, all of one moment.
    #[must_use]
    pub fn offsets(&self) -> LogOffsets {
        self.log.lock().offsets()
    }

    /// Epoch in which this broker leads the partition.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.log.lock().leader_epoch
    }

    /// Why the partition is offline, if it is.
    #[must_use]
    pub fn offline(&self) -> Option<String> {
        match &self.log.lock().fault {
            Some(Fault::Offline(reason) | Fault::Unloaded(reason)) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Takes the partition offline: acknowledged records of it are lost. Nothing is deleted.
    pub(crate) fn take_offline(&self, reason: String) {
        let mut log = self.log.lock();
        tracing::error!(topic = %self.topic, index = %self.key.index, reason, "partition goes offline");
        if log.fault.is_none() {
            log.fault = Some(Fault::Offline(reason));
            self.shared.counters.partitions_offline.add(1);
        }
        log.notify_watchers();
    }

    /// The largest epoch at or below `epoch`, and its end offset; `(NONE, -1)` when it is not known (KIP-101, KIP-320).
    #[must_use]
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let log = self.log.lock();
        log.live.epochs.end_of(epoch, log.high_watermark)
    }

    /// The leader epoch that the record at `offset` was written in.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        self.log.lock().live.epochs.epoch_at(offset)
    }

    /// Moves the log's start to `before` (to the high watermark for none) and answers the new start. Durable with the ticket.
    ///
    /// # Errors
    /// `OutOfRange` above the high watermark. A start at or below the present one changes nothing.
    pub fn delete_records(&self, before: Option<Offset>) -> Result<(Offset, Ticket), DeleteRecordsError> {
        let mut log = self.log.lock();
        self.check_writable(&log)?;
        let before = before.unwrap_or(log.high_watermark);
        if before > log.high_watermark || before.0 < 0 {
            return Err(DeleteRecordsError::OutOfRange(before));
        }
        if before <= log.live.log_start {
            return Ok((log.live.log_start, Ticket::default()));
        }
        self.check_room(AppendOrigin::Coordinator, 0)?;
        log.start_at(before);
        let ticket = match log.path {
            Durability::Fsync => self.enqueue(LaneEntryBody::LogStart(before)),
            // As durable as the records themselves: with the next checkpoint.
            Durability::Os => {
                log.settled.start_at(before);
                Ticket::default()
            }
        };
        let first = log.path == Durability::Os && !std::mem::replace(&mut log.changed, true);
        drop(log);
        self.shared.wrote_beyond_checkpoint(first.then_some(self.key), 0);
        Ok((before, ticket))
    }

    /// Moves the log's start past the segments that have outlived the retention of its config, if any has; readers see it
    /// at once, and the files go with the checkpoint that says so.
    ///
    /// # Errors
    /// What keeps this storage from writing.
    pub fn apply_retention(&self, now: TimestampMs) -> Result<(), DeleteRecordsError> {
        let retention = self.log.lock().config.retention;
        let Some(start) = retention.new_start(&self.shared.segments.segments(self.key), now) else { return Ok(()) };
        self.delete_records(Some(start)).map(|_| ())
    }

    /// Bytes of batches that the partition keeps.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.log.lock().bytes
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> LogConfig {
        self.log.lock().config.clone()
    }

    /// Replaces the configuration. A change of durability takes effect at a checkpoint that is taken at once; until
    /// then appends are answered with `Switching`.
    pub fn set_config(&self, config: LogConfig) {
        let mut log = self.log.lock();
        let flushed_otherwise = log.changed && log.config.flush_ms != config.flush_ms;
        log.config = config;
        let switching = log.path != log.config.durability;
        drop(log);
        if switching || flushed_otherwise {
            let mut queue = self.shared.queue.lock();
            queue.switching.extend(switching.then_some(self.key));
            queue.changed.extend(flushed_otherwise.then_some(self.key));
            drop(queue);
            self.shared.settle_work.notify_one();
        }
    }

    /// Producers the partition remembers, by id.
    #[must_use]
    pub fn active_producers(&self) -> Vec<(millstream_model::ProducerId, ProducerEntry)> {
        self.log.lock().live.producers.iter().map(|(id, entry)| (id, entry.clone())).collect()
    }

    /// Forgets producers that wrote nothing since `before` (`producer.id.expiration.ms`).
    pub fn expire_producers(&self, before: TimestampMs) {
        let mut log = self.log.lock();
        log.live.producers.expire(before);
        log.settled.producers.expire(before);
    }

    /// Registers a waiter that is notified whenever the high watermark or the last stable offset may have moved.
    /// Register, then look, then wait: nothing is missed.
    #[must_use]
    pub fn watch(self: &Arc<Self>, waiter: &Arc<Notify>) -> Watch {
        self.log.lock().watch(waiter);
        Watch { partition: Arc::clone(self), waiter: Arc::clone(waiter) }
    }

    /// Runs `change` on the locked log: for the engine's own tasks.
    pub(crate) fn with_log<R>(&self, change: impl FnOnce(&mut PartitionLog) -> R) -> R {
        change(&mut self.log.lock())
    }

    /// Entries of the partition are durable: readers may see them.
    pub(crate) fn acknowledge<'a>(&self, entries: impl Iterator<Item = &'a SlotEntryBody>) {
        let mut log = self.log.lock();
        if log.fault.is_some() {
            return;
        }
        for entry in entries {
            if let SlotEntryBody::Batch(batch) = entry {
                log.durable_in_lane(batch);
            }
        }
        log.notify_watchers();
    }
}

//! One partition's log without I/O: assigns offsets, refuses what Kafka refuses, knows the watermarks, holds the tail.
//!
//! Owned by its `Partition` behind a lock. `live` is ahead of `settled`: between them lie batches on their way through
//! the lane to the segments. A checkpoint may only say what is settled.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use millstream_model::batch::{Batch, HeadMut};
use millstream_model::{LeaderEpoch, Offset, TimestampMs};
use tokio::sync::Notify;

use super::config::{Durability, LogConfig};
use super::direct::DirectQueue;
use super::producers::SequenceError;
use super::stamp::StampedBatch;
use super::state::{LogState, TimestampAt, control_of};
use super::transactions::AbortedTransaction;
use crate::lane::Ticket;
use crate::segments::{LoadedLog, RecordChunks};

/// A batch from here on may keep the memory that it came in.
const IN_PLACE_BYTES_MIN: usize = 64 << 10;

/// Who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer: sequences are checked, repeats answered with their original.
    Client,
    /// The broker itself: group and transaction coordinators, markers.
    Coordinator,
}

/// Positions of a log; `log_start` ≤ `last_stable` ≤ `high_watermark` ≤ `log_end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOffsets {
    pub log_start: Offset,
    /// First offset that is not durable: readers see what lies below.
    pub high_watermark: Offset,
    /// First offset that an open transaction could still change.
    pub last_stable: Offset,
    pub log_end: Offset,
}

/// How far a reader may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadUpto {
    HighWatermark,
    LastStable,
}

/// Why a partition takes and gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Offline(String),
    /// As `Offline`, from the start on: what the log says of itself is not what the disk holds.
    Unloaded(String),
    Deleted,
}

/// What an append would do.
#[derive(Debug, PartialEq)]
pub(crate) enum AppendPlan {
    Fresh,
    /// The batch repeats this one.
    Repeats {
        base_offset: Offset,
        last_offset: Offset,
        /// Its largest timestamp.
        timestamp: TimestampMs,
    },
}

/// State behind a partition's lock.
#[derive(Debug)]
pub(crate) struct PartitionLog {
    pub(crate) live: LogState,
    pub(crate) settled: LogState,
    pub(crate) high_watermark: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) config: LogConfig,
    /// Which way appends go: `Fsync` through the lane, `Os` to the segments alone. Follows `config.durability` at a
    /// checkpoint; while the two differ nothing is appended.
    pub(crate) path: Durability,
    /// What goes to the segment without the lane.
    pub(crate) direct: DirectQueue,
    /// Under `Os`, all below is on the device.
    pub(crate) synced_upto: Offset,
    /// Whether the segment has batches that no checkpoint covers and that did not come through the lane.
    pub(crate) changed: bool,
    pub(crate) fault: Option<Fault>,
    /// The largest timestamp below the high watermark; none when it is not known.
    pub(crate) max_timestamp: Option<TimestampAt>,
    /// Bytes of batches between start and end, the settled ones as their store counts them.
    pub(crate) bytes: u64,
    /// Log start of the newest durable checkpoint.
    pub(crate) checkpointed_start: Offset,
    /// Bytes that went into the lane and are not durable yet.
    in_lane_bytes: usize,
    /// Batches below the high watermark, newest last; contiguous up to it.
    tail: VecDeque<Batch>,
    /// When a reader last wanted what only the segments have, on the monotonic clock.
    pub(crate) segments_read: Option<Duration>,
    /// Batches below are in segments and may leave the tail.
    in_segments_below: Offset,
    aborted: Vec<AbortedTransaction>,
    watchers: Vec<Arc<Notify>>,
}

impl PartitionLog {
    /// A log as it was loaded, not led yet.
    pub(crate) fn new(loaded: LoadedLog, config: LogConfig) -> Self {
        let path = if loaded.volatile { Durability::Os } else { Durability::Fsync };
        let live = loaded.state;
        Self {
            settled: live.clone(),
            high_watermark: live.log_end,
            max_timestamp: live.max_timestamp,
            leader_epoch: LeaderEpoch::NONE,
            config,
            path,
            direct: DirectQueue::default(),
            synced_upto: live.log_end,
            changed: false,
            fault: None,
            bytes: loaded.bytes,
            checkpointed_start: live.log_start,
            segments_read: None,
            in_lane_bytes: 0,
            tail: VecDeque::new(),
            in_segments_below: live.log_end,
            aborted: loaded.aborted,
            watchers: Vec::new(),
            live,
        }
    }

    /// Begins a leadership at the log's end.
    pub(crate) fn lead(&mut self, epoch: LeaderEpoch) {
        self.leader_epoch = epoch;
        self.live.epochs.begin(epoch, self.live.log_end);
        self.settled.epochs.begin(epoch, self.settled.log_end);
    }

    pub(crate) fn offsets(&self) -> LogOffsets {
        let last_stable = self.live.transactions.first_unstable().unwrap_or(self.high_watermark);
        LogOffsets {
            log_start: self.live.log_start,
            high_watermark: self.high_watermark,
            last_stable: last_stable.min(self.high_watermark),
            log_end: self.live.log_end,
        }
    }

    pub(crate) fn limit(&self, upto: ReadUpto) -> Offset {
        match upto {
            ReadUpto::HighWatermark => self.high_watermark,
            ReadUpto::LastStable => self.offsets().last_stable,
        }
    }

    /// Checks an append without changing anything.
    pub(crate) fn plan(&self, batches: &[Batch], origin: AppendOrigin) -> Result<(AppendPlan, Ticket), SequenceError> {
        if origin == AppendOrigin::Client {
            let mut before = None;
            for (number, batch) in batches.iter().enumerate() {
                let header = batch.header();
                if !header.has_producer_id() {
                    continue;
                }
                if let Some(original) = self.live.producers.duplicate_of(header).filter(|_| number == 0) {
                    let (base_offset, last_offset) = (original.base_offset(), original.last_offset);
                    let repeats = AppendPlan::Repeats { base_offset, last_offset, timestamp: original.timestamp };
                    return Ok((repeats, original.ticket.clone()));
                }
                self.live.producers.check(header, before)?;
                before = Some(header);
            }
        }
        Ok((AppendPlan::Fresh, Ticket::default()))
    }

    /// Whether an append of so many bytes goes to the segment without the lane.
    pub(crate) fn goes_direct(&self, bytes: usize, direct_bytes_min: usize) -> bool {
        match self.path {
            Durability::Os => true,
            // What follows a direct batch must not be durable before it.
            Durability::Fsync => !self.direct.is_quiet() || self.in_lane_bytes + bytes >= direct_bytes_min,
        }
    }

    /// Whether `flush.messages` wants what waits to be synced when it is written.
    pub(crate) fn next_write_is_synced(&self) -> bool {
        let unsynced = self.live.log_end.since(self.synced_upto).unsigned_abs();
        self.path == Durability::Os && self.config.flush_messages.is_some_and(|most| unsynced >= most)
    }

    /// The partition's files were synced up to `end`.
    pub(crate) fn synced(&mut self, end: Offset) {
        self.synced_upto = self.synced_upto.max(end);
    }

    /// How long its records may stay unsynced; none when nobody says.
    pub(crate) fn flush_within(&self) -> Option<Duration> {
        self.config.flush_ms.filter(|_| self.path == Durability::Os).map(Duration::from_millis)
    }

    /// Whether all that came before what waits to be written directly is in the segments.
    pub(crate) fn lane_is_settled(&self) -> bool {
        self.direct.first_offset().is_none_or(|first| first == self.in_segments_below)
    }

    /// The batch at the log's end, stamped with its place.
    pub(crate) fn stamp(&self, batch: &Batch, append_time: Option<TimestampMs>) -> StampedBatch {
        StampedBatch::new(batch, self.live.log_end, self.leader_epoch, append_time)
    }

    /// Takes a stamped batch, whose `ticket` says when it is durable, as the log's new end.
    pub(crate) fn appended(&mut self, original: &Batch, stamped: &StampedBatch, ticket: Ticket) {
        self.bytes += stamped.len() as u64;
        self.in_lane_bytes += stamped.len();
        let aborted = self.live.apply_header(stamped.header(), control_of(original), ticket);
        self.aborted.extend(aborted);
    }

    /// Appends a batch that goes to its segment without the lane. A large one that nobody shares is stamped in place; a
    /// small one is copied, or it would hold all the memory that it came in.
    pub(crate) fn append_direct(&mut self, batch: Batch, append_time: Option<TimestampMs>) -> Ticket {
        let (end, epoch) = (self.live.log_end, self.leader_epoch);
        let place = |head: &mut HeadMut<'_>| {
            head.set_base_offset(end);
            head.set_partition_leader_epoch(epoch);
            append_time.into_iter().for_each(|now| head.set_log_append_time(now));
        };
        let in_place = batch.bytes().len() >= IN_PLACE_BYTES_MIN;
        let batch = if in_place { batch.into_changed(place) } else { batch.with_head(place) };
        self.bytes += batch.bytes().len() as u64;
        let ticket = self.direct.ticket();
        let aborted = self.live.apply(&batch, ticket.clone());
        self.aborted.extend(aborted);
        self.direct.push(batch, aborted);
        ticket
    }

    /// Takes a batch that a recovery found in the lane as the log's new end; it is durable.
    pub(crate) fn replayed(&mut self, batch: &Batch) {
        self.bytes += batch.bytes().len() as u64;
        if let Some(aborted) = self.live.apply(batch, Ticket::default()) {
            self.aborted.push(aborted);
        }
        self.durable(batch);
    }

    /// A batch that went into the lane is durable there.
    pub(crate) fn durable_in_lane(&mut self, batch: &Batch) {
        self.in_lane_bytes -= batch.bytes().len();
        self.durable(batch);
    }

    /// A batch is durable: readers may see it. The caller notifies watchers after its last.
    pub(crate) fn durable(&mut self, batch: &Batch) {
        assert!(batch.header().base_offset >= self.high_watermark, "the high watermark never goes back");
        self.high_watermark = batch.header().next_offset();
        self.live.transactions.settle(self.high_watermark);
        self.tail.push_back(batch.clone());
        let header = batch.header();
        if !header.attributes.is_control() && self.max_timestamp.is_none_or(|max| header.max_timestamp > max.timestamp)
        {
            self.max_timestamp = Some(TimestampAt { timestamp: header.max_timestamp, base_offset: header.base_offset });
        }
    }

    /// Wakes everyone who waits for the watermarks.
    pub(crate) fn notify_watchers(&self) {
        for watcher in &self.watchers {
            watcher.notify_one();
        }
    }

    pub(crate) fn watch(&mut self, watcher: &Arc<Notify>) {
        self.watchers.push(Arc::clone(watcher));
    }

    pub(crate) fn unwatch(&mut self, watcher: &Arc<Notify>) {
        if let Some(at) = self.watchers.iter().position(|known| Arc::ptr_eq(known, watcher)) {
            self.watchers.swap_remove(at);
        }
    }

    /// Moves the log's start; transactions and tail below it are forgotten.
    pub(crate) fn start_at(&mut self, log_start: Offset) {
        self.live.start_at(log_start);
        self.max_timestamp = self.max_timestamp.filter(|max| max.base_offset >= log_start);
        self.aborted.retain(|aborted| aborted.last_offset >= log_start);
    }

    /// The segments hold everything below `end`.
    pub(crate) fn in_segments(&mut self, end: Offset) {
        self.in_segments_below = self.in_segments_below.max(end);
    }

    /// Segments with `before` bytes of batches have gone, others with `after` have come.
    pub(crate) fn resized(&mut self, before: u64, after: u64) {
        assert!(before <= self.bytes, "what segments drop was counted when it was appended or loaded");
        self.bytes = self.bytes - before + after;
    }

    /// All aborted transactions that readers are told of.
    pub(crate) fn aborted(&self) -> &[AbortedTransaction] {
        &self.aborted
    }

    /// Of the aborted transactions whose markers lie within `offsets`, only `kept` have records that are left.
    pub(crate) fn keep_aborted(&mut self, offsets: &Range<Offset>, kept: &[AbortedTransaction]) {
        self.aborted.retain(|aborted| !offsets.contains(&aborted.last_offset) || kept.contains(aborted));
    }

    /// Drops tail batches below `below` that the segments hold.
    pub(crate) fn evict_below(&mut self, below: Offset) {
        let below = below.min(self.in_segments_below);
        while self.tail.front().is_some_and(|batch| batch.header().last_offset() < below) {
            self.tail.pop_front();
        }
        if self.tail.is_empty() {
            self.tail = VecDeque::new();
        }
    }

    /// First offset that the tail holds; the high watermark when it is empty.
    pub(crate) fn tail_start(&self) -> Offset {
        self.tail.front().map_or(self.high_watermark, |batch| batch.header().base_offset)
    }

    /// Tail batches from the one that contains `from` up to `limit`; at least one when `at_least_one`, else whole
    /// batches within `bytes_max`.
    pub(crate) fn read_tail(&self, from: Offset, limit: Offset, bytes_max: usize, at_least_one: bool) -> RecordChunks {
        let first = self.tail.partition_point(|batch| batch.header().last_offset() < from);
        let mut chunks = RecordChunks::new();
        let mut left = bytes_max;
        for batch in self.tail.range(first..) {
            let bytes = batch.bytes().len();
            let forced = chunks.is_empty() && at_least_one;
            if batch.header().base_offset >= limit || (bytes > left && !forced) {
                break;
            }
            left = left.saturating_sub(bytes);
            chunks.push(batch.bytes().clone());
        }
        chunks
    }

    /// The first tail batch, not before `from`, whose max timestamp is `timestamp` or later.
    pub(crate) fn tail_batch_by_timestamp(&self, from: Offset, timestamp: TimestampMs) -> Option<Batch> {
        let late = |batch: &&Batch| batch.header().max_timestamp >= timestamp;
        self.tail.iter().filter(|batch| batch.header().last_offset() >= from).find(late).cloned()
    }

    /// Aborted transactions that touch the offsets from `from` to before `end`, as a read-committed fetch needs them.
    pub(crate) fn aborted_between(&self, from: Offset, end: Offset) -> Vec<AbortedTransaction> {
        let touches = |aborted: &&AbortedTransaction| aborted.last_offset >= from && aborted.first_offset < end;
        self.aborted.iter().filter(touches).copied().collect()
    }
}

#[cfg(test)]
mod tests;

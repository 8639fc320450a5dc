//! Checkpoints: what is settled becomes durable in the segments, so that the lane can forget it. Settling goes on while one
//! is on its way to the disk: it covers what was settled when it began.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use millstream_model::Offset;

use super::Materialiser;
use crate::lane::slot::PartitionKey;
use crate::log::config::Durability;
use crate::log::partition_log::{Fault, PartitionLog};
use crate::partition::Partition;
use crate::room::{NO_SPACE_RETRY, Writer};
use crate::segments::{PartitionCheckpoint, SegmentEdit, SegmentError};

/// What a checkpoint covers.
#[derive(Debug)]
struct Covers {
    /// Slots below.
    upto: u64,
    /// When it began, and when the oldest change that it covers came, on the monotonic clock.
    began: Duration,
    changed_since: Duration,
    partitions: BTreeSet<PartitionKey>,
    /// Ends of logs of which `flush.messages` counts what is not synced.
    synced: Vec<(Arc<Partition>, Offset)>,
    /// What follows when it is durable.
    edits: Vec<SegmentEdit>,
    switches: Vec<Switch>,
}

/// A checkpoint on its way to the disk.
pub(super) struct Taking {
    writing: MaybeDone<BoxFuture<'static, Result<(), SegmentError>>>,
    covers: Covers,
}

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taking").field("covers", &self.covers).finish_non_exhaustive()
    }
}

/// Resolves when the checkpoint is written, or has failed; never when there is none. May be dropped before.
pub(super) async fn written(taking: &mut Option<Taking>) {
    match taking {
        Some(taking) => (&mut taking.writing).await,
        None => std::future::pending().await,
    }
}

impl Materialiser {
    /// Makes everything settled durable in the segments and says so, so that the lane can forget it.
    pub(crate) async fn checkpoint(&mut self) -> Result<(), SegmentError> {
        self.end_checkpoint().await?;
        self.begin_checkpoint().await;
        self.end_checkpoint().await
    }

    /// How long until a checkpoint is due, of all partitions or of some; none when there is nothing to cover.
    pub(super) fn checkpoint_wait(&self) -> Option<Duration> {
        let some = self.flushes.wait(self.shared.clock.monotonic());
        self.checkpoint_of_all_wait().into_iter().chain(some).min()
    }

    fn checkpoint_of_all_wait(&self) -> Option<Duration> {
        // Slots without entries alone need none: else an idle lane would mark its own marks for ever.
        if self.dirty.is_empty() {
            return None;
        }
        let limits = &self.shared.limits;
        let unscanned = self.shared.beyond_checkpoint.load(Ordering::Relaxed);
        if self.bytes_since_checkpoint >= limits.checkpoint_bytes || unscanned >= limits.scan_bytes_max {
            return Some(Duration::ZERO);
        }
        let interval = limits.checkpoint_interval;
        // Deleted records give their space back at a checkpoint.
        let interval = if self.shared.room.is_low() { interval.min(NO_SPACE_RETRY) } else { interval };
        let due = self.dirty_since + interval;
        Some(due.saturating_sub(self.shared.clock.monotonic()))
    }

    /// Ends the checkpoint that was written meanwhile, and begins one that is due; waits for the one before if need be.
    pub(super) async fn advance_checkpoint(&mut self) -> Result<(), SegmentError> {
        if written(&mut self.taking).now_or_never().is_some() {
            self.end_checkpoint().await?;
        }
        let switching = self.taking.is_none() && self.mark_switching();
        if switching || self.checkpoint_of_all_wait().is_some_and(|wait| wait.is_zero()) {
            self.end_checkpoint().await?;
            self.begin_checkpoint().await;
        } else if self.checkpoint_wait().is_some_and(|wait| wait.is_zero()) {
            self.end_checkpoint().await?;
            let now = self.shared.clock.monotonic();
            let due = self.flushes.take_due(now);
            self.dirty.retain(|key| !due.contains(key));
            // The lane may have slots of the others.
            self.begin_checkpoint_of(due, 0).await;
        }
        Ok(())
    }

    /// Waits until no checkpoint is on its way to the disk.
    pub(super) async fn checkpoint_written(&mut self) {
        if self.taking.is_some() {
            written(&mut self.taking).await;
        }
    }

    async fn begin_checkpoint(&mut self) {
        let keys = std::mem::take(&mut self.dirty);
        self.flushes.clear();
        self.bytes_since_checkpoint = 0;
        self.shared.beyond_checkpoint.store(0, Ordering::Relaxed);
        self.begin_checkpoint_of(keys, self.settled_upto).await;
    }

    /// Begins a checkpoint of these partitions, with which the lane may forget slots below `upto`.
    async fn begin_checkpoint_of(&mut self, keys: BTreeSet<PartitionKey>, upto: u64) {
        let partitions: Vec<Arc<Partition>> = keys.iter().filter_map(|key| self.shared.partition(*key)).collect();
        // States and files are taken as they are between two writes.
        for partition in &partitions {
            partition.keep_files().await;
        }
        let kept = partitions.clone();
        let edits = partitions.iter().filter_map(drop_below).collect();
        let (mut switches, mut synced) = (Vec::new(), Vec::new());
        let mut checkpoints = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let Some(checkpoint) = checkpoint_of(&partition) else { continue };
            if checkpoint.target.config.flush_messages.is_some() {
                synced.push((Arc::clone(&partition), checkpoint.state.log_end));
            }
            if self.switching.contains(&checkpoint.target.key) {
                let (path, end) = (checkpoint.target.config.durability, checkpoint.state.log_end);
                switches.push(Switch { partition, path, end });
            }
            checkpoints.push(checkpoint);
        }
        let segments = Arc::clone(&self.shared.segments);
        let writing =
            async move { if checkpoints.is_empty() { Ok(()) } else { segments.checkpoint(checkpoints).await } };
        let (began, changed_since) = (self.shared.clock.monotonic(), self.dirty_since);
        let covers = Covers { upto, began, changed_since, partitions: keys, synced, edits, switches };
        self.taking = Some(Taking { writing: maybe_done(writing.boxed()), covers });
        // At once, so that the segments are covered as they are now.
        let _ = written(&mut self.taking).now_or_never();
        kept.iter().for_each(|partition| partition.release_files());
    }

    /// Waits for the checkpoint on its way, if any, and takes the consequences; on a full disk takes it anew until there
    /// is space.
    async fn end_checkpoint(&mut self) -> Result<(), SegmentError> {
        while self.taking.is_some() {
            self.checkpoint_written().await;
            if self.conclude_checkpoint().await? {
                self.wait_for_space().await?;
                self.begin_checkpoint().await;
            }
        }
        Ok(())
    }

    /// Takes the consequences of the checkpoint that was on its way, if it is written. Says whether it found no space: then
    /// the next one covers what this one would have.
    pub(super) async fn conclude_checkpoint(&mut self) -> Result<bool, SegmentError> {
        let is_written = |taking: &mut Taking| matches!(taking.writing, MaybeDone::Done(_));
        let Some(mut taking) = self.taking.take_if(is_written) else { return Ok(false) };
        let outcome = Pin::new(&mut taking.writing).take_output().expect("it is written");
        let covers = taking.covers;
        match outcome {
            Ok(()) => self.checkpointed(covers).await.map(|()| false),
            Err(SegmentError::Disk(error)) if self.shared.waits_for_space(&error) => {
                self.dirty.extend(covers.partitions);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    async fn checkpointed(&mut self, covers: Covers) -> Result<(), SegmentError> {
        self.shared.room.set_refused(Writer::Segments, false);
        let counters = &self.shared.counters;
        counters.checkpoints.add(1);
        counters.checkpoint_times.observe(self.shared.clock.monotonic().saturating_sub(covers.began));
        self.tell_uncheckpointed();
        self.shared.lane.lock().checkpointed(covers.upto);
        self.shared.lane_work.notify_one();
        covers.synced.into_iter().for_each(|(partition, end)| partition.with_log(|log| log.synced(end)));
        covers.switches.into_iter().for_each(Switch::make);
        self.drop_segments(covers.edits).await
    }

    /// Says since when changes wait for a checkpoint.
    pub(super) fn tell_uncheckpointed(&self) {
        let waiting = (!self.dirty.is_empty()).then_some(self.dirty_since);
        let oldest = self.taking.as_ref().map(|taking| taking.covers.changed_since).or(waiting);
        self.shared.counters.uncheckpointed_since.set(oldest);
    }

    /// Removes segments below log starts that are durable now.
    async fn drop_segments(&mut self, edits: Vec<SegmentEdit>) -> Result<(), SegmentError> {
        if edits.is_empty() {
            return Ok(());
        }
        let keys = edits.iter().map(SegmentEdit::key);
        let partitions: Vec<Arc<Partition>> = keys.filter_map(|key| self.shared.partition(key)).collect();
        let dropped = self.edit_files(&edits, &partitions).await?;
        for (edit, edited) in edits.into_iter().zip(dropped) {
            let SegmentEdit::DropBelow(key, start) = edit else { continue };
            if let Some(partition) = self.shared.partition(key) {
                partition.with_log(|log| {
                    log.checkpointed_start = start;
                    log.resized(edited.bytes_before, 0);
                });
            }
        }
        Ok(())
    }

    /// Marks partitions whose durability was changed, once nothing of theirs is on its way: a checkpoint that covers them
    /// changes their path. Says whether there are any.
    fn mark_switching(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        self.switching.retain(|key| {
            shared.partition(*key).is_some_and(|one| one.with_log(|log| log.path != log.config.durability))
        });
        let quiet = |key: &&PartitionKey| {
            let is_quiet = |log: &mut PartitionLog| {
                log.fault.is_none() && log.live.log_end == log.settled.log_end && log.direct.is_quiet()
            };
            shared.partition(**key).is_some_and(|one| one.with_log(is_quiet))
        };
        let ready: Vec<PartitionKey> = self.switching.iter().filter(quiet).copied().collect();
        ready.iter().for_each(|key| self.mark_dirty(*key));
        !ready.is_empty()
    }
}

/// A partition whose appends may go another way once its checkpoint is written.
#[derive(Debug)]
struct Switch {
    partition: Arc<Partition>,
    path: Durability,
    /// Where its log ended in the checkpoint.
    end: Offset,
}

impl Switch {
    /// Changes the path, unless something was appended or the configuration was changed again meanwhile.
    fn make(self) {
        self.partition.with_log(|log| {
            let still = log.config.durability == self.path && log.fault.is_none();
            if still && log.live.log_end == self.end && log.settled.log_end == self.end {
                log.path = self.path;
                log.synced(self.end);
            }
        });
    }
}

/// What the partition's settled state says, with the path that its configuration wants.
fn checkpoint_of(partition: &Arc<Partition>) -> Option<PartitionCheckpoint> {
    partition.with_log(|log| {
        let offline = match &log.fault {
            None => false,
            Some(Fault::Offline(_)) => true,
            Some(Fault::Unloaded(_) | Fault::Deleted) => return None,
        };
        log.changed = false;
        Some(PartitionCheckpoint {
            target: partition.target(log),
            state: log.settled.clone(),
            volatile: log.path == Durability::Os || log.config.durability == Durability::Os,
            offline,
        })
    })
}

fn drop_below(partition: &Arc<Partition>) -> Option<SegmentEdit> {
    partition.with_log(|log| {
        let moved = log.settled.log_start > log.checkpointed_start && log.fault.is_none();
        let key = PartitionKey { topic_id: partition.topic_id(), index: partition.index() };
        moved.then_some(SegmentEdit::DropBelow(key, log.settled.log_start))
    })
}

//! The materialiser: carries durable slots into the segments, takes checkpoints, and so moves the lane's low-water.
//!
//! What edits segments is ordered from it. A batch of the lane reaches its segment only after its slot is durable, so
//! segments never hold what the lane could still lose; what passes the lane by is written in `partition/direct.rs`.

mod backups;
mod checkpoints;
mod flushes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use checkpoints::{Taking, written};
use flushes::Flushes;

use crate::StorageError;
use crate::disk::Disk;
use crate::lane::slot::{PartitionKey, Slot, SlotEntry, SlotEntryBody};
use crate::log::partition_log::PartitionLog;
use crate::partition::Partition;
use crate::planted::{self, Bug};
use crate::room::{NO_SPACE_RETRY, Writer};
use crate::segments::{Edited, SegmentEdit, SegmentError, SegmentRun};
use crate::shared::{BackupOrder, EditOrder, Phase, Shared};
use crate::tail::TailPiece;

/// How often the free space is looked at while data comes in.
const SPACE_CHECK: Duration = Duration::from_secs(1);

/// What is taken from the queue at a time.
#[derive(Debug, Default)]
struct Work {
    slots: VecDeque<Slot>,
    orders: Vec<EditOrder>,
    backups: Vec<BackupOrder>,
    switching: Vec<PartitionKey>,
    changed: Vec<PartitionKey>,
}

/// State of the task.
#[derive(Debug)]
pub(crate) struct Materialiser {
    shared: Arc<Shared>,
    /// None for a storage in memory: its space is not looked at.
    disk: Option<Arc<dyn Disk>>,
    /// Partitions with settled changes that no checkpoint covers.
    dirty: BTreeSet<PartitionKey>,
    /// When the oldest of them came, on the monotonic clock.
    dirty_since: Duration,
    /// Those of them that must be covered earlier.
    flushes: Flushes,
    bytes_since_checkpoint: u64,
    /// Slots below have settled.
    settled_upto: u64,
    switching: BTreeSet<PartitionKey>,
    /// A checkpoint on its way to the disk.
    taking: Option<Taking>,
    space_checked: Option<Duration>,
}

impl Materialiser {
    pub(crate) fn new(shared: Arc<Shared>, disk: Option<Arc<dyn Disk>>) -> Self {
        Self {
            shared,
            disk,
            dirty: BTreeSet::new(),
            dirty_since: Duration::ZERO,
            flushes: Flushes::default(),
            bytes_since_checkpoint: 0,
            settled_upto: 0,
            switching: BTreeSet::new(),
            taking: None,
            space_checked: None,
        }
    }

    /// Runs until everything is settled and checkpointed in phase `Settling`, or the storage has failed.
    pub(crate) async fn run(mut self) {
        loop {
            if self.shared.is_halted() {
                return;
            }
            self.let_slots_gather().await;
            // Before the queue is emptied: what comes into it while a step waits for the disk is the next turn's.
            let drained = *self.shared.phase.borrow() >= Phase::Settling;
            let work = self.take();
            let done = self.step(work).await;
            match done {
                Ok(true) => {}
                Ok(false) if drained => {
                    if let Err(error) = self.checkpoint().await {
                        self.shared.halt(&error.to_string());
                    }
                    return;
                }
                Ok(false) => self.wait().await,
                Err(error) => self.shared.halt(&error.to_string()),
            }
        }
    }

    /// Gives durable slots time to become more, while nothing else is to be done: readers have them from memory.
    async fn let_slots_gather(&mut self) {
        let after = self.shared.limits.settle_after;
        if after.is_zero() || !self.only_few_slots_wait() {
            return;
        }
        let mut gathered = self.shared.clock.sleep(after);
        while self.only_few_slots_wait() {
            tokio::select! {
                biased;
                () = &mut gathered => return,
                () = self.shared.settle_work.notified() => {}
            }
        }
    }

    fn only_few_slots_wait(&self) -> bool {
        if *self.shared.phase.borrow() != Phase::Running || self.shared.is_halted() {
            return false;
        }
        let queue = self.shared.queue.lock();
        let nothing_else = queue.orders.is_empty()
            && queue.backups.is_empty()
            && queue.switching.is_empty()
            && queue.hurried.is_empty();
        nothing_else && !queue.slots.is_empty() && queue.bytes < self.shared.limits.settle_bytes
    }

    fn take(&self) -> Work {
        let mut queue = self.shared.queue.lock();
        Work {
            slots: queue.take_slots(),
            orders: std::mem::take(&mut queue.orders),
            backups: std::mem::take(&mut queue.backups),
            switching: std::mem::take(&mut queue.switching),
            changed: std::mem::take(&mut queue.changed),
        }
    }

    /// Does what was taken; says whether there was anything.
    async fn step(&mut self, work: Work) -> Result<bool, SegmentError> {
        let Work { slots, orders, backups, switching, changed } = work;
        let busy = !(slots.is_empty()
            && orders.is_empty()
            && backups.is_empty()
            && switching.is_empty()
            && changed.is_empty());
        self.switching.extend(switching);
        changed.into_iter().for_each(|key| self.changed(key));
        self.settle(slots.into()).await?;
        self.shared.queue.lock().settled();
        for order in orders {
            self.edit(order).await?;
        }
        for order in backups {
            self.back_up(order).await?;
        }
        if busy {
            self.check_space().await?;
        }
        self.advance_checkpoint().await?;
        self.tell_uncheckpointed();
        Ok(busy)
    }

    /// Waits for work, for a checkpoint to be written or due, or for the disk to have space.
    async fn wait(&mut self) {
        let short = self.shared.room.is_low();
        let checkpoint = self.checkpoint_wait();
        let wait = if short { Some(checkpoint.unwrap_or(NO_SPACE_RETRY).min(NO_SPACE_RETRY)) } else { checkpoint };
        tokio::select! {
            biased;
            () = self.shared.settle_work.notified() => {}
            () = written(&mut self.taking) => {}
            () = self.shared.clock.sleep(wait.unwrap_or_default()), if wait.is_some() => self.space_checked = None,
        }
        if short && let Err(error) = self.check_space().await {
            self.shared.halt(&error.to_string());
        }
    }

    /// Carries acknowledged slots, in order, into the segments.
    pub(crate) async fn settle(&mut self, slots: Vec<Slot>) -> Result<(), SegmentError> {
        let Some(last) = slots.last() else { return Ok(()) };
        let upto = last.header.sequence + 1;
        let mut pieces = Vec::with_capacity(slots.len());
        let mut entries = Vec::new();
        let mut bytes = 0;
        for slot in slots {
            let slot_bytes: usize = slot.entries.iter().map(lane_bytes).sum();
            bytes += slot_bytes;
            self.bytes_since_checkpoint += u64::from(slot.header.slot_bytes);
            pieces.push(tail_piece(slot.header.slot_bytes as usize, &slot.entries));
            entries.extend(slot.entries);
        }
        self.settle_entries(entries).await?;
        self.settled_upto = upto;
        if planted::has(Bug::TrimsLaneBeforeSync) {
            self.shared.lane.lock().checkpointed(upto);
        }
        self.shared.lane.lock().settled(bytes);
        self.shared.lane_work.notify_one();
        pieces.into_iter().for_each(|piece| self.shared.keep_in_tail(piece));
        Ok(())
    }

    /// Carries entries that a recovery took from an earlier lane into the segments.
    pub(crate) async fn replay(&mut self, entries: Vec<SlotEntry>) -> Result<(), SegmentError> {
        let piece = tail_piece(entries.iter().map(lane_bytes).sum(), &entries);
        self.settle_entries(entries).await?;
        self.shared.keep_in_tail(piece);
        Ok(())
    }

    /// A partition's state is not what its checkpoint says: the next one covers it.
    pub(crate) fn changed(&mut self, key: PartitionKey) {
        self.mark_dirty(key);
        let partition = self.shared.partition(key);
        if let Some(within) = partition.and_then(|partition| partition.with_log(|log| log.flush_within())) {
            self.flushes.add(key, self.shared.clock.monotonic().saturating_add(within));
        }
    }

    /// Writes entries to their segments, waiting for space as long as it takes.
    async fn settle_entries(&mut self, entries: Vec<SlotEntry>) -> Result<(), SegmentError> {
        let mut runs = Vec::new();
        let mut ends = Vec::new();
        for (key, entries) in by_partition(entries) {
            let Some(partition) = self.shared.partition(key) else { continue };
            let run = partition.with_log(|log| settled_run(&partition, log, entries));
            ends.push((partition, run.batches.last().map(|batch| batch.header().next_offset())));
            self.mark_dirty(key);
            if !run.batches.is_empty() {
                runs.push(run);
            }
        }
        while !runs.is_empty() {
            match self.shared.segments.append(runs.clone()).await {
                Ok(()) => break,
                Err(SegmentError::Disk(error)) if self.shared.waits_for_space(&error) => {
                    self.wait_for_space().await?;
                    runs.retain(|run| self.shared.partition(run.target.key).is_some());
                }
                Err(error) => return Err(error),
            }
        }
        self.shared.room.set_refused(Writer::Segments, false);
        for (partition, end) in ends {
            if let Some(end) = end {
                partition.with_log(|log| log.in_segments(end));
            }
        }
        self.let_direct_writes_go();
        Ok(())
    }

    /// Direct writes whose partition has nothing in the lane any more may begin.
    fn let_direct_writes_go(&self) {
        let hurried = std::mem::take(&mut self.shared.queue.lock().hurried);
        for key in hurried {
            match self.shared.partition(key) {
                Some(partition) if partition.with_log(|log| !log.lane_is_settled()) => {
                    self.shared.queue.lock().hurried.insert(key);
                }
                _ => self.shared.direct.add(key),
            }
        }
    }

    fn mark_dirty(&mut self, key: PartitionKey) {
        if self.dirty.is_empty() {
            self.dirty_since = self.shared.clock.monotonic();
        }
        self.dirty.insert(key);
    }

    /// Waits for the disk to have space, and meanwhile lets go what a written checkpoint or an order says, which may make
    /// some.
    async fn wait_for_space(&mut self) -> Result<(), SegmentError> {
        self.shared.room.set_refused(Writer::Segments, true);
        // What waits for the lane may wait for the segments behind it.
        self.shared.lane.lock().no_space();
        tokio::select! {
            biased;
            () = self.shared.settle_work.notified() => {}
            () = written(&mut self.taking) => {}
            () = self.shared.clock.sleep(NO_SPACE_RETRY) => {}
        }
        self.conclude_checkpoint().await?;
        let orders = std::mem::take(&mut self.shared.queue.lock().orders);
        for order in orders {
            self.edit(order).await?;
        }
        Ok(())
    }

    /// Changes files that nobody writes to meanwhile.
    async fn edit_files(
        &mut self,
        edits: &[SegmentEdit],
        partitions: &[Arc<Partition>],
    ) -> Result<Vec<Edited>, SegmentError> {
        for partition in partitions {
            partition.keep_files().await;
        }
        let done = self.shared.segments.edit(edits.to_vec()).await;
        partitions.iter().for_each(|partition| partition.release_files());
        done
    }

    async fn edit(&mut self, order: EditOrder) -> Result<(), SegmentError> {
        for edit in &order.edits {
            if let SegmentEdit::Remove(key) | SegmentEdit::DropBelow(key, _) = edit {
                self.dirty.remove(key);
                self.flushes.forget(*key);
                self.switching.remove(key);
            }
        }
        // A file must not go while its sync is on its way.
        self.checkpoint_written().await;
        let done = self.edit_files(&order.edits, &order.partitions).await;
        if let Ok(edited) = &done {
            self.count_replaced(&order.edits, edited);
        }
        let answer = done.as_ref().cloned().map_err(|error| StorageError::Failed(error.to_string()));
        // Who ordered it may have gone; the edit is done all the same.
        let _ = order.done.send(answer);
        done.map(|_| ())
    }

    /// Lets the sizes of partitions follow what took the place of their segments.
    fn count_replaced(&self, edits: &[SegmentEdit], edited: &[Edited]) {
        for (edit, edited) in edits.iter().zip(edited) {
            if let (SegmentEdit::Replace(_), Some(partition)) = (edit, self.shared.partition(edit.key())) {
                partition.with_log(|log| log.resized(edited.bytes_before, edited.bytes_after));
            }
        }
    }

    /// Looks at the free space, if the last look is not young.
    pub(crate) async fn check_space(&mut self) -> Result<(), SegmentError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let now = self.shared.clock.monotonic();
        if self.space_checked.is_some_and(|at| now < at + SPACE_CHECK) && !self.shared.room.is_used_up() {
            return Ok(());
        }
        self.space_checked = Some(now);
        let usable = disk.space().await?.usable;
        let pending = self.shared.lane.lock().pending_bytes() + self.shared.direct.bytes();
        self.shared.room.looked(usable, pending, self.shared.limits.reserve_bytes);
        Ok(())
    }
}

/// Takes entries into the settled state and gives the batches to write.
fn settled_run(partition: &Partition, log: &mut PartitionLog, entries: Vec<SlotEntryBody>) -> SegmentRun {
    let mut run = partition.run(log, Vec::new(), Vec::new());
    if log.fault.is_some() {
        return run;
    }
    for entry in entries {
        match entry {
            SlotEntryBody::LogStart(offset) => log.settled.start_at(offset),
            SlotEntryBody::Reached(_) => {}
            SlotEntryBody::Batch(batch) => {
                run.aborted.extend(log.settled.apply(&batch, crate::lane::Ticket::default()));
                log.settled.transactions.settle(batch.header().next_offset());
                run.batches.push(batch);
            }
        }
    }
    run
}

fn by_partition(entries: Vec<SlotEntry>) -> BTreeMap<PartitionKey, Vec<SlotEntryBody>> {
    let mut grouped: BTreeMap<PartitionKey, Vec<SlotEntryBody>> = BTreeMap::new();
    for entry in entries {
        grouped.entry(entry.key).or_default().push(entry.body);
    }
    grouped
}

/// Bytes that the lane counted for an entry when it was appended.
fn lane_bytes(entry: &SlotEntry) -> usize {
    let body = match &entry.body {
        SlotEntryBody::Batch(batch) => batch.bytes().len(),
        SlotEntryBody::LogStart(_) | SlotEntryBody::Reached(_) => 0,
    };
    crate::lane::slot::INDEX_ENTRY_BYTES + body
}

fn tail_piece(bytes: usize, entries: &[SlotEntry]) -> TailPiece {
    let mut ends = BTreeMap::new();
    for entry in entries {
        if let SlotEntryBody::Batch(batch) = &entry.body {
            ends.insert(entry.key, batch.header().next_offset());
        }
    }
    TailPiece { bytes, ends: ends.into_iter().collect() }
}

//! What the partitions and the two background tasks share: the lane, the queue to the segments, the engine's health.
//!
//! Lock order: a partition's log, then the lane, then the settle queue; none is held across an await.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot, watch};

use crate::StorageError;
use crate::backup::BackupFile;
use crate::clock::Clock;
use crate::compaction::Cleaning;
use crate::direct::DirectWork;
use crate::disk::{DiskError, DiskErrorKind};
use crate::lane::core::LaneCore;
use crate::lane::session::Session;
use crate::lane::slot::{PartitionKey, Slot};
use crate::log::config::EngineLimits;
use crate::metrics::Counters;
use crate::partition::Partition;
use crate::planted::{self, Bug};
use crate::room::Room;
use crate::segments::{Edited, SegmentEdit, SegmentStore};
use crate::tail::{Tail, TailPiece};

/// From start to shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// What an earlier session left is brought to order; nothing is appended yet.
    Opening,
    Running,
    /// Nothing is appended any more; the lane drains.
    Draining,
    /// The lane is drained; the segments drain.
    Settling,
}

/// An order to the materialiser, which alone changes segments.
#[derive(Debug)]
pub(crate) struct EditOrder {
    pub(crate) edits: Vec<SegmentEdit>,
    /// Whose files are changed.
    pub(crate) partitions: Vec<Arc<Partition>>,
    pub(crate) done: oneshot::Sender<Result<Vec<Edited>, StorageError>>,
}

/// An order to the materialiser to make the folder of a backup.
#[derive(Debug)]
pub(crate) struct BackupOrder {
    /// Of the storage that is backed up.
    pub(crate) session: Session,
    pub(crate) done: oneshot::Sender<Result<Vec<BackupFile>, StorageError>>,
}

/// What waits for the materialiser.
#[derive(Debug, Default)]
pub(crate) struct SettleQueue {
    pub(crate) slots: VecDeque<Slot>,
    /// Bytes of the slots.
    pub(crate) bytes: usize,
    /// When the first of them was pushed, on the monotonic clock,
    since: Option<Duration>,
    /// and the first of those that were taken and have not settled.
    settling_since: Option<Duration>,
    pub(crate) orders: Vec<EditOrder>,
    pub(crate) backups: Vec<BackupOrder>,
    /// Partitions whose durability was changed.
    pub(crate) switching: Vec<PartitionKey>,
    /// Partitions whose segments have batches that no checkpoint covers and that did not come through the lane.
    pub(crate) changed: Vec<PartitionKey>,
    /// Partitions with a direct write that waits until what came before through the lane is in their segments.
    pub(crate) hurried: BTreeSet<PartitionKey>,
}

impl SettleQueue {
    /// Takes a durable slot; says whether the materialiser has to hear of it: of the first one, and when there is enough.
    pub(crate) fn push(&mut self, slot: Slot, now: Duration, enough_bytes: usize) -> bool {
        let before = self.bytes;
        self.bytes += slot.header.slot_bytes as usize;
        self.slots.push_back(slot);
        self.since.get_or_insert(now);
        self.slots.len() == 1 || (before < enough_bytes && self.bytes >= enough_bytes)
    }

    /// Gives the slots away to be settled.
    pub(crate) fn take_slots(&mut self) -> VecDeque<Slot> {
        self.bytes = 0;
        self.settling_since = self.since.take();
        std::mem::take(&mut self.slots)
    }

    /// What was taken has settled.
    pub(crate) fn settled(&mut self) {
        self.settling_since = None;
    }

    /// When the oldest slot came that has not settled.
    pub(crate) fn oldest_since(&self) -> Option<Duration> {
        self.settling_since.or(self.since)
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) lane: Mutex<LaneCore>,
    pub(crate) lane_work: Notify,
    pub(crate) queue: Mutex<SettleQueue>,
    pub(crate) settle_work: Notify,
    pub(crate) direct: DirectWork,
    /// A direct write that the materialiser waits for has ended.
    pub(crate) files_free: Notify,
    pub(crate) tail: Tail,
    /// Bytes in segments that no checkpoint covers and no lane has: a recovery scans them.
    pub(crate) beyond_checkpoint: AtomicU64,
    pub(crate) partitions: RwLock<BTreeMap<PartitionKey, Arc<Partition>>>,
    pub(crate) segments: Arc<dyn SegmentStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: EngineLimits,
    pub(crate) counters: Counters,
    pub(crate) phase: watch::Sender<Phase>,
    /// Why the engine stopped for good.
    pub(crate) failure: watch::Sender<Option<Arc<str>>>,
    pub(crate) room: Room,
    pub(crate) cleaning: Cleaning,
}

impl Shared {
    /// Orders edits of these partitions; who waits for the answer hears what became of them, or nothing when the storage ends before.
    pub(crate) fn order(
        &self,
        edits: Vec<SegmentEdit>,
        partitions: Vec<Arc<Partition>>,
    ) -> oneshot::Receiver<Result<Vec<Edited>, StorageError>> {
        let (done, answer) = oneshot::channel();
        self.queue.lock().orders.push(EditOrder { edits, partitions, done });
        self.settle_work.notify_one();
        answer
    }

    pub(crate) fn new(
        lane: LaneCore,
        segments: Arc<dyn SegmentStore>,
        clock: Arc<dyn Clock>,
        limits: EngineLimits,
    ) -> Self {
        Self {
            lane: Mutex::new(lane),
            lane_work: Notify::new(),
            queue: Mutex::default(),
            settle_work: Notify::new(),
            direct: DirectWork::default(),
            files_free: Notify::new(),
            tail: Tail::new(limits.tail_bytes_max),
            beyond_checkpoint: AtomicU64::new(0),
            partitions: RwLock::default(),
            segments,
            clock,
            limits,
            counters: Counters::default(),
            phase: watch::Sender::new(Phase::Opening),
            failure: watch::Sender::new(None),
            room: Room::default(),
            cleaning: Cleaning::default(),
        }
    }

    pub(crate) fn partition(&self, key: PartitionKey) -> Option<Arc<Partition>> {
        self.partitions.read().get(&key).cloned()
    }

    /// Stops the engine for good: nothing more is acknowledged. Its owner sees it in `Storage::failed` and ends the process.
    pub(crate) fn halt(&self, reason: &str) {
        tracing::error!(reason, "storage stops: the process must end and recover");
        self.lane.lock().step_down();
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| Arc::from(reason));
            first
        });
        self.lane_work.notify_one();
        self.settle_work.notify_one();
        self.direct.look();
    }

    /// A direct write of the partition waits for what came before through the lane.
    pub(crate) fn wait_for_lane(&self, key: PartitionKey) {
        if self.queue.lock().hurried.insert(key) {
            self.settle_work.notify_one();
        }
    }

    /// Batches of a partition have reached its segment without the lane; `first` names it when these are the first since
    /// a checkpoint covered it.
    pub(crate) fn wrote_beyond_checkpoint(&self, first: Option<PartitionKey>, bytes: u64) {
        let before = self.beyond_checkpoint.fetch_add(bytes, Ordering::Relaxed);
        let most = self.limits.scan_bytes_max;
        if let Some(key) = first {
            self.queue.lock().changed.push(key);
        }
        if first.is_some() || (before < most && before + bytes >= most) {
            self.settle_work.notify_one();
        }
    }

    /// Keeps batches that have reached their segments in memory for readers, and lets the oldest go.
    pub(crate) fn keep_in_tail(&self, piece: TailPiece) {
        for surplus in self.tail.keep(piece) {
            for (key, end) in surplus.ends {
                if let Some(partition) = self.partition(key) {
                    partition.with_log(|log| log.evict_below(end));
                }
            }
        }
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Whether a write that finds the disk full waits for space. At a start and at a shutdown somebody waits for the end:
    /// then it fails.
    pub(crate) fn waits_for_space(&self, error: &DiskError) -> bool {
        let again = error.kind == DiskErrorKind::NoSpace || planted::has(Bug::RetriesFailedSync);
        again && *self.phase.borrow() == Phase::Running && !self.is_halted()
    }
}

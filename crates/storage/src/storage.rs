//! `Storage`: the engine as a whole. Opens or makes partitions, deletes topics, shuts down; cheap to clone.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_model::{LeaderEpoch, PartitionIndex, TopicId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::background::{Background, Haste, Task};
use crate::backup::{BACKUP_DIR, BackupFile};
use crate::clock::Clock;
use crate::compaction::{self, CleanerSettings};
use crate::direct;
use crate::disk::{Disk, DiskError, DiskOp, Space};
use crate::lane::LaneId;
use crate::lane::core::{LaneCore, LaneLimits};
use crate::lane::session::Session;
use crate::lane::slot::{PartitionKey, encode};
use crate::lane::ticket::SlotFate;
use crate::lane::writer;
use crate::log::config::{Durability, EngineLimits};
use crate::log::partition_log::{Fault, PartitionLog};
use crate::materialiser::Materialiser;
use crate::metrics::StorageMetrics;
use crate::partition::{Partition, PartitionSpec};
use crate::segments::kafka::checkpoint::CheckpointFile;
use crate::segments::memory::MemorySegments;
use crate::segments::{LoadedLog, SegmentEdit, SegmentStore};
use crate::shared::{BackupOrder, Phase, Shared};
use crate::slots::memory::MemorySlots;
use crate::slots::{Put, SlotId, SlotStore};

/// Why the storage could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// KAFKA_STORAGE_ERROR until there is space; what waits may still become durable.
    #[error("the disk is full")]
    NoSpace,
    /// The storage has failed or was dropped: nobody knows what became of what waits.
    #[error("the storage has stopped")]
    Halted,
    #[error("{0}")]
    Failed(String),
}

/// One directory of logs, for DescribeLogDirs.
#[derive(Clone, Debug, Default)]
pub struct LogDirUsage {
    pub path: PathBuf,
    pub space: Option<Space>,
    pub partitions: Vec<PartitionUsage>,
    /// Why the directory cannot be used, if so.
    pub error: Option<String>,
}

/// Bytes of one partition.
#[derive(Clone, Debug)]
pub struct PartitionUsage {
    pub topic: Arc<str>,
    pub index: PartitionIndex,
    pub bytes: u64,
}

/// The engine; a clone is another handle of the same.
#[derive(Clone, Debug)]
pub struct Storage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    slots: Arc<dyn SlotStore>,
    disk: Option<Arc<dyn Disk>>,
    /// What the session file is told of at the end.
    checkpoints: Option<Arc<CheckpointFile>>,
    log_dir: PathBuf,
    /// The leader epoch of every partition; raised at every unclean start.
    generation: LeaderEpoch,
    /// What the session file says; none in memory.
    session: Option<Session>,
    tasks: Mutex<Option<Tasks>>,
}

impl Drop for Inner {
    /// Partitions and what they share hold each other: the last handle lets go, and with it the disk and its lock.
    fn drop(&mut self) {
        self.shared.partitions.write().clear();
    }
}

#[derive(Debug)]
struct Tasks {
    writer: Task,
    direct: Task,
    materialiser: Task,
    cleaner: Task,
}

/// What a storage is built from.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) slots: Arc<dyn SlotStore>,
    pub(crate) segments: Arc<dyn SegmentStore>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The disk and the checkpoint file on it; none in memory.
    pub(crate) disk: Option<(Arc<dyn Disk>, Arc<CheckpointFile>)>,
    pub(crate) log_dir: PathBuf,
    pub(crate) limits: EngineLimits,
    pub(crate) session: Session,
}

/// Runs a task of the storage; when it panics the storage halts, or nobody would hear that nothing becomes durable.
async fn halting(shared: Arc<Shared>, work: impl Future<Output = ()>) {
    struct HaltsInPanic(Arc<Shared>);
    impl Drop for HaltsInPanic {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.halt("a task of the storage has panicked");
            }
        }
    }
    let _halts = HaltsInPanic(shared);
    work.await;
}

impl Storage {
    /// A storage that lasts as long as it is held; needs a tokio runtime for its tasks.
    #[must_use]
    pub fn in_memory(clock: Arc<dyn Clock>, limits: EngineLimits) -> Self {
        let (slots, segments) = (Arc::new(MemorySlots::default()), Arc::new(MemorySegments::default()));
        let session = Session { lane: LaneId(0), nonce: 0, generation: LeaderEpoch(0), closed: false, rounds: 0 };
        let (disk, log_dir) = (None, PathBuf::from("memory"));
        let storage = Self::build(Parts { slots, segments, clock, disk, log_dir, limits, session });
        let materialiser = storage.materialiser();
        storage.start(materialiser, Background::Tasks).expect("tasks of a runtime need no thread");
        storage
    }

    /// Puts the parts together; nothing runs yet.
    pub(crate) fn build(parts: Parts) -> Self {
        let Parts { slots, segments, clock, disk, log_dir, limits, session } = parts;
        let store = slots.limits();
        let lane_limits = LaneLimits {
            slot_bytes_max: limits.slot_bytes_max.min(store.slot_bytes_max),
            in_flight_max: limits.slots_in_flight_max.min(store.in_flight_max),
            waiting_bytes_max: limits.waiting_bytes_max,
            unsettled_bytes_max: limits.unsettled_bytes_max,
        };
        let lane = LaneCore::new(session.lane, session.nonce, lane_limits);
        let shared = Arc::new(Shared::new(lane, segments, clock, limits));
        let (generation, tasks) = (session.generation, Mutex::new(None));
        let session = disk.is_some().then_some(session);
        let (disk, checkpoints) = disk.unzip();
        Self { inner: Arc::new(Inner { shared, slots, disk, checkpoints, log_dir, generation, session, tasks }) }
    }

    pub(crate) fn materialiser(&self) -> Materialiser {
        Materialiser::new(Arc::clone(&self.inner.shared), self.inner.disk.clone())
    }

    /// Starts the tasks; from now on there may be appends.
    pub(crate) fn start(&self, materialiser: Materialiser, background: Background) -> io::Result<()> {
        self.inner.shared.phase.send_replace(Phase::Running);
        let shared = &self.inner.shared;
        let writer = writer::run(Arc::clone(shared), Arc::clone(&self.inner.slots));
        let writer = Task::start(background, "lane", Haste::Preferred, halting(Arc::clone(shared), writer))?;
        let direct = halting(Arc::clone(shared), direct::run(Arc::clone(shared)));
        let direct = Task::start(background, "direct", Haste::Preferred, direct)?;
        let materialiser = halting(Arc::clone(shared), materialiser.run());
        let materialiser = Task::start(background, "materialiser", Haste::Preferred, materialiser)?;
        let cleaner = halting(Arc::clone(shared), compaction::run(Arc::clone(shared)));
        let cleaner = Task::start(background, "cleaner", Haste::Deferred, cleaner)?;
        *self.inner.tasks.lock() = Some(Tasks { writer, direct, materialiser, cleaner });
        Ok(())
    }

    /// Adds the partition that `spec` names, if it names one, without doing I/O: its directory is made at the first append.
    /// One that exists is answered as it is.
    ///
    /// `spec` is asked while `delete_topics` cannot begin: a topic that it still finds in a catalog is deleted with this
    /// partition. It must be quick and lock nothing.
    pub fn create_partition_if(&self, spec: impl FnOnce() -> Option<PartitionSpec>) -> Option<Arc<Partition>> {
        let shared = &self.inner.shared;
        let mut partitions = shared.partitions.write();
        let PartitionSpec { topic_id, topic, index, config } = spec()?;
        let key = PartitionKey { topic_id, index };
        let add = || {
            let volatile = config.durability == Durability::Os;
            let mut log = PartitionLog::new(LoadedLog { volatile, ..LoadedLog::default() }, config);
            log.lead(self.inner.generation);
            Arc::new(Partition::new(key, topic, log, Arc::clone(shared)))
        };
        Some(Arc::clone(partitions.entry(key).or_insert_with(add)))
    }

    /// Adds a partition of a topic that nobody deletes meanwhile.
    #[cfg(test)]
    pub(crate) fn create_partition(&self, spec: PartitionSpec) -> Arc<Partition> {
        self.create_partition_if(|| Some(spec)).expect("it was named")
    }

    /// Adds a partition with its log.
    pub(crate) fn add(&self, spec: PartitionSpec, log: PartitionLog) -> Arc<Partition> {
        let key = spec.key();
        let shared = &self.inner.shared;
        let mut partitions = shared.partitions.write();
        let add = || Arc::new(Partition::new(key, spec.topic, log, Arc::clone(shared)));
        Arc::clone(partitions.entry(key).or_insert_with(add))
    }

    /// Ends the tasks where they are, as a killed process does.
    #[cfg(test)]
    pub(crate) async fn abort(&self) {
        let tasks = self.inner.tasks.lock().take();
        for task in tasks.into_iter().flat_map(|tasks| [tasks.cleaner, tasks.writer, tasks.direct, tasks.materialiser])
        {
            task.abort().await;
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// A partition that exists.
    #[must_use]
    pub fn partition(&self, topic_id: TopicId, index: PartitionIndex) -> Option<Arc<Partition>> {
        self.inner.shared.partition(PartitionKey { topic_id, index })
    }

    /// Removes all partitions of these topics: from now on they take and give nothing. Resolves when their directories
    /// are out of the way, so that topics of the same names can be made; who does not wait makes none. What of them is
    /// still on its way through the lane is dropped.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn delete_topics(&self, topics: &[TopicId]) -> impl Future<Output = Result<(), StorageError>> + Send + use<> {
        let shared = &self.inner.shared;
        let mut deleted: Vec<(PartitionKey, Arc<Partition>)> = Vec::new();
        for &topic_id in topics {
            let first = PartitionKey { topic_id, index: PartitionIndex(0) };
            let mut partitions = shared.partitions.write();
            let of_topic = partitions.range(first..).map(|(key, _)| *key).take_while(|key| key.topic_id == topic_id);
            let keys: Vec<PartitionKey> = of_topic.collect();
            deleted.extend(keys.into_iter().filter_map(|key| partitions.remove_entry(&key)));
        }
        for (_, partition) in &deleted {
            partition.with_log(|log| {
                if matches!(log.fault.replace(Fault::Deleted), Some(Fault::Offline(_) | Fault::Unloaded(_))) {
                    shared.counters.partitions_offline.subtract(1);
                }
                log.notify_watchers();
                let dropped = log.direct.clear();
                shared.direct.written(dropped.bytes);
                dropped.fates().for_each(SlotFate::durable);
            });
            shared.lane.lock().forget(partition.key());
        }
        let edits: Vec<SegmentEdit> = deleted.iter().map(|(key, _)| SegmentEdit::Remove(*key)).collect();
        let partitions = deleted.iter().map(|(_, partition)| Arc::clone(partition)).collect();
        let ordered = (!edits.is_empty()).then(|| shared.order(edits, partitions));
        async move {
            match ordered {
                Some(answer) => answer.await.unwrap_or(Err(StorageError::Halted)).map(|_| ()),
                None => Ok(()),
            }
        }
    }

    /// The leader epoch that a partition without a history has: raised at every unclean start.
    #[must_use]
    pub fn generation(&self) -> LeaderEpoch {
        self.inner.generation
    }

    /// Makes a folder in the data directory, `BACKUP_DIR`, with the files of a backup, in place of an earlier one: hard links,
    /// so it takes no space at first. A storage that is opened on a copy of them has everything that was acknowledged before
    /// the call. Settling waits while the links are made.
    ///
    /// # Errors
    /// When the disk fails, or there is none.
    pub async fn backup(&self) -> Result<Vec<BackupFile>, StorageError> {
        let none = || StorageError::Failed("a storage in memory has no files".to_owned());
        let session = self.inner.session.ok_or_else(none)?;
        let (done, answer) = oneshot::channel();
        self.inner.shared.queue.lock().backups.push(BackupOrder { session, done });
        self.inner.shared.settle_work.notify_one();
        answer.await.unwrap_or(Err(StorageError::Halted))
    }

    /// Removes the folder of a backup.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn forget_backup(&self) -> Result<(), StorageError> {
        let Some(disk) = &self.inner.disk else { return Ok(()) };
        let removed = disk.perform(DiskOp::RemoveDir(BACKUP_DIR.into())).await;
        removed.map_err(|error| StorageError::Failed(error.to_string()))
    }

    /// Space and sizes, for DescribeLogDirs.
    pub async fn log_dirs(&self) -> Vec<LogDirUsage> {
        let (space, error) = match &self.inner.disk {
            None => (None, None),
            Some(disk) => match disk.space().await {
                Ok(space) => (Some(space), None),
                Err(error) => (None, Some(error.to_string())),
            },
        };
        let all: Vec<Arc<Partition>> = self.inner.shared.partitions.read().values().cloned().collect();
        let usage = |partition: &Arc<Partition>| PartitionUsage {
            topic: Arc::clone(partition.topic()),
            index: partition.index(),
            bytes: partition.size_bytes(),
        };
        let partitions = all.iter().map(usage).collect();
        vec![LogDirUsage { path: self.inner.log_dir.clone(), space, partitions, error }]
    }

    /// Says how compacted logs are cleaned; none are before the first call. May be called at any time.
    pub fn set_cleaner(&self, settings: CleanerSettings) {
        let changed = |known: &mut CleanerSettings| std::mem::replace(known, settings) != settings;
        self.inner.shared.cleaning.settings.send_if_modified(changed);
    }

    /// Readings, for the broker to export.
    #[must_use]
    pub fn metrics(&self) -> StorageMetrics {
        StorageMetrics::of(&self.inner.shared, self.inner.slots.as_ref(), self.inner.disk.as_deref())
    }

    /// Resolves when the storage has failed for good, with the reason: the process must end and recover.
    pub async fn failed(&self) -> Arc<str> {
        let mut failure = self.inner.shared.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(|| Arc::from("")),
            Err(_) => std::future::pending().await,
        }
    }

    /// Shuts down: refuses appends, makes durable and settles what was appended, takes a checkpoint and marks the lane
    /// as closed, so that the next start replays nothing. A second call does nothing.
    ///
    /// # Errors
    /// When the disk fails; then the next start recovers.
    pub async fn close(&self) -> Result<(), StorageError> {
        let Some(tasks) = self.inner.tasks.lock().take() else { return Ok(()) };
        let shared = &self.inner.shared;
        shared.phase.send_replace(Phase::Draining);
        shared.lane_work.notify_one();
        shared.direct.look();
        // First: it may wait for the materialiser.
        let cleaner_ended = tasks.cleaner.ended().await;
        let writer_ended = tasks.writer.ended().await & tasks.direct.ended().await;
        shared.phase.send_replace(Phase::Settling);
        shared.settle_work.notify_one();
        let materialiser_ended = tasks.materialiser.ended().await;
        if !cleaner_ended || !writer_ended || !materialiser_ended || shared.is_halted() {
            return Err(StorageError::Halted);
        }
        let sealed = shared.lane.lock().seal_last();
        let id = SlotId { lane: sealed.seal.lane, sequence: sealed.seal.sequence };
        let (_, bytes) = encode(sealed.seal, &[]);
        let failed = |error: DiskError| StorageError::Failed(error.to_string());
        if self.inner.slots.put(id, bytes).await.map_err(failed)? != Put::Stored {
            return Err(StorageError::Halted);
        }
        match (&self.inner.disk, &self.inner.checkpoints, self.inner.session) {
            (Some(disk), Some(checkpoints), Some(session)) => {
                let closed = Session { closed: true, rounds: checkpoints.rounds(), ..session };
                closed.write(disk.as_ref()).await.map_err(failed)
            }
            _ => Ok(()),
        }
    }
}

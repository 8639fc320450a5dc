//! Opens a storage on a disk: identity, session, checkpoints, replay, and only then the new lane.
//!
//! The session file is written when all is replayed and durable: until then a crash makes the next start do it again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_model::{BrokerId, LeaderEpoch, PartitionIndex};
use uuid::Uuid;

use crate::background::Background;
use crate::backup::BACKUP_DIR;
use crate::clock::Clock;
use crate::disk::{BLOCK_BYTES, Disk, DiskError, DiskOp};
use crate::lane::LaneId;
use crate::lane::session::{SESSION_FILE, Session, SessionError};
use crate::lane::slot::SlotError;
use crate::log::config::{Durability, EngineLimits};
use crate::log::partition_log::{Fault, PartitionLog};
use crate::log::producers::Producers;
use crate::partition::PartitionSpec;
use crate::planted::{self, Bug};
use crate::recovery::{Replay, ReplayError, Replayed};
use crate::segments::kafka::formats::{META_PROPERTIES_FILE, META_PROPERTIES_VERSION, meta_properties, property};
use crate::segments::kafka::{KAFKA_DIR, KafkaDirectories};
use crate::segments::{Loaded, LoadedLog, SegmentError, SegmentStore, SegmentTarget};
use crate::slots::ring::{FileRing, RING_DIR};
use crate::slots::{SlotId, SlotLimits, SlotStore};
use crate::storage::{Parts, Storage};

/// A file of the lane takes at most one part in so many of the disk.
const LANE_FILE_SHARE: u64 = 64;

/// How a storage is opened.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    pub cluster_id: String,
    pub node_id: BrokerId,
    /// Drawn at random for this start: it tells this session's slots from all others.
    pub session_nonce: Uuid,
    pub limits: EngineLimits,
    /// Bytes of a file of the lane; a slot lies wholly in one.
    pub lane_file_bytes: u64,
    pub background: Background,
}

impl StorageOptions {
    /// A broker's options; `session_nonce` must be random.
    #[must_use]
    pub fn new(cluster_id: String, node_id: BrokerId, session_nonce: Uuid) -> Self {
        let (limits, background) = (EngineLimits::default(), Background::Threads);
        Self { cluster_id, node_id, session_nonce, limits, lane_file_bytes: 16 << 20, background }
    }
}

/// What a start found and did.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// The last session ended with `close`, or there was none.
    pub clean: bool,
    /// The leader epoch of all partitions from now on.
    pub generation: LeaderEpoch,
    pub slots_replayed: u64,
    pub batches_replayed: u64,
    /// Slots that were never acknowledged and are cut off.
    pub slots_torn: u64,
    /// Slots that were acknowledged and cannot be read.
    pub slots_damaged: u64,
    /// Entries of topics that do not exist any more, skipped.
    pub entries_unknown: u64,
    /// Partitions that cannot be trusted, and why.
    pub offline: Vec<(Arc<str>, PartitionIndex, String)>,
    /// Directories of unknown partitions and where they were moved to.
    pub moved_aside: Vec<(PathBuf, PathBuf)>,
}

/// Why a storage cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("{0}")]
    Session(#[from] SessionError),
    /// The lane has slots, but nothing says what to replay.
    #[error("{SESSION_FILE} is missing beside a lane: restore it from a backup, or move the data directory aside")]
    SessionMissing,
    /// A later version wrote the lane.
    #[error("{0}: start the version that wrote it")]
    Newer(SlotError),
    #[error("a thread of the storage cannot be started: {0}")]
    Thread(io::Error),
    /// `meta.properties` does not say whose directory this is.
    #[error("{} is damaged: {reason}; restore it from a backup", file.display())]
    Unreadable { file: PathBuf, reason: String },
    #[error("{} has version {found}, which is newer than {META_PROPERTIES_VERSION}: start the version that wrote it", file.display())]
    NewerMetaProperties { file: PathBuf, found: u32 },
    /// The directory belongs to another broker or cluster.
    #[error("the data directory has {name}={found}, this broker has {expected}")]
    Foreign { name: &'static str, found: String, expected: String },
}

impl From<ReplayError> for OpenError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Disk(error) => Self::Disk(error),
            ReplayError::Segment(error) => Self::Segment(error),
            ReplayError::Slot(error) => Self::Newer(error),
        }
    }
}

impl Storage {
    /// Opens the storage on `disk` with the partitions that the catalog knows, recovering what an unclean end left, and
    /// starts its two tasks on the current runtime.
    ///
    /// # Errors
    /// When the directory is another broker's, damaged beyond what partitions can be blamed for, or cannot be read.
    pub async fn open(
        options: StorageOptions,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        partitions: Vec<PartitionSpec>,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        check_identity(disk.as_ref(), &options).await?;
        // Of a backup that nobody took away.
        disk.perform(DiskOp::RemoveDir(BACKUP_DIR.into())).await?;
        let options = fitting(options, disk.space().await?.total);
        let last = last_session(disk.as_ref()).await?;
        let crashed = last.filter(|session| !session.closed);
        let mut session = next_session(last, &options);
        let limits = SlotLimits {
            in_flight_max: options.limits.slots_in_flight_max,
            slot_bytes_max: options.limits.slot_bytes_max,
        };
        let ring = FileRing::open(Arc::clone(&disk), options.lane_file_bytes, limits, crashed).await?;
        let ring = Arc::new(ring);
        let slots: Arc<dyn SlotStore> = Arc::clone(&ring) as Arc<dyn SlotStore>;
        let (rounds, epoch) = (last.map_or(0, |last| last.rounds), crashed.map(|crashed| crashed.generation));
        let segments = Arc::new(KafkaDirectories::new(Arc::clone(&disk), rounds, epoch));
        let checkpoints = segments.checkpoint_file();
        let targets = partitions.iter().map(PartitionSpec::target).collect::<Vec<SegmentTarget>>();
        let mut loaded = segments.load(targets).await?;
        let storage = Self::build(Parts {
            slots: Arc::clone(&slots),
            segments,
            clock,
            disk: Some((Arc::clone(&disk), Arc::clone(&checkpoints))),
            log_dir: disk.root().join(KAFKA_DIR),
            limits: options.limits,
            session,
        });
        let mut materialiser = storage.materialiser();
        for (spec, loaded) in partitions.into_iter().zip(loaded.logs) {
            let unvouched = matches!(&loaded, Loaded::Log(log) if log.unvouched);
            if unvouched || spec.config.durability == Durability::Os {
                materialiser.changed(spec.key());
            }
            storage.add_loaded(spec, loaded);
        }
        let replayed = match crashed {
            Some(crashed) => Replay::new(storage.shared(), slots.as_ref(), crashed).run(&mut materialiser).await?,
            None => Replayed::default(),
        };
        for key in &replayed.offline {
            materialiser.changed(*key);
        }
        let offline = storage.lead_all(session.generation);
        materialiser.checkpoint().await?;
        materialiser.check_space().await?;
        session.rounds = checkpoints.rounds();
        session.write(disk.as_ref()).await?;
        if replayed.damaged > 0 {
            // What the damaged lane still holds of the offline partitions is nowhere else.
            loaded.moved_aside.extend(ring.set_aside().await?);
        }
        slots.release(SlotId { lane: session.lane, sequence: 0 }).await?;
        storage.start(materialiser, options.background).map_err(OpenError::Thread)?;
        let report = report(crashed.is_none(), session.generation, replayed, offline, loaded.moved_aside);
        Ok((storage, report))
    }

    fn add_loaded(&self, spec: PartitionSpec, loaded: Loaded) {
        let config = spec.config.clone();
        let log = match loaded {
            Loaded::Log(mut log) => {
                if planted::has(Bug::DropsProducersAtRestart) {
                    log.state.producers = Producers::default();
                }
                PartitionLog::new(log, config)
            }
            Loaded::Offline(reason) => {
                let mut log = PartitionLog::new(LoadedLog::default(), config);
                log.fault = Some(Fault::Unloaded(reason));
                self.shared().counters.partitions_offline.add(1);
                log
            }
        };
        self.add(spec, log);
    }

    /// Begins the leadership of all partitions, and names those that are offline.
    fn lead_all(&self, generation: LeaderEpoch) -> Vec<(Arc<str>, PartitionIndex, String)> {
        let mut offline = Vec::new();
        let partitions: Vec<_> = self.shared().partitions.read().values().cloned().collect();
        for partition in &partitions {
            partition.with_log(|log| log.lead(generation));
            if let Some(reason) = partition.offline() {
                offline.push((Arc::clone(partition.topic()), partition.index(), reason));
            }
            // A topic whose durability was changed while the broker was down changes its path now.
            partition.set_config(partition.config());
        }
        offline
    }
}

fn report(
    clean: bool,
    generation: LeaderEpoch,
    replayed: Replayed,
    offline: Vec<(Arc<str>, PartitionIndex, String)>,
    moved_aside: Vec<(PathBuf, PathBuf)>,
) -> RecoveryReport {
    RecoveryReport {
        clean,
        generation,
        slots_replayed: replayed.slots,
        batches_replayed: replayed.batches,
        slots_torn: replayed.torn,
        slots_damaged: replayed.damaged,
        entries_unknown: replayed.unknown,
        offline,
        moved_aside,
    }
}

/// The options for a disk of `total` bytes: on a small one the lane and the reserve are small too.
fn fitting(mut options: StorageOptions, total: u64) -> StorageOptions {
    options.lane_file_bytes = options.lane_file_bytes.min(total / LANE_FILE_SHARE).max(BLOCK_BYTES as u64);
    options.limits = options.limits.fitting(total);
    options
}

fn next_session(last: Option<Session>, options: &StorageOptions) -> Session {
    let (lane, generation) = last.map_or((0, 0), |last| (last.lane.0, last.generation.0 + i32::from(!last.closed)));
    let nonce = options.session_nonce.as_u64_pair().1;
    Session { lane: LaneId(lane + 1), nonce, generation: LeaderEpoch(generation), closed: false, rounds: 0 }
}

async fn last_session(disk: &dyn Disk) -> Result<Option<Session>, OpenError> {
    if let Some(bytes) = disk.read_file(SESSION_FILE.into()).await? {
        return Ok(Some(Session::decode(&bytes)?));
    }
    let slots = disk.list(RING_DIR.into()).await?;
    if slots.iter().any(|entry| entry.name.ends_with(".slots")) { Err(OpenError::SessionMissing) } else { Ok(None) }
}

/// Compares `meta.properties` with the broker, or writes it at the first start.
async fn check_identity(disk: &dyn Disk, options: &StorageOptions) -> Result<(), OpenError> {
    let file = Path::new(KAFKA_DIR).join(META_PROPERTIES_FILE);
    let Some(content) = disk.read_file(file.clone()).await? else {
        disk.perform(DiskOp::CreateDir(KAFKA_DIR.into())).await?;
        let content = meta_properties(&options.cluster_id, options.node_id.0, options.session_nonce);
        return Ok(disk.replace_file(&file, content).await?);
    };
    let content = String::from_utf8_lossy(&content);
    let file = disk.root().join(file);
    match property(&content, "version").map(str::parse) {
        Some(Ok(found)) if found > META_PROPERTIES_VERSION => {
            return Err(OpenError::NewerMetaProperties { file, found });
        }
        Some(Ok(_)) => {}
        _ => return Err(OpenError::Unreadable { file, reason: "it has no version".to_owned() }),
    }
    let expected = [("cluster.id", options.cluster_id.clone()), ("node.id", options.node_id.to_string())];
    for (name, expected) in expected {
        match property(&content, name) {
            Some(found) if found != expected => {
                return Err(OpenError::Foreign { name, found: found.to_owned(), expected });
            }
            Some(_) => {}
            None => return Err(OpenError::Unreadable { file, reason: format!("it has no {name}") }),
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;

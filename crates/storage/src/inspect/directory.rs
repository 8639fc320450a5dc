//! A data directory as its own files describe it: the session, the checkpoints, and the partitions that have a record or a
//! directory. The catalog is not asked: a directory says which topic id it is of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use millstream_model::{Offset, PartitionIndex};

use super::{Damage, Finding, length, list, read_whole};
use crate::disk::Disk;
use crate::lane::session::{SESSION_FILE, Session, SessionError, VERSION as SESSION_VERSION};
use crate::lane::slot::PartitionKey;
use crate::segments::SegmentError;
use crate::segments::kafka::checkpoint::{
    CHECKPOINT_FILE, CheckpointRecord, LoadedCheckpoints, decode_record, read_rounds,
};
use crate::segments::kafka::formats::{PARTITION_METADATA_FILE, topic_id_of};
use crate::segments::kafka::load::base_of;
use crate::segments::kafka::plan::{Segment, SegmentFile};
use crate::segments::kafka::swap::{SWAP_SUFFIX, suffixed};
use crate::segments::kafka::{DELETED_SUFFIX, KAFKA_DIR};

/// What is known of a partition.
#[derive(Debug)]
pub(crate) struct PartitionFiles {
    /// None when its directory does not say which topic it is of.
    pub(crate) key: Option<PartitionKey>,
    /// Name of the directory, or of what is known without one.
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) has_dir: bool,
    pub(crate) record: Record,
}

/// What the checkpoint file says of a partition.
#[derive(Debug)]
pub(crate) enum Record {
    Good(Box<CheckpointRecord>),
    /// Its record may not be the newest, or cannot be read.
    Untrusted {
        older: Option<Box<CheckpointRecord>>,
        reason: String,
    },
    Absent,
}

/// A data directory that nobody uses.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    /// None when there is none that can be read; `findings` says why.
    pub(crate) session: Option<Session>,
    /// Rounds of checkpoints that are there.
    pub(crate) rounds: u64,
    /// Bytes of whole rounds.
    pub(crate) rounds_end: u64,
    /// Finished rounds are not there.
    pub(crate) missing_rounds: bool,
    pub(crate) findings: Vec<Finding>,
    pub(crate) partitions: Vec<PartitionFiles>,
}

impl DataDirectory {
    /// Reads everything but the logs and the lane.
    ///
    /// # Errors
    /// When the disk fails, or a later version wrote a file.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Self, SegmentError> {
        let mut findings = Vec::new();
        let session = read_session(disk, &mut findings)?;
        let content = read_whole(disk, Path::new(CHECKPOINT_FILE))?;
        let (loaded, position) = match &content {
            Some(content) => read_rounds(content)?,
            None => Default::default(),
        };
        let file = Path::new(CHECKPOINT_FILE);
        if loaded.damaged {
            findings.push(Finding::new(file, "a damaged round lies before a good one"));
        }
        let missing = session.map_or(0, |session| session.rounds).saturating_sub(position.round);
        if missing > 0 {
            let damage = Damage::new(position.end, format!("{missing} rounds are missing"));
            findings.push(Finding::at(file, damage));
        }
        let mut partitions = partitions(disk, &loaded, missing > 0)?;
        // A process that was killed may have made a directory, and not yet what lies in it.
        if session.is_some_and(|session| !session.closed) {
            partitions.retain(|files| files.key.is_some());
        }
        let nameless = partitions.iter().filter(|files| files.key.is_none());
        findings.extend(nameless.map(|files| {
            let file = files.dir.join(PARTITION_METADATA_FILE);
            Finding::new(&file, "it does not say of which topic the directory is")
        }));
        let (rounds, rounds_end, missing_rounds) = (position.round, position.end, missing > 0);
        Ok(Self { session, rounds, rounds_end, missing_rounds, findings, partitions })
    }

    /// The session ended with a checkpoint: nothing is to be recovered.
    pub(crate) fn is_closed(&self) -> bool {
        self.session.is_some_and(|session| session.closed)
    }
}

fn read_session(disk: &dyn Disk, findings: &mut Vec<Finding>) -> Result<Option<Session>, SegmentError> {
    let file = Path::new(SESSION_FILE);
    let Some(content) = read_whole(disk, file)? else {
        findings.push(Finding::new(file, "it is missing"));
        return Ok(None);
    };
    match Session::decode(&content) {
        Ok(session) => Ok(Some(session)),
        Err(SessionError::Newer(found)) => {
            Err(SegmentError::Newer { file: file.to_owned(), found, known: SESSION_VERSION })
        }
        Err(SessionError::Damaged) => {
            findings.push(Finding::new(file, "it is damaged"));
            Ok(None)
        }
    }
}

/// The partitions with a directory, then those with a record only.
fn partitions(
    disk: &dyn Disk,
    loaded: &LoadedCheckpoints,
    rounds_missing: bool,
) -> Result<Vec<PartitionFiles>, SegmentError> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in list(disk, Path::new(KAFKA_DIR))?.into_iter().filter(|entry| entry.is_dir) {
        if entry.name.ends_with(DELETED_SUFFIX) {
            continue;
        }
        let dir = Path::new(KAFKA_DIR).join(&entry.name);
        let metadata = dir.join(PARTITION_METADATA_FILE);
        let topic_id = read_whole(disk, &metadata)?.as_deref().and_then(topic_id_of);
        let index = entry.name.rsplit_once('-').and_then(|(_, index)| index.parse().ok()).map(PartitionIndex);
        let key = topic_id.zip(index).map(|(topic_id, index)| PartitionKey { topic_id, index });
        seen.extend(key);
        let record = key.map_or(Record::Absent, |key| record_of(key, loaded, rounds_missing));
        found.push(PartitionFiles { key, name: entry.name, dir, has_dir: true, record });
    }
    for key in loaded.records.keys().filter(|key| !seen.contains(key)) {
        let name = format!("partition {} of topic {}", key.index, key.topic_id);
        let record = record_of(*key, loaded, rounds_missing);
        found.push(PartitionFiles { key: Some(*key), name, dir: PathBuf::new(), has_dir: false, record });
    }
    Ok(found)
}

fn record_of(key: PartitionKey, loaded: &LoadedCheckpoints, rounds_missing: bool) -> Record {
    let decoded = loaded.records.get(&key).map(|bytes| decode_record(bytes.clone()));
    let untrusted = |older, reason: &str| Record::Untrusted { older, reason: reason.to_owned() };
    match decoded {
        Some(Err(error)) => untrusted(None, &format!("its checkpoint cannot be read: {error}")),
        Some(Ok(record)) if rounds_missing => {
            untrusted(Some(Box::new(record)), "its checkpoint may be older than the rounds that are missing")
        }
        Some(Ok(record)) if loaded.damaged && !loaded.after_damage.contains(&key) => {
            untrusted(Some(Box::new(record)), "its checkpoint is older than a damaged one")
        }
        Some(Ok(record)) => Record::Good(Box::new(record)),
        None if rounds_missing => untrusted(None, "its checkpoint may be among the rounds that are missing"),
        None if loaded.damaged => untrusted(None, "its checkpoint may be the damaged one"),
        None => Record::Absent,
    }
}

impl PartitionFiles {
    /// Base offsets of the segments whose files are there, rising.
    pub(crate) fn bases(&self, disk: &dyn Disk) -> Result<BTreeSet<Offset>, SegmentError> {
        if !self.has_dir {
            return Ok(BTreeSet::new());
        }
        Ok(list(disk, &self.dir)?.iter().filter_map(|entry| base_of(&entry.name)).collect())
    }

    /// Path of a segment's file; while a swap is not finished, of the one that counts.
    pub(crate) fn file(&self, disk: &dyn Disk, kind: SegmentFile, base: Offset) -> Result<PathBuf, SegmentError> {
        let path = kind.path(&self.dir, base);
        if let Record::Good(record) = &self.record
            && record.swapped
        {
            let swap = suffixed(path.clone(), SWAP_SUFFIX);
            if length(disk, &swap)?.is_some() {
                return Ok(swap);
            }
        }
        Ok(path)
    }

    /// The segments that count: those of the record, without those below the log's start; where no record is trusted, what
    /// files there are.
    pub(crate) fn segments(&self, disk: &dyn Disk) -> Result<Vec<Segment>, SegmentError> {
        if let Record::Good(record) = &self.record {
            let start = record.state.log_start;
            return Ok(record.segments.iter().filter(|segment| segment.next > start).cloned().collect());
        }
        let mut segments: Vec<Segment> = Vec::new();
        for base in self.bases(disk)? {
            let mut segment = Segment::new(base);
            segment.log_bytes = length(disk, &SegmentFile::Log.path(&self.dir, base))?.unwrap_or_default();
            segment.next = Offset(i64::MAX);
            if let Some(before) = segments.last_mut() {
                before.next = base;
            }
            segments.push(segment);
        }
        Ok(segments)
    }
}

//! The files of a backup of a running storage: hard links and small copies in one folder of the data directory, taken by the
//! materialiser between two of its works, when a checkpoint has just been written (docs/decisions/0012).
//!
//! Of what is linked only so many bytes count: the newest segments grow on. Whoever copies the folder copies these.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_model::LeaderEpoch;

use crate::disk::{Disk, DiskError, DiskErrorKind, DiskOp, WriteSync};
use crate::inspect::{length, read_whole};
use crate::lane::session::{SESSION_FILE, Session};
use crate::lane::slot::PartitionKey;
use crate::segments::SegmentError;
use crate::segments::kafka::KAFKA_DIR;
use crate::segments::kafka::checkpoint::{
    CHECKPOINT_FILE, CheckpointRecord, decode_record, encode_record, encode_round, read_rounds,
};
use crate::segments::kafka::cleaner_offsets::CLEANER_OFFSETS_FILE;
use crate::segments::kafka::formats::{LEADER_EPOCH_FILE, META_PROPERTIES_FILE, PARTITION_METADATA_FILE};
use crate::segments::kafka::plan::{Segment, SegmentFile};

/// The folder below the data directory.
pub const BACKUP_DIR: &str = "backup";

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    /// Below the folder, and below the data directory that the backup is of.
    pub path: PathBuf,
    /// Bytes of it that count.
    pub bytes: u64,
}

/// A folder in the making.
struct Backup<'a> {
    disk: &'a dyn Disk,
    files: Vec<BackupFile>,
}

/// Makes the folder, in place of an earlier one. `topic_of` names the topic of a partition that exists. The storage that is
/// opened on a copy begins as after a clean end, in a higher leader epoch than this one's.
pub(crate) fn take(
    disk: &dyn Disk,
    session: Session,
    topic_of: impl Fn(PartitionKey) -> Option<Arc<str>>,
) -> Result<Vec<BackupFile>, SegmentError> {
    disk.perform_now(DiskOp::RemoveDir(BACKUP_DIR.into()))?;
    let mut backup = Backup { disk, files: Vec::new() };
    let content = read_whole(disk, Path::new(CHECKPOINT_FILE))?.unwrap_or_default();
    let (loaded, _) = read_rounds(&content)?;
    let mut records = Vec::new();
    for (key, bytes) in &loaded.records {
        let (Some(topic), Ok(mut record)) = (topic_of(*key), decode_record(bytes.clone())) else { continue };
        record.swapped = false;
        // Its file says of these that they are not to be trusted; a whole one cannot.
        record.offline |= loaded.damaged && !loaded.after_damage.contains(key);
        backup.partition(&Path::new(KAFKA_DIR).join(format!("{topic}-{}", key.index)), &record)?;
        records.push(encode_record(&record));
    }
    for name in [META_PROPERTIES_FILE, CLEANER_OFFSETS_FILE] {
        backup.copy(&Path::new(KAFKA_DIR).join(name))?;
    }
    backup.write(Path::new(CHECKPOINT_FILE), encode_round(0, records.into_iter()))?;
    let generation = LeaderEpoch(session.generation.0 + 1);
    let closed = Session { closed: true, generation, rounds: 1, ..session };
    backup.write(Path::new(SESSION_FILE), closed.encode())?;
    Ok(backup.files)
}

impl Backup<'_> {
    fn partition(&mut self, dir: &Path, record: &CheckpointRecord) -> Result<(), SegmentError> {
        let start = record.state.log_start;
        let segments: Vec<&Segment> = record.segments.iter().filter(|segment| segment.next > start).collect();
        if segments.is_empty() {
            return Ok(());
        }
        self.make_dir(dir)?;
        for segment in segments {
            for (kind, bytes) in [
                (SegmentFile::Log, segment.log_bytes),
                (SegmentFile::Index, segment.index_bytes),
                (SegmentFile::TimeIndex, segment.time_index_bytes),
                (SegmentFile::TxnIndex, segment.txn_index_bytes),
            ] {
                if kind == SegmentFile::TxnIndex && bytes == 0 {
                    continue;
                }
                let vouched = matches!(kind, SegmentFile::Log | SegmentFile::TxnIndex) && !record.offline;
                self.link(&kind.path(dir, segment.base), bytes, vouched)?;
            }
        }
        self.copy(&dir.join(PARTITION_METADATA_FILE))?;
        Ok(self.copy(&dir.join(LEADER_EPOCH_FILE))?)
    }

    fn make_dir(&self, dir: &Path) -> Result<(), DiskError> {
        self.disk.perform_now(DiskOp::CreateDir(Path::new(BACKUP_DIR).join(dir))).map(|_| ())
    }

    /// Links a file; one that is only a hint, or of a partition that is offline, may be missing.
    fn link(&mut self, path: &Path, bytes: u64, vouched: bool) -> Result<(), DiskError> {
        let to = Path::new(BACKUP_DIR).join(path);
        match self.disk.perform_now(DiskOp::Link { from: path.to_owned(), to }) {
            Err(error) if error.kind == DiskErrorKind::NotFound && !vouched => return Ok(()),
            done => done?,
        };
        let present = length(self.disk, path)?.unwrap_or_default();
        self.files.push(BackupFile { path: path.to_owned(), bytes: bytes.min(present) });
        Ok(())
    }

    /// Copies a small file, if there is one.
    fn copy(&mut self, path: &Path) -> Result<(), DiskError> {
        match read_whole(self.disk, path)? {
            Some(content) => self.write(path, content),
            None => Ok(()),
        }
    }

    fn write(&mut self, path: &Path, content: Bytes) -> Result<(), DiskError> {
        self.make_dir(path.parent().unwrap_or(Path::new("")))?;
        self.files.push(BackupFile { path: path.to_owned(), bytes: content.len() as u64 });
        let (file, data) = (Path::new(BACKUP_DIR).join(path), vec![content]);
        self.disk.perform_now(DiskOp::Write { file, at: 0, data, sync: WriteSync::Cached }).map(|_| ())
    }
}

#[cfg(test)]
mod tests;

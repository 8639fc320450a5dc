//! `millstream log verify`: reads all that has a checksum in the data directory of a stopped broker, and compares what should
//! agree: segments with their checkpoints and indexes, the lane with where the logs end. Changes nothing.

use std::collections::BTreeMap;

use millstream_model::Offset;

use super::batches::BatchScan;
use super::directory::{DataDirectory, PartitionFiles, Record};
use super::lane_check::check_lane;
use super::segment_check::check_segment;
use super::{Finding, length, read};
use crate::disk::Disk;
use crate::segments::SegmentError;
use crate::segments::kafka::checkpoint::CheckpointRecord;
use crate::segments::kafka::plan::{Segment, SegmentFile};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// In what all partitions share: the session, the checkpoint file, the lane.
    pub findings: Vec<Finding>,
    /// What is worth knowing and no damage.
    pub notes: Vec<String>,
    pub partitions: Vec<VerifiedPartition>,
}

/// One partition.
#[derive(Clone, Debug, Default)]
pub struct VerifiedPartition {
    /// `<topic>-<partition>`, as its directory is called.
    pub name: String,
    /// First and next offset, as its checkpoint says.
    pub log_start: Offset,
    pub log_end: Offset,
    pub segments: usize,
    pub batches: u64,
    pub findings: Vec<Finding>,
    pub notes: Vec<String>,
}

impl Verified {
    /// Nothing is damaged.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.partitions.iter().all(|partition| partition.findings.is_empty())
    }
}

/// A verification, once what is to be read is known.
#[derive(Debug)]
pub struct Verification<'a> {
    disk: &'a dyn Disk,
    directory: DataDirectory,
}

impl<'a> Verification<'a> {
    /// Reads what says what is to be read. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk fails, or a later version wrote a file.
    pub fn begin(disk: &'a dyn Disk) -> Result<Self, SegmentError> {
        Ok(Self { disk, directory: DataDirectory::read(disk)? })
    }

    /// Bytes of logs that will be read.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn bytes(&self) -> Result<u64, SegmentError> {
        let mut bytes = 0;
        for partition in &self.directory.partitions {
            bytes += partition.segments(self.disk)?.iter().map(|segment| segment.log_bytes).sum::<u64>();
        }
        Ok(bytes)
    }

    /// Reads everything; `progress` hears the partition that is read, and bytes as they are. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk fails, or a later version wrote a file.
    pub fn run(self, progress: &mut dyn FnMut(&str, u64)) -> Result<Verified, SegmentError> {
        let Self { disk, directory } = self;
        let mut verified = Verified { findings: directory.findings.clone(), ..Verified::default() };
        let mut ends = BTreeMap::new();
        let mut by_key = BTreeMap::new();
        for files in &directory.partitions {
            let (partition, end) = check_partition(disk, files, &directory, progress)?;
            if let Some(key) = files.key {
                ends.insert(key, end);
                by_key.insert(key, verified.partitions.len());
            }
            verified.partitions.push(partition);
        }
        if let Some(session) = &directory.session {
            let lane = check_lane(disk, session, &ends)?;
            verified.findings.extend(lane.findings);
            verified.notes.extend(lane.notes);
            if !session.closed {
                let (needed, torn) = (lane.needed, lane.torn);
                verified.notes.push(format!(
                    "the broker did not end cleanly: its next start recovers {needed} slots of the lane \
                     and cuts off {torn} that were never acknowledged"
                ));
            }
            for (key, reason) in lane.offline {
                let Some(partition) = by_key.get(&key).and_then(|at| verified.partitions.get_mut(*at)) else {
                    continue;
                };
                partition.findings.push(Finding::new(crate::slots::ring::RING_DIR.as_ref(), reason));
            }
        }
        Ok(verified)
    }
}

/// Checks a partition; also says where its log ends without the lane.
fn check_partition(
    disk: &dyn Disk,
    files: &PartitionFiles,
    directory: &DataDirectory,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<(VerifiedPartition, Offset), SegmentError> {
    let mut partition = VerifiedPartition { name: files.name.clone(), ..VerifiedPartition::default() };
    let segments = files.segments(disk)?;
    partition.segments = segments.len();
    let mut end = Offset::ZERO;
    match &files.record {
        Record::Good(record) => {
            let state = &record.state;
            (partition.log_start, partition.log_end, end) = (state.log_start, state.log_end, state.log_end);
            compare_record(files, record, &segments, &mut partition.findings);
            if !files.has_dir && !segments.is_empty() {
                let reason = "it has no directory, or none that says so".to_owned();
                partition.findings.push(Finding::new(crate::segments::kafka::KAFKA_DIR.as_ref(), reason));
                return Ok((partition, end));
            }
        }
        Record::Untrusted { reason, .. } => partition.findings.push(Finding::new(&files.dir, reason)),
        Record::Absent => partition.notes.push("no checkpoint covers it yet".to_owned()),
    }
    for segment in &segments {
        let report = check_segment(disk, files, segment, &mut |bytes| progress(&files.name, bytes))?;
        partition.batches += report.batches;
        partition.findings.extend(report.findings.into_iter().chain(report.remarks));
        if !matches!(files.record, Record::Good(_)) {
            partition.log_start = segments.first().map_or(Offset::ZERO, |first| first.base);
            partition.log_end = report.end;
            end = report.end;
        }
    }
    if let Record::Good(record) = &files.record {
        end = tail(disk, files, record, directory, &mut partition)?;
    }
    Ok((partition, end))
}

/// Compares the parts of a record with each other.
pub(super) fn compare_record(
    files: &PartitionFiles,
    record: &CheckpointRecord,
    segments: &[Segment],
    findings: &mut Vec<Finding>,
) {
    let state = &record.state;
    let mut wrong = |reason: String| findings.push(Finding::new(&files.dir, reason));
    if record.offline {
        wrong(format!("it is offline: acknowledged records from offset {} on were lost to damage", state.log_end));
    }
    if state.log_start > state.log_end {
        wrong(format!("its log starts at offset {} and ends at {}", state.log_start, state.log_end));
    }
    for pair in segments.windows(2).filter(|pair| pair[0].next > pair[1].base) {
        wrong(format!("a segment up to offset {} lies before one from {}", pair[0].next, pair[1].base));
    }
    if let Some(last) = segments.last().filter(|last| last.next > state.log_end) {
        wrong(format!("its last segment ends at offset {}, its checkpoint at {}", last.next, state.log_end));
    }
}

/// Looks at what lies beyond the checkpoint, as the next start will; says where the log ends with it.
fn tail(
    disk: &dyn Disk,
    files: &PartitionFiles,
    record: &CheckpointRecord,
    directory: &DataDirectory,
    partition: &mut VerifiedPartition,
) -> Result<Offset, SegmentError> {
    let checkpoint = record.state.log_end;
    let last = record.segments.last();
    let epoch = directory.session.filter(|_| !directory.is_closed()).map(|session| session.generation);
    let mut end = checkpoint;
    let mut surplus = 0;
    for base in files.bases(disk)?.into_iter().filter(|base| last.is_none_or(|last| *base >= last.base)) {
        let from = last.filter(|last| last.base == base).map_or(0, |last| last.log_bytes);
        let log = files.file(disk, SegmentFile::Log, base)?;
        let bytes = length(disk, &log)?.unwrap_or_default();
        let read = |at, length| read(disk, &log, at, length);
        let mut scan = BatchScan::new(read, bytes);
        scan.skip_to(from);
        while let Some(Ok(found)) = scan.next_batch()? {
            let header = found.batch.header();
            let taken = record.volatile || epoch == Some(header.partition_leader_epoch);
            if !found.is_valid || header.base_offset != end || !taken {
                break;
            }
            end = header.next_offset();
        }
        surplus += bytes.saturating_sub(from);
    }
    if surplus > 0 {
        partition.notes.push(format!(
            "{surplus} bytes lie beyond its checkpoint; of these the next start takes what is whole, offsets {checkpoint} to {end}"
        ));
    }
    Ok(end)
}

#[cfg(test)]
mod tests;

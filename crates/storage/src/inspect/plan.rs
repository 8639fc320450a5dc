//! What `doctor` finds wrong with each partition, what of it can be healed, and what is lost. Reads only.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use millstream_model::Offset;

use super::directory::{DataDirectory, PartitionFiles, Record};
use super::lane_check::reached_in;
use super::segment_check::{SegmentReport, check_segment};
use super::verify::compare_record;
use super::{Finding, list};
use crate::disk::{ASIDE_DIR, Disk};
use crate::lane::slot::PartitionKey;
use crate::segments::SegmentError;
use crate::segments::kafka::checkpoint::CheckpointRecord;
use crate::segments::kafka::plan::Segment;

/// What is wrong in a data directory.
#[derive(Debug)]
pub struct Diagnosis {
    /// In what all partitions share.
    pub findings: Vec<Finding>,
    /// Why nothing can be healed here, and what to do instead.
    pub refusal: Option<String>,
    /// Partitions with something wrong.
    pub partitions: Vec<Diagnosed>,
    /// Partitions with nothing wrong.
    pub sound: usize,
    /// What was moved out of the way before.
    pub aside: Vec<PathBuf>,
    pub(super) directory: DataDirectory,
}

/// One partition with something wrong.
#[derive(Debug)]
pub struct Diagnosed {
    /// `<topic>-<partition>`.
    pub name: String,
    pub reasons: Vec<String>,
    /// Offsets that no file holds whole any more.
    pub lost: Vec<Range<Offset>>,
    /// More records may have followed the log's end; nobody can tell how many.
    pub lost_end_unknown: bool,
    /// Where the healed log begins and where it goes on.
    pub log_start: Offset,
    pub log_end: Offset,
    /// It can be healed.
    pub curable: bool,
    pub(super) at: usize,
    pub(super) cures: Vec<Cure>,
}

/// What becomes of a segment.
#[derive(Debug)]
pub(super) struct Cure {
    /// As it was.
    pub(super) segment: Segment,
    pub(super) kind: CureKind,
}

#[derive(Debug)]
pub(super) enum CureKind {
    /// Nothing is wrong with it.
    Keep,
    /// Its indexes are built anew; its log too, of these bytes, when not all of it is whole.
    Rebuild { whole: Vec<Range<u64>>, all: bool },
    /// Nothing of it is whole.
    Drop,
}

/// Looks for what is wrong; `progress` hears the partition that is read, and bytes as they are. Blocks on the disk.
///
/// # Errors
/// When the disk fails, or a later version wrote a file.
pub fn diagnose(disk: &dyn Disk, progress: &mut dyn FnMut(&str, u64)) -> Result<Diagnosis, SegmentError> {
    let directory = DataDirectory::read(disk)?;
    let refusal = refusal(&directory);
    let nameless = directory.partitions.iter().any(|files| files.key.is_none());
    let beyond = reached_aside(disk)?;
    let (mut partitions, mut sound) = (Vec::new(), 0);
    for (at, files) in directory.partitions.iter().enumerate() {
        match examine(disk, at, files, nameless, &beyond, progress)? {
            Some(diagnosed) => partitions.push(diagnosed),
            None => sound += 1,
        }
    }
    let aside = list(disk, Path::new(ASIDE_DIR))?.into_iter().map(|entry| Path::new(ASIDE_DIR).join(entry.name));
    let (findings, aside) = (directory.findings.clone(), aside.collect());
    Ok(Diagnosis { findings, refusal, partitions, sound, aside, directory })
}

/// What stands in the way of healing anything.
fn refusal(directory: &DataDirectory) -> Option<String> {
    let reason = match &directory.session {
        None => "without the session file nobody knows what the lane holds: restore the directory from a backup",
        Some(session) if session.closed => return None,
        Some(_) if directory.missing_rounds => {
            "the broker did not end cleanly, and rounds of checkpoints are missing: restore the directory from a backup"
        }
        Some(_) => {
            "the broker did not end cleanly: start it, so that it recovers what the lane holds, stop it, and come back"
        }
    };
    Some(reason.to_owned())
}

fn examine(
    disk: &dyn Disk,
    at: usize,
    files: &PartitionFiles,
    nameless: bool,
    beyond: &BTreeMap<PartitionKey, Offset>,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Option<Diagnosed>, SegmentError> {
    let mut found = Diagnosed {
        name: files.name.clone(),
        reasons: Vec::new(),
        lost: Vec::new(),
        lost_end_unknown: false,
        log_start: Offset::ZERO,
        log_end: Offset::ZERO,
        curable: files.key.is_some(),
        at,
        cures: Vec::new(),
    };
    let segments = files.segments(disk)?;
    match &files.record {
        Record::Absent if files.key.is_some() => return Ok(None),
        Record::Absent => found.reasons.push("its directory does not say of which topic it is".to_owned()),
        Record::Untrusted { reason, .. } => found.reasons.push(reason.clone()),
        Record::Good(record) => {
            found.judge_record(files, record, &segments, beyond);
            if !files.has_dir && !segments.is_empty() {
                found.judge_missing(record, segments, nameless);
                return Ok(Some(found));
            }
        }
    }
    let mut end = segments.first().map_or(Offset::ZERO, |first| first.base);
    let first = end;
    for segment in segments {
        let report = check_segment(disk, files, &segment, &mut |bytes| progress(&files.name, bytes))?;
        end = end.max(report.end);
        found.judge_segment(segment, report, matches!(files.record, Record::Good(_)));
    }
    match &files.record {
        Record::Untrusted { older, .. } => {
            found.curable &= files.has_dir || !nameless;
            found.judge_older(first, end, older.as_deref());
        }
        Record::Good(_) | Record::Absent => {}
    }
    if found.reasons.is_empty() { Ok(None) } else { Ok(Some(found)) }
}

impl Diagnosed {
    fn judge_record(
        &mut self,
        files: &PartitionFiles,
        record: &CheckpointRecord,
        segments: &[Segment],
        beyond: &BTreeMap<PartitionKey, Offset>,
    ) {
        let (start, end) = (record.state.log_start, record.state.log_end);
        (self.log_start, self.log_end) = (start, end);
        let mut findings = Vec::new();
        compare_record(files, record, segments, &mut findings);
        self.reasons.extend(findings.into_iter().map(|finding| finding.reason));
        if !record.offline {
            return;
        }
        match files.key.and_then(|key| beyond.get(&key)).filter(|reached| **reached > end) {
            Some(reached) => {
                self.lost.push(end..*reached);
                self.log_end = *reached;
            }
            None => self.lost_end_unknown = true,
        }
    }

    /// The whole directory is gone.
    fn judge_missing(&mut self, record: &CheckpointRecord, segments: Vec<Segment>, nameless: bool) {
        self.reasons.push("its directory is missing".to_owned());
        // It may be the one that does not say whose it is.
        self.curable &= !nameless;
        self.lost.insert(0, record.state.log_start..record.state.log_end);
        self.log_start = self.log_end;
        self.cures = segments.into_iter().map(|segment| Cure { segment, kind: CureKind::Drop }).collect();
    }

    fn judge_segment(&mut self, segment: Segment, report: SegmentReport, recorded: bool) {
        let all = report.whole.len() == 1 && report.whole[0] == (0..segment.log_bytes);
        let kind = if recorded && report.findings.is_empty() {
            CureKind::Keep
        } else if report.whole.is_empty() && segment.log_bytes > 0 {
            CureKind::Drop
        } else {
            CureKind::Rebuild { whole: report.whole, all }
        };
        self.reasons.extend(report.findings.iter().map(ToString::to_string));
        let lost = report.lost.into_iter().map(|range| range.start.max(self.log_start)..range.end);
        let lost: Vec<Range<Offset>> = lost.filter(|range| range.start < range.end).collect();
        // Of the newest segment nobody knows where it ended but its checkpoint.
        let open = lost.last().is_some_and(|range| range.end.0 == i64::MAX);
        self.lost_end_unknown |= open;
        self.lost.extend(lost.into_iter().filter(|range| range.end.0 != i64::MAX));
        self.cures.push(Cure { segment, kind });
    }

    /// Where the log begins and ends by its files, and by a record that may be too old.
    fn judge_older(&mut self, first: Offset, end: Offset, older: Option<&CheckpointRecord>) {
        let state = older.map(|record| &record.state);
        self.log_start = state.map_or(first, |state| state.log_start.max(first));
        self.log_end = state.map_or(end, |state| state.log_end.max(end));
        let whole_end = end.max(self.log_start);
        if self.log_end > whole_end {
            self.lost.push(whole_end..self.log_end);
        }
        // Nothing is there: then it is not known either what was.
        if self.cures.is_empty() {
            self.log_start = self.log_end;
            self.lost_end_unknown = true;
        }
    }
}

/// Up to where slots that were moved aside know of each partition: acknowledged records were that far.
fn reached_aside(disk: &dyn Disk) -> Result<BTreeMap<PartitionKey, Offset>, SegmentError> {
    let mut reached = BTreeMap::new();
    for entry in list(disk, Path::new(ASIDE_DIR))?.into_iter().filter(|entry| entry.name.starts_with("lane-")) {
        let dir = Path::new(ASIDE_DIR).join(entry.name);
        reached_in(disk, &dir, &mut reached)?;
    }
    Ok(reached)
}

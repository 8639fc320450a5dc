//! Checks one segment: every batch by its CRC and its neighbours, both indexes and the transaction index against the batches.
//! Says what is whole around damage, and which offsets that leaves out.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream_model::batch::{Batch, BatchHeader, ControlRecordType, HEADER_BYTES, MAGIC};
use millstream_model::crc32c::crc32c;
use millstream_model::{Offset, ProducerId, TimestampMs};

use super::batches::{BatchScan, FoundBatch};
use super::directory::{PartitionFiles, Record};
use super::entries::{OffsetEntry, TimeEntry, aborted_transactions, offset_entries, time_entries};
use super::{Damage, Finding, length, read, read_hint};
use crate::disk::{Disk, DiskError};
use crate::log::epochs::EpochStarts;
use crate::log::state::control_of;
use crate::segments::SegmentError;
use crate::segments::kafka::formats::{INDEX_ENTRY_BYTES, TIME_INDEX_ENTRY_BYTES, TXN_INDEX_ENTRY_BYTES};
use crate::segments::kafka::plan::{Segment, SegmentFile};

/// Bytes read at a time while a batch is looked for behind damage.
const SEARCH_BYTES: usize = 1 << 20;
/// Where the magic stands in a batch.
const MAGIC_AT: usize = 16;

/// What a check of a segment found.
#[derive(Debug, Default)]
pub(crate) struct SegmentReport {
    pub(crate) findings: Vec<Finding>,
    /// What is wrong with batches that are whole all the same.
    pub(crate) remarks: Vec<Finding>,
    pub(crate) batches: u64,
    /// Where in the log whole batches lie.
    pub(crate) whole: Vec<Range<u64>>,
    /// Offsets of which the log holds no whole batch because of damage.
    pub(crate) lost: Vec<Range<Offset>>,
    /// Offset after the last whole batch.
    pub(crate) end: Offset,
}

/// A check under way.
struct Check<'a> {
    disk: &'a dyn Disk,
    log: &'a Path,
    segment: &'a Segment,
    report: SegmentReport,
    /// The damage that the walk is at has no whole batch behind it yet.
    broken: bool,
    max_timestamp: TimestampMs,
    /// Last offset of the first batch that has it.
    max_timestamp_offset: Offset,
    aborts: BTreeSet<(ProducerId, Offset)>,
    /// What the checkpoint says of leader epochs; a batch's CRC does not cover its own.
    epochs: Option<&'a EpochStarts>,
    offsets: Entries<OffsetEntry>,
    times: Entries<TimeEntry>,
}

/// Entries of an index on the way past the batches.
struct Entries<T> {
    file: PathBuf,
    entry_bytes: usize,
    entries: Vec<T>,
    next: usize,
}

impl<T: Copy> Entries<T> {
    fn next_if(&mut self, here: impl Fn(&T) -> bool) -> Option<(u64, T)> {
        let entry = self.entries.get(self.next).copied().filter(here)?;
        let position = (self.next * self.entry_bytes) as u64;
        self.next += 1;
        Some((position, entry))
    }
}

/// Checks the segment; `progress` hears of bytes that were read.
pub(crate) fn check_segment(
    disk: &dyn Disk,
    partition: &PartitionFiles,
    segment: &Segment,
    progress: &mut dyn FnMut(u64),
) -> Result<SegmentReport, SegmentError> {
    let log = partition.file(disk, SegmentFile::Log, segment.base)?;
    let mut report = SegmentReport { end: segment.base, ..SegmentReport::default() };
    // Without a record nobody knows how long the hints should be.
    let epochs = match &partition.record {
        Record::Good(record) => Some(&record.state.epochs),
        _ => None,
    };
    let recorded = epochs.is_some();
    let mut hint = |kind: SegmentFile, bytes: u64, entry_bytes: usize| -> Result<(PathBuf, Bytes), SegmentError> {
        let file = partition.file(disk, kind, segment.base)?;
        let present = length(disk, &file)?.unwrap_or_default();
        if present < bytes {
            let reason = format!("it has {present} bytes of {bytes}; reads do without what is missing");
            report.findings.push(Finding::at(&file, Damage::new(present, reason)));
        }
        let whole = bytes.min(present) / entry_bytes as u64 * entry_bytes as u64;
        let bytes = if recorded { usize::try_from(whole).unwrap_or(usize::MAX) } else { 0 };
        let content = if bytes == 0 { Bytes::new() } else { read_hint(disk, &file, bytes)? };
        Ok((file, content))
    };
    let (index, offsets) = hint(SegmentFile::Index, segment.index_bytes, INDEX_ENTRY_BYTES)?;
    let (time_index, times) = hint(SegmentFile::TimeIndex, segment.time_index_bytes, TIME_INDEX_ENTRY_BYTES)?;
    let (offsets, times) = (offset_entries(&offsets, segment.base).0, time_entries(&times, segment.base).0);
    let mut check = Check {
        disk,
        log: &log,
        segment,
        report,
        broken: false,
        max_timestamp: TimestampMs::NONE,
        max_timestamp_offset: segment.base,
        aborts: BTreeSet::new(),
        epochs,
        offsets: Entries { file: index, entry_bytes: INDEX_ENTRY_BYTES, entries: offsets, next: 0 },
        times: Entries { file: time_index, entry_bytes: TIME_INDEX_ENTRY_BYTES, entries: times, next: 0 },
    };
    check.walk(progress)?;
    if recorded {
        check.compare_with_record();
        check.aborted(&partition.file(disk, SegmentFile::TxnIndex, segment.base)?)?;
    }
    Ok(check.report)
}

impl Check<'_> {
    fn walk(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), SegmentError> {
        let present = length(self.disk, self.log)?;
        let bytes = self.segment.log_bytes.min(present.unwrap_or_default());
        let (disk, log) = (self.disk, self.log);
        let mut scan = BatchScan::new(|at, length| read(disk, log, at, length), bytes);
        loop {
            let from = scan.position();
            let Some(found) = scan.next_batch()? else { break };
            match found.and_then(|found| self.judge(&found).map(|()| found)) {
                Ok(found) => self.take(&found),
                Err(damage) => {
                    self.damage(damage);
                    let next = self.next_whole(from, scan.position(), bytes)?;
                    scan.skip_to(next);
                }
            }
            progress(scan.position() - from);
        }
        if bytes < self.segment.log_bytes {
            let reason = match present {
                Some(_) => format!("it ends here, {} bytes were made durable", self.segment.log_bytes),
                None => "it is missing".to_owned(),
            };
            self.damage(Damage::new(bytes, reason));
        }
        if self.broken && self.report.end < self.segment.next {
            self.report.lost.push(self.report.end..self.segment.next);
        }
        Ok(())
    }

    /// Whether a batch may stand where it does.
    fn judge(&self, found: &FoundBatch) -> Result<(), Damage> {
        let header = found.batch.header();
        let wrong = |reason: String| Err(Damage::new(found.position, reason));
        if !found.is_valid {
            return wrong(format!("the CRC of the batch at offset {} is not that of its bytes", header.base_offset));
        }
        if header.base_offset < self.report.end {
            return wrong(format!("a batch at offset {} follows offset {}", header.base_offset, self.report.end));
        }
        if header.next_offset() > self.segment.next {
            return wrong(format!("a batch at offset {} in a segment up to {}", header.base_offset, self.segment.next));
        }
        Ok(())
    }

    fn damage(&mut self, damage: Damage) {
        self.broken = true;
        self.report.findings.push(Finding::at(self.log, damage));
    }

    fn take(&mut self, found: &FoundBatch) {
        let header = found.batch.header();
        if std::mem::take(&mut self.broken) && self.report.end < header.base_offset {
            self.report.lost.push(self.report.end..header.base_offset);
        }
        match self.report.whole.last_mut() {
            Some(last) if last.end == found.position => last.end = found.end(),
            _ => self.report.whole.push(found.position..found.end()),
        }
        self.report.batches += 1;
        self.report.end = header.next_offset();
        if header.max_timestamp > self.max_timestamp {
            (self.max_timestamp, self.max_timestamp_offset) = (header.max_timestamp, header.last_offset());
        }
        if aborts(&found.batch) {
            self.aborts.insert((header.producer_id, header.last_offset()));
        }
        self.compare_indexes(found.position, header);
        let expected = self.epochs.map(|epochs| epochs.epoch_at(header.base_offset));
        if let Some(expected) = expected.filter(|expected| *expected != header.partition_leader_epoch) {
            let (epoch, offset) = (header.partition_leader_epoch, header.base_offset);
            let reason =
                format!("the batch at offset {offset} has leader epoch {epoch}, its checkpoint says {expected}");
            self.report.remarks.push(Finding::at(self.log, Damage::new(found.position, reason)));
        }
    }

    fn compare_indexes(&mut self, position: u64, header: &BatchHeader) {
        let last = header.last_offset();
        while let Some((at, entry)) = self.offsets.next_if(|entry| entry.position <= position) {
            if entry != (OffsetEntry { offset: last, position }) {
                let reason = format!("no batch at position {} ends with offset {}", entry.position, entry.offset);
                self.report.findings.push(Finding::at(&self.offsets.file, Damage::new(at, reason)));
            }
        }
        while let Some((at, entry)) = self.times.next_if(|entry| entry.offset <= last) {
            if entry != (TimeEntry { offset: self.max_timestamp_offset, timestamp: self.max_timestamp }) {
                let (timestamp, offset) = (entry.timestamp, entry.offset);
                let reason =
                    format!("offset {offset} is not the first with {timestamp} as the largest timestamp so far");
                self.report.findings.push(Finding::at(&self.times.file, Damage::new(at, reason)));
            }
        }
    }

    /// What the checkpoint says of the segment as a whole.
    fn compare_with_record(&mut self) {
        for (file, next, entries, bytes) in [
            (&self.offsets.file, self.offsets.next, self.offsets.entries.len(), INDEX_ENTRY_BYTES),
            (&self.times.file, self.times.next, self.times.entries.len(), TIME_INDEX_ENTRY_BYTES),
        ] {
            if next < entries {
                let damage = Damage::new((next * bytes) as u64, "an entry of what the log does not have");
                self.report.findings.push(Finding::at(file, damage));
            }
        }
        if !self.broken && self.report.lost.is_empty() && self.max_timestamp != self.segment.max_timestamp {
            let (found, recorded) = (self.max_timestamp, self.segment.max_timestamp);
            let reason = format!("its largest timestamp is {found}, its checkpoint says {recorded}");
            self.report.findings.push(Finding::new(self.log, reason));
        }
    }

    /// Each entry of the transaction index must name a marker that aborts.
    fn aborted(&mut self, file: &Path) -> Result<(), SegmentError> {
        let bytes = self.segment.txn_index_bytes;
        let present = length(self.disk, file)?.unwrap_or_default();
        if present < bytes {
            let damage = Damage::new(present, format!("it ends here, {bytes} bytes were made durable"));
            self.report.findings.push(Finding::at(file, damage));
        }
        let bytes = usize::try_from(bytes.min(present)).unwrap_or(usize::MAX);
        let content = if bytes == 0 { Bytes::new() } else { read(self.disk, file, 0, bytes)? };
        // A checkpoint of version 1 kept none.
        let (recorded, crc) = (self.segment.txn_index_crc, crc32c(&content));
        if recorded != 0 && crc != recorded && present >= self.segment.txn_index_bytes {
            let reason = format!("its CRC is {crc}, its checkpoint says {recorded}");
            self.report.findings.push(Finding::at(file, Damage::new(0, reason)));
        }
        let (entries, damage) = aborted_transactions(&content);
        self.report.findings.extend(damage.map(|damage| Finding::at(file, damage)));
        for (number, entry) in entries.iter().enumerate() {
            let marked = self.aborts.contains(&(entry.producer_id, entry.last_offset));
            if !marked || entry.first_offset > entry.last_offset {
                let (producer, offset) = (entry.producer_id, entry.last_offset);
                let reason = format!("no marker of producer {producer} at offset {offset} aborts its transaction");
                let at = (number * TXN_INDEX_ENTRY_BYTES) as u64;
                self.report.findings.push(Finding::at(file, Damage::new(at, reason)));
            }
        }
        Ok(())
    }

    /// Where the next batch starts that may follow what is whole; the end when there is none. `end` is where the frame of
    /// what is damaged ends, if it has one: what lies in it are a client's bytes, which may look like a batch.
    fn next_whole(&self, from: u64, end: u64, bytes: u64) -> Result<u64, DiskError> {
        if end > from && (end == bytes || self.is_whole_at(end, bytes)?) {
            return Ok(end);
        }
        let mut at = from + 1;
        while at + HEADER_BYTES as u64 <= bytes {
            let piece = read(self.disk, self.log, at, SEARCH_BYTES)?;
            let looked = piece.len().saturating_sub(HEADER_BYTES - 1);
            if looked == 0 {
                break;
            }
            for start in (0..looked).filter(|start| piece[start + MAGIC_AT] == MAGIC.cast_unsigned()) {
                let likely = BatchHeader::read(&piece[start..]).is_ok_and(|header| self.may_follow(&header));
                if likely && self.is_whole_at(at + start as u64, bytes)? {
                    return Ok(at + start as u64);
                }
            }
            at += looked as u64;
        }
        Ok(bytes)
    }

    fn may_follow(&self, header: &BatchHeader) -> bool {
        header.base_offset >= self.report.end && header.next_offset() <= self.segment.next
    }

    fn is_whole_at(&self, at: u64, bytes: u64) -> Result<bool, DiskError> {
        let Ok(header) = BatchHeader::read(&read(self.disk, self.log, at, HEADER_BYTES)?) else { return Ok(false) };
        if !self.may_follow(&header) || header.size_bytes() as u64 > bytes.saturating_sub(at) {
            return Ok(false);
        }
        Ok(Batch::parse(read(self.disk, self.log, at, header.size_bytes())?).is_ok())
    }
}

/// Whether a batch is the marker of an aborted transaction.
fn aborts(batch: &Batch) -> bool {
    control_of(batch).is_some_and(|control| control.kind == ControlRecordType::Abort)
}

//! Batches and records of a log, as Kafka's tool prints them.

use std::io::Write as _;

use anyhow::Result;
use millstream_model::Offset;
use millstream_model::batch::{
    Batch, BatchHeader, ControlRecord, ControlRecordType, Record, RecordIter, TimestampType,
};
use millstream_model::compression::CompressionType;
use millstream_storage::inspect::Damage;
use millstream_storage::inspect::batches::FoundBatch;

use super::{Dump, OpenedFile};

/// The most that the records of a batch may be decompressed: what a file claims must not fill the memory.
const RECORDS_BYTES_MAX: usize = 512 << 20;

impl Dump<'_> {
    pub(super) fn log(&mut self, file: &OpenedFile, base: Offset) -> Result<()> {
        writeln!(self.out, "Log starting offset: {base}")?;
        let limit = self.args.max_bytes.unwrap_or(u64::MAX);
        let mut scan = file.batches();
        let mut last: Option<Offset> = None;
        let mut gaps: Vec<(Offset, Offset)> = Vec::new();
        let mut damage: Option<Damage> = None;
        while let Some(found) = scan.next_batch()? {
            let found = match found {
                Ok(found) if found.end() > limit => break,
                Ok(found) => found,
                Err(met) => {
                    damage.get_or_insert(met);
                    break;
                }
            };
            self.batch(&found)?;
            if !found.is_valid {
                damage.get_or_insert(Damage {
                    position: found.position,
                    reason: "the CRC of the batch is not that of its bytes".to_owned(),
                });
            }
            if self.args.deep_iteration || self.args.print_data_log {
                match self.records(&found.batch, &mut last, &mut gaps)? {
                    Err(reason) if found.is_valid => {
                        damage.get_or_insert(Damage { position: found.position, reason });
                    }
                    _ => {}
                }
            }
        }
        let rest = file.length - scan.position();
        if rest > 0 && self.args.max_bytes.is_none() {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            writeln!(self.out, "Found {rest} invalid bytes at the end of {name}")?;
        }
        self.tell_gaps(file, &gaps)?;
        // Beyond a limit nobody wanted to know.
        let damage = damage.filter(|damage| damage.position < limit);
        self.check(file, damage.map_or(Ok(()), Err))
    }

    /// Offsets that are not there are no damage: compaction leaves such logs.
    fn tell_gaps(&mut self, file: &OpenedFile, gaps: &[(Offset, Offset)]) -> Result<()> {
        if gaps.is_empty() {
            return Ok(());
        }
        self.out.flush()?;
        eprintln!("Non-consecutive offsets in {}", file.path.display());
        for (before, after) in gaps {
            eprintln!("  {before} is followed by {after}");
        }
        Ok(())
    }

    fn batch(&mut self, found: &FoundBatch) -> Result<()> {
        let header = found.batch.header();
        let attributes = header.attributes;
        let horizon = match attributes.has_delete_horizon() {
            true => format!("OptionalLong[{}]", header.base_timestamp),
            false => "OptionalLong.empty".to_owned(),
        };
        let sequence = header.base_sequence;
        let last_sequence = if sequence.0 < 0 { sequence } else { header.last_sequence() };
        writeln!(
            self.out,
            "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} \
             producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon} \
             position: {} {}: {} size: {} magic: 2 compresscodec: {} crc: {} isvalid: {}",
            header.base_offset,
            header.last_offset(),
            header.records_count,
            sequence.0,
            last_sequence.0,
            header.producer_id,
            header.producer_epoch,
            header.partition_leader_epoch,
            attributes.is_transactional(),
            attributes.is_control(),
            found.position,
            timestamp_type(header),
            header.max_timestamp,
            header.size_bytes(),
            codec(header.compression()),
            header.crc,
            found.is_valid,
        )?;
        Ok(())
    }

    /// The batch's records; why they cannot be read, if so.
    fn records(
        &mut self,
        batch: &Batch,
        last: &mut Option<Offset>,
        gaps: &mut Vec<(Offset, Offset)>,
    ) -> Result<Result<(), String>> {
        let header = batch.header();
        let bytes = match batch.decompressed(RECORDS_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(format!("the records cannot be decompressed: {error}"))),
        };
        for record in RecordIter::new(&bytes, header.records_count) {
            let record = match record {
                Ok(record) => record,
                Err(error) => return Ok(Err(format!("a record cannot be read: {error}"))),
            };
            let offset = Offset(header.base_offset.0.wrapping_add(record.offset_delta.into()));
            if let Some(before) = last.filter(|before| before.0.wrapping_add(1) != offset.0) {
                gaps.push((before, offset));
            }
            *last = Some(offset);
            self.record(header, &record, offset)?;
        }
        Ok(Ok(()))
    }

    fn record(&mut self, header: &BatchHeader, record: &Record<'_>, offset: Offset) -> Result<()> {
        let control = header.attributes.is_control();
        let mut before = "| ";
        if !self.args.skip_record_metadata {
            let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len().cast_signed());
            let keys: Vec<_> = record.headers().map(|header| header.key_text()).collect();
            let sequence = match header.base_sequence.0 {
                first if first < 0 => first,
                // Sequences begin anew at 0 behind the largest.
                first => ((i64::from(first) + i64::from(record.offset_delta)) & i64::from(i32::MAX)) as i32,
            };
            write!(
                self.out,
                "| offset: {offset} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
                timestamp_type(header),
                header.timestamp_of(record.timestamp_delta),
                size(record.key),
                size(record.value),
                keys.join(","),
            )?;
            if control {
                write!(self.out, " {}", marker(record))?;
            }
            before = " ";
        }
        if self.args.print_data_log && !control {
            if let Some(key) = record.key {
                write!(self.out, "{before}key: {}", String::from_utf8_lossy(key))?;
                before = " ";
            }
            if let Some(value) = record.value {
                write!(self.out, "{before}payload: {}", String::from_utf8_lossy(value))?;
            }
        }
        writeln!(self.out)?;
        Ok(())
    }
}

/// What a control record says.
fn marker(record: &Record<'_>) -> String {
    match record.key.map(|key| ControlRecord::parse(key, record.value)) {
        Some(Ok(ControlRecord { kind: ControlRecordType::Abort, coordinator_epoch })) => {
            format!("endTxnMarker: ABORT coordinatorEpoch: {coordinator_epoch}")
        }
        Some(Ok(ControlRecord { kind: ControlRecordType::Commit, coordinator_epoch })) => {
            format!("endTxnMarker: COMMIT coordinatorEpoch: {coordinator_epoch}")
        }
        Some(Ok(ControlRecord { kind: ControlRecordType::Other(id), .. })) => format!("controlType: {id}"),
        Some(Err(error)) => format!("controlType: unreadable ({error})"),
        None => "controlType: unreadable (it has no key)".to_owned(),
    }
}

fn timestamp_type(header: &BatchHeader) -> &'static str {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn codec(codec: CompressionType) -> &'static str {
    match codec {
        CompressionType::None => "none",
        CompressionType::Gzip => "gzip",
        CompressionType::Snappy => "snappy",
        CompressionType::Lz4 => "lz4",
        CompressionType::Zstd => "zstd",
    }
}

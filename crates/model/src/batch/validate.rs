//! What a broker checks of a client's batch before it takes it, as Kafka's log validation does: the head's claims, and
//! every record's, inside compressed batches too. The walk streams: it holds neither the decompressed batch nor a record.

use std::io::{BufRead, BufReader};

use super::record::{RecordHead, Stream, read_record};
use super::{Batch, MalformedRecord, TimestampType};
use crate::compression::{CompressionType, DecompressError, Decompressor};
use crate::{Offset, ProducerId, Sequence, TimestampMs};

/// Rejected records that an answer names (KIP-467); more are only counted.
pub const RECORD_ERRORS_MAX: usize = 1000;

/// What the streaming walk keeps of the decompressed records.
const WINDOW_BYTES: usize = 32 * 1024;

/// What the topic's configuration asks of records.
#[derive(Clone, Copy, Debug)]
pub struct RecordRules {
    /// `cleanup.policy` contains `compact`.
    pub key_required: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    pub now: TimestampMs,
    /// `message.timestamp.before.max.ms`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// How many decompressed bytes are read before the batch counts as a decompression bomb.
    pub decompressed_bytes_max: usize,
}

/// What the walk learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The highest timestamp of the records, `NONE` when none has one. Where the batch's head says otherwise, Kafka
    /// overwrites the head (`HeadMut::set_max_timestamp`).
    pub max_timestamp: TimestampMs,
    /// Offset delta of the first record that has it; 0 when none has one.
    pub max_timestamp_delta: i32,
}

/// Why a client's batch is refused. Kafka's answer is INVALID_RECORD where nothing else is said.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    #[error("the base offset of the record batch should be 0, but it is {0}")]
    BaseOffset(Offset),
    #[error("invalid reported count for record batch: {0}")]
    NoRecords(i32),
    #[error("inconsistent batch offset range [0, {last_offset_delta}] and count of records {count}")]
    CountAgainstRange { count: i32, last_offset_delta: i32 },
    #[error("clients are not allowed to write control records")]
    ControlBatch,
    #[error("invalid sequence number {base_sequence} in record batch with producerId {producer_id}")]
    Sequence { base_sequence: Sequence, producer_id: ProducerId },
    #[error("record {index} is malformed: {reason}")]
    Malformed { index: usize, reason: MalformedRecord },
    #[error("records still remain after the declared {0}")]
    RecordsRemain(i32),
    /// Kafka re-encodes such a batch when it is compressed and takes it as it is when it is not; no client of today sends one.
    #[error("record {index} has offset delta {offset_delta}")]
    OffsetDelta { index: usize, offset_delta: i32 },
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    /// INVALID_TIMESTAMP when any of them is about its timestamp, otherwise INVALID_RECORD; the answer carries them.
    #[error("{count} records are rejected")]
    Rejected { errors: Vec<RecordError>, count: usize },
}

/// A record that the topic does not take (KIP-467).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The record's place in its batch, from 0.
    pub batch_index: i32,
    pub reason: RecordErrorReason,
}

/// Why; the text is Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordErrorReason {
    /// INVALID_RECORD. Kafka's text goes on with the partition's name.
    #[error("Compacted topic cannot accept message without key in topic partition")]
    NoKey,
    /// INVALID_TIMESTAMP.
    #[error(
        "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp should be within [{earliest}, {latest}]"
    )]
    TimestampOutOfRange { timestamp: TimestampMs, offset: i32, earliest: TimestampMs, latest: TimestampMs },
    /// INVALID_TIMESTAMP.
    #[error("Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.")]
    ProducerSetLogAppendTime,
}

/// Checks a client's batch, head and records, against the topic's rules. Does not wait; the time is that of
/// decompressing the records.
pub fn validate_records(batch: &Batch, rules: &RecordRules) -> Result<Validated, ValidationError> {
    validate_head(batch)?;
    let records = batch.records_bytes();
    match batch.header().compression() {
        CompressionType::None => Walk::new(batch, rules).run(&mut Stream(&records[..])),
        compression => {
            let decompressor = Decompressor::new(compression, &records, rules.decompressed_bytes_max)?;
            Walk::new(batch, rules).run(&mut Stream(BufReader::with_capacity(WINDOW_BYTES, decompressor)))
        }
    }
}

fn validate_head(batch: &Batch) -> Result<(), ValidationError> {
    let header = batch.header();
    let (count, last_offset_delta) = (header.records_count, header.last_offset_delta);
    if header.base_offset != Offset::ZERO {
        return Err(ValidationError::BaseOffset(header.base_offset));
    }
    if count <= 0 {
        return Err(ValidationError::NoRecords(count));
    }
    if i64::from(last_offset_delta) + 1 != i64::from(count) {
        return Err(ValidationError::CountAgainstRange { count, last_offset_delta });
    }
    if header.attributes.is_control() {
        return Err(ValidationError::ControlBatch);
    }
    if header.has_producer_id() && header.base_sequence.0 < 0 {
        let (base_sequence, producer_id) = (header.base_sequence, header.producer_id);
        return Err(ValidationError::Sequence { base_sequence, producer_id });
    }
    Ok(())
}

struct Walk<'a> {
    batch: &'a Batch,
    rules: &'a RecordRules,
    learnt: Validated,
    errors: Vec<RecordError>,
    errors_count: usize,
}

impl<'a> Walk<'a> {
    fn new(batch: &'a Batch, rules: &'a RecordRules) -> Self {
        let learnt = Validated { max_timestamp: TimestampMs::NONE, max_timestamp_delta: 0 };
        Self { batch, rules, learnt, errors: Vec::new(), errors_count: 0 }
    }

    fn run<R: BufRead>(mut self, records: &mut Stream<R>) -> Result<Validated, ValidationError> {
        let count = self.batch.header().records_count;
        for index in 0..count {
            let record = read_record(records).map_err(|reason| refused(index as usize, reason))?;
            if record.offset_delta != index {
                let (index, offset_delta) = (index as usize, record.offset_delta);
                return Err(ValidationError::OffsetDelta { index, offset_delta });
            }
            self.take(&record);
        }
        if !records.at_end().map_err(|reason| refused(count as usize, reason))? {
            return Err(ValidationError::RecordsRemain(count));
        }
        match self.errors_count {
            0 => Ok(self.learnt),
            count => Err(ValidationError::Rejected { errors: self.errors, count }),
        }
    }

    fn take(&mut self, record: &RecordHead<()>) {
        let timestamp = self.batch.header().timestamp_of(record.timestamp_delta);
        if let Some(reason) = self.reject(record, timestamp) {
            self.errors_count += 1;
            if self.errors.len() < RECORD_ERRORS_MAX {
                self.errors.push(RecordError { batch_index: record.offset_delta, reason });
            }
        }
        if timestamp > self.learnt.max_timestamp {
            self.learnt = Validated { max_timestamp: timestamp, max_timestamp_delta: record.offset_delta };
        }
    }

    fn reject(&self, record: &RecordHead<()>, timestamp: TimestampMs) -> Option<RecordErrorReason> {
        let RecordRules { now, before_max_ms, after_max_ms, .. } = *self.rules;
        if self.rules.key_required && record.key.is_none() {
            return Some(RecordErrorReason::NoKey);
        }
        if self.rules.timestamp_type == TimestampType::CreateTime && timestamp != TimestampMs::NONE {
            let age = now.0.saturating_sub(timestamp.0);
            return (age > before_max_ms || age.saturating_neg() > after_max_ms).then_some(
                RecordErrorReason::TimestampOutOfRange {
                    timestamp,
                    offset: record.offset_delta,
                    earliest: TimestampMs(now.0.wrapping_sub(before_max_ms)),
                    latest: TimestampMs(now.0.wrapping_add(after_max_ms)),
                },
            );
        }
        let claims_append_time = self.batch.header().attributes.timestamp_type() == TimestampType::LogAppendTime;
        claims_append_time.then_some(RecordErrorReason::ProducerSetLogAppendTime)
    }
}

fn refused(index: usize, reason: MalformedRecord) -> ValidationError {
    match reason {
        MalformedRecord::Source(error) => ValidationError::Decompress(error.into()),
        reason => ValidationError::Malformed { index, reason },
    }
}

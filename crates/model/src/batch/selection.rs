//! Batches without some of their records, as compaction leaves them: offsets, producer, codec and end of the batch stay.
//!
//! `Batch::select` looks at the records, `Batch::with_selected` and `Batch::emptied` write what is to be kept. Records that
//! stay are copied as they stand; only a new delete horizon, which takes the base timestamp's place, changes their deltas.

use std::ops::Range;

use bytes::Bytes;

use super::builder::put_varint;
use super::record::split_timestamp;
use super::{Attributes, Batch, BatchHeader, HEADER_BYTES, MalformedRecord, Record, RecordIter, TimestampType};
use crate::TimestampMs;
use crate::compression::{Compression, CompressionType, DecompressError, compress};

/// Why a batch's records cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    #[error(transparent)]
    Record(#[from] MalformedRecord),
}

/// The records of one batch that are to stay.
#[derive(Clone, Debug)]
pub struct Selection {
    /// All records, decompressed,
    records: Bytes,
    /// and the places of those that stay; neighbours are one place.
    kept: Vec<Range<usize>>,
    count: i32,
    complete: bool,
    has_tombstones: bool,
    max_timestamp: TimestampMs,
}

impl Selection {
    /// Whether no record stays.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether every record stays.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether a record without a value stays.
    pub fn has_tombstones(&self) -> bool {
        self.has_tombstones
    }

    fn keep(&mut self, place: Range<usize>, record: &Record<'_>, timestamp: TimestampMs) {
        match self.kept.last_mut() {
            Some(last) if last.end == place.start => last.end = place.end,
            _ => self.kept.push(place),
        }
        self.count += 1;
        self.has_tombstones |= record.value.is_none();
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }
}

impl Batch {
    /// Asks `keep` for every record. Holds the records decompressed, at most `bytes_max` bytes of them.
    pub fn select(
        &self,
        bytes_max: usize,
        mut keep: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<Selection, SelectError> {
        let records = self.decompressed(bytes_max)?;
        let max_timestamp = TimestampMs::NONE;
        let kept = Vec::new();
        let mut selection = Selection {
            records: records.clone(),
            kept,
            count: 0,
            complete: true,
            has_tombstones: false,
            max_timestamp,
        };
        let mut all = RecordIter::new(&records, self.header.records_count);
        let mut start = 0;
        while let Some(record) = all.next() {
            let record = record?;
            let end = records.len() - all.rest_bytes();
            if keep(&record) {
                selection.keep(start..end, &record, self.header.timestamp_of(record.timestamp_delta));
            } else {
                selection.complete = false;
            }
            start = end;
        }
        Ok(selection)
    }

    /// The batch with the selected records of its own, which must be some. With `delete_horizon` its tombstones, or the
    /// marker that it is, may go after that time (KIP-534).
    ///
    /// # Panics
    /// When nothing was selected: `emptied` makes such a batch.
    #[must_use]
    pub fn with_selected(&self, selection: &Selection, delete_horizon: Option<TimestampMs>) -> Self {
        assert!(selection.count > 0, "a batch without records is emptied");
        let mut header = BatchHeader { records_count: selection.count, ..self.header };
        if header.attributes.timestamp_type() == TimestampType::CreateTime {
            header.max_timestamp = selection.max_timestamp;
        }
        let kept = selection.kept.iter().map(|place| &selection.records[place.clone()]);
        let mut plain = Vec::with_capacity(selection.kept.iter().map(Range::len).sum());
        match delete_horizon {
            None => kept.for_each(|records| plain.extend_from_slice(records)),
            Some(horizon) => {
                let earlier = self.header.base_timestamp.0.wrapping_sub(horizon.0);
                kept.for_each(|records| shift_timestamps(records, earlier, &mut plain));
                header.base_timestamp = horizon;
                header.attributes = header.attributes.with_delete_horizon(true);
            }
        }
        Self::sealed(header, packed(header.compression(), &plain))
    }

    /// The batch without records: it says where it ended, and its producer's last sequence.
    #[must_use]
    pub fn emptied(&self) -> Self {
        let before = self.header.attributes;
        let attributes = Attributes::default()
            .with_timestamp_type(before.timestamp_type())
            .with_transactional(before.is_transactional())
            .with_control(before.is_control());
        let header = BatchHeader { attributes, base_timestamp: TimestampMs::NONE, records_count: 0, ..self.header };
        Self::sealed(header, vec![0; HEADER_BYTES])
    }

    /// The time after which the batch's tombstones, or the marker that it is, may go; none when it was never cleaned.
    #[must_use]
    pub fn delete_horizon(&self) -> Option<TimestampMs> {
        self.header.attributes.has_delete_horizon().then_some(self.header.base_timestamp)
    }
}

/// Room for a head, then the records as the codec writes them at its default level.
fn packed(codec: CompressionType, records: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len());
    bytes.resize(HEADER_BYTES, 0);
    compress(Compression::from(codec), &mut &*records, &mut bytes).expect("memory takes every write");
    bytes
}

/// Copies records whose base timestamp moves back by `earlier`, so that their own timestamps stay.
fn shift_timestamps(mut records: &[u8], earlier: i64, out: &mut Vec<u8>) {
    while !records.is_empty() {
        let (record, after) = split_timestamp(records).expect("the record was read when it was selected");
        let start = out.len();
        out.push(record.attributes);
        put_varint(out, record.timestamp_delta.wrapping_add(earlier));
        out.extend_from_slice(record.rest);
        let fields_end = out.len();
        put_varint(out, (fields_end - start) as i64);
        let size_bytes = out.len() - fields_end;
        out[start..].rotate_right(size_bytes);
        records = after;
    }
}

#[cfg(test)]
mod tests;

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
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, Header, ProducerStamp};
    use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

    const LIMIT: usize = 1 << 20;

    fn stamp() -> ProducerStamp {
        ProducerStamp {
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(2),
            base_sequence: Sequence(40),
            transactional: true,
        }
    }

    /// Ten records at offsets from 100: keys 0 to 9, every third without a value.
    fn batch(codec: CompressionType) -> Batch {
        let mut builder = BatchBuilder::new(codec.into()).producer(stamp());
        for number in 0..10_i64 {
            let (key, value) = (number.to_string(), "v".repeat(number as usize * 9));
            let value = (number % 3 != 0).then_some(value.as_bytes());
            let header = Header { key: "h", value: Some(b"w") };
            builder.append(TimestampMs(5_000 - number * 7), Some(key.as_bytes()), value, &[header]).unwrap();
        }
        builder.build().placed(Offset(100), LeaderEpoch(3))
    }

    /// Offset, timestamp, key, value and headers of each record.
    type Plain = (i64, i64, Vec<u8>, Option<Vec<u8>>, usize);

    fn plain(batch: &Batch) -> Vec<Plain> {
        let (batch, rest) = Batch::parse(batch.bytes().clone()).expect("its CRC and length are right");
        assert!(rest.is_empty());
        let header = *batch.header();
        let bytes = batch.decompressed(LIMIT).unwrap();
        let records = RecordIter::new(&bytes, header.records_count);
        let record = |record: Record<'_>| {
            (
                header.base_offset.0 + i64::from(record.offset_delta),
                header.timestamp_of(record.timestamp_delta).0,
                record.key.unwrap().to_vec(),
                record.value.map(<[u8]>::to_vec),
                record.headers().count(),
            )
        };
        records.map(|one| record(one.unwrap())).collect()
    }

    fn even(record: &Record<'_>) -> bool {
        record.offset_delta % 2 == 0
    }

    #[test]
    fn kept_records_are_as_they_were_under_every_codec() {
        for codec in CompressionType::ALL {
            for horizon in [None, Some(TimestampMs(9_000_000))] {
                let batch = batch(codec);
                let selection = batch.select(LIMIT, even).unwrap();
                assert!(!selection.is_empty() && !selection.is_complete() && selection.has_tombstones());
                let cleaned = batch.with_selected(&selection, horizon);
                let expected: Vec<Plain> = plain(&batch).into_iter().filter(|record| record.0 % 2 == 0).collect();
                assert_eq!(plain(&cleaned), expected, "{codec} {horizon:?}");
                let (before, after) = (batch.header(), cleaned.header());
                assert_eq!(after.compression(), codec);
                assert_eq!((after.base_offset, after.last_offset()), (before.base_offset, before.last_offset()));
                assert_eq!((after.producer_id, after.producer_epoch), (before.producer_id, before.producer_epoch));
                assert_eq!(after.last_sequence(), before.last_sequence());
                assert_eq!(after.partition_leader_epoch, before.partition_leader_epoch);
                assert_eq!(after.max_timestamp, TimestampMs(5_000));
                assert_eq!(cleaned.delete_horizon(), horizon);
            }
        }
    }

    #[test]
    fn the_largest_timestamp_is_that_of_the_records_that_stay() {
        let batch = batch(CompressionType::None);
        let last = batch.select(LIMIT, |record| record.offset_delta == 9).unwrap();
        assert_eq!(batch.with_selected(&last, None).header().max_timestamp, TimestampMs(5_000 - 63));
        let stamped = batch.with_head(|head| head.set_log_append_time(TimestampMs(77)));
        let last = stamped.select(LIMIT, |record| record.offset_delta == 9).unwrap();
        let cleaned = stamped.with_selected(&last, Some(TimestampMs(1)));
        assert_eq!(plain(&cleaned)[0].1, 77, "the append's time is every record's");
    }

    #[test]
    fn a_horizon_outlives_the_next_cleaning() {
        let batch = batch(CompressionType::Lz4);
        let all = batch.select(LIMIT, |_| true).unwrap();
        assert!(all.is_complete());
        let marked = batch.with_selected(&all, Some(TimestampMs(8_000)));
        let again = marked.with_selected(&marked.select(LIMIT, even).unwrap(), None);
        assert_eq!(again.delete_horizon(), Some(TimestampMs(8_000)));
        assert_eq!(plain(&again).len(), 5);
        assert_eq!(plain(&again)[1].1, 5_000 - 14);
    }

    #[test]
    fn an_emptied_batch_keeps_its_end_and_its_producer() {
        let batch = batch(CompressionType::Zstd);
        assert!(batch.select(LIMIT, |_| false).unwrap().is_empty());
        let emptied = batch.emptied();
        assert_eq!(emptied.bytes().len(), HEADER_BYTES);
        assert_eq!(plain(&emptied), []);
        let (before, after) = (batch.header(), emptied.header());
        assert_eq!(after.next_offset(), before.next_offset());
        assert_eq!((after.producer_id, after.last_sequence()), (before.producer_id, before.last_sequence()));
        assert_eq!((after.max_timestamp, after.base_timestamp), (before.max_timestamp, TimestampMs::NONE));
        assert!(after.attributes.is_transactional() && !after.attributes.has_delete_horizon());
        assert_eq!(after.compression(), CompressionType::None);
    }

    #[test]
    fn records_beyond_the_limit_are_an_error() {
        let refused = batch(CompressionType::Gzip).select(100, |_| true).unwrap_err();
        assert!(matches!(refused, SelectError::Decompress(DecompressError::OverLimit { bytes_max: 100 })), "{refused}");
    }
}

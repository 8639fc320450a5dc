//! What stays of a batch, case by case.

use millstream_model::batch::{BatchBuilder, ControlRecord, ControlRecordType, ProducerStamp, RecordIter};
use millstream_model::compression::{Compression, CompressionType};
use millstream_model::{LeaderEpoch, Sequence};

use super::*;
use crate::lane::Ticket;
use crate::log::state::LogState;
use crate::tests::stamp;

const NOW: i64 = 1_000_000;
const RETENTION: u64 = 500;

/// Key and value of a record; no value is a tombstone.
type Pair<'a> = (&'a str, Option<&'a str>);

fn batch_at(offset: i64, records: &[Pair<'_>], stamp: ProducerStamp, codec: CompressionType) -> Batch {
    let mut builder = BatchBuilder::new(Compression::from(codec)).producer(stamp);
    for (key, value) in records {
        builder.append(TimestampMs(10), Some(key.as_bytes()), value.map(str::as_bytes), &[]).unwrap();
    }
    builder.build().placed(Offset(offset), LeaderEpoch(0))
}

fn plain_at(offset: i64, records: &[Pair<'_>]) -> Batch {
    batch_at(offset, records, ProducerStamp::NONE, CompressionType::None)
}

fn marker(kind: ControlRecordType, offset: i64) -> Batch {
    let control = ControlRecord { kind, coordinator_epoch: 0 };
    control.into_batch(ProducerId(1), ProducerEpoch(0), TimestampMs(10)).placed(Offset(offset), LeaderEpoch(0))
}

fn transactional(sequence: i32) -> ProducerStamp {
    ProducerStamp { transactional: true, ..stamp(1, 0, sequence) }
}

/// A filter that has seen these last offsets in a log up to 100.
fn filter(last: &[(&str, i64)]) -> RecordFilter {
    let mut last_offsets = OffsetMap::new(1 << 10, 90, 100);
    for (key, offset) in last {
        assert!(last_offsets.put(key.as_bytes(), Offset(*offset)));
    }
    RecordFilter {
        last_offsets,
        compared_upto: Offset(100),
        upto: Offset(100),
        now: TimestampMs(NOW),
        delete_retention_ms: RETENTION,
        transactions: Transactions::new(Vec::new()),
        producers: LastOfProducers::default(),
    }
}

/// Offsets and keys that are left; none when the batch went.
fn left(filtered: &Filtered) -> Option<Vec<(i64, String)>> {
    let batch = filtered.batch.as_ref()?;
    let (batch, _) = Batch::parse(batch.bytes().clone()).expect("its CRC is right");
    let header = *batch.header();
    let bytes = batch.decompressed(1 << 20).unwrap();
    let records = RecordIter::new(&bytes, header.records_count).map(|record| {
        let record = record.unwrap();
        let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
        (header.base_offset.0 + i64::from(record.offset_delta), key)
    });
    Some(records.collect())
}

fn keys(of: &[(i64, &str)]) -> Option<Vec<(i64, String)>> {
    Some(of.iter().map(|(offset, key)| (*offset, (*key).to_owned())).collect())
}

#[test]
fn only_the_last_record_of_a_key_stays_under_every_codec() {
    for codec in CompressionType::ALL {
        let mut filter = filter(&[("a", 2), ("b", 50)]);
        let records = [("a", Some("1")), ("b", Some("1")), ("a", Some("2")), ("c", Some("1"))];
        let filtered = filter.filter(batch_at(0, &records, ProducerStamp::NONE, codec)).unwrap();
        assert_eq!(left(&filtered), keys(&[(2, "a"), (3, "c")]), "{codec}");
        assert!(filtered.changed);
        assert_eq!(filtered.batch.unwrap().header().compression(), codec);
    }
}

#[test]
fn a_batch_of_which_all_stays_is_not_touched() {
    let batch = batch_at(0, &[("a", Some("1")), ("b", Some("1"))], stamp(1, 0, 0), CompressionType::Gzip);
    let filtered = filter(&[("a", 0)]).filter(batch.clone()).unwrap();
    assert!(!filtered.changed);
    assert_eq!(filtered.batch.unwrap().bytes(), batch.bytes());
}

#[test]
fn a_batch_without_records_goes_unless_something_hangs_on_it() {
    let gone = plain_at(0, &[("a", Some("1"))]);
    assert_eq!(left(&filter(&[("a", 9)]).filter(gone.clone()).unwrap()), None);
    let last = RecordFilter { upto: Offset(1), ..filter(&[("a", 9)]) }.filter(gone).unwrap();
    assert_eq!(left(&last), keys(&[]), "it says where the log ends");
    let newest = batch_at(0, &[("a", Some("1")), ("a", Some("2"))], stamp(7, 3, 20), CompressionType::Lz4);
    let mut state = LogState::default();
    state.apply(&newest, Ticket::default());
    let producers = LastOfProducers::of(&state.producers);
    let mut filter = RecordFilter { producers, ..filter(&[("a", 9)]) };
    let kept = filter.filter(newest.clone()).unwrap();
    assert_eq!(left(&kept), keys(&[]), "it says where its producer is");
    let kept = kept.batch.unwrap();
    assert_eq!(kept.header().last_sequence(), Sequence(21));
    let again = filter.filter(kept).unwrap();
    assert!(!again.changed && again.batch.is_some(), "an empty batch stays as it is");
    let older = batch_at(0, &[("a", Some("1"))], stamp(7, 3, 19), CompressionType::None);
    assert_eq!(left(&filter.filter(older).unwrap()), None, "an earlier one of the same producer goes");
}

#[test]
fn tombstones_stay_for_their_time_and_then_go() {
    let batch = plain_at(0, &[("a", None), ("b", Some("1"))]);
    let first = filter(&[("a", 0), ("b", 1)]).filter(batch).unwrap();
    assert!(first.changed);
    let marked = first.batch.clone().unwrap();
    assert_eq!(left(&first), keys(&[(0, "a"), (1, "b")]));
    assert_eq!(marked.delete_horizon(), Some(TimestampMs(NOW + RETENTION as i64)));
    let at = |now: i64| RecordFilter { now: TimestampMs(now), ..filter(&[]) }.filter(marked.clone()).unwrap();
    let early = at(NOW + RETENTION as i64 - 1);
    assert!(!early.changed, "the horizon is set once");
    assert_eq!(left(&at(NOW + RETENTION as i64)), keys(&[(1, "b")]));
    let replaced = filter(&[("a", 50)]).filter(marked.clone()).unwrap();
    assert_eq!(left(&replaced), keys(&[(1, "b")]), "a newer record of the key replaces it at any time");
}

#[test]
fn what_was_not_compared_stays() {
    let mut filter = RecordFilter { compared_upto: Offset(2), ..filter(&[("a", 1)]) };
    let filtered = filter.filter(plain_at(0, &[("a", Some("1")), ("a", Some("2")), ("a", Some("3"))])).unwrap();
    assert_eq!(left(&filtered), keys(&[(1, "a"), (2, "a")]));
}

#[test]
fn records_without_keys_go() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(TimestampMs(10), None, Some(b"x"), &[]).unwrap();
    builder.append(TimestampMs(10), Some(b"k"), Some(b"x"), &[]).unwrap();
    let filtered = filter(&[]).filter(builder.build()).unwrap();
    assert_eq!(left(&filtered), keys(&[(1, "k")]));
}

fn aborted() -> AbortedTransaction {
    let (first_offset, last_offset) = (Offset(0), Offset(1));
    AbortedTransaction { producer_id: ProducerId(1), first_offset, last_offset, last_stable: Offset(0) }
}

fn filter_of_aborted() -> RecordFilter {
    RecordFilter { transactions: Transactions::new(vec![aborted()]), ..filter(&[]) }
}

#[test]
fn aborted_records_go_at_once_and_their_marker_after_its_time() {
    let records = batch_at(0, &[("a", Some("1"))], transactional(0), CompressionType::None);
    let abort = marker(ControlRecordType::Abort, 1);
    let mut first = filter_of_aborted();
    assert_eq!(left(&first.filter(records).unwrap()), None);
    let kept = first.filter(abort).unwrap();
    assert!(!kept.changed && kept.aborted == Some(aborted()), "readers may still hold records of it");
    let kept = kept.batch.unwrap();
    let aging = filter_of_aborted().filter(kept.clone()).unwrap();
    assert_eq!(aging.aborted, None);
    let aging = aging.batch.unwrap();
    assert_eq!(aging.delete_horizon(), Some(TimestampMs(NOW + RETENTION as i64)));
    let mut late = RecordFilter { now: TimestampMs(NOW + RETENTION as i64), ..filter(&[]) };
    assert!(late.filter(aging).unwrap().batch.is_none());
}

#[test]
fn a_commit_marker_stays_while_a_record_of_its_transaction_does() {
    let records = batch_at(0, &[("a", Some("1"))], transactional(0), CompressionType::None);
    let commit = marker(ControlRecordType::Commit, 1);
    let mut filter = filter(&[("a", 0)]);
    assert!(!filter.filter(records).unwrap().changed);
    assert!(!filter.filter(commit.clone()).unwrap().changed);
    assert!(
        filter.filter(commit).unwrap().batch.unwrap().delete_horizon().is_some(),
        "no record was met before this one"
    );
}

#[test]
fn the_marker_that_alone_carries_a_producers_epoch_stays() {
    let commit = marker(ControlRecordType::Commit, 1);
    let mut state = LogState::default();
    state.apply(&commit, Ticket::default());
    let producers = LastOfProducers::of(&state.producers);
    let mut keeping = RecordFilter { producers, ..filter(&[]) };
    let aging = keeping.filter(commit).unwrap().batch.unwrap();
    keeping.now = TimestampMs(NOW + RETENTION as i64);
    let kept = keeping.filter(aging).unwrap().batch.expect("it stays without its record");
    assert_eq!((kept.header().records_count, kept.header().producer_id), (0, ProducerId(1)));
    assert!(keeping.filter(kept).unwrap().batch.is_some());
}

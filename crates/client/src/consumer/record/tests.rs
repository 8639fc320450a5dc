//! What is returned of batches as they lie in a log: gaps, transactions, damage.

use millstream_model::batch::{BatchBuilder, ProducerStamp};
use millstream_model::compression::Compression;
use millstream_model::{Offset, ProducerEpoch, Sequence};

use super::*;

fn batch(base_offset: i64, values: &[&str], transaction: Option<i64>) -> Bytes {
    let stamp = transaction.map_or(ProducerStamp::NONE, |producer_id| ProducerStamp {
        producer_id: ProducerId(producer_id),
        producer_epoch: ProducerEpoch(0),
        base_sequence: Sequence(0),
        transactional: true,
    });
    let mut builder = BatchBuilder::new(Compression::Lz4).producer(stamp);
    for value in values {
        builder.append(TimestampMs(5), None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build().placed(Offset(base_offset), LeaderEpoch(3)).into_bytes()
}

fn marker(offset: i64, producer_id: i64, kind: ControlRecordType) -> Bytes {
    let marker = ControlRecord { kind, coordinator_epoch: 0 };
    let batch = marker.into_batch(ProducerId(producer_id), ProducerEpoch(0), TimestampMs(5));
    batch.placed(Offset(offset), LeaderEpoch(3)).into_bytes()
}

fn fetched(position: i64, batches: &[Bytes], aborted: &[(i64, i64)]) -> FetchedPartition {
    let aborted =
        aborted.iter().map(|(producer_id, first)| Aborted { producer_id: *producer_id, first_offset: *first });
    FetchedPartition::new(TopicPartition::new("t", 0), 1, position, batches.concat().into(), aborted.collect())
}

fn values(fetched: &mut FetchedPartition, max: usize) -> Vec<String> {
    let mut out = Vec::new();
    let _ = fetched.take(max, &mut out).unwrap();
    let text = |record: ConsumerRecord| {
        format!("{}:{}", record.offset, String::from_utf8_lossy(&record.value.unwrap_or_default()))
    };
    out.into_iter().map(text).collect()
}

#[test]
fn records_before_the_position_are_passed_over_and_the_position_follows_what_is_taken() {
    let mut fetched = fetched(11, &[batch(10, &["a", "b", "c"], None), batch(20, &["d"], None)], &[]);
    assert_eq!(values(&mut fetched, 1), ["11:b"]);
    assert_eq!(fetched.position, 12);
    assert_eq!(values(&mut fetched, 9), ["12:c", "20:d"]);
    assert_eq!(fetched.position, 21);
}

#[test]
fn aborted_transactions_and_markers_are_left_out_and_passed() {
    let log = [
        batch(0, &["aborted"], Some(7)),
        batch(1, &["committed"], Some(8)),
        marker(2, 7, ControlRecordType::Abort),
        batch(3, &["second try"], Some(7)),
        marker(4, 8, ControlRecordType::Commit),
        marker(5, 7, ControlRecordType::Commit),
    ];
    let mut committed_only = fetched(0, &log, &[(7, 0)]);
    assert_eq!(values(&mut committed_only, 9), ["1:committed", "3:second try"]);
    assert_eq!(committed_only.position, 6);
    assert_eq!(values(&mut fetched(0, &log, &[]), 9), ["0:aborted", "1:committed", "3:second try"]);
}

#[test]
fn a_batch_that_compaction_emptied_is_passed() {
    let header = *Batch::parse(batch(1, &["x", "y"], Some(7))).unwrap().0.header();
    let mut empty = BatchHeader { batch_length: 49, records_count: 0, ..header }.encode();
    let crc = millstream_model::crc32c(&empty[21..]);
    empty[17..21].copy_from_slice(&crc.to_be_bytes());
    let log = [batch(0, &["a"], None), Bytes::copy_from_slice(&empty), batch(3, &["b"], None)];
    let mut fetched = fetched(0, &log, &[]);
    assert_eq!(values(&mut fetched, 9), ["0:a", "3:b"]);
    assert_eq!(fetched.position, 4);
}

#[test]
fn a_batch_that_is_cut_off_ends_the_fetch_without_an_error() {
    let whole = batch(0, &["a"], None);
    let cut = batch(1, &["b"], None).slice(..70);
    let mut fetched = fetched(0, &[whole, cut], &[]);
    assert_eq!(values(&mut fetched, 9), ["0:a"]);
    assert_eq!(fetched.position, 1);
}

#[test]
fn damage_is_an_error_after_what_came_before_it() {
    let mut damaged = batch(1, &["b"], None).to_vec();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let mut fetched = fetched(0, &[batch(0, &["a"], None), damaged.into()], &[]);
    assert_eq!(values(&mut fetched, 1), ["0:a"]);
    let error = fetched.take(9, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("t-0 near offset 1"), "{error}");
    assert!(!fetched.take(9, &mut Vec::new()).unwrap());
}

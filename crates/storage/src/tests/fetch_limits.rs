//! Every record is read across sealed segments, once and in order, whatever limit a fetch has: from 1 byte to 10 MiB, with
//! the sizes of the batches, of their sums and of the segments, and one byte beside each.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_model::batch::BatchIter;
use millstream_model::{BrokerId, Offset};
use uuid::Uuid;

use super::{NOW, plain, spec};
use crate::clock::ManualClock;
use crate::*;

const BATCHES: usize = 120;
const SEGMENT_BYTES: u32 = 128 << 10;
const LIMIT_MAX: usize = 10 << 20;
/// Reads of the whole log, from its start, are made with one limit in so many.
const WHOLE_ONE_IN: usize = 4;

/// One batch of the log.
#[derive(Clone, Copy, Debug)]
struct Known {
    base: i64,
    last: i64,
    bytes: usize,
}

async fn open(disk: &Arc<dyn Disk>, nonce: u64) -> (Storage, Arc<Partition>) {
    let config = LogConfig { segment_bytes: SEGMENT_BYTES, ..LogConfig::default() };
    let spec = spec("a", config);
    let options = StorageOptions::new("c".into(), BrokerId(1), Uuid::from_u64_pair(7, nonce));
    let options = StorageOptions { background: Background::Tasks, ..options };
    let clock = Arc::new(ManualClock::default());
    let (storage, _) = Storage::open(options, Arc::clone(disk), clock, vec![spec.clone()]).await.unwrap();
    let partition = storage.partition(spec.topic_id, spec.index).unwrap();
    (storage, partition)
}

/// Batches of one to four records, most of them small, some larger than a segment.
async fn write(partition: &Arc<Partition>) -> Vec<Known> {
    let mut known = Vec::new();
    for number in 0..BATCHES {
        let bytes = match number % 40 {
            17 => 2 * SEGMENT_BYTES as usize,
            29 => SEGMENT_BYTES as usize / 3,
            _ => 1 + number * number % 4001,
        };
        let value = "v".repeat(bytes);
        let batch = plain(&vec![value.as_str(); 1 + number % 4][..], 10);
        let bytes = batch.bytes().len();
        let appended = partition.append([batch], AppendOrigin::Client, NOW).unwrap();
        appended.durable().await.unwrap();
        known.push(Known { base: appended.base_offset.0, last: appended.last_offset.0, bytes });
    }
    known
}

fn limits(known: &[Known]) -> BTreeSet<usize> {
    let sums = known.iter().scan(0, |sum, batch| {
        *sum += batch.bytes;
        Some(*sum)
    });
    let powers = (0..24).map(|power| 1 << power);
    let segments = (1..12).map(|count| count * SEGMENT_BYTES as usize);
    let sizes = known.iter().map(|batch| batch.bytes);
    let middles: BTreeSet<usize> = sums.chain(powers).chain(segments).chain(sizes).collect();
    let beside = middles.into_iter().flat_map(|bytes| [bytes - 1, bytes, bytes + 1]);
    let dense = (1..300).step_by(7).chain((300..70_000).step_by(997));
    let all = beside.chain(dense).chain([LIMIT_MAX - 1, LIMIT_MAX]);
    all.filter(|bytes| (1..=LIMIT_MAX).contains(bytes)).collect()
}

/// Reads at `from` and checks that it gives the batches that fit, whole, in order, from the one with `from` on. Answers
/// where to go on.
async fn read(partition: &Arc<Partition>, known: &[Known], from: i64, limit: usize) -> i64 {
    let slice = partition.read(Offset(from), limit, true, ReadUpto::HighWatermark).await.unwrap();
    let first = known.iter().position(|batch| batch.last >= from).unwrap();
    let (mut expected, mut bytes) = (first, 0);
    for batch in slice.records.iter().cloned().flat_map(BatchIter::new) {
        let (batch, known) = (batch.unwrap(), known[expected]);
        let found = (batch.header().base_offset.0, batch.header().last_offset().0, batch.bytes().len());
        assert_eq!(found, (known.base, known.last, known.bytes), "at {from}, {limit} bytes");
        (expected, bytes) = (expected + 1, bytes + known.bytes);
    }
    assert!(expected > first, "at {from}, {limit} bytes: nothing");
    assert!(bytes <= limit || expected == first + 1, "at {from}: {bytes} bytes, {limit} at most");
    if limit < known[first].bytes {
        let none = partition.read(Offset(from), limit, false, ReadUpto::HighWatermark).await.unwrap();
        assert_eq!(none.bytes(), 0, "at {from}: a batch that does not fit was not asked for");
    }
    known[expected - 1].last + 1
}

#[tokio::test]
async fn every_record_is_read_across_segments_with_every_limit() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir.path(), 2).unwrap());
    let (storage, partition) = open(&disk, 1).await;
    let known = write(&partition).await;
    storage.close().await.unwrap();
    // Opened anew, nothing is in memory.
    let (storage, partition) = open(&disk, 2).await;
    let entries = disk.list("kafka/a-0".into()).await.unwrap();
    assert!(entries.iter().filter(|entry| entry.name.ends_with(".log")).count() > 8);
    let end = known.last().unwrap().last + 1;
    let limits = limits(&known);
    assert!(limits.len() > 500, "{} limits", limits.len());
    for (number, limit) in limits.into_iter().enumerate() {
        let mut from = 0;
        while from < end {
            from = read(&partition, &known, from, limit).await;
            if number % WHOLE_ONE_IN != 0 {
                // Elsewhere, often within a batch and far from where the last read ended.
                from += 1 + (number as i64 * 31 + from * 17) % 61;
            }
        }
    }
    storage.close().await.unwrap();
}

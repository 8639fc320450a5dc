//! The contract of `SegmentStore`, run against Kafka's directories (simulated and on the file system) and memory.

use std::sync::Arc;

use millstream_model::batch::{Batch, BatchIter};
use millstream_model::{LeaderEpoch, Offset, TimestampMs};

use super::kafka::KafkaDirectories;
use super::memory::MemorySegments;
use super::*;
use crate::disk::simulated::SimulatedDisk;
use crate::disk::{Disk, FileDisk};
use crate::lane::Ticket;
use crate::tests::{plain, spec};

fn target() -> SegmentTarget {
    let config = LogConfig { segment_bytes: 600, index_interval_bytes: 150, ..LogConfig::default() };
    spec("t", config).target()
}

fn batch(offset: i64, timestamp: i64) -> Batch {
    plain(&["some value"], timestamp).placed(Offset(offset), LeaderEpoch(1))
}

fn run(offsets: std::ops::Range<i64>) -> SegmentRun {
    let batches = offsets.map(|offset| batch(offset, 100 + offset)).collect();
    SegmentRun { target: target(), batches, aborted: Vec::new(), read_soon: false }
}

fn checkpoint(end: i64, start: i64) -> PartitionCheckpoint {
    let mut state = LogState::default();
    for offset in 0..end {
        state.apply(&batch(offset, 100 + offset), Ticket::default());
    }
    state.start_at(Offset(start));
    PartitionCheckpoint { target: target(), state, volatile: false, offline: false }
}

async fn offsets(store: &dyn SegmentStore, from: ReadFrom, bytes_max: usize) -> Vec<i64> {
    let chunks = store.read(target().key, from, bytes_max).await.unwrap();
    let batches = chunks.into_iter().flat_map(BatchIter::new);
    batches.map(|batch| batch.unwrap().header().base_offset.0).collect()
}

async fn contract(store: &dyn SegmentStore) {
    let report = store.load(vec![target()]).await.unwrap();
    assert!(matches!(&report.logs[..], [Loaded::Log(log)] if log.state == LogState::default() && log.bytes == 0));
    assert!(offsets(store, ReadFrom::Offset(Offset(0)), 1000).await.is_empty());
    for start in [0, 10, 20] {
        store.append(vec![run(start..start + 10)]).await.unwrap();
    }
    for offset in 0..30 {
        assert_eq!(offsets(store, ReadFrom::Offset(Offset(offset)), 1).await, [offset], "at least one batch");
    }
    assert!(offsets(store, ReadFrom::Offset(Offset(30)), 1000).await.is_empty());
    let size = batch(0, 0).bytes().len();
    assert_eq!(offsets(store, ReadFrom::Offset(Offset(3)), 2 * size + 1).await, [3, 4], "whole batches only");
    for timestamp in 90..130 {
        let at = ReadFrom::Timestamp { from: Offset(0), timestamp: TimestampMs(timestamp) };
        assert_eq!(offsets(store, at, 1).await, [(timestamp - 100).max(0)], "timestamp {timestamp}");
    }
    let late = ReadFrom::Timestamp { from: Offset(0), timestamp: TimestampMs(130) };
    assert!(offsets(store, late, 1).await.is_empty());
    let from = ReadFrom::Timestamp { from: Offset(12), timestamp: TimestampMs(0) };
    assert_eq!(offsets(store, from, 1).await, [12]);
    store.checkpoint(vec![checkpoint(30, 15)]).await.unwrap();
    let dropped = store.edit(vec![SegmentEdit::DropBelow(target().key, Offset(15))]).await.unwrap();
    assert!(dropped[0] > 0 && dropped[0] <= 15 * size as u64, "{dropped:?}");
    assert_eq!(offsets(store, ReadFrom::Offset(Offset(15)), 1).await, [15]);
    store.edit(vec![SegmentEdit::Remove(target().key)]).await.unwrap();
    assert!(offsets(store, ReadFrom::Offset(Offset(15)), 1).await.is_empty());
}

/// What lies beyond the checkpoint is cut off by a load, and may be appended again.
async fn reload(store: &dyn SegmentStore, again: &dyn SegmentStore) {
    store.load(vec![target()]).await.unwrap();
    store.append(vec![run(0..12)]).await.unwrap();
    store.checkpoint(vec![checkpoint(12, 0)]).await.unwrap();
    store.append(vec![run(12..25)]).await.unwrap();
    let report = again.load(vec![target()]).await.unwrap();
    let [Loaded::Log(log)] = &report.logs[..] else { panic!("{:?}", report.logs) };
    assert_eq!(log.state, checkpoint(12, 0).state);
    assert!(offsets(again, ReadFrom::Offset(Offset(12)), 1).await.is_empty());
    again.append(vec![run(12..14)]).await.unwrap();
    let size = batch(0, 0).bytes().len();
    let mut read = Vec::new();
    while let Some(last) = offsets(again, ReadFrom::Offset(Offset(read.len() as i64)), 3 * size).await.last() {
        read.extend(read.len() as i64..=*last);
    }
    assert_eq!(read, (0..14).collect::<Vec<_>>());
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract(&MemorySegments::default()).await;
    let store = MemorySegments::default();
    reload(&store, &store).await;
}

#[tokio::test]
async fn kafkas_directories_keep_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir.path(), 2).unwrap());
    contract(&KafkaDirectories::new(disk, 0, None)).await;
    for seed in 0..10 {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(seed));
        contract(&KafkaDirectories::new(disk, 0, None)).await;
    }
}

#[tokio::test]
async fn kafkas_directories_are_cut_to_their_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir.path(), 2).unwrap());
    reload(&KafkaDirectories::new(Arc::clone(&disk), 0, None), &KafkaDirectories::new(disk, 0, None)).await;
}

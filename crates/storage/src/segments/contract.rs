//! The contract of `SegmentStore`, run against Kafka's directories (simulated and on the file system) and memory.

use std::ops::Range;
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
    let bytes = dropped[0].bytes_before;
    assert!(bytes > 0 && bytes <= 15 * size as u64, "{dropped:?}");
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

/// Stages every third batch of those between the offsets.
async fn stage_thirds(store: &dyn SegmentStore, between: Range<i64>) {
    let offsets = Offset(between.start)..Offset(between.end);
    store.stage(target(), Staging::Begin(offsets)).await.unwrap();
    for offset in between.filter(|offset| offset % 3 == 0) {
        let batches = vec![batch(offset, 100 + offset)];
        store.stage(target(), Staging::Append { batches, aborted: Vec::new() }).await.unwrap();
    }
    store.stage(target(), Staging::Finish).await.unwrap();
}

async fn replace(store: &dyn SegmentStore) -> Edited {
    store.edit(vec![SegmentEdit::Replace(target().key)]).await.unwrap().remove(0)
}

/// Offsets of the batches from `start` on, as reads of two batches find them.
async fn walk(store: &dyn SegmentStore, start: i64) -> Vec<i64> {
    let mut read = Vec::new();
    let size = batch(0, 0).bytes().len();
    let mut from = start;
    loop {
        let more = offsets(store, ReadFrom::Offset(Offset(from)), 2 * size).await;
        let Some(last) = more.last() else { return read };
        from = last + 1;
        read.extend(more);
    }
}

/// The summaries' offsets from the first one's base to the end of the last one that ends at or before `end`.
fn sealed(store: &dyn SegmentStore, end: i64) -> Range<i64> {
    let segments = store.segments(target().key);
    let last = segments.iter().rfind(|segment| segment.next.0 <= end).unwrap();
    segments[0].base.0..last.next.0
}

async fn replacing(store: &dyn SegmentStore, again: &dyn SegmentStore) {
    store.load(vec![target()]).await.unwrap();
    store.append(vec![run(0..30)]).await.unwrap();
    let between = sealed(store, 20);
    stage_thirds(store, between.clone()).await;
    assert!(replace(store).await.refused, "no checkpoint vouches for what would go");
    store.checkpoint(vec![checkpoint(30, 0)]).await.unwrap();
    assert!(store.segments(target().key).iter().all(|segment| segment.checkpointed));
    stage_thirds(store, between.clone()).await;
    assert_eq!(walk(store, 0).await, (0..30).collect::<Vec<_>>(), "nobody reads what is staged");
    let before: u64 = store.segments(target().key).iter().map(|segment| segment.bytes).sum();
    let edited = replace(store).await;
    let after: u64 = store.segments(target().key).iter().map(|segment| segment.bytes).sum();
    assert!(!edited.refused && edited.bytes_before - edited.bytes_after == before - after, "{edited:?}");
    assert!(replace(store).await.refused, "what was staged is used up");
    let kept: Vec<i64> = (0..30).filter(|offset| *offset >= between.end || offset % 3 == 0).collect();
    for start in 0..30 {
        let expected: Vec<i64> = kept.iter().copied().filter(|offset| *offset >= start).collect();
        assert_eq!(walk(store, start).await, expected, "from {start}");
    }
    for timestamp in 100..130 {
        let at = ReadFrom::Timestamp { from: Offset(0), timestamp: TimestampMs(timestamp) };
        let expected = kept.iter().find(|offset| **offset >= timestamp - 100).unwrap();
        assert_eq!(offsets(store, at, 1).await, [*expected], "timestamp {timestamp}");
    }
    store.edit(vec![SegmentEdit::Compacted(target().key, Offset(between.end))]).await.unwrap();
    let report = again.load(vec![target()]).await.unwrap();
    let [Loaded::Log(log)] = &report.logs[..] else { panic!("{:?}", report.logs) };
    assert_eq!((log.bytes, log.state.log_end), (after, Offset(30)));
    assert_eq!(again.compacted_upto(target().key), Offset(between.end));
    assert_eq!(walk(again, 0).await, kept);
    again.append(vec![run(30..40)]).await.unwrap();
    assert_eq!(
        walk(again, 25).await,
        (25..40).filter(|offset| kept.contains(offset) || *offset >= 30).collect::<Vec<_>>()
    );
}

/// What is staged gives way to what happens to the segments meanwhile.
async fn refusing(store: &dyn SegmentStore) {
    store.load(vec![target()]).await.unwrap();
    store.append(vec![run(0..30)]).await.unwrap();
    store.checkpoint(vec![checkpoint(30, 0)]).await.unwrap();
    stage_thirds(store, sealed(store, 20)).await;
    store.checkpoint(vec![checkpoint(30, 12)]).await.unwrap();
    store.edit(vec![SegmentEdit::DropBelow(target().key, Offset(12))]).await.unwrap();
    assert!(replace(store).await.refused, "a segment of it was dropped");
    assert_eq!(walk(store, 12).await, (12..30).collect::<Vec<_>>());
    stage_thirds(store, sealed(store, 20)).await;
    store.stage(target(), Staging::Forget).await.unwrap();
    assert!(replace(store).await.refused, "it was not wanted any more");
    let between = sealed(store, 20);
    store.stage(target(), Staging::Begin(Offset(between.start)..Offset(between.end))).await.unwrap();
    store.stage(target(), Staging::Finish).await.unwrap();
    assert!(!replace(store).await.refused);
    assert_eq!(walk(store, 12).await, (between.end..30).collect::<Vec<_>>(), "all of it may go");
    stage_thirds(store, sealed(store, 30)).await;
    store.edit(vec![SegmentEdit::Remove(target().key)]).await.unwrap();
    assert!(replace(store).await.refused, "the partition is gone");
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract(&MemorySegments::default()).await;
    let store = MemorySegments::default();
    reload(&store, &store).await;
    let store = MemorySegments::default();
    replacing(&store, &store).await;
    refusing(&MemorySegments::default()).await;
}

#[tokio::test]
async fn kafkas_directories_replace_segments() {
    let kinds = (0..10).map(|seed| Arc::new(SimulatedDisk::new(seed)) as Arc<dyn Disk>);
    let dir = tempfile::tempdir().unwrap();
    let file: Arc<dyn Disk> = Arc::new(FileDisk::open(&dir.path().join("a"), 2).unwrap());
    for disk in kinds.chain([file]) {
        replacing(&KafkaDirectories::new(Arc::clone(&disk), 0, None), &KafkaDirectories::new(disk, 0, None)).await;
    }
    for seed in 0..10 {
        refusing(&KafkaDirectories::new(Arc::new(SimulatedDisk::new(seed)), 0, None)).await;
    }
    refusing(&KafkaDirectories::new(Arc::new(FileDisk::open(&dir.path().join("b"), 2).unwrap()), 0, None)).await;
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

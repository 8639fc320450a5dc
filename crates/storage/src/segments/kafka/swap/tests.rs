//! A swap that is interrupted at any I/O leaves the old segments or the new one; readers under way do not notice it.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_model::batch::BatchIter;
use millstream_model::{LeaderEpoch, TimestampMs};

use super::*;
use crate::disk::Disk;
use crate::disk::simulated::{Dice, Faults, SimulatedDisk};
use crate::lane::Ticket;
use crate::log::config::LogConfig;
use crate::log::state::LogState;
use crate::segments::{Loaded, PartitionCheckpoint, ReadFrom, SegmentEdit, SegmentRun, SegmentStore};
use crate::tests::{plain, spec};

/// Batches that are appended first.
const BATCHES: i64 = 40;
/// Of each of these many batches one is kept by the first swap, and by the second.
const KEPT_ONE_IN: [i64; 2] = [3, 6];

fn target() -> SegmentTarget {
    let config = LogConfig { segment_bytes: 600, index_interval_bytes: 150, ..LogConfig::default() };
    spec("t", config).target()
}

fn batch(offset: i64) -> Batch {
    plain(&["some value"], 100 + offset).placed(Offset(offset), LeaderEpoch(1))
}

fn checkpoint(end: i64) -> PartitionCheckpoint {
    let mut state = LogState::default();
    (0..end).for_each(|offset| {
        state.apply(&batch(offset), Ticket::default());
    });
    PartitionCheckpoint { target: target(), state, volatile: false, offline: false }
}

fn store(disk: &SimulatedDisk) -> KafkaDirectories {
    KafkaDirectories::new(Arc::new(disk.clone()) as Arc<dyn Disk>, 0, None)
}

async fn append(store: &KafkaDirectories, offsets: Range<i64>) {
    let batches = offsets.map(batch).collect();
    store.append(vec![SegmentRun { target: target(), batches, aborted: Vec::new(), read_soon: false }]).await.unwrap();
}

/// Offset after the last sealed segment.
fn sealed_end(store: &KafkaDirectories) -> Offset {
    let segments = store.segments(target().key);
    segments[segments.len() - 2].next
}

fn aborted(offset: i64) -> AbortedTransaction {
    let (first_offset, last_offset) = (Offset(offset), Offset(offset));
    AbortedTransaction {
        producer_id: millstream_model::ProducerId(1),
        first_offset,
        last_offset,
        last_stable: last_offset,
    }
}

/// Replaces all sealed segments by one with every `one_in`th batch of theirs; the first time with a transaction index.
async fn swap(store: &KafkaDirectories, one_in: i64) {
    let end = sealed_end(store);
    store.stage(target(), Staging::Begin(Offset(0)..end)).await.unwrap();
    for offset in (0..end.0).step_by(one_in as usize) {
        let aborted = if one_in == KEPT_ONE_IN[0] && offset < 10 { vec![aborted(offset)] } else { Vec::new() };
        store.stage(target(), Staging::Append { batches: vec![batch(offset)], aborted }).await.unwrap();
    }
    store.stage(target(), Staging::Finish).await.unwrap();
    let edited = store.edit(vec![SegmentEdit::Replace(target().key)]).await.unwrap();
    assert!(!edited[0].refused);
}

async fn offsets(store: &KafkaDirectories, from: i64) -> Vec<i64> {
    let chunks = store.read(target().key, ReadFrom::Offset(Offset(from)), 500).await.unwrap();
    let batches = chunks.into_iter().flat_map(BatchIter::new);
    batches.map(|batch| batch.expect("it is whole").header().base_offset.0).collect()
}

async fn all(store: &KafkaDirectories) -> Vec<i64> {
    let mut read = Vec::new();
    loop {
        let more = offsets(store, read.last().map_or(0, |last| last + 1)).await;
        if more.is_empty() {
            return read;
        }
        read.extend(more);
    }
}

async fn names(disk: &dyn Disk) -> BTreeSet<String> {
    disk.list("kafka/t-0".into()).await.unwrap().into_iter().map(|entry| entry.name).collect()
}

/// What is there after none, one or both of the swaps.
fn outcomes(sealed: i64) -> [Vec<i64>; 3] {
    [1, KEPT_ONE_IN[0], KEPT_ONE_IN[1]]
        .map(|one_in| (0..BATCHES).filter(|offset| *offset >= sealed || offset % one_in == 0).collect())
}

/// Runs `work` until it ends or the machine stops.
fn until_crash<R>(disk: &SimulatedDisk, work: impl Future<Output = R>) -> Option<R> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = disk.crashed() => None,
            done = work => Some(done),
        }
    })
}

/// Swaps twice with the machine stopping at operation `at`; says whether it stopped, and checks what a start finds.
fn interrupted(seed: u64, at: u64) -> bool {
    let disk = SimulatedDisk::new(seed);
    let mut dice = Dice::new(seed ^ at);
    let mut sealed = 0;
    let first = store(&disk);
    until_crash(&disk, async {
        first.load(vec![target()]).await.unwrap();
        append(&first, 0..BATCHES).await;
        first.checkpoint(vec![checkpoint(BATCHES)]).await.unwrap();
        sealed = sealed_end(&first).0;
    });
    disk.set_faults(Faults { crash_at: Some(at), ..Faults::default() });
    let done = until_crash(&disk, async {
        for one_in in KEPT_ONE_IN {
            swap(&first, one_in).await;
            if seed.is_multiple_of(2) {
                first.checkpoint(vec![checkpoint(BATCHES)]).await.unwrap();
            }
        }
    });
    if dice.one_in(3) {
        disk.restart_process();
        // Names that the killed process changed are durable only once they are synced.
        let again = store(&disk);
        until_crash(&disk, async {
            again.load(vec![target()]).await.unwrap();
            again.checkpoint(vec![checkpoint(BATCHES)]).await.unwrap();
        })
        .expect("no crash was ordered");
    }
    disk.power_cycle();
    for _ in 0..dice.below(3) {
        disk.set_faults(Faults { crash_at: Some(dice.below(30)), ..Faults::default() });
        let again = store(&disk);
        until_crash(&disk, async { again.load(vec![target()]).await.unwrap() });
        disk.power_cycle();
    }
    disk.set_faults(Faults::default());
    let again = store(&disk);
    until_crash(&disk, async {
        let report = again.load(vec![target()]).await.unwrap();
        let [Loaded::Log(log)] = &report.logs[..] else { panic!("seed {seed}, stop at {at}: {:?}", report.logs) };
        assert_eq!(log.state, checkpoint(BATCHES).state);
        let found = all(&again).await;
        let which = outcomes(sealed).iter().position(|outcome| *outcome == found);
        let which = which.unwrap_or_else(|| panic!("seed {seed}, stop at {at}: {found:?}"));
        assert!(done.is_none() || which == 2, "seed {seed}: a swap that was answered is undone");
        assert_eq!(log.aborted.len(), if which == 1 { 4 } else { 0 }, "seed {seed}, stop at {at}, outcome {which}");
        for timestamp in [100, 117, 139] {
            let from = ReadFrom::Timestamp { from: Offset(0), timestamp: TimestampMs(timestamp) };
            let chunks = again.read(target().key, from, 1).await.unwrap();
            let first = BatchIter::new(chunks[0].clone()).next().unwrap().unwrap();
            let expected = found.iter().find(|offset| **offset >= timestamp - 100).unwrap();
            assert_eq!(first.header().base_offset.0, *expected, "seed {seed}, stop at {at}, timestamp {timestamp}");
        }
        let temporary = |name: &String| name.ends_with(CLEANED_SUFFIX) || name.ends_with(SWAP_SUFFIX);
        assert!(!names(&disk).await.iter().any(temporary), "seed {seed}, stop at {at}: leftovers");
        // Life goes on.
        append(&again, BATCHES..BATCHES + 20).await;
        again.checkpoint(vec![checkpoint(BATCHES + 20)]).await.unwrap();
        swap(&again, KEPT_ONE_IN[1]).await;
        assert!(all(&again).await.iter().all(|offset| *offset % 6 == 0 || *offset >= sealed));
    })
    .expect("no crash was ordered");
    done.is_none()
}

#[test]
fn a_swap_that_stops_at_any_operation_leaves_the_old_segments_or_the_new_one() {
    for seed in 0..12 {
        let stops = (0..).take_while(|at| interrupted(seed, *at)).count();
        assert!(stops > 60, "the swaps were {stops} operations");
    }
}

#[test]
fn a_reader_under_way_meets_no_error_when_segments_are_replaced() {
    for seed in 0..60 {
        let disk = SimulatedDisk::new(seed);
        let store = store(&disk);
        let dice = std::cell::RefCell::new(Dice::new(seed));
        let reads = until_crash(&disk, async {
            store.load(vec![target()]).await.unwrap();
            append(&store, 0..BATCHES).await;
            store.checkpoint(vec![checkpoint(BATCHES)]).await.unwrap();
            let sealed = sealed_end(&store).0;
            let swaps = async {
                let wait = dice.borrow_mut().below(20);
                for _ in 0..wait {
                    tokio::task::yield_now().await;
                }
                swap(&store, KEPT_ONE_IN[0]).await;
                swap(&store, KEPT_ONE_IN[1]).await;
            };
            let reading = async {
                let mut reads: u64 = 0;
                loop {
                    let from = dice.borrow_mut().below(BATCHES as u64) as i64;
                    let found = offsets(&store, from).await;
                    let mut expected = outcomes(sealed).map(|all| all.into_iter().filter(|o| *o >= from).collect());
                    let matches = |all: &mut Vec<i64>| !found.is_empty() && all.starts_with(&found);
                    assert!(expected.iter_mut().any(matches), "seed {seed}, from {from}: {found:?}");
                    reads += 1;
                    if store.partitions.lock()[&target().key].swaps == 2 && reads > 50 {
                        return reads;
                    }
                }
            };
            tokio::join!(swaps, reading).1
        });
        assert!(reads.is_some_and(|reads| reads > 50));
    }
}

#[test]
fn a_segment_that_was_sealed_after_its_checkpoint_may_be_replaced() {
    let disk = SimulatedDisk::new(1);
    let store = store(&disk);
    until_crash(&disk, async {
        store.load(vec![target()]).await.unwrap();
        // The checkpoint has all batches of the first segment, and not yet the end of its time index.
        let config = LogConfig { index_interval_bytes: 1 << 20, ..target().config };
        let run = |offsets: Range<i64>| {
            let target = SegmentTarget { config: config.clone(), ..target() };
            vec![SegmentRun { target, batches: offsets.map(batch).collect(), aborted: Vec::new(), read_soon: false }]
        };
        let end = 600 / batch(0).bytes().len() as i64;
        store.append(run(0..end)).await.unwrap();
        store.checkpoint(vec![checkpoint(end)]).await.unwrap();
        store.append(run(end..end + 1)).await.unwrap();
        assert_eq!(store.segments(target().key).len(), 2);
        swap(&store, KEPT_ONE_IN[0]).await;
        assert_eq!(all(&store).await, (0..=end).filter(|offset| offset % 3 == 0 || *offset == end).collect::<Vec<_>>());
    })
    .expect("no crash was ordered");
}

#[test]
fn a_swap_on_a_full_disk_is_refused_and_leaves_nothing_behind() {
    let disk = SimulatedDisk::new(1);
    let store = store(&disk);
    until_crash(&disk, async {
        store.load(vec![target()]).await.unwrap();
        append(&store, 0..BATCHES).await;
        store.checkpoint(vec![checkpoint(BATCHES)]).await.unwrap();
        let before = names(&disk).await;
        let end = sealed_end(&store);
        store.stage(target(), Staging::Begin(Offset(0)..end)).await.unwrap();
        store.stage(target(), Staging::Append { batches: vec![batch(0)], aborted: Vec::new() }).await.unwrap();
        store.stage(target(), Staging::Finish).await.unwrap();
        disk.set_faults(Faults { capacity: Some(1), ..Faults::default() });
        let edited = store.edit(vec![SegmentEdit::Replace(target().key)]).await.unwrap();
        assert!(edited[0].refused);
        assert_eq!(names(&disk).await, before);
        assert_eq!(all(&store).await, (0..BATCHES).collect::<Vec<_>>());
        disk.set_faults(Faults::default());
        swap(&store, KEPT_ONE_IN[0]).await;
    })
    .expect("no crash was ordered");
}

#[test]
fn a_read_goes_on_behind_a_segment_whose_end_was_cleaned_away_without_scanning_it() {
    let disk = SimulatedDisk::new(1);
    let store = store(&disk);
    until_crash(&disk, async {
        store.load(vec![target()]).await.unwrap();
        append(&store, 0..BATCHES).await;
        store.checkpoint(vec![checkpoint(BATCHES)]).await.unwrap();
        let end = sealed_end(&store).0;
        swap(&store, KEPT_ONE_IN[1]).await;
        let last = (end - 1) / KEPT_ONE_IN[1] * KEPT_ONE_IN[1];
        assert!(last + 1 < end, "batches behind the last that is kept are gone");
        assert_eq!(offsets(&store, last).await, [last]);
        disk.set_faults(Faults::default());
        assert_eq!(offsets(&store, last + 1).await[0], end);
        assert!(disk.operations() <= 4, "{} operations", disk.operations());
    })
    .expect("no crash was ordered");
}

//! Cases that have a name, because an engine has failed in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_model::{BrokerId, LeaderEpoch, Offset, TimestampMs};
use uuid::Uuid;

use crate::clock::ManualClock;
use crate::disk::BLOCK_BYTES;
use crate::disk::simulated::{Fate, SimulatedDisk};
use crate::lane::slot::{Seal, SlotKind, decode_header, encode};
use crate::tests::{plain, spec, values};
use crate::*;

const NOW: TimestampMs = TimestampMs(1_000);

fn options(nonce: u64) -> StorageOptions {
    let options = StorageOptions::new("c".into(), BrokerId(1), Uuid::from_u64_pair(7, nonce));
    let limits = EngineLimits { settle_after: Duration::ZERO, ..EngineLimits::default() };
    StorageOptions { limits, lane_file_bytes: 64 << 10, background: Background::Tasks, ..options }
}

/// A storage on a disk, its clock, and the partitions that a catalog would know.
struct Machine {
    disk: SimulatedDisk,
    clock: Arc<ManualClock>,
    specs: Vec<PartitionSpec>,
    starts: u64,
}

impl Machine {
    fn new(seed: u64, specs: Vec<PartitionSpec>) -> Self {
        Self { disk: SimulatedDisk::new(seed), clock: Arc::default(), specs, starts: 0 }
    }

    async fn start(&mut self) -> (Storage, RecoveryReport) {
        self.starts += 1;
        let disk = Arc::new(self.disk.clone());
        Storage::open(options(self.starts), disk, self.clock.clone(), self.specs.clone()).await.unwrap()
    }

    fn partition(&self, storage: &Storage, number: usize) -> Arc<Partition> {
        storage.partition(self.specs[number].topic_id, self.specs[number].index).unwrap()
    }

    /// Enough for whatever is due to be under way.
    async fn pass_time(&self) {
        for _ in 0..1000 {
            self.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass until `done`.
    async fn until(&self, done: impl Fn() -> bool) {
        for _ in 0..100_000 {
            if done() {
                return;
            }
            self.clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
        panic!("what was waited for did not come");
    }
}

async fn append(partition: &Arc<Partition>, value: &str) {
    let appended = partition.append([plain(&[value], 10)], AppendOrigin::Client, NOW).unwrap();
    appended.durable().await.unwrap();
}

async fn all(partition: &Arc<Partition>) -> Vec<String> {
    let (mut from, mut all) = (partition.offsets().log_start, Vec::new());
    // A read may end where the segments do, and the tail goes on.
    loop {
        let slice = partition.read(from, 1 << 20, true, ReadUpto::HighWatermark).await.unwrap();
        let records = values(&slice.records);
        let Some((last, _)) = records.last() else { return all };
        from = Offset(last + 1);
        all.extend(records.into_iter().map(|(_, value)| value));
    }
}

#[tokio::test]
async fn a_shutdown_while_a_checkpoint_waits_for_the_disk_keeps_what_was_appended_meanwhile() {
    let mut machine = Machine::new(1, vec![spec("a", LogConfig::default()), spec("b", LogConfig::default())]);
    let (storage, _) = machine.start().await;
    let (a, b) = (machine.partition(&storage, 0), machine.partition(&storage, 1));
    append(&a, "1").await;
    machine.disk.hold_syncs(true);
    // One checkpoint is on its way, and the next one, of `b`, waits for it.
    append(&b, "1").await;
    machine.until(|| storage.metrics().pending_bytes == 0).await;
    machine.pass_time().await;
    append(&a, "2").await;
    machine.pass_time().await;
    append(&a, "3").await;
    let closing = tokio::spawn({
        let storage = storage.clone();
        async move { storage.close().await }
    });
    machine.pass_time().await;
    machine.disk.hold_syncs(false);
    closing.await.unwrap().unwrap();
    let (storage, report) = machine.start().await;
    assert!(report.clean);
    assert_eq!(all(&machine.partition(&storage, 0)).await, ["1", "2", "3"]);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn stale_slots_of_earlier_sessions_behind_the_lanes_end_are_not_replayed() {
    let mut machine = Machine::new(1, vec![spec("a", LogConfig::default())]);
    for session in 0..4_usize {
        let (storage, report) = machine.start().await;
        // The fewer slots a session writes, the more of its predecessor's lie behind them in the same file.
        let (before, slots) = (if session == 0 { 0 } else { 6 - session }, 5 - session);
        assert_eq!(
            (report.slots_replayed, report.slots_torn, report.slots_damaged),
            (before as u64, 0, 0),
            "{session}"
        );
        let a = machine.partition(&storage, 0);
        let written = all(&a).await.len();
        for number in 0..slots {
            append(&a, &(written + number).to_string()).await;
        }
        let expected: Vec<String> = (0..written + slots).map(|number| number.to_string()).collect();
        assert_eq!(all(&a).await, expected);
        storage.abort().await;
        machine.disk.power_cycle_to(Fate::Kept, Fate::Kept);
    }
}

#[tokio::test]
async fn stale_batches_behind_a_logs_end_are_not_taken_up_when_it_grows_to_meet_them() {
    let config = LogConfig { durability: Durability::Os, ..LogConfig::default() };
    let mut machine = Machine::new(1, vec![spec("a", config)]);
    let (storage, _) = machine.start().await;
    let a = machine.partition(&storage, 0);
    for value in ["1", "2", "3"] {
        append(&a, value).await;
    }
    storage.abort().await;
    // The sectors of the second batch were lost, those of the third were not.
    let disk: Arc<dyn Disk> = Arc::new(machine.disk.clone());
    let log = PathBuf::from("kafka/a-0/00000000000000000000.log");
    let batch = disk.length(log.clone()).await.unwrap().unwrap() / 3;
    let hole = vec![Bytes::from(vec![0; usize::try_from(batch).unwrap()])];
    disk.write(log.clone(), batch, hole).await.unwrap();
    for (meanwhile, expected) in [(Some("b"), ["1"].as_slice()), (None, &["1", "b"])] {
        let (storage, _) = machine.start().await;
        let a = machine.partition(&storage, 0);
        assert_eq!(all(&a).await, expected);
        if let Some(value) = meanwhile {
            append(&a, value).await;
            assert_eq!(disk.length(log.clone()).await.unwrap(), Some(2 * batch));
        }
        storage.abort().await;
    }
}

#[tokio::test]
async fn a_segment_is_cut_to_its_checkpoint_before_the_lane_is_replayed_into_it() {
    let mut machine = Machine::new(1, vec![spec("a", LogConfig::default())]);
    // An unclean end, so that this session's epoch is not the first.
    machine.start().await.0.abort().await;
    let (storage, _) = machine.start().await;
    let a = machine.partition(&storage, 0);
    append(&a, "1").await;
    let checkpoints = storage.metrics().checkpoints;
    machine.until(|| storage.metrics().checkpoints > checkpoints).await;
    append(&a, "2").await;
    machine.until(|| storage.metrics().pending_bytes == 0).await;
    storage.abort().await;
    // What an earlier epoch might have left: batches that would follow, beyond what the lane has.
    let disk: Arc<dyn Disk> = Arc::new(machine.disk.clone());
    let log = PathBuf::from("kafka/a-0/00000000000000000000.log");
    let whole = disk.length(log.clone()).await.unwrap().unwrap();
    let stale = plain(&["stale"], 10).placed(Offset(2), LeaderEpoch(0)).into_bytes();
    disk.write(log.clone(), whole, vec![stale]).await.unwrap();
    for _ in 0..2 {
        let (storage, _) = machine.start().await;
        assert_eq!(all(&machine.partition(&storage, 0)).await, ["1", "2"]);
        assert_eq!(disk.length(log.clone()).await.unwrap(), Some(whole));
        storage.abort().await;
    }
}

#[tokio::test]
async fn a_log_start_after_a_damaged_slot_does_not_prove_that_the_slot_held_no_record_of_the_log() {
    let mut machine = Machine::new(1, vec![spec("a", LogConfig::default())]);
    let (storage, _) = machine.start().await;
    let a = machine.partition(&storage, 0);
    append(&a, "1").await;
    append(&a, "2").await;
    a.delete_records(Some(Offset(1))).unwrap().1.durable().await.unwrap();
    let written = storage.metrics().slots_written;
    machine.until(|| storage.metrics().slots_written > written).await;
    storage.abort().await;
    // In the index of the slot with "2": what it held is not known.
    let slot = machine.disk.content(Path::new("lane/00000000.slots")).unwrap()[BLOCK_BYTES..].to_vec();
    let index = u32::from_be_bytes(slot[60..64].try_into().unwrap());
    machine.disk.flip_bit(Path::new("lane/00000000.slots"), BLOCK_BYTES as u64 + u64::from(index));
    let (storage, report) = machine.start().await;
    assert_eq!(report.slots_damaged, 1);
    assert!(machine.partition(&storage, 0).offline().is_some(), "{:?}", machine.partition(&storage, 0).offsets());
}

#[tokio::test]
async fn slots_that_a_header_claims_by_the_billion_are_not_gone_through() {
    let mut machine = Machine::new(1, vec![spec("a", LogConfig::default())]);
    let (storage, _) = machine.start().await;
    append(&machine.partition(&storage, 0), "1").await;
    append(&machine.partition(&storage, 0), "2").await;
    storage.abort().await;
    let lane = PathBuf::from("lane/00000000.slots");
    let written = machine.disk.content(&lane).unwrap()[BLOCK_BYTES..2 * BLOCK_BYTES].to_vec();
    let header = decode_header(&written).unwrap();
    for (sequence, acked_upto) in [(u64::MAX, 0), (1 << 60, 1 << 50), (1, u64::MAX)] {
        let kind = SlotKind::Mark;
        let seal = Seal { kind, lane: header.lane, sequence, nonce: header.nonce, acked_upto, low_water: 0 };
        let (disk, specs) = (machine.disk.fork(), machine.specs.clone());
        let mut machine = Machine { disk, specs, clock: Arc::default(), starts: 1 };
        let disk: &dyn Disk = &machine.disk;
        disk.write(lane.clone(), BLOCK_BYTES as u64, vec![encode(seal, &[]).1]).await.unwrap();
        let (storage, report) = machine.start().await;
        let lost = acked_upto > 1;
        assert_eq!((report.slots_damaged > 0, machine.partition(&storage, 0).offline().is_some()), (lost, lost));
    }
}

//! Cases that have a name, because an engine has failed in them.

use std::sync::Arc;
use std::time::Duration;

use millstream_model::{BrokerId, TimestampMs};
use uuid::Uuid;

use crate::clock::ManualClock;
use crate::disk::simulated::SimulatedDisk;
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

async fn append(partition: &Partition, value: &str) {
    let appended = partition.append(&[plain(&[value], 10)], AppendOrigin::Client, NOW).unwrap();
    appended.ticket.durable().await.unwrap();
}

async fn all(partition: &Partition) -> Vec<String> {
    let from = partition.offsets().log_start;
    let slice = partition.read(from, 1 << 20, true, ReadUpto::HighWatermark).await.unwrap();
    values(&slice.records).into_iter().map(|(_, value)| value).collect()
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

//! `flush.messages` and `flush.ms`: what they add under `millstream.durability=os`.

use futures_util::FutureExt as _;

use super::*;
use crate::clock::ManualClock;
use crate::disk::simulated::SimulatedDisk;
use crate::open::tests::{NOW, all, append, options, partition, simulated};
use crate::tests::{plain, spec};
use crate::{AppendOrigin, Clock, LogConfig, Storage, StorageMetrics};

fn flushed(messages: Option<u64>, ms: Option<u64>) -> LogConfig {
    LogConfig { durability: Durability::Os, flush_messages: messages, flush_ms: ms, ..LogConfig::default() }
}

/// A storage with topic `a`, configured so, and `b`, which nobody flushes.
async fn open(disk: &SimulatedDisk, nonce: u64, config: LogConfig) -> (Storage, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let specs = vec![spec("a", config), spec("b", flushed(None, None))];
    let dynamic = Arc::clone(&clock) as Arc<dyn Clock>;
    let (storage, _) = Storage::open(options(nonce), Arc::new(disk.clone()), dynamic, specs).await.unwrap();
    (storage, clock)
}

/// Lets time pass until a reading is as wanted; says how much.
async fn until(storage: &Storage, clock: &ManualClock, wanted: impl Fn(&StorageMetrics) -> bool) -> Duration {
    let began = clock.monotonic();
    while !wanted(&storage.metrics()) {
        clock.advance(Duration::from_millis(1));
        // Each of the storage's tasks has its turn, and the disk answers some polls later.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(clock.monotonic() - began < Duration::from_secs(60), "{:?}", storage.metrics());
    }
    clock.monotonic() - began
}

/// What the machine has of `a` after its power failed.
async fn after_power_loss(simulated: &SimulatedDisk, storage: Storage) -> Vec<String> {
    storage.abort().await;
    drop(storage);
    simulated.power_cycle();
    let (storage, _) = open(simulated, 2, flushed(None, None)).await;
    assert_eq!(partition(&storage, "a").offline(), None);
    all(&partition(&storage, "a")).await
}

#[tokio::test]
async fn with_flush_messages_of_one_an_acknowledged_record_survives_power_loss() {
    let mut lost_without = 0;
    for seed in 0..30 {
        let written = ["1", "2", "3"];
        for messages in [Some(1), None] {
            let (simulated, _) = simulated(seed);
            let (storage, _) = open(&simulated, 1, flushed(messages, None)).await;
            for value in written {
                append(&partition(&storage, "a"), &[value]).await;
            }
            let found = after_power_loss(&simulated, storage).await;
            match messages {
                Some(_) => assert_eq!(found, written, "seed {seed}"),
                None => lost_without += usize::from(found != written),
            }
        }
    }
    assert!(lost_without > 0, "a disk that loses nothing shows nothing");
}

#[tokio::test]
async fn a_write_is_synced_when_so_many_records_would_not_be() {
    for seed in 0..10 {
        let (simulated, _) = simulated(seed);
        let (storage, _) = open(&simulated, 1, flushed(Some(3), None)).await;
        let a = partition(&storage, "a");
        let synced = |storage: &Storage| storage.metrics().direct_fsync.times.count();
        append(&a, &["1", "2"]).await;
        assert_eq!(synced(&storage), 0);
        append(&a, &["3"]).await;
        assert_eq!(synced(&storage), 1);
        append(&a, &["4"]).await;
        append(&a, &["5"]).await;
        assert_eq!((synced(&storage), storage.metrics().direct_os.times.count()), (1, 3));
        append(&a, &["6", "7", "8", "9"]).await;
        assert_eq!(synced(&storage), 2);
        drop(a);
        assert_eq!(after_power_loss(&simulated, storage).await.len(), 9, "seed {seed}");
    }
}

#[tokio::test]
async fn a_synced_write_is_not_done_by_who_waits_for_it() {
    for (messages, here) in [(None, true), (Some(1), false)] {
        let (simulated, _) = simulated(1);
        let (storage, _) = open(&simulated, 1, flushed(messages, None)).await;
        let appended = partition(&storage, "a").append([plain(&["1"], 10)], AppendOrigin::Client, NOW).unwrap();
        assert_eq!(appended.durable().now_or_never().is_some(), here);
        appended.durable().await.unwrap();
    }
}

#[tokio::test]
async fn a_checkpoint_counts_as_a_sync() {
    let (simulated, _) = simulated(1);
    let (storage, clock) = open(&simulated, 1, flushed(Some(3), None)).await;
    let a = partition(&storage, "a");
    let before = storage.metrics().checkpoints;
    append(&a, &["1", "2"]).await;
    until(&storage, &clock, |metrics| metrics.checkpoints > before).await;
    append(&a, &["3", "4"]).await;
    assert_eq!(storage.metrics().direct_fsync.times.count(), 0);
    append(&a, &["5"]).await;
    assert_eq!(storage.metrics().direct_fsync.times.count(), 1);
}

#[tokio::test]
async fn no_record_stays_unsynced_for_longer_than_flush_ms() {
    for seed in 0..10 {
        let (simulated, _) = simulated(seed);
        let (storage, clock) = open(&simulated, 1, flushed(None, Some(500))).await;
        append(&partition(&storage, "b"), &["waits for the usual checkpoint"]).await;
        until(&storage, &clock, |metrics| metrics.uncheckpointed_for > Duration::ZERO).await;
        let before = storage.metrics().checkpoints;
        append(&partition(&storage, "a"), &["1"]).await;
        let waited = until(&storage, &clock, |metrics| metrics.checkpoints > before).await;
        assert!((500..600).contains(&waited.as_millis()), "{waited:?}");
        assert!(storage.metrics().uncheckpointed_for >= waited, "the other topic's records wait on");
        assert_eq!(after_power_loss(&simulated, storage).await, ["1"], "seed {seed}");
    }
}

#[tokio::test]
async fn a_shorter_flush_ms_holds_for_what_is_written_already() {
    let (simulated, _) = simulated(1);
    let (storage, clock) = open(&simulated, 1, flushed(None, None)).await;
    let a = partition(&storage, "a");
    append(&a, &["1"]).await;
    until(&storage, &clock, |metrics| metrics.uncheckpointed_for > Duration::ZERO).await;
    let before = storage.metrics().checkpoints;
    a.set_config(flushed(None, Some(100)));
    let waited = until(&storage, &clock, |metrics| metrics.checkpoints > before).await;
    assert!(waited < Duration::from_millis(200), "{waited:?}");
}

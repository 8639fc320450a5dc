//! Readings of an engine at work, on a clock that stands still.

use std::sync::Arc;

use super::*;
use crate::Storage;
use crate::clock::ManualClock;
use crate::disk::simulated::{Faults, SimulatedDisk};
use crate::log::config::LogConfig;
use crate::log::partition_log::AppendOrigin;
use crate::open::tests::{NOW, append, options, partition};
use crate::tests::{plain, spec};

async fn open(disk: &SimulatedDisk) -> (Storage, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let mut options = options(1);
    options.limits.reserve_bytes = 0;
    let specs = vec![spec("a", LogConfig::default())];
    let (storage, _) = Storage::open(options, Arc::new(disk.clone()), clock.clone(), specs).await.unwrap();
    (storage, clock)
}

/// Lets the engine work until a reading is as wanted; it is, or the test never ends.
async fn until(storage: &Storage, wanted: impl Fn(&StorageMetrics) -> bool) {
    while !wanted(&storage.metrics()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_change_ages_until_a_checkpoint_covers_it() {
    let (storage, clock) = open(&SimulatedDisk::new(1)).await;
    clock.advance(Duration::from_secs(100));
    assert_eq!(storage.metrics().uncheckpointed_for, Duration::ZERO, "there is nothing to cover");
    append(&partition(&storage, "a"), &["1"]).await;
    until(&storage, |metrics| metrics.pending_bytes == 0).await;
    clock.advance(Duration::from_secs(4));
    until(&storage, |metrics| metrics.uncheckpointed_for == Duration::from_secs(4)).await;
    let before = storage.metrics();
    assert_eq!(before.checkpoints, before.checkpoint_times.count());
    clock.advance(Duration::from_secs(6));
    until(&storage, |metrics| metrics.uncheckpointed_for == Duration::ZERO).await;
    let after = storage.metrics();
    assert_eq!((after.checkpoints, after.checkpoint_times.count()), (before.checkpoints + 1, after.checkpoints));
}

#[tokio::test]
async fn what_cannot_settle_ages_until_there_is_space() {
    let disk = SimulatedDisk::new(1);
    let (storage, clock) = open(&disk).await;
    let a = partition(&storage, "a");
    append(&a, &["0"]).await;
    until(&storage, |metrics| metrics.pending_bytes == 0).await;
    disk.set_faults(Faults { capacity: Some(0), ..Faults::default() });
    append(&a, &["1"]).await;
    until(&storage, |metrics| metrics.no_space).await;
    clock.advance(Duration::from_millis(400));
    let lagging = storage.metrics();
    assert!(lagging.unsettled_bytes > 0);
    assert_eq!(lagging.unsettled_for, Duration::from_millis(400));
    assert!(a.append([plain(&["2"], 1)], AppendOrigin::Client, NOW).is_err());
    assert_eq!((storage.metrics().refused_for_space, storage.metrics().refused_for_load), (1, 0));
    disk.set_faults(Faults::default());
    while storage.metrics().unsettled_bytes > 0 {
        clock.advance(Duration::from_millis(500));
        tokio::task::yield_now().await;
    }
    until(&storage, |metrics| metrics.unsettled_for == Duration::ZERO).await;
}

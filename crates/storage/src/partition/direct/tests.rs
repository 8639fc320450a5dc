//! Batches that pass the lane by: who writes them, what a crash leaves of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_model::Offset;

use crate::clock::ManualClock;
use crate::disk::{Disk, DiskOp};
use crate::open::tests::{NOW, all, append, open, options, partition, simulated};
use crate::tests::{plain, spec};
use crate::*;

fn under_os() -> LogConfig {
    LogConfig { durability: Durability::Os, ..LogConfig::default() }
}

/// A storage whose topic `a` writes without the lane from 2000 bytes on.
async fn open_direct(disk: &Arc<dyn Disk>, nonce: u64) -> (Storage, RecoveryReport, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let mut options = options(nonce);
    options.limits.direct_bytes_min = 2000;
    let specs = vec![spec("a", LogConfig::default())];
    let (storage, report) = Storage::open(options, Arc::clone(disk), clock.clone(), specs).await.unwrap();
    (storage, report, clock)
}

fn large(letter: &str) -> String {
    letter.repeat(3000)
}

#[tokio::test]
async fn what_nobody_waits_for_is_written_all_the_same() {
    let storage = Storage::in_memory(Arc::new(ManualClock::default()), EngineLimits::default());
    let a = storage.create_partition(spec("a", under_os()));
    drop(a.append([plain(&["1"], 10)], AppendOrigin::Client, NOW).unwrap());
    while a.offsets().high_watermark < Offset(1) {
        tokio::task::yield_now().await;
    }
    assert_eq!(all(&a).await, ["1"]);
}

#[tokio::test]
async fn batches_that_come_together_share_a_write() {
    let storage = Storage::in_memory(Arc::new(ManualClock::default()), EngineLimits::default());
    let a = storage.create_partition(spec("a", under_os()));
    let appended: Vec<Appended> = ["1", "2", "3"]
        .iter()
        .map(|value| a.append([plain(&[value], 10)], AppendOrigin::Client, NOW).unwrap())
        .collect();
    assert!(appended.iter().all(|one| !one.ticket.is_durable()));
    appended[0].durable().await.unwrap();
    assert!(appended.iter().all(|one| one.ticket.is_durable()));
}

#[tokio::test]
async fn a_deleted_topics_batches_are_waited_for_by_nobody() {
    let storage = Storage::in_memory(Arc::new(ManualClock::default()), EngineLimits::default());
    let a = storage.create_partition(spec("a", under_os()));
    let waiting = a.append([plain(&["1"], 10)], AppendOrigin::Client, NOW).unwrap();
    storage.delete_topics(&[a.topic_id()]).await.unwrap();
    waiting.durable().await.unwrap();
    assert_eq!(storage.metrics().pending_bytes, 0);
}

#[tokio::test]
async fn a_large_durable_run_is_in_no_slot_and_survives_a_kill() {
    let (_, disk) = simulated(1);
    let (storage, _, _) = open_direct(&disk, 1).await;
    let a = partition(&storage, "a");
    append(&a, &["0"]).await;
    append(&a, &[&large("1"), &large("2")]).await;
    append(&a, &["3"]).await;
    let slots = storage.metrics();
    assert_eq!(slots.slot_bytes_written, 4096 * slots.slots_written, "{slots:?}");
    storage.abort().await;
    drop((storage, a));
    let (storage, report, _) = open_direct(&disk, 2).await;
    assert!(!report.clean && report.offline.is_empty(), "{report:?}");
    assert_eq!(all(&partition(&storage, "a")).await, ["0", &large("1"), &large("2"), "3"]);
    storage.close().await.unwrap();
    drop(storage);
    let (storage, report, _) = open_direct(&disk, 3).await;
    assert!(report.clean);
    assert_eq!(all(&partition(&storage, "a")).await.len(), 4);
}

#[tokio::test]
async fn large_runs_wait_until_what_came_before_has_settled() {
    let (_, disk) = simulated(1);
    let (storage, _, clock) = open_direct(&disk, 1).await;
    let a = partition(&storage, "a");
    let small = a.append([plain(&["0"], 10)], AppendOrigin::Client, NOW).unwrap();
    let large_run = a.append([plain(&[&large("1")], 10)], AppendOrigin::Client, NOW).unwrap();
    let after = a.append([plain(&["2"], 10)], AppendOrigin::Client, NOW).unwrap();
    for appended in [small, large_run, after] {
        appended.durable().await.unwrap();
    }
    assert_eq!(all(&a).await, ["0", &large("1"), "2"]);
    assert_eq!(clock.monotonic(), Duration::ZERO, "nothing waits for a timer");
}

#[tokio::test]
async fn a_segment_that_lost_what_it_had_reached_takes_its_partition_offline() {
    let (_, disk) = simulated(1);
    let (storage, _, clock) = open_direct(&disk, 1).await;
    let a = partition(&storage, "a");
    append(&a, &[&large("1")]).await;
    let before = storage.metrics().slots_written;
    while storage.metrics().slots_written == before {
        clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    storage.abort().await;
    drop((storage, a));
    let file = Path::new("kafka/a-0/00000000000000000000.log").to_owned();
    disk.perform(DiskOp::SetLength { file, length: 100 }).await.unwrap();
    let (storage, report, _) = open_direct(&disk, 2).await;
    assert_eq!(report.offline.len(), 1, "{report:?}");
    assert!(partition(&storage, "a").offline().unwrap().contains("up to offset 1"));
}

#[tokio::test]
async fn bytes_of_an_earlier_session_behind_the_end_are_not_taken() {
    let (simulated, disk) = simulated(1);
    let (storage, _, _) = open_direct(&disk, 1).await;
    append(&partition(&storage, "a"), &[&large("1")]).await;
    append(&partition(&storage, "a"), &[&large("2")]).await;
    let file = Path::new("kafka/a-0/00000000000000000000.log");
    let both = simulated.content(file).unwrap();
    storage.abort().await;
    drop(storage);
    // The end is cut to the first batch, a later session begins, and the second batch's bytes are back.
    let half = both.len() as u64 / 2;
    disk.perform(DiskOp::SetLength { file: file.to_owned(), length: half }).await.unwrap();
    let (storage, _) = open(&disk, 2, &["a"]).await;
    storage.abort().await;
    drop(storage);
    disk.write(file.to_owned(), 0, vec![both.into()]).await.unwrap();
    let (storage, _, _) = open_direct(&disk, 3).await;
    assert_eq!(all(&partition(&storage, "a")).await, [large("1")]);
}

//! The cleaner among the others: its pace, what happens to a log while it is at it, logs that it cannot clean.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_model::batch::BatchBuilder;
use millstream_model::compression::Compression;
use millstream_model::{Offset, TimestampMs};

use crate::clock::{Clock as _, ManualClock};
use crate::compaction::tests::{cleaner, config, open, partition, settle};
use crate::disk::Disk;
use crate::disk::simulated::{Faults, SimulatedDisk};
use crate::tests::spec;
use crate::*;

const KEYS: i64 = 5;
const RECORDS: i64 = 200;

/// A storage in which many records of few keys lie in segments, not cleaned yet.
struct Filled {
    disk: SimulatedDisk,
    clock: Arc<ManualClock>,
    storage: Storage,
}

async fn filled(config: LogConfig) -> Filled {
    let disk = SimulatedDisk::new(1);
    let clock = Arc::new(ManualClock::default());
    let storage = open(&(Arc::new(disk.clone()) as Arc<dyn Disk>), &clock, config, 1).await;
    let filled = Filled { disk, clock, storage };
    filled.write().await;
    filled
}

impl Filled {
    async fn write(&self) {
        let now = self.clock.now();
        for number in 0..RECORDS {
            let mut builder = BatchBuilder::new(Compression::None);
            builder.append(now, Some(&(number % KEYS).to_be_bytes()), Some(&[7; 40]), &[]).unwrap();
            let appended = partition(&self.storage).append([builder.build()], AppendOrigin::Client, now).unwrap();
            appended.durable().await.unwrap();
        }
        settle(&self.storage, &self.clock).await;
    }

    /// Lets some time pass.
    async fn wait(&self, ms: u64) {
        for _ in 0..ms.div_ceil(100) {
            self.clock.advance(Duration::from_millis(100));
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn segments(&self) -> usize {
        self.names().iter().filter(|name| name.ends_with(".log")).count()
    }

    fn names(&self) -> Vec<String> {
        self.disk.names(Path::new("kafka/t-0"))
    }

    fn runs(&self) -> u64 {
        self.storage.metrics().cleaner.runs
    }

    /// Offsets of all records.
    async fn offsets(&self) -> Vec<i64> {
        let partition = partition(&self.storage);
        let mut from = partition.offsets().log_start;
        let mut found = Vec::new();
        loop {
            let slice = partition.read(from, 1 << 20, true, ReadUpto::HighWatermark).await.unwrap();
            let values = crate::tests::values(&slice.records);
            let Some((last, _)) = values.last() else { return found };
            from = Offset(last + 1);
            found.extend(values.into_iter().map(|(offset, _)| offset));
        }
    }
}

/// So slow that a pass over what was written takes a minute.
fn slow() -> CleanerSettings {
    CleanerSettings { bytes_per_second_max: Some(600), ..cleaner(1 << 20) }
}

#[tokio::test]
async fn a_log_of_many_small_segments_becomes_one_of_few() {
    let filled = filled(config(0)).await;
    let before = filled.segments();
    assert!(before > 30, "{before} segments");
    filled.storage.set_cleaner(cleaner(1 << 20));
    settle(&filled.storage, &filled.clock).await;
    assert!(filled.segments() <= 3, "{} of {before} segments are left", filled.segments());
    let offsets = filled.offsets().await;
    assert!(offsets.len() < 20 && offsets.ends_with(&[195, 196, 197, 198, 199]), "{offsets:?}");
    let bytes = partition(&filled.storage).size_bytes();
    let on_disk: u64 = filled
        .names()
        .iter()
        .filter(|name| name.ends_with(".log"))
        .map(|name| filled.disk.content(&Path::new("kafka/t-0").join(name)).unwrap().len() as u64)
        .sum();
    assert_eq!(bytes, on_disk);
    filled.storage.close().await.unwrap();
}

#[tokio::test]
async fn nothing_is_cleaned_while_the_cleaner_is_off() {
    let filled = filled(config(0)).await;
    filled.storage.set_cleaner(CleanerSettings { enabled: false, ..cleaner(1 << 20) });
    settle(&filled.storage, &filled.clock).await;
    assert_eq!((filled.runs(), filled.offsets().await.len()), (0, RECORDS as usize));
    filled.storage.set_cleaner(cleaner(1 << 20));
    settle(&filled.storage, &filled.clock).await;
    assert_eq!(filled.runs(), 1, "one pass is enough");
    settle(&filled.storage, &filled.clock).await;
    assert_eq!(filled.runs(), 1, "what is clean is not cleaned again");
}

#[tokio::test]
async fn the_cleaner_keeps_to_its_pace_and_ends_with_the_storage() {
    let filled = filled(config(0)).await;
    filled.storage.set_cleaner(slow());
    filled.wait(20_000).await;
    assert_eq!(filled.runs(), 0, "it is not through yet");
    filled.wait(100_000).await;
    assert_eq!(filled.runs(), 1);
    filled.write().await;
    filled.wait(1_000).await;
    filled.storage.close().await.expect("time stands still, and it ends all the same");
}

#[tokio::test]
async fn a_log_that_is_deleted_or_not_compacted_any_more_is_left_alone() {
    let filled = filled(config(0)).await;
    filled.storage.set_cleaner(slow());
    filled.wait(20_000).await;
    partition(&filled.storage).set_config(LogConfig { compaction: None, ..config(0) });
    filled.wait(100_000).await;
    assert_eq!((filled.runs(), filled.offsets().await.len()), (0, RECORDS as usize));
    partition(&filled.storage).set_config(config(0));
    filled.wait(20_000).await;
    let deleted = filled.storage.delete_topics(&[spec("t", config(0)).topic_id]);
    filled.wait(500).await;
    deleted.await.unwrap();
    filled.storage.create_partition(spec("t", config(0)));
    filled.wait(2_000).await;
    filled.write().await;
    let temporary = |name: &String| name.ends_with(".cleaned") || name.ends_with(".swap");
    assert!(!filled.names().iter().any(temporary), "{:?}", filled.names());
    assert_eq!(filled.storage.metrics().cleaner.uncleanable_partitions, 0);
    filled.storage.set_cleaner(cleaner(1 << 20));
    filled.wait(2_000).await;
    assert!(filled.runs() > 0 && filled.offsets().await.len() < 20);
}

#[tokio::test]
async fn a_full_disk_stops_a_pass_and_the_next_one_does_it() {
    let filled = filled(config(0)).await;
    filled.disk.set_faults(Faults { capacity: Some(1), ..Faults::default() });
    filled.storage.set_cleaner(cleaner(1 << 20));
    settle(&filled.storage, &filled.clock).await;
    assert_eq!((filled.runs(), filled.storage.metrics().cleaner.uncleanable_partitions), (0, 0));
    filled.disk.set_faults(Faults::default());
    settle(&filled.storage, &filled.clock).await;
    assert_eq!(filled.runs(), 1);
    assert!(filled.offsets().await.len() < 20);
}

#[tokio::test]
async fn a_sync_that_fails_ends_the_storage() {
    let filled = filled(config(0)).await;
    filled.disk.set_faults(Faults { failing_sync: Some(0), ..Faults::default() });
    filled.storage.set_cleaner(cleaner(1 << 20));
    settle(&filled.storage, &filled.clock).await;
    assert!(filled.storage.failed().await.contains("sync"));
    assert_eq!(filled.runs(), 0);
}

#[tokio::test]
async fn a_damaged_log_is_not_cleaned_and_loses_nothing() {
    let filled = filled(config(0)).await;
    let names = filled.names();
    let log = names.iter().filter(|name| name.ends_with(".log")).nth(3).unwrap();
    filled.disk.flip_bit(&Path::new("kafka/t-0").join(log), 80);
    filled.storage.set_cleaner(cleaner(1 << 20));
    settle(&filled.storage, &filled.clock).await;
    let metrics = filled.storage.metrics().cleaner;
    assert_eq!((metrics.runs, metrics.uncleanable_partitions), (0, 1));
    assert_eq!(filled.names(), names);
    assert_eq!(partition(&filled.storage).offline(), None);
}

#[tokio::test]
async fn what_outlives_its_retention_goes_from_a_compacted_log_too() {
    let retention = Retention { age_max_ms: Some(3_600_000), bytes_max: None };
    let filled = filled(LogConfig { retention, ..config(0) }).await;
    filled.storage.set_cleaner(cleaner(1 << 20));
    settle(&filled.storage, &filled.clock).await;
    let compacted = filled.offsets().await;
    partition(&filled.storage).apply_retention(filled.clock.now()).unwrap();
    assert_eq!(filled.offsets().await, compacted);
    filled.clock.advance(Duration::from_secs(7200));
    partition(&filled.storage).apply_retention(filled.clock.now()).unwrap();
    settle(&filled.storage, &filled.clock).await;
    filled.write().await;
    let offsets = filled.offsets().await;
    assert!(offsets[0] >= RECORDS, "{offsets:?}");
    assert!(partition(&filled.storage).offsets().log_start >= Offset(RECORDS));
    assert!(offsets.len() < 20 && filled.runs() > 1);
}

#[tokio::test]
async fn the_record_with_the_largest_timestamp_is_looked_for_among_those_that_are_left() {
    let filled = filled(config(0)).await;
    let partition = partition(&filled.storage);
    let append = async |timestamp: i64, key: &[u8]| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(TimestampMs(timestamp), Some(key), Some(&[7; 40]), &[]).unwrap();
        let appended = partition.append([builder.build()], AppendOrigin::Client, TimestampMs(0)).unwrap();
        appended.durable().await.unwrap();
        appended.base_offset
    };
    let far = filled.clock.now().0 + 1_000_000_000;
    append(far + 1, b"replaced").await;
    let kept = append(far, b"kept").await;
    append(0, b"replaced").await;
    filled.write().await;
    filled.storage.set_cleaner(cleaner(1 << 20));
    settle(&filled.storage, &filled.clock).await;
    assert_eq!(filled.runs(), 1);
    let found = partition.offset_of_max_timestamp().await.unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (kept, TimestampMs(far)));
}

#[tokio::test]
async fn settings_that_change_during_a_look_are_heard() {
    let clock = Arc::new(ManualClock::default());
    let storage = Storage::in_memory(clock.clone(), EngineLimits::default());
    for index in 0..1000 {
        let spec = crate::tests::spec("t", LogConfig::default());
        storage.create_partition(PartitionSpec { index: millstream_model::PartitionIndex(index), ..spec });
    }
    let settings = CleanerSettings { enabled: true, backoff: Duration::from_secs(3600), ..CleanerSettings::default() };
    storage.set_cleaner(settings);
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_millis(10));
    storage.set_cleaner(CleanerSettings { map_load_percent: 50, ..settings });
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(storage.metrics().cleaner.idle_ms, 0, "it looked again");
}

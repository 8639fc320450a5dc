//! A copy of what a backup says is a data directory in which everything is that was acknowledged before.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millstream_model::Offset;
use tempfile::TempDir;

use crate::clock::ManualClock;
use crate::disk::FileDisk;
use crate::inspect::verify::Verification;
use crate::log::config::{Durability, LogConfig};
use crate::open::tests::{all, append, open, options, partition};
use crate::tests::spec;
use crate::{Clock, Disk, Storage};

use super::*;

fn copy_of(root: &Path, files: &[BackupFile]) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in files {
        let to = copy.path().join(&file.path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let content = std::fs::read(root.join(BACKUP_DIR).join(&file.path)).unwrap();
        std::fs::write(to, &content[..usize::try_from(file.bytes).unwrap()]).unwrap();
    }
    copy
}

async fn opened(dir: &Path, nonce: u64, config: &LogConfig) -> Storage {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir, 2).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let specs = ["a", "b"].map(|topic| spec(topic, config.clone())).into();
    Storage::open(options(nonce), disk, clock, specs).await.unwrap().0
}

/// Appends numbered values until it is stopped.
async fn produce(storage: Storage, topic: &'static str, stop: Arc<AtomicBool>) {
    let partition = partition(&storage, topic);
    let mut number = partition.offsets().log_end.0;
    while !stop.load(Ordering::Relaxed) {
        append(&partition, &[&format!("{topic}{number}")]).await;
        number += 1;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_backup_is_in_its_copy_while_producers_go_on() {
    for durability in [Durability::Fsync, Durability::Os] {
        let config = LogConfig { durability, segment_bytes: 1000, ..LogConfig::default() };
        let dir = tempfile::tempdir().unwrap();
        let storage = opened(dir.path(), 1, &config).await;
        let stop = Arc::new(AtomicBool::new(false));
        let producers = ["a", "b"].map(|topic| tokio::spawn(produce(storage.clone(), topic, Arc::clone(&stop))));
        for round in 1..4_i64 {
            while partition(&storage, "a").offsets().high_watermark < Offset(round * 50) {
                tokio::task::yield_now().await;
            }
            let before = ["a", "b"].map(|topic| partition(&storage, topic).offsets().high_watermark);
            let files = storage.backup().await.unwrap();
            let copy = copy_of(dir.path(), &files);
            let disk = FileDisk::open(copy.path(), 1).unwrap();
            let verified = Verification::begin(&disk).unwrap().run(&mut |_, _| {}).unwrap();
            assert!(verified.is_good() && verified.notes.is_empty(), "{verified:?}");
            drop(disk);
            let restored = opened(copy.path(), 7, &config).await;
            assert!(restored.generation() > storage.generation(), "its offsets go another way");
            for (topic, before) in ["a", "b"].into_iter().zip(before) {
                let values = all(&partition(&restored, topic)).await;
                assert!(values.len() as i64 >= before.0, "{topic}: {} of {before}", values.len());
                let expected: Vec<String> = (0..values.len()).map(|number| format!("{topic}{number}")).collect();
                assert_eq!(values, expected);
                let next = append(&partition(&restored, topic), &["next"]).await;
                assert_eq!(next.base_offset, Offset(expected.len() as i64));
            }
            restored.close().await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for producer in producers {
            producer.await.unwrap();
        }
        storage.forget_backup().await.unwrap();
        assert!(!dir.path().join(BACKUP_DIR).exists());
        storage.close().await.unwrap();
    }
}

/// The newest segment of the copy is a file of its own, the original's goes on untouched.
#[tokio::test]
async fn a_storage_on_a_copy_changes_nothing_of_the_original() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir.path(), 2).unwrap());
    let (storage, _) = open(&disk, 1, &["a", "b"]).await;
    append(&partition(&storage, "a"), &["1"]).await;
    let files = storage.backup().await.unwrap();
    let copy = copy_of(dir.path(), &files);
    append(&partition(&storage, "a"), &["2"]).await;
    let restored = opened(copy.path(), 3, &LogConfig::default()).await;
    append(&partition(&restored, "a"), &["other"]).await;
    restored.close().await.unwrap();
    assert_eq!(all(&partition(&storage, "a")).await, ["1", "2"]);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn a_start_removes_the_folder_of_a_backup_that_nobody_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let storage = opened(dir.path(), 1, &LogConfig::default()).await;
    storage.backup().await.unwrap();
    assert!(dir.path().join(BACKUP_DIR).exists());
    storage.close().await.unwrap();
    drop(storage);
    let storage = opened(dir.path(), 2, &LogConfig::default()).await;
    assert!(!dir.path().join(BACKUP_DIR).exists());
    storage.close().await.unwrap();
}

#[tokio::test]
async fn a_storage_in_memory_has_no_backup() {
    let storage = Storage::in_memory(Arc::new(ManualClock::default()), crate::EngineLimits::default());
    assert!(storage.backup().await.is_err());
}

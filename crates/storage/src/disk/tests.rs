//! The contract of `Disk`, run against the file system and the simulation; and what only the simulation does.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::simulated::{Faults, SimulatedDisk};
use super::*;

fn path(name: &str) -> PathBuf {
    PathBuf::from(name)
}

async fn contract(disk: &dyn Disk) {
    disk.perform(DiskOp::CreateDir(path("a/b"))).await.unwrap();
    disk.perform(DiskOp::CreateDir(path("a/b"))).await.unwrap();
    disk.write(path("a/b/f"), 0, vec![Bytes::from("hello"), Bytes::from(" world")]).await.unwrap();
    disk.write(path("a/b/f"), 6, vec![Bytes::from("there")]).await.unwrap();
    assert_eq!(disk.read(path("a/b/f"), 0, 100).await.unwrap(), "hello there", "a read ends at the file's end");
    assert_eq!(disk.read(path("a/b/f"), 6, 2).await.unwrap(), "th");
    assert!(disk.read(path("a/b/f"), 100, 2).await.unwrap().is_empty());
    disk.perform(DiskOp::SyncFile(path("a/b/f"))).await.unwrap();
    disk.perform(DiskOp::SyncDir(path("a/b"))).await.unwrap();
    disk.perform(DiskOp::SetLength { file: path("a/b/f"), length: 5 }).await.unwrap();
    assert_eq!(disk.length(path("a/b/f")).await.unwrap(), Some(5));
    assert_eq!(disk.length(path("a/b/g")).await.unwrap(), None);
    let missing = disk.read(path("a/b/g"), 0, 1).await.unwrap_err();
    assert_eq!(missing.kind, DiskErrorKind::NotFound);
    let mut block = AlignedBuffer::zeroed(BLOCK_BYTES);
    block.as_mut_slice().fill(9);
    let block = block.freeze();
    let write = DiskOp::Write { file: path("a/d"), at: 4096, data: vec![block.clone()], sync: WriteSync::Durable };
    disk.perform(write).await.unwrap();
    let read = disk.read_direct(path("a/d"), 0, 3 * BLOCK_BYTES).await.unwrap();
    assert_eq!(read.len(), 2 * BLOCK_BYTES);
    assert_eq!((&read[..BLOCK_BYTES], &read[BLOCK_BYTES..]), (&[0; BLOCK_BYTES][..], &block[..]));
    disk.perform(DiskOp::Rename { from: path("a/b"), to: path("a/c") }).await.unwrap();
    assert_eq!(disk.read_file(path("a/c/f")).await.unwrap().unwrap(), "hello");
    let entries = disk.list(path("a")).await.unwrap();
    let names: Vec<(&str, bool)> = entries.iter().map(|entry| (entry.name.as_str(), entry.is_dir)).collect();
    assert_eq!(names, [("c", true), ("d", false)]);
    assert!(disk.list(path("nowhere")).await.unwrap().is_empty());
    disk.replace_file(Path::new("a/c/f"), Bytes::from("anew")).await.unwrap();
    assert_eq!(disk.read_file(path("a/c/f")).await.unwrap().unwrap(), "anew");
    disk.perform(DiskOp::RemoveDir(path("a/c"))).await.unwrap();
    disk.perform(DiskOp::RemoveFile(path("a/d"))).await.unwrap();
    disk.perform(DiskOp::RemoveFile(path("a/d"))).await.unwrap();
    assert!(disk.list(path("a")).await.unwrap().is_empty());
    assert!(disk.space().await.unwrap().usable > 0);
}

#[tokio::test]
async fn the_file_system_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path(), 2).unwrap();
    contract(&disk).await;
}

#[tokio::test]
async fn the_simulation_keeps_the_contract() {
    for seed in 0..20 {
        contract(&SimulatedDisk::new(seed)).await;
    }
}

#[test]
fn a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path(), 1).unwrap();
    assert!(matches!(FileDisk::open(dir.path(), 1), Err(OpenDiskError::Locked(_))));
    drop(disk);
    assert!(FileDisk::open(dir.path(), 1).is_ok());
}

#[tokio::test]
async fn a_crash_keeps_what_was_synced_and_may_lose_the_rest() {
    let (mut lost_data, mut lost_name, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let simulated = SimulatedDisk::new(seed);
        let disk: &dyn Disk = &simulated;
        disk.perform(DiskOp::CreateDir(path("d"))).await.unwrap();
        disk.perform(DiskOp::SyncDir(path(""))).await.unwrap();
        disk.write(path("d/kept"), 0, vec![Bytes::from(vec![1; 2048])]).await.unwrap();
        disk.perform(DiskOp::SyncFile(path("d/kept"))).await.unwrap();
        disk.perform(DiskOp::SyncDir(path("d"))).await.unwrap();
        disk.write(path("d/kept"), 2048, vec![Bytes::from(vec![2; 2048])]).await.unwrap();
        disk.write(path("d/new"), 0, vec![Bytes::from("x")]).await.unwrap();
        simulated.power_cycle();
        let kept = disk.read_file(path("d/kept")).await.unwrap().expect("its name was synced");
        assert!(kept[..2048].iter().all(|byte| *byte == 1), "seed {seed}");
        let survivors = kept[2048..].iter().filter(|byte| **byte == 2).count();
        lost_data += usize::from(survivors == 0);
        torn += usize::from(survivors > 0 && survivors < 2048);
        lost_name += usize::from(disk.length(path("d/new")).await.unwrap().is_none());
    }
    assert!(lost_data > 10 && torn > 10 && lost_name > 10, "{lost_data} {torn} {lost_name}");
}

#[tokio::test]
async fn after_a_failed_sync_the_page_cache_lies_and_a_direct_read_does_not() {
    let simulated = SimulatedDisk::new(1);
    let disk: &dyn Disk = &simulated;
    simulated.set_faults(Faults { failing_sync: Some(0), ..Faults::default() });
    disk.write(path("f"), 0, vec![Bytes::from("data")]).await.unwrap();
    assert!(disk.perform(DiskOp::SyncFile(path("f"))).await.is_err());
    assert_eq!(disk.read(path("f"), 0, 4).await.unwrap(), "data");
    assert!(disk.read_direct(path("f"), 0, 4).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_full_disk_says_so_and_changes_nothing() {
    let simulated = SimulatedDisk::new(1);
    let disk: &dyn Disk = &simulated;
    simulated.set_faults(Faults { capacity: Some(10), ..Faults::default() });
    disk.write(path("f"), 0, vec![Bytes::from("0123456789")]).await.unwrap();
    let full = disk.write(path("f"), 10, vec![Bytes::from("x")]).await.unwrap_err();
    assert_eq!(full.kind, DiskErrorKind::NoSpace);
    disk.write(path("f"), 0, vec![Bytes::from("overwrites")]).await.unwrap();
}

//! What a `FileDisk` counts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::*;

fn write(file: &str, bytes: usize, sync: WriteSync) -> DiskOp {
    DiskOp::Write { file: PathBuf::from(file), at: 0, data: vec![Bytes::from(vec![7; bytes])], sync }
}

#[tokio::test]
async fn reads_that_the_page_cache_answers_are_told_from_those_that_it_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path(), 1).unwrap();
    disk.submit(write("f", 100, WriteSync::Cached)).await.unwrap();
    let beyond = disk.read_cached(Path::new("f"), 50, 100);
    let (hits, misses) = (disk.metrics().cache_hits, disk.metrics().cache_misses);
    assert_eq!((hits, misses), (0, 1), "{beyond:?} is not all that was asked for");
    let answered = disk.read_cached(Path::new("f"), 0, 100).is_some();
    let metrics = disk.metrics();
    // Some file systems cannot answer without waiting.
    assert_eq!((metrics.cache_hits, metrics.cache_misses), (u64::from(answered), 1 + u64::from(!answered)));
    assert_eq!(metrics.open_files, 1);
    disk.submit(DiskOp::RemoveFile("f".into())).await.unwrap();
    assert_eq!(disk.metrics().open_files, 0);
}

#[tokio::test]
async fn whole_blocks_that_pass_the_cache_by_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path(), 1).unwrap();
    disk.submit(write("f", 10_000, WriteSync::Behind)).await.unwrap();
    assert_eq!(disk.metrics().cache_bypassed_bytes, 0, "pages are cheap until one was dear");
    disk.files.cache_price.paid(1, Duration::from_secs(1));
    disk.submit(write("f", 10_000, WriteSync::Behind)).await.unwrap();
    let refused = disk.files.behind_refused.load(Ordering::Relaxed);
    assert_eq!(disk.metrics().cache_bypassed_bytes, if refused { 0 } else { 8192 });
}

#[tokio::test]
async fn operations_that_wait_for_a_thread_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path(), 1).unwrap();
    mkfifoat(CWD, dir.path().join("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    // Opening a pipe waits for who writes to it.
    let held = disk.submit(DiskOp::Read { file: "pipe".into(), at: 0, length: 1, cache: ReadCache::Direct });
    let waiting = [disk.submit(DiskOp::Space), disk.submit(DiskOp::Space)];
    while disk.metrics().queued != 2 && Instant::now() < end {
        std::thread::yield_now();
    }
    let queued = disk.metrics().queued;
    let writer = std::fs::OpenOptions::new().read(true).write(true).open(dir.path().join("pipe")).unwrap();
    let _ = held.await;
    drop(writer);
    for op in waiting {
        op.await.unwrap();
    }
    assert_eq!((queued, disk.metrics().queued), (2, 0));
}

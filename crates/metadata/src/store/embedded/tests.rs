//! The embedded store on real files, and on a disk that loses what was not synced.

mod disk;

use std::sync::Arc;

use super::*;
use crate::store::{Change, WatchError};
use disk::Disk;

fn put(key: &str, value: &str) -> Write {
    let mut write = Write::default();
    write.put(key, value.to_owned());
    write
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

async fn contents(store: &EmbeddedStore) -> Vec<(String, String)> {
    let text = |entry: Entry| (entry.key, String::from_utf8(entry.value.to_vec()).unwrap());
    store.list("").await.unwrap().entries.into_iter().map(text).collect()
}

#[test]
fn what_was_answered_is_there_after_closing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metadata.redb");
    runtime().block_on(async {
        let store = EmbeddedStore::open(&path).unwrap();
        store.write(put("a", "1")).await.unwrap();
        store.write(put("b", "2")).await.unwrap();
        drop(store);
        let store = EmbeddedStore::open(&path).unwrap();
        assert_eq!(contents(&store).await, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        assert_eq!(store.write(put("c", "3")).await.unwrap(), Revision(3));
    });
}

#[test]
fn keys_of_leases_end_with_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metadata.redb");
    runtime().block_on(async {
        let store = EmbeddedStore::open(&path).unwrap();
        let lease = store.lease(Duration::from_secs(1)).await.unwrap();
        let change = Change::Put { key: "here".to_owned(), value: "x".into(), lease: Some(lease.id()) };
        store.write(Write { expected: Vec::new(), changes: vec![change] }).await.unwrap();
        // As when the process is killed: the handle never says that it is gone.
        let ended = lease.id();
        std::mem::forget(lease);
        drop(store);
        let store = EmbeddedStore::open(&path).unwrap();
        assert_eq!(contents(&store).await, []);
        assert_ne!(store.lease(Duration::from_secs(1)).await.unwrap().id(), ended);
        assert_eq!(store.write(put("a", "1")).await.unwrap(), Revision(3));
    });
}

#[test]
fn a_file_in_use_is_refused_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metadata.redb");
    let _first = EmbeddedStore::open(&path).unwrap();
    let error = EmbeddedStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenStoreError::Locked { .. }), "{error:?}");
    let expected = "is in use by another process; stop that process or choose another data directory";
    assert_eq!(error.to_string(), format!("{} {expected}", path.display()));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metadata.redb");
    drop(EmbeddedStore::open(&path).unwrap());
    let numbers: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("numbers");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(numbers).unwrap().insert("format", 7).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = EmbeddedStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenStoreError::Newer { found: 7, supported: 1, .. }), "{error:?}");
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metadata.redb");
    std::fs::write(&path, b"not a database, but long enough to look at").unwrap();
    let error = EmbeddedStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenStoreError::Damaged { .. }), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"not a database, but long enough to look at");
}

#[test]
fn a_file_that_was_not_finished_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metadata.redb");
    std::fs::write(directory.path().join("metadata.redb.new"), b"torn").unwrap();
    drop(EmbeddedStore::open(&path).unwrap());
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["metadata.redb"]);
}

#[test]
fn a_place_that_is_not_there_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = EmbeddedStore::open(&directory.path().join("no/such/metadata.redb")).unwrap_err();
    assert!(matches!(error, OpenStoreError::Io { .. }), "{error:?}");
}

/// The bytes that docs/format/metadata.md describes.
#[test]
fn an_entry_is_revision_lease_and_value() {
    let mut expected = vec![0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3];
    expected.extend(b"value");
    assert_eq!(file::encode(Revision(0x102), Some(LeaseId(3)), b"value"), expected);
    assert_eq!(file::encode(Revision(1), None, b""), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// Writes until the disk dies; answers the number of writes that were answered, and of those that were asked for.
async fn write_until_death(store: &EmbeddedStore, at_once: usize) -> (usize, usize) {
    let mut asked = 0;
    loop {
        let writes = (asked..asked + at_once).map(|n| store.write(put(&format!("{n:04}"), &"x".repeat(n * 37 % 900))));
        asked += at_once;
        let results = futures_util::future::join_all(writes).await;
        let answered = results.iter().filter(|result| result.is_ok()).count();
        if answered < at_once {
            return (asked - at_once + answered, asked);
        }
    }
}

/// One crash: the disk dies at its `death`-th operation, and what was not synced is kept, lost or torn at random.
/// Answers how many writes were answered before.
async fn crash(seed: u64, death: u64, at_once: usize) -> usize {
    let disk = Disk::new(seed);
    disk.die_after(death);
    let Ok(store) = EmbeddedStore::open_with(disk.opener()) else {
        // It died while the file was made, when the file does not have its name yet.
        return 0;
    };
    let (answered, asked) = write_until_death(&store, at_once).await;
    drop(store);
    disk.restart();
    let store = EmbeddedStore::open_with(disk.opener()).unwrap();
    let keys: Vec<String> = contents(&store).await.into_iter().map(|(key, _)| key).collect();
    let count = keys.len();
    assert!((answered..=asked).contains(&count), "{answered} answered, {asked} asked, {count} found");
    let expected: Vec<String> = (0..count).map(|n| format!("{n:04}")).collect();
    assert_eq!(keys, expected);
    assert_eq!(store.list("").await.unwrap().revision, Revision(count as u64));
    assert_eq!(store.write(put("z", "after")).await.unwrap(), Revision(count as u64 + 1));
    answered
}

/// Seeds to run; `MILLSTREAM_CRASH_SEEDS` asks for more than the default.
fn seeds() -> u64 {
    std::env::var("MILLSTREAM_CRASH_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

#[test]
fn an_answered_write_survives_a_crash_and_others_are_whole_or_absent() {
    let runtime = runtime();
    let mut answered = 0;
    for seed in 0..seeds() {
        let (death, at_once) = (5 + seed * 7 % 400, 1 + usize::try_from(seed % 5).unwrap());
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(crash(seed, death, at_once)));
        answered += std::panic::catch_unwind(run).unwrap_or_else(|panic| {
            eprintln!("failed with seed {seed}");
            std::panic::resume_unwind(panic)
        });
    }
    assert!(answered as u64 > seeds() * 3, "only {answered} writes were answered before the crashes");
}

#[test]
fn a_disk_that_syncs_nothing_is_caught_by_the_crash_test() {
    let runtime = runtime();
    let lost = (0..20).any(|seed| {
        let disk = Disk::new(seed);
        disk.ignore_syncs();
        runtime.block_on(async {
            let store = EmbeddedStore::open_with(disk.opener()).unwrap();
            for n in 0..20 {
                store.write(put(&n.to_string(), "x")).await.unwrap();
            }
            disk.die_after(0);
            drop(store);
        });
        disk.restart();
        let reopened = EmbeddedStore::open_with(disk.opener());
        reopened.map_or(true, |store| runtime.block_on(store.list("")).map_or(true, |list| list.entries.len() < 20))
    });
    assert!(lost, "without syncs a crash must lose something, or the simulation is not one");
}

#[test]
fn a_full_disk_refuses_writes_and_recovers() {
    let disk = Disk::new(1);
    runtime().block_on(async {
        let store = EmbeddedStore::open_with(disk.opener()).unwrap();
        store.write(put("before", "1")).await.unwrap();
        let mut watch = store.watch("", Revision(1));
        disk.set_full(true);
        let error = store.write(put("during", &"x".repeat(100_000))).await.unwrap_err();
        assert!(matches!(error, WriteError::Store(StoreError::Failed(_))), "{error:?}");
        disk.set_full(false);
        let revision = store.write(put("after", "1")).await.unwrap();
        let keys: Vec<String> = contents(&store).await.into_iter().map(|(key, _)| key).collect();
        assert!(keys.contains(&"before".to_owned()) && keys.contains(&"after".to_owned()), "{keys:?}");
        // The watch either saw the write or was told that it may have missed some; never a gap in silence.
        match watch.next().await {
            Ok(event) => assert_eq!(event.revision, Revision(2)),
            Err(error) => assert_eq!(error, WatchError::Compacted { after: Revision(1) }),
        }
        assert!(revision >= Revision(2));
    });
}

#[test]
fn a_store_that_closes_answers_what_was_asked_before() {
    let disk = Disk::new(1);
    runtime().block_on(async {
        let store = EmbeddedStore::open_with(disk.opener()).unwrap();
        let copy = store.clone();
        let pending = Box::pin(async move { copy.write(put("a", "1")).await });
        let (answer, ()) = tokio::join!(pending, async move { drop(store) });
        assert_eq!(answer.unwrap(), Revision(1));
    });
    let store = Arc::new(EmbeddedStore::open_with(disk.opener()).unwrap());
    assert_eq!(runtime().block_on(contents(&store)).len(), 1);
}

/// Turns one bit of a file of many keys, at a place that `seed` chooses, and says what the store makes of it: nothing, or
/// what it holds.
async fn with_a_bit_turned(whole: &[u8], path: &Path, seed: u64) -> Option<Vec<(String, String)>> {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let (at, bit) = ((mixed >> 8) as usize % whole.len(), mixed % 8);
    let mut damaged = whole.to_vec();
    damaged[at] ^= 1 << bit;
    std::fs::write(path, damaged).unwrap();
    let store = EmbeddedStore::open(path).ok()?;
    let listing = store.list("").await.ok()?;
    let text = |entry: Entry| (entry.key, String::from_utf8_lossy(&entry.value).into_owned());
    Some(listing.entries.into_iter().map(text).collect())
}

#[test]
fn a_bit_that_rots_in_the_file_is_never_believed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metadata.redb");
    runtime().block_on(async {
        let store = EmbeddedStore::open(&path).unwrap();
        for number in 0..200 {
            store.write(put(&format!("topics/{number}"), &"x".repeat(number))).await.unwrap();
        }
        let expected = contents(&store).await;
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        let mut refused = 0;
        let seeds = std::env::var("MILLSTREAM_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
        for seed in 0..seeds {
            match with_a_bit_turned(&whole, &path, seed).await {
                Some(found) => assert_eq!(found, expected, "seed {seed}"),
                None => refused += 1,
            }
        }
        assert!(refused > 0, "no bit of {seeds} was in a page that counts");
    });
}

//! What every store promises, run against each of them: etcd's semantics, which the catalog relies on.

use std::sync::Arc;
use std::time::Duration;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A store to test, with what it needs to live on.
struct Subject {
    store: Arc<dyn MetadataStore>,
    _directory: Option<tempfile::TempDir>,
}

fn subjects() -> Vec<Subject> {
    let directory = tempfile::tempdir().unwrap();
    let embedded = EmbeddedStore::open(&directory.path().join("metadata.redb")).unwrap();
    vec![
        Subject { store: Arc::new(MemoryStore::new()), _directory: None },
        Subject { store: Arc::new(embedded), _directory: Some(directory) },
    ]
}

fn run<F: Future<Output = ()>>(test: impl Fn(Arc<dyn MetadataStore>) -> F) {
    for subject in subjects() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(test(Arc::clone(&subject.store)));
    }
}

fn put(key: &str, value: &str) -> Write {
    let mut write = Write::default();
    write.put(key, value.to_owned());
    write
}

fn guarded(key: &str, revision: Option<Revision>, value: &str) -> Write {
    let mut write = put(key, value);
    write.expect(key, revision);
    write
}

async fn value(store: &dyn MetadataStore, key: &str) -> Option<String> {
    store.get(key).await.unwrap().map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
}

#[test]
fn a_write_is_read_back_with_its_revision() {
    run(|store| async move {
        assert_eq!(store.get("a").await.unwrap(), None);
        let first = store.write(put("a", "1")).await.unwrap();
        let second = store.write(put("b", "2")).await.unwrap();
        assert_eq!((first, second), (Revision(1), Revision(2)));
        let entry = Entry { key: "a".to_owned(), value: "1".into(), revision: first };
        assert_eq!(store.get("a").await.unwrap(), Some(entry));
    });
}

#[test]
fn a_listing_has_the_prefix_in_key_order_at_one_revision() {
    run(|store| async move {
        for key in ["t/b", "t", "t/a", "u", "t/", "s"] {
            store.write(put(key, key)).await.unwrap();
        }
        let listing = store.list("t/").await.unwrap();
        let keys: Vec<&str> = listing.entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!((keys.as_slice(), listing.revision), (["t/", "t/a", "t/b"].as_slice(), Revision(6)));
        assert_eq!(store.list("").await.unwrap().entries.len(), 6);
    });
}

#[test]
fn a_guard_on_the_wrong_revision_writes_nothing() {
    run(|store| async move {
        let first = store.write(guarded("a", None, "1")).await.unwrap();
        for wrong in [None, Some(Revision(9))] {
            let mut write = put("b", "x");
            write.expect("a", wrong);
            let error = store.write(write).await.unwrap_err();
            assert!(matches!(error, WriteError::Conflict { actual, .. } if actual == Some(first)), "{error}");
        }
        let error = store.write(guarded("c", Some(first), "x")).await.unwrap_err();
        assert!(matches!(error, WriteError::Conflict { actual: None, .. }), "{error}");
        assert_eq!((value(&*store, "b").await, value(&*store, "c").await), (None, None));
        assert_eq!(store.write(guarded("a", Some(first), "2")).await.unwrap(), Revision(2));
    });
}

#[test]
fn all_changes_of_a_write_share_one_revision() {
    run(|store| async move {
        store.write(put("old", "1")).await.unwrap();
        let mut write = put("a", "1");
        write.put("b", "2");
        write.delete("old");
        write.delete("never");
        let revision = store.write(write).await.unwrap();
        let listing = store.list("").await.unwrap();
        assert_eq!(listing.revision, revision);
        assert!(listing.entries.iter().all(|entry| entry.revision == revision), "{listing:?}");
        assert_eq!(listing.entries.len(), 2);
    });
}

#[test]
fn an_empty_write_answers_the_revision_and_makes_none() {
    run(|store| async move {
        let first = store.write(put("a", "1")).await.unwrap();
        assert_eq!(store.write(Write::default()).await.unwrap(), first);
        assert_eq!(store.write(put("a", "2")).await.unwrap(), Revision(first.0 + 1));
    });
}

#[test]
fn a_watch_tells_every_write_of_its_prefix_once_in_order() {
    run(|store| async move {
        store.write(put("t/0", "before")).await.unwrap();
        let mut watch = store.watch("t/", Revision(1));
        let mut from_the_start = store.watch("", Revision(0));
        store.write(put("u/1", "elsewhere")).await.unwrap();
        let mut both = put("t/1", "1");
        both.put("u/2", "2");
        store.write(both).await.unwrap();
        let mut gone = Write::default();
        gone.delete("t/1");
        store.write(gone.clone()).await.unwrap();
        let event = watch.next().await.unwrap();
        assert_eq!(event, Event { revision: Revision(3), changes: put("t/1", "1").changes });
        assert_eq!(watch.next().await.unwrap(), Event { revision: Revision(4), changes: gone.changes });
        for revision in 1..=4 {
            assert_eq!(from_the_start.next().await.unwrap().revision, Revision(revision));
        }
    });
}

#[test]
fn a_watch_waits_for_a_write_that_comes_later() {
    run(|store| async move {
        let mut watch = store.watch("a", Revision(0));
        let (event, written) = tokio::join!(watch.next(), store.write(put("a", "1")));
        assert_eq!(event.unwrap().revision, written.unwrap());
    });
}

#[test]
fn a_watch_that_falls_too_far_behind_is_told() {
    run(|store| async move {
        let mut watch = store.watch("", Revision(0));
        let writes = (0..=4096).map(|_| store.write(put("a", "x")));
        assert!(futures_util::future::join_all(writes).await.iter().all(Result::is_ok));
        assert_eq!(watch.next().await, Err(WatchError::Compacted { after: Revision(0) }));
        let mut later = store.watch("", Revision(1));
        assert_eq!(later.next().await.unwrap().revision, Revision(2));
    });
}

#[test]
fn a_watch_ends_with_its_store() {
    for Subject { store, _directory } in subjects() {
        let mut watch = store.watch("", Revision(0));
        drop(store);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(watch.next()), Err(WatchError::Closed));
    }
}

#[test]
fn the_keys_of_a_lease_go_with_it() {
    run(|store| async move {
        let (one, other) = (store.lease(MINUTE).await.unwrap(), store.lease(MINUTE).await.unwrap());
        assert_ne!(one.id(), other.id());
        let leased =
            |key: &str, lease: &Lease| Change::Put { key: key.to_owned(), value: "x".into(), lease: Some(lease.id()) };
        let changes = vec![leased("a", &one), leased("b", &one), leased("c", &other), leased("d", &one)];
        store.write(Write { expected: Vec::new(), changes }).await.unwrap();
        store.write(put("d", "kept: the last write has no lease")).await.unwrap();
        let mut watch = store.watch("", Revision(2));
        let ended = one.id();
        drop(one);
        let keys: Vec<String> =
            watch.next().await.unwrap().changes.iter().map(|change| change.key().to_owned()).collect();
        assert_eq!(keys, ["a", "b"]);
        let left: Vec<String> = store.list("").await.unwrap().entries.into_iter().map(|entry| entry.key).collect();
        assert_eq!(left, ["c", "d"]);
        let late = Change::Put { key: "e".to_owned(), value: "x".into(), lease: Some(ended) };
        let error = store.write(Write { expected: Vec::new(), changes: vec![late] }).await.unwrap_err();
        assert!(matches!(error, WriteError::LeaseEnded(lease) if lease == ended), "{error}");
        drop(other);
    });
}

#[test]
fn of_racing_writes_with_the_same_guard_one_wins() {
    run(|store| async move {
        let attempts = (0..16).map(|n| store.write(guarded("a", None, &n.to_string())));
        let results = futures_util::future::join_all(attempts).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(store.list("").await.unwrap().revision, Revision(1));
    });
}

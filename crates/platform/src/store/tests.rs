use serde_json::json;

use super::*;
use crate::kinds::{CONFIG_MAP, EVENT};

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("platform.redb"), Clock::system()).unwrap()
}

fn put(store: &Store, name: &str, value: Value) -> u64 {
    let key = Key::new(&CONFIG_MAP, "default", name);
    let stored = store.write(|tx| Ok(tx.put(key, json!({ "metadata": { "name": name }, "data": value })))).unwrap();
    crate::object::resource_version(&stored)
}

#[test]
fn objects_survive_a_reopen_and_versions_never_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = {
        let store = open(&folder);
        (put(&store, "a", json!({})), put(&store, "b", json!({ "k": "v" })))
    };
    assert!(last > first);
    let store = open(&folder);
    let found = store.get(&Key::new(&CONFIG_MAP, "default", "b")).unwrap();
    assert_eq!(found["data"]["k"], "v");
    assert!(put(&store, "c", json!({})) > last);
}

#[test]
fn a_second_open_of_the_same_file_says_that_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(&folder);
    let second = Store::open(&folder.path().join("platform.redb"), Clock::system());
    assert!(matches!(second, Err(OpenError::Locked(_))), "{second:?}");
}

#[test]
fn a_file_whose_making_was_cut_short_is_made_again_and_no_other_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("platform.redb");
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    drop(open(&folder));
    assert!(std::fs::read(&path).unwrap().starts_with(b"redb"));
    std::fs::write(&path, b"somebody's letter").unwrap();
    assert!(matches!(Store::open(&path, Clock::system()), Err(OpenError::Unreadable { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"somebody's letter");
}

#[test]
fn a_file_of_a_newer_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("platform.redb");
    let database = Database::create(&path).unwrap();
    let tx = database.begin_write().unwrap();
    tx.open_table(COUNTERS).unwrap().insert("layout", LAYOUT + 1).unwrap();
    tx.commit().unwrap();
    drop(database);
    let opened = Store::open(&path, Clock::system());
    assert!(matches!(opened, Err(OpenError::Newer { found: 2, .. })), "{opened:?}");
}

#[test]
fn a_failed_transaction_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let before = store.version();
    let failed: Result<(), ApiError> = store.write(|tx| {
        tx.put(Key::new(&CONFIG_MAP, "default", "a"), json!({}));
        Err(ApiError::bad_request("no"))
    });
    assert!(failed.is_err());
    assert_eq!(store.version(), before);
    assert!(store.list(&CONFIG_MAP, None).objects.is_empty());
}

#[test]
fn a_transaction_reads_its_own_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    put(&store, "old", json!({}));
    let seen = store.write(|tx| {
        tx.remove(Key::new(&CONFIG_MAP, "default", "old"));
        tx.put(Key::new(&CONFIG_MAP, "default", "new"), json!({}));
        Ok(tx.list(&CONFIG_MAP, Some("default")).into_iter().map(|(key, _)| key.name).collect::<Vec<_>>())
    });
    assert_eq!(seen.unwrap(), ["new"]);
}

#[test]
fn listing_a_namespace_leaves_out_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for namespace in ["a", "ab", "b"] {
        store.write(|tx| Ok(tx.put(Key::new(&CONFIG_MAP, namespace, "x"), json!({})))).unwrap();
    }
    store.write(|tx| Ok(tx.put(Key::new(&EVENT, "ab", "x"), json!({})))).unwrap();
    let names: Vec<_> = store.list(&CONFIG_MAP, Some("ab")).objects.into_iter().map(|(key, _)| key.namespace).collect();
    assert_eq!(names, ["ab"]);
    assert_eq!(store.list(&CONFIG_MAP, None).objects.len(), 3);
}

#[tokio::test]
async fn a_watch_hands_out_every_change_once_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let mut watch = store.watch(store.version());
    let written: Vec<u64> = (0..3).map(|turn| put(&store, "a", json!({ "turn": turn.to_string() }))).collect();
    let WatchNext::Changes(changes) = watch.next().await else { panic!("expired") };
    assert_eq!(changes.iter().map(|change| change.version).collect::<Vec<_>>(), written);
    assert_eq!(changes[0].kind, ChangeKind::Added);
    assert_eq!(changes[2].kind, ChangeKind::Modified);
}

#[tokio::test]
async fn a_watch_from_before_the_log_is_told_to_list_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let mut watch = store.watch(0);
    assert!(matches!(watch.next().await, WatchNext::Expired(error) if error.code == 410));
}

#[test]
fn a_closed_store_lets_go_of_its_file_and_has_kept_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    store.write(|tx| Ok(tx.put(Key::new(&EVENT, "default", "e"), json!({})))).unwrap();
    store.close();
    assert!(store.write(|tx| Ok(tx.put(Key::new(&EVENT, "default", "f"), json!({})))).is_err());
    let again = open(&folder);
    assert!(again.get(&Key::new(&EVENT, "default", "e")).is_some());
}

//! Opening a catalog, again, by others, by too old ones; and what happens when a store fails or races.

use super::*;
use crate::store::{BoxFuture, Entry, Listing, Watch};

fn settings(config: &[(&str, &str)], brokers: u32) -> Settings {
    let mut given = StaticConfig::default();
    for (name, text) in config {
        given.set(*name, *text, Origin::Option("--set"));
    }
    Settings { config: given, brokers, ..Settings::default() }
}

async fn open(store: &MemoryStore, config: &[(&str, &str)], brokers: u32) -> Result<Catalog, OpenCatalogError> {
    Catalog::open(Arc::new(store.clone()), settings(config, brokers)).await
}

#[tokio::test]
async fn a_cluster_keeps_its_id_and_a_node_its_number() {
    let store = MemoryStore::new();
    let first = open(&store, &[("node.id", "7")], 1).await.unwrap();
    let id = first.image().cluster_id().to_owned();
    assert_eq!((id.len(), id.starts_with('-')), (22, false));
    drop(first);
    let again = open(&store, &[], 1).await.unwrap();
    assert_eq!(again.image().cluster_id(), id);
    assert_eq!(again.image().brokers().iter().copied().collect::<Vec<_>>(), [BrokerId(7)]);
    let error = open(&store, &[("node.id", "8")], 1).await.unwrap_err();
    assert_eq!(error.to_string(), "node.id=8 is configured, but the data directory belongs to node 7");
}

#[tokio::test]
async fn a_cluster_id_that_is_asked_for_is_taken_or_refused() {
    let store = MemoryStore::new();
    let asked = |id: &str| Settings { cluster_id: Some(id.to_owned()), ..settings(&[], 1) };
    let first = Catalog::open(Arc::new(store.clone()), asked("4L6g3nShT-eMCtK--X86sw")).await.unwrap();
    assert_eq!(first.image().cluster_id(), "4L6g3nShT-eMCtK--X86sw");
    drop(first);
    assert!(Catalog::open(Arc::new(store.clone()), asked("4L6g3nShT-eMCtK--X86sw")).await.is_ok());
    let error = Catalog::open(Arc::new(store), asked("qk9ZVg0wSBSuSbPQJfwgyA")).await.unwrap_err();
    assert!(matches!(error, OpenCatalogError::ClusterId { .. }), "{error}");
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let store = MemoryStore::new();
    let mut write = Write::default();
    write.put("cluster", r#"{"format":9,"id":"qk9ZVg0wSBSuSbPQJfwgyA","more":true}"#.to_owned());
    store.write(write).await.unwrap();
    let error = open(&store, &[], 1).await.unwrap_err();
    assert!(matches!(error, OpenCatalogError::Newer { found: 9, supported: 1 }), "{error}");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_stops_the_start() {
    for key in ["cluster", "node", "topics/t", "producer-ids", "configs/brokers/default", "configs/groups/g"] {
        let store = MemoryStore::new();
        drop(open(&store, &[], 1).await.unwrap());
        let mut write = Write::default();
        write.put(key, "{\"id\":".to_owned());
        write.put("of/a/later/version", "anything".to_owned());
        store.write(write).await.unwrap();
        let error = open(&store, &[], 1).await.unwrap_err();
        assert!(matches!(&error, OpenCatalogError::Damaged { key: found } if found == key), "{key}: {error}");
    }
}

#[tokio::test]
async fn random_ids_never_begin_with_a_dash() {
    let mut next = 0;
    // The first id's text form would be `-AAA…`.
    let ids = [Uuid::from_u128(0xf8 << 120), Uuid::nil(), Uuid::from_u128(5)];
    let new_uuid: NewUuid = Box::new(move || {
        next += 1;
        ids[(next - 1) % 3]
    });
    let store = Arc::new(MemoryStore::new());
    let catalog = Catalog::open(store, Settings { new_uuid, ..Settings::default() }).await.unwrap();
    assert_eq!(catalog.image().cluster_id(), "AAAAAAAAAAAAAAAAAAAABQ");
}

#[tokio::test]
async fn partitions_of_brokers_that_are_gone_get_leaders_that_are_there() {
    let store = MemoryStore::new();
    let three = cluster_on(&store, 3, &[]).await;
    create(&three, topic("t", 6, 2)).await.unwrap();
    drop(three);
    let one = cluster_on(&store, 1, &[]).await;
    let image = one.image();
    let t = image.topic("t").unwrap();
    let led: Vec<(i32, i32)> = t.partitions.iter().map(|p| (p.leader.0, p.leader_epoch.0)).collect();
    assert_eq!(led, [(1, 0), (1, 1), (1, 1), (1, 0), (1, 1), (1, 1)]);
    let replicas: Vec<i32> = t.partitions[1].replicas.iter().map(|id| id.0).collect();
    assert_eq!(replicas, [2, 3], "the replicas stay as they were assigned");
    for (partition, in_sync) in [(0, ONE), (1, ONE), (2, ONE)] {
        assert_eq!(image.in_sync_replicas(&t.partitions[partition]).as_slice(), [in_sync]);
    }
    drop(one);
    let again = cluster_on(&store, 3, &[]).await;
    let image = again.image();
    let led: Vec<(i32, i32)> =
        image.topic("t").unwrap().partitions.iter().map(|p| (p.leader.0, p.leader_epoch.0)).collect();
    assert_eq!(led, [(1, 0), (2, 2), (3, 2), (1, 0), (2, 2), (3, 2)], "each leads its share again");
}

#[tokio::test]
async fn a_second_process_sees_what_the_first_does() {
    let store = MemoryStore::new();
    let (first, second) = (cluster_on(&store, 1, &[]).await, cluster_on(&store, 1, &[]).await);
    let mut changes = second.subscribe();
    let work = async {
        create(&first, topic("t", 1, 1)).await.unwrap();
        changes.changed().await.unwrap();
    };
    tokio::select! {
        () = work => {}
        ended = second.follow() => panic!("{ended:?}"),
    }
    assert_eq!(second.image().topic("t"), first.image().topic("t"));
}

#[tokio::test]
async fn the_loser_of_a_race_looks_again() {
    let store = MemoryStore::new();
    let (first, second) = (cluster_on(&store, 1, &[]).await, cluster_on(&store, 1, &[]).await);
    create(&first, topic("t", 1, 1)).await.unwrap();
    // The second has not heard of it.
    assert_eq!(second.image().topic("t"), None);
    assert_eq!(refusal(&second, topic("t", 1, 1)).await, "Topic 't' already exists.");
    assert_eq!(first.allocate_producer_ids().await.unwrap().first.0, 0);
    assert_eq!(second.allocate_producer_ids().await.unwrap().first.0, 1000);
}

/// A store whose writes succeed and then say that they failed.
#[derive(Debug, Default)]
struct Doubtful {
    store: MemoryStore,
    doubt: std::sync::atomic::AtomicBool,
}

impl MetadataStore for Doubtful {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        self.store.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing, StoreError>> {
        self.store.list(prefix)
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Revision, WriteError>> {
        Box::pin(async move {
            let written = self.store.write(write).await?;
            if self.doubt.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(StoreError::Failed("no answer".to_owned()).into());
            }
            Ok(written)
        })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        self.store.watch(prefix, after)
    }

    fn lease(&self, time_to_live: std::time::Duration) -> BoxFuture<'_, Result<Lease, StoreError>> {
        self.store.lease(time_to_live)
    }
}

#[tokio::test]
async fn a_write_in_doubt_is_looked_up_before_the_next() {
    let store = Arc::new(Doubtful::default());
    let catalog =
        Catalog::open(Arc::clone(&store) as Arc<dyn MetadataStore>, settings(&[("node.id", "1")], 1)).await.unwrap();
    store.doubt.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(catalog.create_topics(ONE, &[topic("t", 1, 1)], false).await.is_err());
    assert_eq!(catalog.image().topic("t"), None, "what is not known to be durable is not shown");
    store.doubt.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(refusal(&catalog, topic("t", 1, 1)).await, "Topic 't' already exists.");
}

#[tokio::test]
async fn an_operation_whose_caller_went_away_is_shown_by_following() {
    let store = MemoryStore::new();
    let catalog = cluster_on(&store, 1, &[]).await;
    let seen = catalog.image().revision();
    // As if the future had been dropped between the write and its answer.
    let mut write = Write::default();
    write.put("topics/t", r#"{"id":"qk9ZVg0wSBSuSbPQJfwgyA","partitions":[[1,0,[1]]]}"#.to_owned());
    store.write(write).await.unwrap();
    let mut changes = catalog.subscribe();
    tokio::select! {
        changed = changes.wait_for(|revision| *revision > seen) => assert!(changed.is_ok()),
        ended = catalog.follow() => panic!("{ended:?}"),
    }
    assert!(catalog.image().topic("t").is_some());
}

#[tokio::test]
async fn a_cancelled_operation_is_known_to_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let store = crate::store::EmbeddedStore::open(&directory.path().join("metadata.redb")).unwrap();
    let catalog = Catalog::open(Arc::new(store), settings(&[("node.id", "1")], 1)).await.unwrap();
    let topics = [topic("t", 1, 1)];
    let mut operation = Box::pin(catalog.create_topics(ONE, &topics, false));
    tokio::select! {
        biased;
        done = operation.as_mut() => panic!("{done:?}"),
        () = std::future::ready(()) => {}
    }
    drop(operation);
    assert_eq!(refusal(&catalog, topic("t", 1, 1)).await, "Topic 't' already exists.");
}

//! The catalog against a simple model, over random operations, reopenings and two processes that share a store.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::{EmbeddedStore, MetadataStore};

#[derive(Clone, Debug)]
enum Step {
    Create { topics: Vec<(u8, i32, i16)>, validate_only: bool },
    Delete { topics: Vec<u8> },
    Grow { topic: u8, count: i32 },
    Configure { topic: u8, retention_ms: Option<i64> },
    AllocateProducerIds,
    Reopen,
    SwitchProcess,
}

fn step() -> impl Strategy<Value = Step> {
    let new_topic = (0u8..6, -2i32..5, -2i16..4);
    prop_oneof![
        4 => (prop::collection::vec(new_topic, 1..4), prop::bool::weighted(0.2))
            .prop_map(|(topics, validate_only)| Step::Create { topics, validate_only }),
        2 => prop::collection::vec(0u8..6, 1..4).prop_map(|topics| Step::Delete { topics }),
        3 => (0u8..6, -1i32..8).prop_map(|(topic, count)| Step::Grow { topic, count }),
        3 => (0u8..6, prop::option::of(-3i64..9)).prop_map(|(topic, retention_ms)| Step::Configure { topic, retention_ms }),
        1 => Just(Step::AllocateProducerIds),
        1 => Just(Step::Reopen),
        2 => Just(Step::SwitchProcess),
    ]
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ModelTopic {
    partitions: usize,
    replicas: usize,
    retention_ms: Option<i64>,
}

#[derive(Debug, Default)]
struct Model {
    topics: BTreeMap<String, ModelTopic>,
    producer_ids: i64,
}

const BROKERS: usize = 2;

fn name(topic: u8) -> String {
    format!("topic-{topic}")
}

impl Model {
    fn create(&mut self, name: &str, partitions: i32, factor: i16) -> bool {
        let count = |asked: i64| if asked == -1 { Some(1) } else { usize::try_from(asked).ok().filter(|n| *n > 0) };
        let (partitions, replicas) = (count(i64::from(partitions)), count(i64::from(factor)));
        match (partitions, replicas.filter(|replicas| *replicas <= BROKERS)) {
            (Some(partitions), Some(replicas)) if !self.topics.contains_key(name) => {
                let topic = ModelTopic { partitions, replicas, retention_ms: None };
                self.topics.insert(name.to_owned(), topic);
                true
            }
            _ => false,
        }
    }

    fn grow(&mut self, name: &str, count: i32) -> bool {
        let wanted = usize::try_from(count).unwrap_or(0);
        match self.topics.get_mut(name) {
            Some(topic) if topic.partitions < wanted => {
                topic.partitions = wanted;
                true
            }
            _ => false,
        }
    }

    fn configure(&mut self, name: &str, retention_ms: Option<i64>) -> bool {
        match self.topics.get_mut(name) {
            Some(topic) if retention_ms.is_none_or(|value| value >= -1) => {
                topic.retention_ms = retention_ms;
                true
            }
            _ => false,
        }
    }
}

/// What the image holds, in the model's terms; fails when the image contradicts itself.
fn seen(image: &Image) -> BTreeMap<String, ModelTopic> {
    let topic = |topic: &Arc<Topic>| {
        assert_eq!(image.topic_by_id(topic.id), Some(topic));
        for partition in &topic.partitions {
            assert_eq!(partition.leader, partition.replicas[0]);
            assert!(partition.replicas.iter().all(|replica| image.brokers().contains(replica)));
            assert_eq!(partition.replicas.len(), topic.replication_factor());
        }
        let retention_ms = topic.configs.get("retention.ms").map(|text| text.parse().unwrap());
        let seen =
            ModelTopic { partitions: topic.partitions.len(), replicas: topic.replication_factor(), retention_ms };
        (topic.name.to_string(), seen)
    };
    image.topics().map(topic).collect()
}

async fn apply(catalog: &Catalog, model: &mut Model, step: &Step) {
    match step {
        Step::Create { topics, validate_only } => {
            let new: Vec<NewTopic> =
                topics.iter().map(|(t, count, factor)| topic(&name(*t), *count, *factor)).collect();
            let made = catalog.create_topics(ONE, &new, *validate_only).await.unwrap();
            let kept = model.topics.clone();
            for (new, made) in new.iter().zip(&made) {
                let again = new_count(&topics.iter().map(|(t, ..)| name(*t)).collect::<Vec<_>>(), &new.name) > 1;
                let expected = !again && model.create(&new.name, new.partitions, new.replication_factor);
                assert_eq!(made.is_ok(), expected, "{new:?}: {made:?}");
            }
            if *validate_only {
                model.topics = kept;
            }
        }
        Step::Delete { topics } => {
            let selectors: Vec<_> = topics.iter().map(|t| TopicSelector::Name(name(*t))).collect();
            let gone = catalog.delete_topics(&selectors).await.unwrap();
            for (t, gone) in topics.iter().zip(&gone) {
                assert_eq!(gone.is_ok(), model.topics.contains_key(&name(*t)));
            }
            model.topics.retain(|known, _| !topics.iter().any(|t| name(*t) == *known));
        }
        Step::Grow { topic, count } => {
            let new = NewPartitions { topic: name(*topic), count: *count, assignments: None };
            let grown = catalog.create_partitions(&[new], false).await.unwrap().remove(0);
            assert_eq!(grown.is_ok(), model.grow(&name(*topic), *count), "{grown:?}");
        }
        Step::Configure { topic, retention_ms } => {
            let operation = match retention_ms {
                Some(value) => ConfigOperation::Set(value.to_string()),
                None => ConfigOperation::Delete,
            };
            let resource = ConfigResource::Topic(name(*topic));
            let operations = vec![("retention.ms".to_owned(), operation)];
            let change = ConfigChange { resource, operations, replace: false };
            let changed = catalog.alter_configs(ONE, &[change], false).await.unwrap().remove(0);
            assert_eq!(changed.is_ok(), model.configure(&name(*topic), *retention_ms), "{changed:?}");
        }
        Step::AllocateProducerIds => {
            let block = catalog.allocate_producer_ids().await.unwrap();
            assert_eq!((block.first.0, block.count), (model.producer_ids, 1000));
            model.producer_ids += 1000;
        }
        Step::Reopen | Step::SwitchProcess => unreachable!("handled by the caller"),
    }
}

fn new_count(names: &[String], name: &str) -> usize {
    names.iter().filter(|known| *known == name).count()
}

async fn open(store: Arc<dyn MetadataStore>) -> Catalog {
    let mut config = StaticConfig::default();
    config.set("node.id", "1", Origin::Option("--set"));
    let settings = Settings { config, brokers: u32::try_from(BROKERS).unwrap(), ..Settings::default() };
    Catalog::open(store, settings).await.unwrap()
}

/// Runs the steps in two catalogs over one store; each acts on an image that may be old.
async fn run_shared(steps: &[Step]) {
    let store: Arc<dyn MetadataStore> = Arc::new(MemoryStore::new());
    let mut catalogs = [open(Arc::clone(&store)).await, open(Arc::clone(&store)).await];
    let (mut model, mut process) = (Model::default(), 0);
    for step in steps {
        match step {
            Step::SwitchProcess => process = 1 - process,
            Step::Reopen => {
                let cluster = catalogs[process].image().cluster_id().to_owned();
                catalogs[process] = open(Arc::clone(&store)).await;
                assert_eq!(catalogs[process].image().cluster_id(), cluster);
                assert_eq!(seen(&catalogs[process].image()), model.topics);
            }
            step => {
                // Let it see what the other did, as `follow` does in the background.
                catalogs[process].catch_up().await.unwrap();
                apply(&catalogs[process], &mut model, step).await;
                assert_eq!(seen(&catalogs[process].image()), model.topics);
            }
        }
    }
}

/// Runs the steps over a file, closed and opened again at each `Reopen`.
async fn run_embedded(steps: &[Step]) {
    let directory = tempfile::tempdir().unwrap();
    let open_file = || EmbeddedStore::open(&directory.path().join("metadata.redb")).unwrap();
    let mut catalog = open(Arc::new(open_file())).await;
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::SwitchProcess => {}
            Step::Reopen => {
                let before = catalog.image();
                drop(catalog);
                catalog = open(Arc::new(open_file())).await;
                let after = catalog.image();
                assert!(before.topics().eq(after.topics()));
                assert_eq!(after.next_producer_id(), model.producer_ids);
            }
            step => apply(&catalog, &mut model, step).await,
        }
    }
    assert_eq!(seen(&catalog.image()), model.topics);
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn two_processes_over_one_store_agree_with_the_model(steps in prop::collection::vec(step(), 1..30)) {
        block_on(run_shared(&steps));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_catalog_opened_again_is_equal(steps in prop::collection::vec(step(), 1..20)) {
        block_on(run_embedded(&steps));
    }
}

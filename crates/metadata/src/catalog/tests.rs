//! What the operations answer, word for word as Apache Kafka 4.4.0 answered the same requests.

use std::sync::Arc;

use millstream_model::{BrokerId, PartitionIndex, TopicId};

use super::*;
use crate::configs::{ConfigSource, Origin, StaticConfig};
use crate::store::MemoryStore;

const ONE: BrokerId = BrokerId(1);

/// A cluster of brokers 1 to `brokers`, over a store that others may share.
async fn cluster_on(store: &MemoryStore, brokers: u32, given: &[(&str, &str)]) -> Catalog {
    let mut config = StaticConfig::default();
    config.set("node.id", "1", Origin::Option("--set"));
    for (name, text) in given {
        config.set(*name, *text, Origin::Option("--set"));
    }
    config.check().unwrap();
    let settings = Settings { config, brokers, ..Settings::default() };
    Catalog::open(Arc::new(store.clone()), settings).await.unwrap()
}

async fn cluster(brokers: u32) -> Catalog {
    cluster_on(&MemoryStore::new(), brokers, &[]).await
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic { partitions, replication_factor, ..NewTopic::named(name) }
}

fn with_config(name: &str, config: &str, value: &str) -> NewTopic {
    NewTopic { configs: vec![(config.to_owned(), Some(value.to_owned()))], ..NewTopic::named(name) }
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let replicas = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    let assignments = assignments.iter().map(|(index, ids)| (PartitionIndex(*index), replicas(ids))).collect();
    NewTopic { assignments, ..NewTopic::named(name) }
}

async fn create(catalog: &Catalog, topic: NewTopic) -> Result<CreatedTopic, CreateTopicError> {
    catalog.create_topics(ONE, &[topic], false).await.unwrap().remove(0)
}

/// The message with which a topic is refused.
async fn refusal(catalog: &Catalog, topic: NewTopic) -> String {
    create(catalog, topic).await.unwrap_err().to_string()
}

mod alter;
mod model;
mod opening;
mod topics;

//! Requests that looked at the catalog before it changed.

use std::sync::Arc;

use millstream_metadata::catalog::{ConfigChange, ConfigOperation, ConfigResource, Image, NewTopic, TopicSelector};
use millstream_metadata::configs::{Origin, StaticConfig};
use millstream_model::PartitionIndex;
use tempfile::TempDir;

use super::TopicRef;
use crate::{Broker, BrokerOptions, RunningBroker, start};

const TOPIC: &str = "measurements";
const FIRST: PartitionIndex = PartitionIndex(0);

/// A broker with a topic whose log nobody has asked for yet, and the image that has the topic.
async fn with_topic(directory: &TempDir) -> (RunningBroker, Arc<Image>) {
    let mut config = StaticConfig::default();
    config.set("listeners", "PLAINTEXT://127.0.0.1:0", Origin::Option("--listen"));
    let data_dir_default = directory.path().to_owned();
    let running =
        start(BrokerOptions { config, data_dir: None, data_dir_default, nodes: 1, http: None }).await.unwrap();
    let broker = running.broker();
    let node = broker.nodes().controller();
    broker.create_topics(node, &[NewTopic::named(TOPIC)], false).await.unwrap().remove(0).unwrap();
    let image = broker.image();
    (running, image)
}

async fn alter(broker: &Broker, name: &str, value: &str) {
    let operation = ConfigOperation::Set(value.to_owned());
    let resource = ConfigResource::Topic(TOPIC.to_owned());
    let change = ConfigChange { resource, operations: vec![(name.to_owned(), operation)], replace: false };
    broker.catalog().alter_configs(broker.nodes().controller(), &[change], false).await.unwrap().remove(0).unwrap();
}

#[tokio::test]
async fn a_log_is_not_made_for_a_topic_that_was_deleted_since_it_was_looked_up() {
    let directory = TempDir::new().unwrap();
    let (running, before) = with_topic(&directory).await;
    let broker = running.broker();
    broker.delete_topics(&[TopicSelector::Name(TOPIC.to_owned())]).await.unwrap().remove(0).unwrap();
    let topic = before.topic(TOPIC).unwrap();
    assert!(broker.log(topic, FIRST).is_none());
    assert!(broker.storage().partition(topic.id, FIRST).is_none());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_log_is_made_with_the_configs_that_its_topic_has_by_now() {
    let directory = TempDir::new().unwrap();
    let (running, before) = with_topic(&directory).await;
    let broker = running.broker();
    let topic = before.topic(TOPIC).unwrap();
    alter(broker, "segment.bytes", "1048576").await;
    broker.apply_topic_configs(topic.id);
    assert_eq!(broker.log(topic, FIRST).unwrap().config().segment_bytes, 1 << 20);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn settings_from_an_older_image_are_not_taken_for_the_newest() {
    let directory = TempDir::new().unwrap();
    let (running, before) = with_topic(&directory).await;
    let broker = running.broker();
    alter(broker, "max.message.bytes", "1000").await;
    broker.topic_settings(&before, before.topic(TOPIC).unwrap());
    let hosted = broker.partition(broker.nodes().controller(), &TopicRef::Name(TOPIC.into()), FIRST).unwrap();
    assert_eq!(hosted.topic.message_bytes_max, 1000);
    running.stop().await.unwrap();
}

//! Reads everything that a broker has.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_client::admin::OffsetSpec;
use millstream_client::config::IsolationLevel;
use millstream_client::{Consumer, TopicPartition};
use tokio::time::Instant;

use crate::history::{Found, Record, Value};
use crate::workload::Scene;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// All topics but internal ones, with their records up to the end; what was read goes into the history.
pub(crate) async fn everything(scene: &Scene) -> Found {
    let admin = scene.admin();
    let mut found = Found::default();
    let topics = admin.list_topics().await.unwrap();
    for topic in topics.iter().filter(|topic| !topic.is_internal) {
        found.topics.insert(topic.name.clone(), topic.id);
    }
    let names: Vec<&str> = found.topics.keys().map(String::as_str).collect();
    let mut ends = BTreeMap::new();
    for (name, topic) in admin.describe_topics(&names).await.unwrap() {
        for partition in topic.unwrap().partitions {
            let partition = TopicPartition::new(name.as_str(), partition.metadata.index);
            let latest = [(partition.clone(), OffsetSpec::Latest)];
            let (_, end) = admin.list_offsets(&latest, IsolationLevel::ReadUncommitted).await.unwrap().remove(0);
            ends.insert(partition, end.unwrap().offset);
        }
    }
    found.logs = upto(scene, &ends).await;
    found
}

async fn upto(scene: &Scene, ends: &BTreeMap<TopicPartition, i64>) -> BTreeMap<TopicPartition, Vec<Record>> {
    let mut consumer = Consumer::new(&scene.config()).unwrap();
    let mut logs: BTreeMap<TopicPartition, Vec<Record>> = ends.keys().map(|key| (key.clone(), Vec::new())).collect();
    let partitions: Vec<TopicPartition> = logs.keys().cloned().collect();
    consumer.assign(partitions.clone()).unwrap();
    consumer.seek_to_beginning(&partitions).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let is_short = |(partition, log): (&TopicPartition, &Vec<Record>)| {
        log.last().map_or(0, |record| record.offset + 1) < ends[partition]
    };
    while logs.iter().any(is_short) {
        assert!(Instant::now() < deadline, "the logs cannot be read up to their ends");
        for record in consumer.poll(Duration::from_millis(100)).await.unwrap() {
            let partition = TopicPartition::new(record.topic, record.partition);
            let value = record.value.as_deref().and_then(Value::of);
            scene.history().read(&partition, record.offset, value);
            let record = Record { offset: record.offset, epoch: record.leader_epoch.unwrap_or(-1), value };
            logs.get_mut(&partition).unwrap().push(record);
        }
    }
    logs
}

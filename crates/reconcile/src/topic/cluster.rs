//! A Kafka cluster as the topic reconciler sees it: a topic as it is, and the changes of a plan, through the Kafka protocol.

use std::collections::HashMap;

use millstream_client::admin::{AlterConfigOp, ConfigResource, ConfigSource, NewPartitions, NewTopic};
use millstream_client::{Admin, ClientConfig, Error, ErrorCode};
use tokio::sync::Mutex;

use super::plan::{BROKER_DEFAULT, LiveTopic, Plan, Refusal};

/// One call, all in all: an answer that takes longer is tried again by the next look.
const CALL_LIMIT_MS: &str = "10000";
const REQUEST_LIMIT_MS: &str = "5000";

/// Connections to the clusters, by bootstrap servers. Owner: the reconcilers' context.
#[derive(Default)]
pub(crate) struct Clusters {
    admins: Mutex<HashMap<String, Admin>>,
}

impl Clusters {
    /// The admin client of a cluster; it connects when it is used.
    pub(crate) async fn admin(&self, bootstrap: &str) -> Result<Admin, Error> {
        let mut admins = self.admins.lock().await;
        if let Some(admin) = admins.get(bootstrap) {
            return Ok(admin.clone());
        }
        let config = ClientConfig::new(bootstrap)
            .with("client.id", "millstream-topic-operator")
            .with("default.api.timeout.ms", CALL_LIMIT_MS)
            .with("request.timeout.ms", REQUEST_LIMIT_MS);
        let admin = Admin::new(&config)?;
        admins.insert(bootstrap.to_owned(), admin.clone());
        Ok(admin)
    }
}

/// The topic as Kafka has it; `None` when it has none of that name.
pub(super) async fn describe(admin: &Admin, name: &str) -> Result<Option<LiveTopic>, Error> {
    let topic = match only(admin.describe_topics(&[name]).await?) {
        Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => return Ok(None),
        topic => topic?,
    };
    let entries = only(admin.describe_configs(&[ConfigResource::topic(name)], false).await?)?;
    let own = entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopicConfig);
    Ok(Some(LiveTopic {
        id: topic.id.to_string(),
        replicas: topic.partitions.iter().map(|partition| partition.metadata.replicas.len()).collect(),
        config: own.map(|entry| (entry.name, entry.value.unwrap_or_default())).collect(),
    }))
}

/// Carries a plan out. The topic's id when it was made.
///
/// # Errors
/// Kafka refused; what came before is done, and the next look sees it.
pub(super) async fn carry_out(admin: &Admin, name: &str, plan: Plan) -> Result<Option<String>, Refusal> {
    let refused = |error: Error| Refusal::kafka_error(error.to_string());
    match plan {
        Plan::Create { partitions, replicas, config } => {
            let topic = NewTopic {
                name: name.to_owned(),
                num_partitions: (partitions != i32::from(BROKER_DEFAULT)).then_some(partitions),
                replication_factor: (replicas != BROKER_DEFAULT).then_some(replicas),
                assignments: Vec::new(),
                configs: config.into_iter().collect(),
            };
            let created = only(admin.create_topics(&[topic], false).await.map_err(refused)?).map_err(refused)?;
            Ok(Some(created.id.to_string()))
        }
        Plan::Alter { partitions, set, reset, refusal } => {
            let set = set.into_iter().map(|(key, value)| (key, AlterConfigOp::Set(value)));
            let changes: Vec<_> = set.chain(reset.into_iter().map(|key| (key, AlterConfigOp::Delete))).collect();
            if !changes.is_empty() {
                let changes = [(ConfigResource::topic(name), changes)];
                only(admin.incremental_alter_configs(&changes, false).await.map_err(refused)?).map_err(refused)?;
            }
            if let Some(total_count) = partitions {
                let more = [NewPartitions { topic: name.to_owned(), total_count, assignments: None }];
                only(admin.create_partitions(&more, false).await.map_err(refused)?).map_err(refused)?;
            }
            refusal.map_or(Ok(None), Err)
        }
    }
}

/// Deletes the topic; that it is gone already is as good.
pub(super) async fn delete(admin: &Admin, name: &str) -> Result<(), Error> {
    match only(admin.delete_topics(&[name]).await?) {
        Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => Ok(()),
        answer => answer,
    }
}

/// The answer to a question about one thing.
fn only<K, V>(mut answers: Vec<(K, Result<V, Error>)>) -> Result<V, Error> {
    match answers.pop() {
        Some((_, answer)) => answer,
        None => Err(Error::Malformed { from: "the broker".into(), reason: "it answered about nothing".into() }),
    }
}

//! Topics come and go, in the catalog and with their logs. A name belongs to one topic until the logs of that topic are out
//! of the way: logs of topics with the same name lie in the same directories.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use millstream_coordinator::DeletedTopic;
use millstream_metadata::catalog::{CreateTopicError, CreatedTopic, DeleteTopicError, NewTopic, Topic, TopicSelector};
use millstream_metadata::store::StoreError;
use millstream_model::{BrokerId, TopicId};
use tracing::error;

use crate::Broker;
use crate::groups::CONSUMER_OFFSETS;

/// Configs of `__consumer_offsets`, as Kafka makes it.
const CONSUMER_OFFSETS_CONFIGS: [(&str, &str); 2] = [("cleanup.policy", "compact"), ("compression.type", "producer")];

/// Why an internal topic is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InternalTopicError {
    #[error(transparent)]
    Refused(#[from] CreateTopicError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Broker {
    /// Makes topics, each when no topic of its name is on its way out any more. The rest is the catalog's.
    pub(crate) async fn create_topics(
        &self,
        receiver: BrokerId,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<Result<CreatedTopic, CreateTopicError>>, StoreError> {
        let names = topics.iter().filter(|_| !validate_only).map(|topic| topic.name.as_str().into());
        let _taken = self.topic_names.take(names.collect()).await;
        self.catalog().create_topics(receiver, topics, validate_only).await
    }

    /// Deletes topics: from the catalog, and then their logs and what groups committed for them.
    pub(crate) async fn delete_topics(
        &self,
        topics: &[TopicSelector],
    ) -> Result<Vec<Result<Arc<Topic>, DeleteTopicError>>, StoreError> {
        let image = self.image();
        let names = topics.iter().filter_map(|topic| match topic {
            TopicSelector::Name(name) => Some(name.as_str().into()),
            TopicSelector::Id(id) => image.topic_by_id(*id).map(|topic| Arc::clone(&topic.name)),
        });
        let _taken = self.topic_names.take(names.collect()).await;
        let outcomes = self.catalog().delete_topics(topics).await?;
        let gone: Vec<&Topic> = outcomes.iter().flatten().map(AsRef::as_ref).collect();
        self.topics_gone(&gone).await;
        Ok(outcomes)
    }

    /// Makes topics that a client has asked for (`auto.create.topics.enable`); answers those that were refused.
    pub(crate) async fn auto_create(
        &self,
        node: BrokerId,
        names: BTreeSet<String>,
    ) -> HashMap<String, CreateTopicError> {
        let topics: Vec<NewTopic> = names.into_iter().map(NewTopic::named).collect();
        match self.create_topics(node, &topics, false).await {
            Ok(outcomes) => {
                let refused = topics.into_iter().zip(outcomes).filter_map(|(topic, outcome)| match outcome {
                    // Somebody was quicker, which is as good.
                    Ok(_) | Err(CreateTopicError::Exists(_)) => None,
                    Err(error) => Some((topic.name, error)),
                });
                refused.collect()
            }
            Err(error) => {
                error!(%error, "topics could not be made on demand");
                HashMap::new()
            }
        }
    }

    /// Makes `__consumer_offsets`.
    pub(crate) async fn create_consumer_offsets(&self) -> Result<(), InternalTopicError> {
        let segment_bytes = self.settings().offsets_topic_segment_bytes.to_string();
        let configs = CONSUMER_OFFSETS_CONFIGS.iter().copied().chain([("segment.bytes", segment_bytes.as_str())]);
        let topic = NewTopic {
            name: CONSUMER_OFFSETS.to_owned(),
            partitions: self.settings().offsets_topic_partitions,
            replication_factor: self.settings().offsets_topic_replication_factor,
            assignments: Vec::new(),
            configs: configs.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).collect(),
        };
        let outcomes = self.create_topics(self.nodes().controller(), &[topic], false).await?;
        match outcomes.into_iter().next() {
            Some(Err(CreateTopicError::Exists(_)) | Ok(_)) | None => Ok(()),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// After topics left the catalog: their logs go, and what groups committed for them.
    async fn topics_gone(&self, topics: &[&Topic]) {
        // The logs first: what lets go of its shard of groups then cannot load it from the old log again.
        let ids: Vec<TopicId> = topics.iter().map(|topic| topic.id).collect();
        let removed = self.storage().delete_topics(&ids);
        let gone = topics.iter().map(|topic| DeletedTopic { topic: topic.name.to_string(), topic_id: topic.id });
        self.groups().topics_deleted(&gone.collect::<Vec<_>>());
        topics.iter().for_each(|topic| self.forget_topic_settings(topic));
        if let Err(error) = removed.await {
            // The catalog has forgotten them: the next start moves their directories aside.
            error!(%error, "the logs of deleted topics remain for now");
        }
    }
}

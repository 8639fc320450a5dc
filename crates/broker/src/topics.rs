//! Topics that the broker makes by itself, and what follows when topics go.

use std::collections::{BTreeSet, HashMap};

use millstream_coordinator::DeletedTopic;
use millstream_metadata::catalog::{CreateTopicError, NewTopic, Topic};
use millstream_metadata::store::StoreError;
use millstream_model::BrokerId;
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
    /// Makes topics that a client has asked for (`auto.create.topics.enable`); answers those that were refused.
    pub(crate) async fn auto_create(
        &self,
        node: BrokerId,
        names: BTreeSet<String>,
    ) -> HashMap<String, CreateTopicError> {
        let topics: Vec<NewTopic> = names.into_iter().map(NewTopic::named).collect();
        match self.catalog().create_topics(node, &topics, false).await {
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
        let outcomes = self.catalog().create_topics(self.nodes().controller(), &[topic], false).await?;
        match outcomes.into_iter().next() {
            Some(Err(CreateTopicError::Exists(_)) | Ok(_)) | None => Ok(()),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// After topics left the catalog: their logs go, and what groups committed for them.
    pub(crate) async fn topics_gone(&self, topics: &[impl AsRef<Topic>]) {
        let gone = topics.iter().map(|topic| {
            let topic = topic.as_ref();
            DeletedTopic { topic: topic.name.to_string(), topic_id: topic.id }
        });
        self.groups().topics_deleted(&gone.collect::<Vec<_>>());
        for topic in topics {
            let topic = topic.as_ref();
            self.forget_topic_settings(topic);
            if let Err(error) = self.storage().delete_topic(topic.id).await {
                // The catalog has forgotten it: the next start moves its directories aside.
                error!(topic = %topic.name, %error, "the logs of a deleted topic remain for now");
            }
        }
    }
}

//! The metadata image: brokers, topics and their partitions' leaders, and how it is refreshed.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_model::TopicId;
use millstream_protocol::ErrorCode;
use millstream_protocol::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic};
use tokio::time::Instant;

use super::Cluster;
use crate::error::error_code;
use crate::{Error, TopicPartition};

/// Metadata by topic ids begins with version 13; names serve every broker.
const METADATA_VERSION_MAX: i16 = 12;

/// A broker as the cluster advertises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl Broker {
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// One partition; ids of brokers, -1 for no leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    pub index: i32,
    pub leader: i32,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub offline_replicas: Vec<i32>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    pub name: String,
    /// `ZERO` from brokers before Kafka 2.8.
    pub id: TopicId,
    pub is_internal: bool,
    /// Sorted by index.
    pub partitions: Vec<PartitionMetadata>,
    pub(crate) fetched: Instant,
}

/// What brokers said of the cluster last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterMetadata {
    pub cluster_id: Option<String>,
    /// The broker that stands in for the controller.
    pub controller: Option<i32>,
    pub brokers: BTreeMap<i32, Broker>,
    pub topics: BTreeMap<String, TopicMetadata>,
}

impl ClusterMetadata {
    /// Leader and leader epoch, when there is a leader.
    pub fn leader(&self, partition: &TopicPartition) -> Option<(i32, i32)> {
        let topic = self.topics.get(&*partition.topic)?;
        let found = topic.partitions.iter().find(|found| found.index == partition.partition)?;
        (found.leader >= 0).then_some((found.leader, found.leader_epoch))
    }
}

/// Which topics to ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TopicSelection<'a> {
    All,
    Names { names: &'a [&'a str], create: bool },
}

impl Cluster {
    /// Asks some broker; the answer becomes the new image, and the errors of single topics are returned by name.
    pub(crate) async fn refresh(
        &self,
        selection: TopicSelection<'_>,
    ) -> Result<(Arc<super::ClusterMetadata>, BTreeMap<String, ErrorCode>), Error> {
        let request = match selection {
            TopicSelection::All => MetadataRequest { topics: None, ..Default::default() },
            TopicSelection::Names { names, create } => MetadataRequest {
                topics: Some(names.iter().map(|name| request_topic(name)).collect()),
                allow_auto_topic_creation: create,
                ..Default::default()
            },
        };
        let answer = self.call_any(&request, METADATA_VERSION_MAX).await?;
        let all = matches!(selection, TopicSelection::All);
        Ok(self.install(answer, all))
    }

    /// The topic, asked for when it is not known or too old; waits for its creation where that is wanted.
    /// Errors with the topic's code when it has one that time does not mend, or does not in `api_timeout`.
    pub(crate) async fn topic(&self, name: &str, create: bool) -> Result<Arc<super::ClusterMetadata>, Error> {
        if let Some(image) = self.fresh(name) {
            return Ok(image);
        }
        let deadline = Instant::now() + self.settings.api_timeout;
        let mut failures = 0;
        loop {
            let error = match self.refresh_topic(name, create).await {
                Ok(image) => return Ok(image),
                // The first answer about a topic that is being made says that it is not there.
                Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) && !create => return Err(error),
                Err(error) if !error.is_retriable() => return Err(error),
                Err(error) => error,
            };
            failures += 1;
            self.pause(failures, deadline, &format!("Topic {name} not present in metadata"), error).await?;
        }
    }

    async fn refresh_topic(&self, name: &str, create: bool) -> Result<Arc<super::ClusterMetadata>, Error> {
        let _turn = self.refresh_turn.acquire().await.map_err(|_| Error::Closed)?;
        if let Some(image) = self.fresh(name) {
            return Ok(image);
        }
        let (image, errors) = self.refresh(TopicSelection::Names { names: &[name], create }).await?;
        match errors.get(name) {
            Some(code) => Err(topic_error(name, *code)),
            None => Ok(image),
        }
    }

    fn fresh(&self, name: &str) -> Option<Arc<super::ClusterMetadata>> {
        let image = self.metadata();
        let fresh = image.topics.get(name)?.fetched.elapsed() < self.settings.metadata_max_age;
        fresh.then_some(image)
    }

    /// Makes the next look at these topics ask a broker.
    pub(crate) fn forget_topics<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let mut state = self.state.lock();
        let mut image = super::ClusterMetadata::clone(&state.metadata);
        for name in names {
            image.topics.remove(name);
        }
        state.metadata = Arc::new(image);
    }

    fn install(
        &self,
        answer: MetadataResponse,
        all: bool,
    ) -> (Arc<super::ClusterMetadata>, BTreeMap<String, ErrorCode>) {
        let mut errors = BTreeMap::new();
        let mut state = self.state.lock();
        let mut topics = if all { BTreeMap::new() } else { state.metadata.topics.clone() };
        for topic in answer.topics {
            let name = topic.name.clone().unwrap_or_default();
            match error_code(topic.error_code) {
                ErrorCode::None => {
                    topics.insert(name, read_topic(topic));
                }
                code => {
                    topics.remove(&name);
                    errors.insert(name, code);
                }
            }
        }
        let brokers = answer.brokers.into_iter().map(|broker| {
            let read = Broker { id: broker.node_id, host: broker.host, port: broker.port, rack: broker.rack };
            (broker.node_id, read)
        });
        let image = Arc::new(super::ClusterMetadata {
            cluster_id: answer.cluster_id,
            controller: (answer.controller_id >= 0).then_some(answer.controller_id),
            brokers: brokers.collect(),
            topics,
        });
        state.metadata = image.clone();
        (image, errors)
    }
}

/// A topic's error with its name in the words of Java's clients, where these have any.
pub(crate) fn topic_error(name: &str, code: ErrorCode) -> Error {
    let message = match code {
        ErrorCode::InvalidTopicException => Some(format!("Invalid topics: [{name}]")),
        ErrorCode::TopicAuthorizationFailed => Some(format!("Not authorized to access topics: [{name}]")),
        _ => None,
    };
    Error::kafka(code, message.as_deref())
}

fn request_topic(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() }
}

fn read_topic(topic: MetadataResponseTopic) -> TopicMetadata {
    let mut partitions: Vec<_> = topic
        .partitions
        .into_iter()
        .map(|partition| PartitionMetadata {
            index: partition.partition_index,
            leader: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes,
            isr: partition.isr_nodes,
            offline_replicas: partition.offline_replicas,
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    TopicMetadata {
        name: topic.name.unwrap_or_default(),
        id: TopicId(topic.topic_id),
        is_internal: topic.is_internal,
        partitions,
        fetched: Instant::now(),
    }
}

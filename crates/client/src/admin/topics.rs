//! Topics: list, describe, create, delete, add partitions.

use futures_util::FutureExt;
use millstream_model::TopicId;
use millstream_protocol::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use millstream_protocol::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult, CreateTopicsRequest,
};
use millstream_protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use millstream_protocol::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
    RequestCursor, TopicRequest,
};

use super::{Admin, PerItem};
use crate::cluster::{Cluster, NEWEST, TopicSelection};
use crate::error::check;
use crate::{Error, ErrorCode, PartitionMetadata, TopicMetadata};

/// Partitions per answer; Kafka's own limit (`max.request.partition.size.limit`).
const DESCRIBE_PARTITIONS_MAX: i32 = 2000;

/// A topic by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicListing {
    pub name: String,
    pub id: TopicId,
    pub is_internal: bool,
}

/// A topic with its partitions, sorted by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    pub name: String,
    pub id: TopicId,
    pub is_internal: bool,
    pub partitions: Vec<DescribedPartition>,
}

/// A partition; the eligible leader replicas (KIP-966) where the broker tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedPartition {
    pub metadata: PartitionMetadata,
    pub eligible_leader_replicas: Option<Vec<i32>>,
    pub last_known_elr: Option<Vec<i32>>,
}

/// A topic to be made. `Default` leaves partitions, replication and configuration to the broker.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NewTopic {
    pub name: String,
    /// `None` for `num.partitions`.
    pub num_partitions: Option<i32>,
    /// `None` for `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Brokers of each partition; excludes the two numbers above.
    pub assignments: Vec<Vec<i32>>,
    pub configs: Vec<(String, String)>,
}

/// What a broker says of a topic that it made, or would make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    pub id: TopicId,
    /// -1 from brokers that do not tell.
    pub num_partitions: i32,
    pub replication_factor: i16,
}

/// A topic's new, larger number of partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    pub topic: String,
    pub total_count: i32,
    /// Brokers of each added partition.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// All topics, sorted by name; a consumer asks for them too.
pub(crate) async fn list_topics(cluster: &Cluster) -> Result<Vec<TopicListing>, Error> {
    let (image, _) = cluster.retry("listTopics", || cluster.refresh(TopicSelection::All).boxed()).await?;
    let listing =
        |topic: &TopicMetadata| TopicListing { name: topic.name.clone(), id: topic.id, is_internal: topic.is_internal };
    Ok(image.topics.values().map(listing).collect())
}

impl Admin {
    /// All topics, sorted by name.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>, Error> {
        list_topics(&self.cluster).await
    }

    /// Topics by name; an unknown one is `UnknownTopicOrPartition`.
    pub async fn describe_topics(&self, names: &[&str]) -> Result<PerItem<String, TopicDescription>, Error> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let describe = |names: Vec<String>| {
            async move {
                match self.describe_by_partitions(&names).await {
                    Err(Error::UnsupportedApi { .. }) => self.describe_by_metadata(&names).await,
                    answer => answer,
                }
            }
            .boxed()
        };
        self.each("describeTopics", &names, describe).await
    }

    /// Page by page (KIP-966); a topic may go on in the next page.
    async fn describe_by_partitions(&self, names: &[String]) -> Result<PerItem<String, TopicDescription>, Error> {
        let mut topics: PerItem<String, TopicDescription> = Vec::new();
        let mut request = DescribeTopicPartitionsRequest {
            topics: names.iter().map(|name| TopicRequest { name: name.clone() }).collect(),
            response_partition_limit: DESCRIBE_PARTITIONS_MAX,
            cursor: None,
        };
        loop {
            let answer = self.cluster.call_any(&request, NEWEST).await?;
            for topic in answer.topics {
                let (name, described) = described_topic(topic);
                match (topics.last_mut(), described) {
                    (Some((last, Ok(before))), Ok(more)) if *last == name => before.partitions.extend(more.partitions),
                    (_, described) => topics.push((name, described)),
                }
            }
            let Some(next) = answer.next_cursor else { return Ok(topics) };
            request.topics.retain(|topic| topic.name >= next.topic_name);
            request.cursor = Some(RequestCursor { topic_name: next.topic_name, partition_index: next.partition_index });
        }
    }

    async fn describe_by_metadata(&self, names: &[String]) -> Result<PerItem<String, TopicDescription>, Error> {
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let selection = TopicSelection::Names { names: &wanted, create: false };
        let (image, errors) = self.cluster.refresh(selection).await?;
        let describe = |name: &String| match (image.topics.get(name), errors.get(name)) {
            (Some(topic), None) => Ok(plain_description(topic)),
            (_, code) => Err(Error::kafka(code.copied().unwrap_or(ErrorCode::UnknownTopicOrPartition), None)),
        };
        Ok(names.iter().map(|name| (name.clone(), describe(name))).collect())
    }

    /// Makes topics; with `validate_only` says what would happen.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<PerItem<String, CreatedTopic>, Error> {
        let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        self.each("createTopics", &names, |names| {
            async move {
                let wanted = topics.iter().filter(|topic| names.contains(&topic.name));
                let request = CreateTopicsRequest {
                    topics: wanted.map(creatable).collect(),
                    timeout_ms: self.timeout_ms(),
                    validate_only,
                };
                let answer = self.cluster.call_any(&request, NEWEST).await?;
                Ok(answer.topics.into_iter().map(|topic| (topic.name.clone(), created(&topic))).collect())
            }
            .boxed()
        })
        .await
    }

    /// Deletes topics with their records.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<PerItem<String, ()>, Error> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.each("deleteTopics", &names, |names| {
            async move {
                let connection = self.cluster.any_broker().await?;
                let version = connection.version::<DeleteTopicsRequest>(NEWEST)?;
                let mut request = DeleteTopicsRequest { timeout_ms: self.timeout_ms(), ..Default::default() };
                if version >= 6 {
                    let state = |name: &String| DeleteTopicState { name: Some(name.clone()), ..Default::default() };
                    request.topics = names.iter().map(state).collect();
                } else {
                    request.topic_names = names;
                }
                let answer = connection.call(&request, version).await?;
                let result = answer.responses.into_iter();
                Ok(result
                    .map(|topic| {
                        (topic.name.unwrap_or_default(), check(topic.error_code, topic.error_message.as_deref()))
                    })
                    .collect())
            }
            .boxed()
        })
        .await
    }

    /// Adds partitions to topics.
    pub async fn create_partitions(
        &self,
        topics: &[NewPartitions],
        validate_only: bool,
    ) -> Result<PerItem<String, ()>, Error> {
        let names: Vec<String> = topics.iter().map(|topic| topic.topic.clone()).collect();
        self.each("createPartitions", &names, |names| {
            async move {
                let wanted = topics.iter().filter(|topic| names.contains(&topic.topic));
                let request = CreatePartitionsRequest {
                    topics: wanted.map(more_partitions).collect(),
                    timeout_ms: self.timeout_ms(),
                    validate_only,
                };
                let answer = self.cluster.call_any(&request, NEWEST).await?;
                let result = answer.results.into_iter();
                Ok(result.map(|topic| (topic.name, check(topic.error_code, topic.error_message.as_deref()))).collect())
            }
            .boxed()
        })
        .await
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assignments = topic.assignments.iter().zip(0..);
    CreatableTopic {
        name: topic.name.clone(),
        num_partitions: topic.num_partitions.unwrap_or(-1),
        replication_factor: topic.replication_factor.unwrap_or(-1),
        assignments: assignments
            .map(|(brokers, index)| CreatableReplicaAssignment { partition_index: index, broker_ids: brokers.clone() })
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) })
            .collect(),
    }
}

fn created(topic: &CreatableTopicResult) -> Result<CreatedTopic, Error> {
    check(topic.error_code, topic.error_message.as_deref())?;
    Ok(CreatedTopic {
        id: TopicId(topic.topic_id),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
    })
}

fn more_partitions(topic: &NewPartitions) -> CreatePartitionsTopic {
    let assignments = topic.assignments.as_ref();
    CreatePartitionsTopic {
        name: topic.topic.clone(),
        count: topic.total_count,
        assignments: assignments
            .map(|all| all.iter().map(|brokers| CreatePartitionsAssignment { broker_ids: brokers.clone() }).collect()),
    }
}

fn described_topic(topic: DescribeTopicPartitionsResponseTopic) -> (String, Result<TopicDescription, Error>) {
    let name = topic.name.unwrap_or_default();
    let described = check(topic.error_code, None).map(|()| {
        let mut partitions: Vec<_> = topic.partitions.into_iter().map(described_partition).collect();
        partitions.sort_by_key(|partition| partition.metadata.index);
        TopicDescription { name: name.clone(), id: TopicId(topic.topic_id), is_internal: topic.is_internal, partitions }
    });
    (name, described)
}

fn described_partition(partition: DescribeTopicPartitionsResponsePartition) -> DescribedPartition {
    DescribedPartition {
        metadata: PartitionMetadata {
            index: partition.partition_index,
            leader: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes,
            isr: partition.isr_nodes,
            offline_replicas: partition.offline_replicas,
        },
        eligible_leader_replicas: partition.eligible_leader_replicas,
        last_known_elr: partition.last_known_elr,
    }
}

fn plain_description(topic: &TopicMetadata) -> TopicDescription {
    let partition = |metadata: &PartitionMetadata| DescribedPartition {
        metadata: metadata.clone(),
        eligible_leader_replicas: None,
        last_known_elr: None,
    };
    TopicDescription {
        name: topic.name.clone(),
        id: topic.id,
        is_internal: topic.is_internal,
        partitions: topic.partitions.iter().map(partition).collect(),
    }
}

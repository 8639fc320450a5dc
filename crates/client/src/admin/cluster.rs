//! The cluster itself: brokers, what they serve, their disks, reassignments under way.

use futures_util::FutureExt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use millstream_protocol::describe_cluster::DescribeClusterRequest;
use millstream_protocol::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResult};
use millstream_protocol::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};

use super::{Admin, PerItem};
use crate::cluster::{NEWEST, TopicSelection};
use crate::connection::Connection;
use crate::error::check;
use crate::topic_partition::by_topic;
use crate::{ApiKey, Broker, Error, TopicPartition};

/// Endpoints of brokers, not of KRaft controllers.
const ENDPOINT_TYPE_BROKERS: i8 = 1;

/// Who is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    pub cluster_id: String,
    pub controller: Option<i32>,
    pub brokers: Vec<Broker>,
}

/// A directory of a broker's data.
#[derive(Clone, Debug, PartialEq)]
pub struct LogDir {
    pub path: String,
    /// Why the broker cannot use it.
    pub error: Option<Error>,
    pub partitions: Vec<LogDirPartition>,
    /// Size of its volume and what is free, -1 where unknown.
    pub total_bytes: i64,
    pub usable_bytes: i64,
}

/// A partition's part of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirPartition {
    pub partition: TopicPartition,
    pub size_bytes: i64,
    pub offset_lag: i64,
    pub is_future: bool,
}

/// A partition whose replicas are being moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    pub partition: TopicPartition,
    pub replicas: Vec<i32>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
}

impl Admin {
    /// The cluster's id and brokers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        self.cluster
            .retry("describeCluster", || {
                async move {
                    match self.ask_describe_cluster().await {
                        Err(Error::UnsupportedApi { .. }) => self.describe_cluster_by_metadata().await,
                        answer => answer,
                    }
                }
                .boxed()
            })
            .await
    }

    async fn ask_describe_cluster(&self) -> Result<ClusterDescription, Error> {
        let request = DescribeClusterRequest { endpoint_type: ENDPOINT_TYPE_BROKERS, ..Default::default() };
        let answer = self.cluster.call_any(&request, NEWEST).await?;
        check(answer.error_code, answer.error_message.as_deref())?;
        let brokers = answer.brokers.into_iter().map(|broker| Broker {
            id: broker.broker_id,
            host: broker.host,
            port: broker.port,
            rack: broker.rack,
        });
        Ok(ClusterDescription {
            cluster_id: answer.cluster_id,
            controller: (answer.controller_id >= 0).then_some(answer.controller_id),
            brokers: brokers.collect(),
        })
    }

    async fn describe_cluster_by_metadata(&self) -> Result<ClusterDescription, Error> {
        let (image, _) = self.cluster.refresh(TopicSelection::Names { names: &[], create: false }).await?;
        Ok(ClusterDescription {
            cluster_id: image.cluster_id.clone().unwrap_or_default(),
            controller: image.controller,
            brokers: image.brokers.values().cloned().collect(),
        })
    }

    /// Every broker of the cluster with the API versions that it serves.
    pub async fn api_versions(&self) -> Result<PerItem<Broker, Vec<(ApiKey, RangeInclusive<i16>)>>, Error> {
        let mut answers = Vec::new();
        for broker in self.brokers().await? {
            let versions = self.cluster.broker(broker.id).await.map(|connection| connection.versions());
            answers.push((broker, versions));
        }
        Ok(answers)
    }

    /// The data directories of some brokers, of all when none is named; with the sizes of some topics' partitions, of
    /// all when none is named.
    pub async fn describe_log_dirs(
        &self,
        brokers: &[i32],
        partitions: Option<&[TopicPartition]>,
    ) -> Result<PerItem<i32, Vec<LogDir>>, Error> {
        let brokers = match brokers {
            [] => self.brokers().await?.into_iter().map(|broker| broker.id).collect(),
            some => some.to_vec(),
        };
        let wanted = partitions.map(|partitions| by_topic(partitions.iter().map(|one| (one.clone(), ()))));
        let topics = wanted.map(|topics| {
            let topic = |(topic, partitions): (Arc<str>, Vec<(i32, ())>)| {
                millstream_protocol::describe_log_dirs::DescribableLogDirTopic {
                    topic: topic.to_string(),
                    partitions: partitions.into_iter().map(|(index, ())| index).collect(),
                }
            };
            topics.into_iter().map(topic).collect()
        });
        let request = &DescribeLogDirsRequest { topics };
        self.each("describeLogDirs", &brokers, |brokers| {
            async move {
                let mut answers = Vec::new();
                for broker in brokers {
                    let answer = self.cluster.broker(broker).await?.call(request, NEWEST).await?;
                    let dirs = check(answer.error_code, None);
                    answers.push((broker, dirs.map(|()| answer.results.into_iter().map(log_dir).collect())));
                }
                Ok(answers)
            }
            .boxed()
        })
        .await
    }

    /// Reassignments under way, of all partitions when none is named.
    pub async fn list_partition_reassignments(
        &self,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<Reassignment>, Error> {
        let wanted = partitions.map(|partitions| by_topic(partitions.iter().map(|one| (one.clone(), ()))));
        let topics = wanted.map(|topics| {
            let topic = |(topic, partitions): (Arc<str>, Vec<(i32, ())>)| ListPartitionReassignmentsTopics {
                name: topic.to_string(),
                partition_indexes: partitions.into_iter().map(|(index, ())| index).collect(),
            };
            topics.into_iter().map(topic).collect()
        });
        let request = &ListPartitionReassignmentsRequest { timeout_ms: self.timeout_ms(), topics };
        let answer = self
            .cluster
            .retry("listPartitionReassignments", || {
                async move {
                    let answer = self.cluster.call_any(request, NEWEST).await?;
                    check(answer.error_code, answer.error_message.as_deref()).map(|()| answer)
                }
                .boxed()
            })
            .await?;
        let mut reassignments = Vec::new();
        for topic in answer.topics {
            reassignments.extend(topic.partitions.into_iter().map(|one| Reassignment {
                partition: TopicPartition::new(topic.name.as_str(), one.partition_index),
                replicas: one.replicas,
                adding: one.adding_replicas,
                removing: one.removing_replicas,
            }));
        }
        Ok(reassignments)
    }

    /// The brokers of a fresh image, by id.
    pub(super) async fn brokers(&self) -> Result<Vec<Broker>, Error> {
        let none = TopicSelection::Names { names: &[], create: false };
        let (image, _) = self.cluster.retry("metadata", || self.cluster.refresh(none).boxed()).await?;
        Ok(image.brokers.values().cloned().collect())
    }

    /// The connection to a broker, or to any.
    pub(super) async fn connection_to(&self, broker: Option<i32>) -> Result<Arc<Connection>, Error> {
        let Some(id) = broker else { return self.cluster.any_broker().await };
        if !self.cluster.metadata().brokers.contains_key(&id) {
            self.brokers().await?;
        }
        self.cluster.broker(id).await
    }
}

fn log_dir(dir: DescribeLogDirsResult) -> LogDir {
    let mut partitions = Vec::new();
    for topic in dir.topics {
        partitions.extend(topic.partitions.into_iter().map(|one| LogDirPartition {
            partition: TopicPartition::new(topic.name.as_str(), one.partition_index),
            size_bytes: one.partition_size,
            offset_lag: one.offset_lag,
            is_future: one.is_future_key,
        }));
    }
    LogDir {
        path: dir.log_dir,
        error: check(dir.error_code, None).err(),
        partitions,
        total_bytes: dir.total_bytes,
        usable_bytes: dir.usable_bytes,
    }
}

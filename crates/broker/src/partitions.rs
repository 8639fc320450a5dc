//! From a topic's name or id to the log of one of its partitions, as a request names them: existence, leadership, and
//! the topic's settings as the data path needs them. Called by every handler that touches records.
//!
//! A partition's log comes into being in memory when it is first asked for, and on disk at its first append; the
//! catalog alone says which partitions exist.

use std::sync::Arc;

use millstream_metadata::catalog::{Image, Topic};
use millstream_model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use millstream_storage::{Partition, PartitionSpec};

use crate::Broker;
use crate::topic_settings::TopicSettings;

/// A topic as a request names it: by id or by name, as its version asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicRef {
    Id(TopicId),
    Name(Arc<str>),
}

/// Why a partition cannot be had from the node that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    UnknownTopic,
    UnknownTopicId,
    UnknownPartition,
    NotLeader { leader: BrokerId, epoch: LeaderEpoch },
}

impl LookupError {
    /// Who leads instead, which clients are told (KIP-951).
    pub(crate) fn leader(&self) -> Option<(BrokerId, LeaderEpoch)> {
        match *self {
            Self::NotLeader { leader, epoch } => Some((leader, epoch)),
            Self::UnknownTopic | Self::UnknownTopicId | Self::UnknownPartition => None,
        }
    }
}

/// A partition that the asked node leads.
#[derive(Clone, Debug)]
pub(crate) struct Hosted {
    pub(crate) topic: Arc<TopicSettings>,
    pub(crate) index: PartitionIndex,
    pub(crate) log: Arc<Partition>,
}

impl Hosted {
    pub(crate) fn leader_epoch(&self) -> LeaderEpoch {
        self.log.leader_epoch()
    }

    /// The partition's name as Kafka writes it: topic, hyphen, index.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.topic.name, self.index)
    }
}

/// A partition as clients are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShownPartition {
    pub(crate) index: i32,
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    /// Replicas that could lead now: those that are there.
    pub(crate) in_sync: Vec<i32>,
    /// Replicas that are not there, after a start with fewer nodes.
    pub(crate) offline: Vec<i32>,
}

impl Broker {
    /// All partitions of a topic, in order.
    pub(crate) fn shown_partitions<'a>(
        &'a self,
        image: &'a Image,
        topic: &'a Topic,
    ) -> impl Iterator<Item = ShownPartition> + 'a {
        let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<i32>>();
        topic.partitions.iter().enumerate().map(move |(index, partition)| {
            let gone = |replica: &BrokerId| !image.brokers().contains(replica);
            let offline: Vec<BrokerId> = partition.replicas.iter().copied().filter(gone).collect();
            ShownPartition {
                index: index as i32,
                leader: partition.leader.0,
                leader_epoch: self.leader_epoch(topic, PartitionIndex(index as i32)).0,
                replicas: ids(&partition.replicas),
                in_sync: ids(&image.in_sync_replicas(partition)),
                offline: ids(&offline),
            }
        })
    }

    /// The partition that a request to `node` names.
    pub(crate) fn partition(
        &self,
        node: BrokerId,
        topic: &TopicRef,
        index: PartitionIndex,
    ) -> Result<Hosted, LookupError> {
        let image = self.image();
        let (found, unknown) = match topic {
            TopicRef::Id(id) => (image.topic_by_id(*id), LookupError::UnknownTopicId),
            TopicRef::Name(name) => (image.topic(name), LookupError::UnknownTopic),
        };
        let Some(topic) = found else { return Err(unknown) };
        let leader = topic.partition(index).ok_or(LookupError::UnknownPartition)?.leader;
        if leader != node {
            return Err(LookupError::NotLeader { leader, epoch: self.leader_epoch(topic, index) });
        }
        let log = self.log(topic, index).ok_or(unknown)?;
        Ok(Hosted { topic: self.topic_settings(&image, topic), index, log })
    }

    /// A partition's leader epoch, whether or not its log has been touched.
    pub(crate) fn leader_epoch(&self, topic: &Topic, index: PartitionIndex) -> LeaderEpoch {
        match self.storage().partition(topic.id, index) {
            Some(log) => log.leader_epoch(),
            None => self.storage().generation(),
        }
    }

    /// The log of a partition; `None` when its topic was deleted since the image that it was found in.
    fn log(&self, topic: &Topic, index: PartitionIndex) -> Option<Arc<Partition>> {
        if let Some(log) = self.storage().partition(topic.id, index) {
            return Some(log);
        }
        self.storage().create_partition_if(|| {
            // As of now: a log that is there hears of later changes.
            let image = self.image();
            let topic = image.topic_by_id(topic.id)?;
            let config = TopicSettings::of(topic, &image).log;
            Some(PartitionSpec { topic_id: topic.id, topic: Arc::clone(&topic.name), index, config })
        })
    }
}

#[cfg(test)]
mod tests;

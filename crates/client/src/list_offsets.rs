//! Offsets by time, asked of the partitions' leaders; shared by `Admin` and `Consumer`.

use std::collections::BTreeMap;

use millstream_protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use crate::cluster::{Cluster, NEWEST};
use crate::config::IsolationLevel;
use crate::error::check;
use crate::topic_partition::by_topic;
use crate::{Error, ErrorCode, TopicPartition};

/// Which offset of a partition is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffsetSpec {
    /// The end: the next offset that a consumer of the isolation level would read.
    Latest,
    /// The first offset that the log holds.
    Earliest,
    /// The record with the highest timestamp (KIP-734).
    MaxTimestamp,
    /// The first offset that is held locally, with tiered storage (KIP-405).
    EarliestLocal,
    /// The last offset that is in remote storage (KIP-1005).
    LatestTiered,
    /// The first record whose timestamp, in ms, is not before this.
    Timestamp(i64),
}

impl OffsetSpec {
    /// The timestamp that stands for it, and the first version that knows it.
    const fn wire(self) -> (i64, i16) {
        match self {
            Self::Latest => (-1, 1),
            Self::Earliest => (-2, 1),
            Self::MaxTimestamp => (-3, 7),
            Self::EarliestLocal => (-4, 8),
            Self::LatestTiered => (-5, 9),
            Self::Timestamp(timestamp) => (timestamp, 1),
        }
    }
}

/// An offset that was asked for by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// -1 when no record is that young.
    pub offset: i64,
    /// The record's timestamp; -1 for `Latest` and `Earliest`.
    pub timestamp: i64,
    /// -1 where unknown.
    pub leader_epoch: i32,
}

/// Partitions by their leader.
type Leaders = BTreeMap<i32, Vec<TopicPartition>>;

impl Cluster {
    /// Partitions by their leader, and those that have none.
    pub(crate) async fn leaders(
        &self,
        partitions: Vec<TopicPartition>,
    ) -> Result<(Leaders, Vec<(TopicPartition, Error)>), Error> {
        let (mut leaders, mut missing) = (Leaders::new(), Vec::new());
        for partition in partitions {
            let image = match self.topic(&partition.topic, false).await {
                Ok(image) => image,
                Err(error) if error.code().is_some() => {
                    missing.push((partition, error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let count = image.topics.get(&*partition.topic).map_or(0, |topic| topic.partitions.len());
            match image.leader(&partition) {
                Some((leader, _)) => leaders.entry(leader).or_default().push(partition),
                None => {
                    self.forget_topics([&*partition.topic]);
                    let exists = (0..count as i32).contains(&partition.partition);
                    let code = if exists { ErrorCode::LeaderNotAvailable } else { ErrorCode::UnknownTopicOrPartition };
                    missing.push((partition, Error::kafka(code, None)));
                }
            }
        }
        Ok((leaders, missing))
    }

    /// One round: asks every leader once. Errors of single partitions are in their answers.
    pub(crate) async fn list_offsets(
        &self,
        partitions: &[(TopicPartition, OffsetSpec)],
        isolation_level: IsolationLevel,
    ) -> Result<Vec<(TopicPartition, Result<ListedOffset, Error>)>, Error> {
        let (leaders, missing) =
            self.leaders(partitions.iter().map(|(partition, _)| partition.clone()).collect()).await?;
        let mut answers: Vec<_> = missing.into_iter().map(|(partition, error)| (partition, Err(error))).collect();
        for (leader, asked) in leaders {
            let wanted = partitions.iter().filter(|(partition, _)| asked.contains(partition)).cloned();
            match self.list_offsets_at(leader, wanted.collect(), isolation_level).await {
                Ok(listed) => answers.extend(listed),
                Err(error) if error.is_stale() => {
                    self.forget_topics(asked.iter().map(|partition| &*partition.topic));
                    answers.extend(asked.into_iter().map(|partition| (partition, Err(error.clone()))));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    async fn list_offsets_at(
        &self,
        leader: i32,
        partitions: Vec<(TopicPartition, OffsetSpec)>,
        isolation_level: IsolationLevel,
    ) -> Result<Vec<(TopicPartition, Result<ListedOffset, Error>)>, Error> {
        let connection = self.broker(leader).await?;
        let version = connection.version::<ListOffsetsRequest>(NEWEST)?;
        let needed = partitions.iter().map(|(_, spec)| spec.wire().1).max().unwrap_or(1);
        if version < needed {
            let api = millstream_protocol::ApiKey::ListOffsets;
            return Err(Error::UnsupportedApi { api, address: connection.address.clone() });
        }
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| ListOffsetsTopic {
            name: topic.to_string(),
            partitions: partitions.into_iter().map(|(index, spec)| asked(index, spec)).collect(),
        });
        let timeout_ms = i32::try_from(self.settings.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: isolation_level.id(),
            topics: topics.collect(),
            timeout_ms,
        };
        let answer = connection.call(&request, version).await?;
        let mut answers = Vec::new();
        for topic in answer.topics {
            for one in topic.partitions {
                let result = check(one.error_code, None).map(|()| ListedOffset {
                    offset: one.offset,
                    timestamp: one.timestamp,
                    leader_epoch: one.leader_epoch,
                });
                if result.as_ref().is_err_and(Error::is_stale) {
                    self.forget_topics([topic.name.as_str()]);
                }
                answers.push((TopicPartition::new(topic.name.as_str(), one.partition_index), result));
            }
        }
        Ok(answers)
    }
}

fn asked(partition_index: i32, spec: OffsetSpec) -> ListOffsetsPartition {
    ListOffsetsPartition { partition_index, timestamp: spec.wire().0, ..Default::default() }
}

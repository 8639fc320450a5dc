//! Committed offsets of a group: fetch and commit; shared by `Admin` and `Consumer`.

use std::collections::BTreeMap;

use millstream_protocol::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use millstream_protocol::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};

use crate::cluster::Cluster;
use crate::error::check;
use crate::topic_partition::by_topic;
use crate::{Error, ErrorCode, TopicPartition};

/// Version 10 of both requests names topics by id; names serve every broker.
const VERSION_MAX: i16 = 9;

/// A position that a group has committed: the next offset to read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CommittedOffset {
    pub offset: i64,
    pub leader_epoch: Option<i32>,
    pub metadata: String,
}

impl CommittedOffset {
    pub fn new(offset: i64) -> Self {
        Self { offset, ..Self::default() }
    }
}

/// In whose name offsets are committed.
#[derive(Clone, Debug)]
pub(crate) struct CommitAs {
    pub(crate) generation: i32,
    pub(crate) member_id: String,
    pub(crate) group_instance_id: Option<String>,
}

impl CommitAs {
    /// No member: allowed while the group has none.
    pub(crate) fn admin() -> Self {
        Self { generation: -1, member_id: String::new(), group_instance_id: None }
    }
}

impl Cluster {
    /// One attempt. Partitions without an offset are left out.
    pub(crate) async fn fetch_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
        require_stable: bool,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Error> {
        let connection = self.coordinator(group).await?;
        let version = connection.version::<OffsetFetchRequest>(VERSION_MAX)?;
        let request = fetch_request(group, partitions, require_stable && version >= 7, version);
        let answer = connection.call(&request, version).await;
        if answer.as_ref().is_err_and(Error::is_stale) {
            self.forget_coordinator(group);
        }
        let answer = answer?;
        let mut offsets = BTreeMap::new();
        let mut take = |topic: &str, index: i32, offset: i64, epoch: i32, metadata: Option<String>, code: i16| {
            check(code, None)?;
            if offset >= 0 {
                let leader_epoch = (epoch >= 0).then_some(epoch);
                let committed = CommittedOffset { offset, leader_epoch, metadata: metadata.unwrap_or_default() };
                offsets.insert(TopicPartition::new(topic, index), committed);
            }
            Ok::<(), Error>(())
        };
        if version < 8 {
            check(answer.error_code, None)?;
            for topic in answer.topics {
                for one in topic.partitions {
                    let (offset, epoch) = (one.committed_offset, one.committed_leader_epoch);
                    take(&topic.name, one.partition_index, offset, epoch, one.metadata, one.error_code)?;
                }
            }
            return Ok(offsets);
        }
        let answer = answer.groups.into_iter().next();
        let answer = answer.ok_or_else(|| Error::kafka(ErrorCode::UnknownServerError, None))?;
        check(answer.error_code, None)?;
        for topic in answer.topics {
            for one in topic.partitions {
                let (offset, epoch) = (one.committed_offset, one.committed_leader_epoch);
                take(&topic.name, one.partition_index, offset, epoch, one.metadata, one.error_code)?;
            }
        }
        Ok(offsets)
    }

    /// One attempt; the coordinator answers partition by partition.
    pub(crate) async fn commit_offsets(
        &self,
        group: &str,
        who: &CommitAs,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<Vec<(TopicPartition, Result<(), Error>)>, Error> {
        let topics = by_topic(offsets.iter().map(|(partition, offset)| (partition.clone(), offset))).into_iter();
        let topics = topics.map(|(topic, partitions)| OffsetCommitRequestTopic {
            name: topic.to_string(),
            partitions: partitions.into_iter().map(|(index, offset)| committed(index, offset)).collect(),
            ..Default::default()
        });
        let request = OffsetCommitRequest {
            group_id: group.to_owned(),
            generation_id_or_member_epoch: who.generation,
            member_id: who.member_id.clone(),
            group_instance_id: who.group_instance_id.clone(),
            topics: topics.collect(),
            ..Default::default()
        };
        let answer = self.call_coordinator(group, &request, VERSION_MAX).await?;
        let mut answers = Vec::new();
        for topic in answer.topics {
            for one in topic.partitions {
                let partition = TopicPartition::new(topic.name.as_str(), one.partition_index);
                answers.push((partition, check(one.error_code, None)));
            }
        }
        Ok(answers)
    }
}

fn fetch_request(
    group: &str,
    partitions: Option<&[TopicPartition]>,
    require_stable: bool,
    version: i16,
) -> OffsetFetchRequest {
    let topics = partitions.map(|partitions| by_topic(partitions.iter().map(|one| (one.clone(), ()))));
    let indexes = |partitions: Vec<(i32, ())>| partitions.into_iter().map(|(index, ())| index).collect();
    if version < 8 {
        let topics = topics.map(|topics| {
            let topic = |(name, partitions): (std::sync::Arc<str>, _)| OffsetFetchRequestTopic {
                name: name.to_string(),
                partition_indexes: indexes(partitions),
            };
            topics.into_iter().map(topic).collect()
        });
        return OffsetFetchRequest { group_id: group.to_owned(), topics, require_stable, ..Default::default() };
    }
    let topics = topics.map(|topics| {
        let topic = |(name, partitions): (std::sync::Arc<str>, _)| OffsetFetchRequestTopics {
            name: name.to_string(),
            partition_indexes: indexes(partitions),
            ..Default::default()
        };
        topics.into_iter().map(topic).collect()
    });
    let group = OffsetFetchRequestGroup { group_id: group.to_owned(), topics, ..Default::default() };
    OffsetFetchRequest { groups: vec![group], require_stable, ..Default::default() }
}

fn committed(partition_index: i32, offset: &CommittedOffset) -> OffsetCommitRequestPartition {
    OffsetCommitRequestPartition {
        partition_index,
        committed_offset: offset.offset,
        committed_leader_epoch: offset.leader_epoch.unwrap_or(-1),
        committed_metadata: Some(offset.metadata.clone()),
    }
}

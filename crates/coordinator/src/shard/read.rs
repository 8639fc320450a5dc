//! OffsetFetch, DescribeGroups, ListGroups: reads of what is there now. Offsets are shown once they are durable.

use bytes::Bytes;
use millstream_model::{PartitionIndex, TopicId};

use super::{GroupEntry, GroupShard};
use crate::classic::{GroupState, Member};
use crate::event::TopicPartitions;
use crate::ids::{GroupId, InstanceId, MemberId};
use crate::offsets::CommittedOffset;

/// Committed offsets of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    pub topic: String,
    /// As asked for; `TopicId::ZERO` when all topics were.
    pub topic_id: TopicId,
    pub partitions: Vec<FetchedPartition>,
}

/// The committed offset of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    pub partition: PartitionIndex,
    /// `None` when nothing is committed; an error when a stable offset was asked for and a commit is under way.
    pub committed: Result<Option<CommittedOffset>, UnstableOffset>,
}

/// A commit for the partition is on its way to the log: ask again shortly (KIP-447).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a commit for the partition is not settled yet")]
pub struct UnstableOffset;

/// A group as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub group_id: GroupId,
    pub state: GroupState,
    /// Empty for a group that only keeps offsets.
    pub protocol_type: String,
    /// The elected protocol; empty unless the group is stable.
    pub protocol: String,
    pub members: Vec<MemberDescription>,
}

/// A member as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    pub member_id: MemberId,
    pub group_instance_id: Option<InstanceId>,
    pub client_id: String,
    pub client_host: String,
    /// Empty unless the group is stable.
    pub metadata: Bytes,
    /// Empty unless the group is stable.
    pub assignment: Bytes,
}

/// A group as ListGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub group_id: GroupId,
    pub protocol_type: String,
    pub state: GroupState,
    /// `classic`.
    pub group_type: &'static str,
}

const CLASSIC_TYPE: &str = "classic";

impl GroupShard {
    /// Committed offsets of the partitions asked for, or of every partition that has one. Of a group that is not there
    /// nothing is committed.
    pub fn fetch_offsets(
        &self,
        group_id: &GroupId,
        topics: Option<&[TopicPartitions]>,
        require_stable: bool,
    ) -> Vec<FetchedTopic> {
        let entry = self.groups.get(group_id).filter(|entry| entry.group.state != GroupState::Dead);
        match topics {
            Some(topics) => topics.iter().map(|topic| fetch_topic(entry, topic, require_stable)).collect(),
            None => entry.map(|entry| fetch_all(entry, require_stable)).unwrap_or_default(),
        }
    }

    /// The group, if it is there.
    pub fn describe(&self, group_id: &GroupId) -> Option<GroupDescription> {
        let group = &self.groups.get(group_id)?.group;
        let protocol = group.protocol_name.as_deref().filter(|_| group.state == GroupState::Stable);
        let describe = |member: &Member| MemberDescription {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol.map(|protocol| member.metadata(protocol)).unwrap_or_default(),
            assignment: protocol.map(|_| member.assignment.clone()).unwrap_or_default(),
        };
        Some(GroupDescription {
            group_id: group.id.clone(),
            state: group.state,
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: group.members.values().map(describe).collect(),
        })
    }

    /// The groups in one of `states` and of one of `types`, names in any case; an empty filter lets everything through.
    pub fn list(&self, states: &[String], types: &[String]) -> Vec<ListedGroup> {
        let names = |filter: &[String], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(name))
        };
        if !names(types, CLASSIC_TYPE) {
            return Vec::new();
        }
        let groups = self.groups.values().map(|entry| &entry.group);
        let listed = groups.filter(|group| names(states, group.state.name())).map(|group| ListedGroup {
            group_id: group.id.clone(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state,
            group_type: CLASSIC_TYPE,
        });
        listed.collect()
    }
}

fn fetch_topic(entry: Option<&GroupEntry>, asked: &TopicPartitions, require_stable: bool) -> FetchedTopic {
    // An offset committed for an earlier topic of this name says nothing about this one.
    let is_same = |id: TopicId| id == TopicId::ZERO || asked.topic_id == TopicId::ZERO || id == asked.topic_id;
    let fetch = |partition: &PartitionIndex| {
        let mut fetched = fetch_partition(entry, &asked.topic, *partition, require_stable);
        if let Ok(committed) = &mut fetched.committed {
            committed.take_if(|offset| !is_same(offset.topic_id));
        }
        fetched
    };
    let partitions = asked.partitions.iter().map(fetch).collect();
    FetchedTopic { topic: asked.topic.clone(), topic_id: asked.topic_id, partitions }
}

fn fetch_partition(
    entry: Option<&GroupEntry>,
    topic: &str,
    partition: PartitionIndex,
    require_stable: bool,
) -> FetchedPartition {
    let committed = match entry {
        Some(entry) if require_stable && entry.offsets.is_unsettled(topic, partition) => Err(UnstableOffset),
        Some(entry) => Ok(entry.offsets.durable(topic, partition).cloned()),
        None => Ok(None),
    };
    FetchedPartition { partition, committed }
}

fn fetch_all(entry: &GroupEntry, require_stable: bool) -> Vec<FetchedTopic> {
    let mut topics: Vec<FetchedTopic> = Vec::new();
    for (topic, partition) in entry.offsets.partitions() {
        let fetched = fetch_partition(Some(entry), topic, partition, require_stable);
        if fetched.committed == Ok(None) {
            continue;
        }
        match topics.last_mut() {
            Some(last) if last.topic == topic => last.partitions.push(fetched),
            _ => {
                let (topic, topic_id) = (topic.to_owned(), TopicId::ZERO);
                topics.push(FetchedTopic { topic, topic_id, partitions: vec![fetched] });
            }
        }
    }
    topics
}

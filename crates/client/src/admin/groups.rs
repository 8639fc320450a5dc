//! Groups: list, describe, delete, and their committed offsets.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use millstream_protocol::consumer_group_describe::{self, ConsumerGroupDescribeRequest};
use millstream_protocol::delete_groups::DeleteGroupsRequest;
use millstream_protocol::describe_groups::{self, DescribeGroupsRequest};
use millstream_protocol::list_groups::ListGroupsRequest;
use millstream_protocol::offset_delete::{OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};

use super::{Admin, PerItem};
use crate::cluster::NEWEST;
use crate::consumer_protocol::decode_assignment;
use crate::error::check;
use crate::group_offsets::CommitAs;
pub use crate::group_offsets::CommittedOffset;
use crate::topic_partition::by_topic;
use crate::{Broker, Error, ErrorCode, TopicPartition};

/// Groups that are asked about at the same time.
const CONCURRENT_GROUPS: usize = 16;

/// A group by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    pub group_id: String,
    /// `consumer`, `connect`, …; empty when only offsets were committed.
    pub protocol_type: String,
    /// `Stable`, `Empty`, …; empty from brokers that do not tell.
    pub state: String,
    /// `classic`, `consumer`, `share`, …; empty from brokers that do not tell.
    pub group_type: String,
}

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub group_id: String,
    pub state: String,
    pub group_type: &'static str,
    pub protocol_type: String,
    /// The assignor, in a group of consumers.
    pub protocol: String,
    pub coordinator: Broker,
    pub members: Vec<MemberDescription>,
    /// Epochs of group and assignment, in groups of the `consumer` protocol (KIP-848).
    pub epochs: Option<(i32, i32)>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    /// As the broker prints it: `/127.0.0.1`.
    pub host: String,
    pub assignment: Vec<TopicPartition>,
    /// What it is to have, in groups of the `consumer` protocol.
    pub target_assignment: Option<Vec<TopicPartition>>,
    pub member_epoch: Option<i32>,
    pub upgraded: Option<bool>,
}

impl Admin {
    /// All groups in some states and of some types, in any when none is named; sorted by name.
    pub async fn list_groups(&self, states: &[&str], types: &[&str]) -> Result<Vec<GroupListing>, Error> {
        let request = &ListGroupsRequest {
            states_filter: states.iter().map(|state| (*state).to_owned()).collect(),
            types_filter: types.iter().map(|kind| (*kind).to_owned()).collect(),
        };
        let mut groups = BTreeMap::new();
        for broker in self.brokers().await? {
            let answer = self
                .cluster
                .retry("listGroups", || {
                    async move {
                        let answer = self.cluster.broker(broker.id).await?.call(request, NEWEST).await?;
                        check(answer.error_code, None).map(|()| answer)
                    }
                    .boxed()
                })
                .await?;
            for group in answer.groups {
                let listing = GroupListing {
                    group_id: group.group_id.clone(),
                    protocol_type: group.protocol_type,
                    state: group.group_state,
                    group_type: group.group_type,
                };
                groups.insert(group.group_id, listing);
            }
        }
        Ok(groups.into_values().collect())
    }

    /// Groups by name; one that does not exist is `GroupIdNotFound`, from older brokers a group in state `Dead`.
    pub async fn describe_groups(&self, groups: &[&str]) -> Result<PerItem<String, GroupDescription>, Error> {
        each_group(groups, groups.iter().map(|group| self.describe_group(group).boxed()).collect()).await
    }

    async fn describe_group(&self, group: &str) -> Result<GroupDescription, Error> {
        let attempt = || {
            async move {
                match self.describe_new_group(group).await {
                    Err(Error::UnsupportedApi { .. }) => self.describe_classic_group(group).await,
                    Err(Error::Kafka { code: ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion, .. }) => {
                        self.describe_classic_group(group).await
                    }
                    answer => answer,
                }
            }
            .boxed()
        };
        self.coordinated("describeGroups", group, attempt).await
    }

    async fn describe_new_group(&self, group: &str) -> Result<GroupDescription, Error> {
        let request = ConsumerGroupDescribeRequest { group_ids: vec![group.to_owned()], ..Default::default() };
        let answer = self.cluster.call_coordinator(group, &request, NEWEST).await?;
        let described = answer.groups.into_iter().next();
        let described = described.ok_or_else(|| Error::kafka(ErrorCode::GroupIdNotFound, None))?;
        check(described.error_code, described.error_message.as_deref())?;
        Ok(GroupDescription {
            group_id: described.group_id,
            state: described.group_state,
            group_type: "consumer",
            protocol_type: "consumer".to_owned(),
            protocol: described.assignor_name,
            coordinator: self.coordinator_of(group).await?,
            members: described.members.into_iter().map(new_member).collect(),
            epochs: Some((described.group_epoch, described.assignment_epoch)),
        })
    }

    async fn describe_classic_group(&self, group: &str) -> Result<GroupDescription, Error> {
        let request = DescribeGroupsRequest { groups: vec![group.to_owned()], ..Default::default() };
        let answer = self.cluster.call_coordinator(group, &request, NEWEST).await?;
        let described = answer.groups.into_iter().next();
        let described = described.ok_or_else(|| Error::kafka(ErrorCode::GroupIdNotFound, None))?;
        check(described.error_code, described.error_message.as_deref())?;
        let is_consumer = described.protocol_type == "consumer";
        Ok(GroupDescription {
            group_id: described.group_id,
            state: described.group_state,
            group_type: "classic",
            protocol_type: described.protocol_type,
            protocol: described.protocol_data,
            coordinator: self.coordinator_of(group).await?,
            members: described.members.into_iter().map(|member| classic_member(member, is_consumer)).collect(),
            epochs: None,
        })
    }

    async fn coordinator_of(&self, group: &str) -> Result<Broker, Error> {
        let connection = self.cluster.coordinator(group).await?;
        let image = self.cluster.metadata();
        let found = image.brokers.values().find(|broker| broker.address() == connection.address);
        found.cloned().ok_or_else(|| Error::kafka(ErrorCode::CoordinatorNotAvailable, None))
    }

    /// Deletes groups that have no members, with their offsets.
    pub async fn delete_groups(&self, groups: &[&str]) -> Result<PerItem<String, ()>, Error> {
        each_group(groups, groups.iter().map(|group| self.delete_group(group).boxed()).collect()).await
    }

    async fn delete_group(&self, group: &str) -> Result<(), Error> {
        let request = &DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
        let attempt = || {
            async move {
                let answer = self.cluster.call_coordinator(group, request, NEWEST).await?;
                let result = answer.results.into_iter().next();
                let result = result.ok_or_else(|| Error::kafka(ErrorCode::GroupIdNotFound, None))?;
                check(result.error_code, result.error_message.as_deref())
            }
            .boxed()
        };
        self.coordinated("deleteGroups", group, attempt).await
    }

    /// The committed offsets of a group, of all its partitions when none is named. A partition without one is left out.
    pub async fn list_group_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Error> {
        let attempt = || self.cluster.fetch_offsets(group, partitions, false).boxed();
        self.coordinated("listGroupOffsets", group, attempt).await
    }

    /// Sets offsets of a group that has no members.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<PerItem<TopicPartition, ()>, Error> {
        let attempt = || {
            async move {
                let answers = self.cluster.commit_offsets(group, &CommitAs::admin(), offsets).await?;
                coordinator_errors(answers)
            }
            .boxed()
        };
        self.coordinated("alterGroupOffsets", group, attempt).await
    }

    /// Deletes offsets of partitions of topics to which no member of the group is subscribed.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<PerItem<TopicPartition, ()>, Error> {
        let partition = |(partition_index, ())| OffsetDeleteRequestPartition { partition_index };
        let topics = by_topic(partitions.iter().map(|one| (one.clone(), ()))).into_iter();
        let topics = topics.map(|(topic, partitions)| OffsetDeleteRequestTopic {
            name: topic.to_string(),
            partitions: partitions.into_iter().map(partition).collect(),
        });
        let request = &OffsetDeleteRequest { group_id: group.to_owned(), topics: topics.collect() };
        let attempt = || {
            async move {
                let answer = self.cluster.call_coordinator(group, request, NEWEST).await?;
                check(answer.error_code, None)?;
                let results = answer.topics.into_iter().flat_map(|topic| {
                    topic.partitions.into_iter().map(move |one| {
                        let partition = TopicPartition::new(topic.name.as_str(), one.partition_index);
                        (partition, check(one.error_code, None))
                    })
                });
                Ok(results.collect())
            }
            .boxed()
        };
        self.coordinated("deleteGroupOffsets", group, attempt).await
    }

    /// Repeats `attempt`; a coordinator that says it is none is looked for again.
    async fn coordinated<'a, T>(
        &self,
        what: &str,
        group: &str,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, Error>>,
    ) -> Result<T, Error> {
        let forget_lost = |answer: Result<T, Error>| {
            if matches!(&answer, Err(error) if error.code().is_some_and(is_lost_coordinator)) {
                self.cluster.forget_coordinator(group);
            }
            answer
        };
        self.cluster.retry(what, || attempt().map(forget_lost).boxed()).await
    }
}

/// Asks about several groups at a time.
async fn each_group<T>(
    groups: &[&str],
    asked: Vec<BoxFuture<'_, Result<T, Error>>>,
) -> Result<PerItem<String, T>, Error> {
    let answers: Vec<_> = stream::iter(asked).buffered(CONCURRENT_GROUPS).collect().await;
    Ok(groups.iter().map(|group| (*group).to_owned()).zip(answers).collect())
}

fn is_lost_coordinator(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
}

/// A commit is refused partition by partition even where the coordinator as a whole is the wrong one.
fn coordinator_errors(answers: PerItem<TopicPartition, ()>) -> Result<PerItem<TopicPartition, ()>, Error> {
    let retriable = answers.iter().find_map(|(_, answer)| {
        let error = answer.as_ref().err()?;
        (error.is_retriable() && error.code() != Some(ErrorCode::UnknownTopicOrPartition)).then(|| error.clone())
    });
    retriable.map_or(Ok(answers), Err)
}

fn classic_member(member: describe_groups::DescribedGroupMember, is_consumer: bool) -> MemberDescription {
    // What other kinds of groups put there is theirs alone.
    let assignment = if is_consumer { decode_assignment(member.member_assignment).ok() } else { None };
    MemberDescription {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        client_id: member.client_id,
        host: member.client_host,
        assignment: assignment.unwrap_or_default(),
        target_assignment: None,
        member_epoch: None,
        upgraded: None,
    }
}

fn new_member(member: consumer_group_describe::Member) -> MemberDescription {
    let flat = |assignment: consumer_group_describe::Assignment| {
        let topics = assignment.topic_partitions.into_iter();
        let partitions = topics.flat_map(|topic| {
            let name: std::sync::Arc<str> = topic.topic_name.into();
            topic.partitions.into_iter().map(move |index| TopicPartition::new(name.clone(), index))
        });
        partitions.collect::<Vec<_>>()
    };
    MemberDescription {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        client_id: member.client_id,
        host: member.client_host,
        assignment: flat(member.assignment),
        target_assignment: Some(flat(member.target_assignment)),
        member_epoch: Some(member.member_epoch),
        upgraded: match member.member_type {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    }
}

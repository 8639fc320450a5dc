//! OffsetCommit (8), versions 2–10: how far a group has read. Topics by name, from version 10 by id.
//!
//! Unknown partitions are refused one by one; the others are committed in one record batch and answered when it is
//! durable. KIP-496 and KIP-848 name the errors.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use millstream_coordinator::{Answer, CommitRequest, Event, PartitionCommit, TopicCommit, TopicOutcome};
use millstream_model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use millstream_protocol::ErrorCode;
use millstream_protocol::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};

use super::Call;
use super::errors::{group_error, shard_error};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 2..=10;

/// First version that names topics by id.
const TOPIC_ID_FROM: i16 = 10;
/// First version that tells a missing group from an illegal generation (KIP-848).
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;
/// Commits say how long to keep them up to this version.
const RETENTION_TIME_UNTIL: i16 = 4;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let (topics, commits) = sort_out(broker, call.version(), request.topics);
    let mut response = OffsetCommitResponse { topics, ..OffsetCommitResponse::default() };
    if commits.is_empty() {
        return response;
    }
    let group_id = request.group_id.clone();
    let commit = CommitRequest {
        group_id: request.group_id.into(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.into(),
        group_instance_id: request.group_instance_id.map(Into::into),
        retention_ms: (call.version() <= RETENTION_TIME_UNTIL && request.retention_time_ms >= 0)
            .then_some(request.retention_time_ms),
        knows_group_id_not_found: call.version() >= GROUP_ID_NOT_FOUND_FROM,
        topics: commits,
    };
    let answer =
        broker.groups().call(broker, call.node(), &group_id, |reply| Event::CommitOffsets { reply, request: commit }).await;
    match answer {
        Ok(Answer::CommitOffsets(Ok(outcomes))) => tell_outcomes(&mut response, outcomes),
        Ok(Answer::CommitOffsets(Err(error))) => tell_error(&mut response, group_error(error)),
        Ok(other) => unreachable!("a commit is answered as one, not with {other:?}"),
        Err(error) => tell_error(&mut response, shard_error(error)),
    }
    response
}

/// What is not to be committed is refused at once; the rest, with a place kept in the answer, goes to the group.
fn sort_out(
    broker: &Broker,
    version: i16,
    requested: Vec<OffsetCommitRequestTopic>,
) -> (Vec<OffsetCommitResponseTopic>, Vec<TopicCommit>) {
    let image = broker.image();
    let mut answers = Vec::with_capacity(requested.len());
    let mut commits = Vec::with_capacity(requested.len());
    for topic in requested {
        let (known, missing) = if version >= TOPIC_ID_FROM {
            (image.topic_by_id(TopicId(topic.topic_id)), ErrorCode::UnknownTopicId)
        } else {
            (image.topic(&topic.name), ErrorCode::UnknownTopicOrPartition)
        };
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        let mut accepted = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let index = PartitionIndex(partition.partition_index);
            let exists = known.is_some_and(|known| known.partition(index).is_some());
            let refusal = if exists { ErrorCode::None } else if known.is_none() { missing } else { ErrorCode::UnknownTopicOrPartition };
            partitions.push(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: refusal.code(),
            });
            if exists {
                accepted.push(PartitionCommit {
                    partition: index,
                    offset: Offset(partition.committed_offset),
                    leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
                    metadata: partition.committed_metadata,
                });
            }
        }
        if let Some(known) = known
            && !accepted.is_empty()
        {
            commits.push(TopicCommit { topic: known.name.to_string(), topic_id: known.id, partitions: accepted });
        }
        let name = known.map_or(topic.name, |known| known.name.to_string());
        answers.push(OffsetCommitResponseTopic { name, topic_id: topic.topic_id, partitions });
    }
    (answers, commits)
}

fn tell_outcomes(response: &mut OffsetCommitResponse, outcomes: Vec<TopicOutcome>) {
    let mut codes: HashMap<(String, i32), i16> = HashMap::new();
    for outcome in outcomes {
        for (partition, result) in outcome.partitions {
            let code = result.map_or_else(group_error, |()| ErrorCode::None).code();
            codes.insert((outcome.topic.clone(), partition.0), code);
        }
    }
    for topic in &mut response.topics {
        for partition in &mut topic.partitions {
            if let Some(code) = codes.get(&(topic.name.clone(), partition.partition_index)) {
                partition.error_code = *code;
            }
        }
    }
}

/// The group refused all that was handed to it; what was refused before keeps its own reason.
fn tell_error(response: &mut OffsetCommitResponse, error: ErrorCode) {
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for partition in partitions.filter(|partition| partition.error_code == ErrorCode::None.code()) {
        partition.error_code = error.code();
    }
}

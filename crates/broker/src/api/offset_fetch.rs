//! OffsetFetch (9), versions 1–10: what groups have committed; several groups at once from version 8 (KIP-709), topics
//! by id from version 10. With `require_stable` a partition whose commit is under way says so (KIP-447).

use std::ops::RangeInclusive;

use millstream_coordinator::{FetchedPartition, FetchedTopic, TopicPartitions};
use millstream_metadata::catalog::Image;
use millstream_model::{PartitionIndex, TopicId};
use millstream_protocol::ErrorCode;
use millstream_protocol::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopics, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use super::Call;
use super::errors::shard_error;
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 1..=10;

/// First version that asks for several groups.
const SEVERAL_GROUPS_FROM: i16 = 8;
/// First version that names topics by id.
const TOPIC_ID_FROM: i16 = 10;
/// First version with an error for the whole answer; before, each partition carries it.
const GROUP_ERROR_FROM: i16 = 2;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if call.version() < SEVERAL_GROUPS_FROM {
        return one_group(broker, call, request).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        groups.push(fetch_group(broker, call, group.group_id, group.topics, request.require_stable).await);
    }
    OffsetFetchResponse { groups, ..OffsetFetchResponse::default() }
}

/// Versions before 8: the same for one group, in the older form.
async fn one_group(broker: &Broker, call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let asked = request.topics.map(|topics| {
        let asked = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        });
        asked.collect::<Vec<_>>()
    });
    let unanswered = if call.version() < GROUP_ERROR_FROM { asked.clone() } else { None };
    let group = fetch_group(broker, call, request.group_id, asked, request.require_stable).await;
    let mut topics: Vec<_> = group.topics.into_iter().map(older_topic).collect();
    if group.error_code != ErrorCode::None.code() {
        topics = unanswered.unwrap_or_default().into_iter().map(|topic| failed_topic(topic, group.error_code)).collect();
    }
    OffsetFetchResponse { topics, error_code: group.error_code, ..OffsetFetchResponse::default() }
}

fn older_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    });
    OffsetFetchResponseTopic { name: topic.name, partitions: partitions.collect() }
}

fn failed_topic(topic: OffsetFetchRequestTopics, error_code: i16) -> OffsetFetchResponseTopic {
    let partitions = topic.partition_indexes.into_iter().map(|partition_index| OffsetFetchResponsePartition {
        partition_index,
        committed_offset: -1,
        metadata: Some(String::new()),
        error_code,
        ..OffsetFetchResponsePartition::default()
    });
    OffsetFetchResponseTopic { name: topic.name, partitions: partitions.collect() }
}

async fn fetch_group(
    broker: &Broker,
    call: &Call,
    group_id: String,
    topics: Option<Vec<OffsetFetchRequestTopics>>,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let by_id = call.version() >= TOPIC_ID_FROM;
    let image = broker.image();
    let (asked, unknown) = match topics {
        Some(topics) => {
            let (asked, unknown) = sort_out(&image, by_id, topics);
            (Some(asked), unknown)
        }
        None => (None, Vec::new()),
    };
    let fetched =
        broker.groups().fetch_offsets(broker, call.node(), &group_id, asked.as_deref(), require_stable).await;
    match fetched {
        Ok(fetched) => {
            let known = fetched.into_iter().filter_map(|topic| answered_topic(&image, by_id, topic));
            OffsetFetchResponseGroup { group_id, topics: known.chain(unknown).collect(), error_code: 0 }
        }
        Err(error) => OffsetFetchResponseGroup {
            group_id,
            error_code: shard_error(error).code(),
            ..OffsetFetchResponseGroup::default()
        },
    }
}

/// Topics to ask the group for, and the answers for ids that no topic has.
fn sort_out(
    image: &Image,
    by_id: bool,
    topics: Vec<OffsetFetchRequestTopics>,
) -> (Vec<TopicPartitions>, Vec<OffsetFetchResponseTopics>) {
    let (mut asked, mut unknown) = (Vec::with_capacity(topics.len()), Vec::new());
    for topic in topics {
        let partitions = topic.partition_indexes.iter().copied().map(PartitionIndex).collect();
        if !by_id {
            asked.push(TopicPartitions { topic: topic.name, topic_id: TopicId::ZERO, partitions });
            continue;
        }
        let topic_id = TopicId(topic.topic_id);
        match image.topic_by_id(topic_id) {
            Some(known) => asked.push(TopicPartitions { topic: known.name.to_string(), topic_id, partitions }),
            None => unknown.push(OffsetFetchResponseTopics {
                topic_id: topic.topic_id,
                partitions: topic.partition_indexes.into_iter().map(unknown_partition).collect(),
                ..OffsetFetchResponseTopics::default()
            }),
        }
    }
    (asked, unknown)
}

fn unknown_partition(partition_index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        metadata: Some(String::new()),
        error_code: ErrorCode::UnknownTopicId.code(),
        ..OffsetFetchResponsePartitions::default()
    }
}

/// `None` for a topic that is gone, where topics are named by id.
fn answered_topic(image: &Image, by_id: bool, fetched: FetchedTopic) -> Option<OffsetFetchResponseTopics> {
    let topic_id = if by_id { image.topic(&fetched.topic)?.id } else { TopicId::ZERO };
    let partitions = fetched.partitions.into_iter().map(answered_partition).collect();
    Some(OffsetFetchResponseTopics { name: fetched.topic, topic_id: topic_id.0, partitions })
}

fn answered_partition(fetched: FetchedPartition) -> OffsetFetchResponsePartitions {
    let (committed, error) = match fetched.committed {
        Ok(committed) => (committed, ErrorCode::None),
        Err(millstream_coordinator::UnstableOffset) => (None, ErrorCode::UnstableOffsetCommit),
    };
    let partition_index = fetched.partition.0;
    match committed {
        Some(committed) => OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: committed.offset.0,
            committed_leader_epoch: committed.leader_epoch.0,
            metadata: Some(committed.metadata),
            error_code: error.code(),
        },
        None => OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: -1,
            committed_leader_epoch: -1,
            metadata: Some(String::new()),
            error_code: error.code(),
        },
    }
}

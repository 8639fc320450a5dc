//! OffsetDelete (47), version 0: removes committed offsets of topics that the group does not subscribe to (KIP-496).

use std::collections::HashMap;
use std::ops::RangeInclusive;

use millstream_coordinator::{Answer, DeleteOffsetsRequest, Event, TopicOutcome, TopicPartitions};
use millstream_model::PartitionIndex;
use millstream_protocol::ErrorCode;
use millstream_protocol::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::Call;
use super::errors::{group_error, shard_error};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=0;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let image = broker.image();
    let known = request.topics.iter().filter_map(|topic| {
        let known = image.topic(&topic.name)?;
        let indexes = topic.partitions.iter().map(|partition| PartitionIndex(partition.partition_index));
        let partitions = indexes.filter(|&index| known.partition(index).is_some()).collect();
        Some(TopicPartitions { topic: topic.name.clone(), topic_id: known.id, partitions })
    });
    let delete = DeleteOffsetsRequest { group_id: request.group_id.as_str().into(), topics: known.collect() };
    let answer = broker
        .groups()
        .call(broker, call.node(), &request.group_id, |reply| Event::DeleteOffsets { reply, request: delete })
        .await;
    let error = match answer {
        Ok(Answer::DeleteOffsets(Ok(outcomes))) => return deleted(request.topics, outcomes),
        Ok(Answer::DeleteOffsets(Err(error))) => group_error(error),
        Ok(other) => unreachable!("a deletion is answered as one, not with {other:?}"),
        Err(error) => shard_error(error),
    };
    OffsetDeleteResponse { error_code: error.code(), ..OffsetDeleteResponse::default() }
}

fn deleted(topics: Vec<OffsetDeleteRequestTopic>, outcomes: Vec<TopicOutcome>) -> OffsetDeleteResponse {
    let mut codes: HashMap<(String, i32), ErrorCode> = HashMap::new();
    for outcome in outcomes {
        for (partition, result) in outcome.partitions {
            let code = result.map_or_else(group_error, |()| ErrorCode::None);
            codes.insert((outcome.topic.clone(), partition.0), code);
        }
    }
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let code = codes.get(&(topic.name.clone(), partition.partition_index));
            OffsetDeleteResponsePartition {
                partition_index: partition.partition_index,
                error_code: code.unwrap_or(&ErrorCode::UnknownTopicOrPartition).code(),
            }
        });
        OffsetDeleteResponseTopic { partitions: partitions.collect(), name: topic.name }
    });
    OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() }
}

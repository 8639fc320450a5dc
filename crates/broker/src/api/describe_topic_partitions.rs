//! DescribeTopicPartitions (75), version 0: topics with their partitions, a page at a time (KIP-966).

use std::ops::RangeInclusive;

use millstream_metadata::catalog::{Image, Topic};
use millstream_protocol::ErrorCode;
use millstream_protocol::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, ResponseCursor,
};

use super::Call;
use super::operations::TOPIC_OPERATIONS;
use crate::Broker;
use crate::topic_settings::is_internal;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=0;

pub(crate) async fn handle(
    broker: &Broker,
    _call: &Call,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = broker.image();
    let every_topic = request.topics.is_empty();
    let mut names: Vec<String> = if every_topic {
        image.topics().map(|topic| topic.name.to_string()).collect()
    } else {
        request.topics.into_iter().map(|topic| topic.name).collect()
    };
    names.sort_unstable();
    names.dedup();
    let (first_topic, mut first_partition) = match request.cursor {
        Some(cursor) => (cursor.topic_name, usize::try_from(cursor.partition_index).unwrap_or(0)),
        None => (String::new(), 0),
    };
    let limit = broker.settings().request_partitions_max.min(usize::try_from(request.response_partition_limit).unwrap_or(0)).max(1);
    let mut room = limit;
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| *name >= first_topic) {
        let from = if name == first_topic { std::mem::take(&mut first_partition) } else { 0 };
        let Some(topic) = image.topic(&name) else {
            response.topics.push(unknown(name));
            continue;
        };
        if room == 0 {
            response.next_cursor = Some(ResponseCursor { topic_name: name, partition_index: 0 });
            break;
        }
        let described = described(broker, &image, topic, from, room);
        let next = from + described.partitions.len();
        room -= described.partitions.len();
        response.topics.push(described);
        if next < topic.partitions.len() {
            response.next_cursor = Some(ResponseCursor { topic_name: name, partition_index: next as i32 });
            break;
        }
    }
    response
}

fn unknown(name: String) -> DescribeTopicPartitionsResponseTopic {
    let error = match millstream_metadata::catalog::validate_topic_name(&name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn described(
    broker: &Broker,
    image: &Image,
    topic: &Topic,
    from: usize,
    room: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let partitions = broker.shown_partitions(image, topic).skip(from).take(room);
    let partitions = partitions.map(|partition| DescribeTopicPartitionsResponsePartition {
        partition_index: partition.index,
        leader_id: partition.leader,
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replicas,
        isr_nodes: partition.in_sync,
        offline_replicas: partition.offline,
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..DescribeTopicPartitionsResponsePartition::default()
    });
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.to_string()),
        topic_id: topic.id.0,
        is_internal: is_internal(&topic.name),
        partitions: partitions.collect(),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

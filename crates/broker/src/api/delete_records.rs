//! DeleteRecords (21), versions 0–2: moves the start of logs (KIP-107). Refused for internal topics, whoever leads them, and
//! where the topic's cleanup policy does not delete, as in Kafka.

use std::ops::RangeInclusive;
use std::time::Duration;

use millstream_model::{Offset, PartitionIndex};
use millstream_protocol::ErrorCode;
use millstream_protocol::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use tokio::time::Instant;

use super::Call;
use super::errors::{delete_records_error, lookup_error, storage_error};
use crate::Broker;
use crate::partitions::TopicRef;
use crate::topic_settings::is_internal;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=2;

/// Offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;
/// Low watermark of a partition whose records were not deleted.
const INVALID_LOW_WATERMARK: i64 = -1;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let deadline = Instant::now() + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let deleted = delete(broker, call, &topic.name, &partition, deadline).await;
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: deleted.map_or(INVALID_LOW_WATERMARK, |start| start.0),
                error_code: deleted.err().unwrap_or(ErrorCode::None).code(),
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}

async fn delete(
    broker: &Broker,
    call: &Call,
    topic: &str,
    wanted: &DeleteRecordsPartition,
    deadline: Instant,
) -> Result<Offset, ErrorCode> {
    let index = PartitionIndex(wanted.partition_index);
    let known = broker.image().topic(topic).is_some_and(|known| known.partition(index).is_some());
    if known && is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let found = broker.partition(call.node(), &TopicRef::Name(topic.into()), index);
    let hosted = found.map_err(|error| lookup_error(&error))?;
    if !hosted.topic.deletes {
        return Err(ErrorCode::PolicyViolation);
    }
    let before = (wanted.offset != HIGH_WATERMARK).then_some(Offset(wanted.offset));
    let (start, ticket) = hosted.log.delete_records(before).map_err(|error| delete_records_error(&error))?;
    match tokio::time::timeout_at(deadline, ticket.durable()).await {
        Ok(durable) => durable.map(|()| start).map_err(|error| storage_error(&error)),
        Err(_) => Err(ErrorCode::RequestTimedOut),
    }
}

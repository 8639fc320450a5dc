//! OffsetForLeaderEpoch (23), versions 2–4: where an epoch ends in the log, so that a consumer notices that records
//! it has read are gone (KIP-320).

use std::ops::RangeInclusive;

use millstream_model::{LeaderEpoch, PartitionIndex};
use millstream_protocol::ErrorCode;
use millstream_protocol::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

use super::Call;
use super::errors::lookup_error;
use super::fetch::check_leader_epoch;
use crate::Broker;
use crate::partitions::TopicRef;

pub(crate) const VERSIONS: RangeInclusive<i16> = 2..=4;

pub(crate) async fn handle(
    broker: &Broker,
    call: &Call,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let named = TopicRef::Name(topic.topic.as_str().into());
        let partitions = topic.partitions.iter().map(|wanted| {
            find(broker, call, &named, wanted).unwrap_or_else(|error| EpochEndOffset {
                error_code: error.code(),
                partition: wanted.partition,
                ..EpochEndOffset::default()
            })
        });
        OffsetForLeaderTopicResult { partitions: partitions.collect(), topic: topic.topic }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }
}

fn find(
    broker: &Broker,
    call: &Call,
    topic: &TopicRef,
    wanted: &OffsetForLeaderPartition,
) -> Result<EpochEndOffset, ErrorCode> {
    let hosted = broker
        .partition(call.node(), topic, PartitionIndex(wanted.partition))
        .map_err(|error| lookup_error(&error))?;
    check_leader_epoch(LeaderEpoch(wanted.current_leader_epoch), hosted.leader_epoch())?;
    let (epoch, end) = hosted.log.end_of_epoch(LeaderEpoch(wanted.leader_epoch));
    Ok(EpochEndOffset {
        error_code: ErrorCode::None.code(),
        partition: wanted.partition,
        leader_epoch: epoch.0,
        end_offset: end.0,
    })
}

//! ListOffsets (2), versions 1–11: the offset at a moment, or one of the log's own: its end, its start, that of the
//! highest timestamp (KIP-734).
//!
//! The end is the high watermark, or the last stable offset for a consumer that reads committed records. What would be
//! in remote storage (KIP-405) has no offset here: nothing is.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use millstream_model::{LeaderEpoch, Offset, PartitionIndex, TimestampMs};
use millstream_protocol::ErrorCode;
use millstream_protocol::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use millstream_storage::{ReadUpto, TimestampedOffset};

use super::Call;
use super::errors::{lookup_error, read_error};
use super::fetch::check_leader_epoch;
use crate::Broker;
use crate::partitions::{Hosted, TopicRef};

pub(crate) const VERSIONS: RangeInclusive<i16> = 1..=11;

/// First version whose answer tells the leader epoch.
const LEADER_EPOCH_FROM: i16 = 4;

/// What a request asks for instead of a moment, with the first version that may.
mod asked {
    pub(super) const LATEST: i64 = -1;
    pub(super) const EARLIEST: i64 = -2;
    pub(super) const MAX_TIMESTAMP: i64 = -3;
    pub(super) const MAX_TIMESTAMP_FROM: i16 = 7;
    pub(super) const EARLIEST_LOCAL: i64 = -4;
    pub(super) const EARLIEST_LOCAL_FROM: i16 = 8;
    pub(super) const LATEST_TIERED: i64 = -5;
    pub(super) const LATEST_TIERED_FROM: i16 = 9;
    pub(super) const EARLIEST_PENDING_UPLOAD: i64 = -6;
    pub(super) const EARLIEST_PENDING_UPLOAD_FROM: i16 = 11;
}

/// `isolation_level` of a consumer that reads only committed records.
const READ_COMMITTED: i8 = 1;

/// An offset with what is told beside it.
struct Found {
    offset: Offset,
    timestamp: TimestampMs,
    leader_epoch: LeaderEpoch,
}

impl Found {
    const NOTHING: Self = Self { offset: Offset(-1), timestamp: TimestampMs::NONE, leader_epoch: LeaderEpoch::NONE };
}

pub(crate) async fn handle(broker: &Broker, call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let read_upto =
        if request.isolation_level == READ_COMMITTED { ReadUpto::LastStable } else { ReadUpto::HighWatermark };
    let mut seen = HashSet::new();
    let mut duplicates = HashSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name.clone(), partition.partition_index);
            if !seen.insert(key.clone()) {
                duplicates.insert(key);
            }
        }
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let named = TopicRef::Name(topic.name.as_str().into());
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let index = partition.partition_index;
            let found = if duplicates.contains(&(topic.name.clone(), index)) {
                Err(ErrorCode::InvalidRequest)
            } else {
                find(broker, call, &named, &partition, read_upto).await
            };
            partitions.push(answered(call.version(), index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

fn answered(version: i16, index: i32, found: Result<Found, ErrorCode>) -> ListOffsetsPartitionResponse {
    let (error_code, found) = match found {
        Ok(found) => (ErrorCode::None.code(), found),
        Err(error) => (error.code(), Found::NOTHING),
    };
    ListOffsetsPartitionResponse {
        partition_index: index,
        error_code,
        timestamp: found.timestamp.0,
        offset: found.offset.0,
        leader_epoch: if version >= LEADER_EPOCH_FROM { found.leader_epoch.0 } else { LeaderEpoch::NONE.0 },
    }
}

async fn find(
    broker: &Broker,
    call: &Call,
    topic: &TopicRef,
    wanted: &ListOffsetsPartition,
    read_upto: ReadUpto,
) -> Result<Found, ErrorCode> {
    let hosted = broker
        .partition(call.node(), topic, PartitionIndex(wanted.partition_index))
        .map_err(|error| lookup_error(&error))?;
    check_leader_epoch(LeaderEpoch(wanted.current_leader_epoch), hosted.leader_epoch())?;
    let offsets = hosted.log.offsets();
    let end = match read_upto {
        ReadUpto::LastStable => offsets.last_stable,
        ReadUpto::HighWatermark => offsets.high_watermark,
    };
    let since = |from: i16| if call.version() >= from { Ok(()) } else { Err(ErrorCode::UnsupportedVersion) };
    match wanted.timestamp {
        asked::LATEST => Ok(untimed(&hosted, end)),
        asked::EARLIEST => Ok(untimed(&hosted, offsets.log_start)),
        asked::EARLIEST_LOCAL => since(asked::EARLIEST_LOCAL_FROM).map(|()| untimed(&hosted, offsets.log_start)),
        asked::LATEST_TIERED => since(asked::LATEST_TIERED_FROM).map(|()| Found::NOTHING),
        asked::EARLIEST_PENDING_UPLOAD => since(asked::EARLIEST_PENDING_UPLOAD_FROM).map(|()| Found::NOTHING),
        asked::MAX_TIMESTAMP => {
            since(asked::MAX_TIMESTAMP_FROM)?;
            let found = hosted.log.offset_of_max_timestamp().await.map_err(|error| read_error(&error))?;
            Ok(timed(found, end))
        }
        moment if moment >= 0 => {
            let found = hosted.log.offset_for_timestamp(TimestampMs(moment), read_upto).await;
            Ok(timed(found.map_err(|error| read_error(&error))?, end))
        }
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

fn untimed(hosted: &Hosted, offset: Offset) -> Found {
    Found { offset, timestamp: TimestampMs::NONE, leader_epoch: hosted.log.epoch_at(offset) }
}

/// What was found by time counts only below the end that this client may see.
fn timed(found: Option<TimestampedOffset>, end: Offset) -> Found {
    match found {
        Some(TimestampedOffset { offset, timestamp, leader_epoch }) if offset < end => {
            Found { offset, timestamp, leader_epoch }
        }
        _ => Found::NOTHING,
    }
}

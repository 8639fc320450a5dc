//! SyncGroup (14), versions 0–5: the leader hands in the assignment, each member gets its share.

use std::ops::RangeInclusive;

use millstream_coordinator::{Answer, Event, SyncRequest};
use millstream_protocol::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::Call;
use super::errors::{group_error, shard_error};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=5;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: SyncGroupRequest) -> SyncGroupResponse {
    let group_id = request.group_id.clone();
    let assignments = request.assignments.into_iter();
    let sync = SyncRequest {
        group_id: request.group_id.into(),
        generation: request.generation_id,
        member_id: request.member_id.into(),
        group_instance_id: request.group_instance_id.map(Into::into),
        protocol_type: request.protocol_type,
        protocol_name: request.protocol_name,
        assignments: assignments.map(|share| (share.member_id.into(), share.assignment)).collect(),
    };
    let answer = broker.groups().call(broker, call.node(), &group_id, |reply| Event::Sync { reply, request: sync }).await;
    let error = match answer {
        Ok(Answer::Sync(Ok(synced))) => {
            return SyncGroupResponse {
                protocol_type: synced.protocol_type,
                protocol_name: synced.protocol_name,
                assignment: synced.assignment,
                ..SyncGroupResponse::default()
            };
        }
        Ok(Answer::Sync(Err(error))) => group_error(error),
        Ok(other) => unreachable!("a sync is answered as one, not with {other:?}"),
        Err(error) => shard_error(error),
    };
    SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() }
}

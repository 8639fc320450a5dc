//! Heartbeat (12), versions 0–4: a member is alive, and learns whether its group rebalances.

use std::ops::RangeInclusive;

use millstream_coordinator::{Answer, Event, HeartbeatRequest as Beat};
use millstream_protocol::ErrorCode;
use millstream_protocol::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::Call;
use super::errors::{group_error, shard_error};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=4;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: HeartbeatRequest) -> HeartbeatResponse {
    let group_id = request.group_id.clone();
    let beat = Beat {
        group_id: request.group_id.into(),
        generation: request.generation_id,
        member_id: request.member_id.into(),
        group_instance_id: request.group_instance_id.map(Into::into),
    };
    let answer =
        broker.groups().call(broker, call.node(), &group_id, |reply| Event::Heartbeat { reply, request: beat }).await;
    let error = match answer {
        Ok(Answer::Heartbeat(Ok(()))) => ErrorCode::None,
        Ok(Answer::Heartbeat(Err(error))) => group_error(error),
        Ok(other) => unreachable!("a heartbeat is answered as one, not with {other:?}"),
        Err(error) => shard_error(error),
    };
    HeartbeatResponse { error_code: error.code(), ..HeartbeatResponse::default() }
}

//! JoinGroup (11), versions 0–9: a member enters a classic group or a new generation of it.
//!
//! The answer comes when the generation is formed. KIP-62 (rebalance timeout), KIP-345 (static members),
//! KIP-394 (member id required from version 4), KIP-800 (reason), KIP-814 (skipped assignment).

use std::ops::RangeInclusive;

use millstream_coordinator::{Answer, Event, JoinProtocol, JoinRefused, JoinRequest, Joined};
use millstream_protocol::ErrorCode;
use millstream_protocol::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};

use super::Call;
use super::errors::{group_error, shard_error};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=9;

/// First version that sends a new member back once with its id (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// First version that can tell a leader not to assign (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;
/// First version whose answer may name no protocol.
const NULL_PROTOCOL_FROM: i16 = 7;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    let group_id = request.group_id.clone();
    let join = join_request(broker, call, request);
    let answer = broker.groups().call(broker, call.node(), &group_id, |reply| Event::Join { reply, request: join }).await;
    let mut response = match answer {
        Ok(Answer::Join(Ok(joined))) => joined_response(joined),
        Ok(Answer::Join(Err(JoinRefused { member_id, error }))) => {
            refused(group_error(error), member_id.as_str().to_owned())
        }
        Ok(other) => unreachable!("a join is answered as one, not with {other:?}"),
        Err(error) => refused(shard_error(error), member_id),
    };
    if call.version() < NULL_PROTOCOL_FROM && response.protocol_name.is_none() {
        response.protocol_name = Some(String::new());
    }
    response
}

fn join_request(broker: &Broker, call: &Call, request: JoinGroupRequest) -> JoinRequest {
    // Version 0 has no rebalance timeout: the session's serves.
    let rebalance_timeout_ms =
        if call.version() == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    let protocols = request.protocols.into_iter();
    JoinRequest {
        group_id: request.group_id.into(),
        member_id: request.member_id.into(),
        group_instance_id: request.group_instance_id.map(Into::into),
        client_id: call.client_id().to_owned(),
        client_host: call.peer.host(),
        uuid: broker.random_uuid(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: protocols.map(|protocol| JoinProtocol { name: protocol.name, metadata: protocol.metadata }).collect(),
        requires_known_member_id: call.version() >= MEMBER_ID_REQUIRED_FROM,
        supports_skipping_assignment: call.version() >= SKIP_ASSIGNMENT_FROM,
        reason: request.reason,
    }
}

fn joined_response(joined: Joined) -> JoinGroupResponse {
    let member = |member: millstream_coordinator::JoinedMember| JoinGroupResponseMember {
        member_id: member.member_id.as_str().to_owned(),
        group_instance_id: member.group_instance_id.map(|id| id.as_str().to_owned()),
        metadata: member.metadata,
    };
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: joined.protocol_type,
        protocol_name: joined.protocol_name,
        leader: joined.leader.as_str().to_owned(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id.as_str().to_owned(),
        members: joined.members.into_iter().map(member).collect(),
        ..JoinGroupResponse::default()
    }
}

fn refused(error: ErrorCode, member_id: String) -> JoinGroupResponse {
    JoinGroupResponse { error_code: error.code(), generation_id: -1, member_id, ..JoinGroupResponse::default() }
}

//! LeaveGroup (13), versions 0–5: members leave, one before version 3, several since (KIP-345), with reasons since
//! version 5 (KIP-800).

use std::ops::RangeInclusive;

use millstream_coordinator::{Answer, Event, LeaveRequest, LeavingMember, MemberLeft};
use millstream_protocol::ErrorCode;
use millstream_protocol::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

use super::Call;
use super::errors::{group_error, shard_error};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=5;

/// First version that names several members.
const SEVERAL_MEMBERS_FROM: i16 = 3;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let group_id = request.group_id.clone();
    let leave = LeaveRequest { group_id: request.group_id.clone().into(), members: leaving(call.version(), request) };
    let answer = broker.groups().call(broker, call.node(), &group_id, |reply| Event::Leave { reply, request: leave }).await;
    match answer {
        Ok(Answer::Leave(Ok(members))) => left_response(call.version(), members),
        Ok(Answer::Leave(Err(error))) => failed(group_error(error)),
        Ok(other) => unreachable!("a leave is answered as one, not with {other:?}"),
        Err(error) => failed(shard_error(error)),
    }
}

fn leaving(version: i16, request: LeaveGroupRequest) -> Vec<LeavingMember> {
    if version < SEVERAL_MEMBERS_FROM {
        return vec![LeavingMember { member_id: request.member_id.into(), group_instance_id: None, reason: None }];
    }
    let members = request.members.into_iter();
    let leaving = members.map(|member| LeavingMember {
        member_id: member.member_id.into(),
        group_instance_id: member.group_instance_id.map(Into::into),
        reason: member.reason,
    });
    leaving.collect()
}

fn left_response(version: i16, members: Vec<MemberLeft>) -> LeaveGroupResponse {
    let code = |outcome: Result<(), _>| outcome.map_or_else(group_error, |()| ErrorCode::None).code();
    if version < SEVERAL_MEMBERS_FROM {
        let error_code = members.into_iter().next().map_or(0, |member| code(member.outcome));
        return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
    }
    let member = |left: MemberLeft| MemberResponse {
        member_id: left.member_id.as_str().to_owned(),
        group_instance_id: left.group_instance_id.map(|id| id.as_str().to_owned()),
        error_code: code(left.outcome),
    };
    LeaveGroupResponse { members: members.into_iter().map(member).collect(), ..LeaveGroupResponse::default() }
}

fn failed(error: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() }
}

//! DescribeGroups (15), versions 0–6: state, protocol and members of classic groups. A group that is not there is
//! `Dead` without an error up to version 5, and an error with its reason from version 6 (KIP-1043).

use std::ops::RangeInclusive;

use millstream_coordinator::{GroupDescription, MemberDescription};
use millstream_protocol::ErrorCode;
use millstream_protocol::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::Call;
use super::errors::shard_error;
use super::operations::GROUP_OPERATIONS;
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=6;

/// First version that says when a group is not there.
const GROUP_ID_NOT_FOUND_FROM: i16 = 6;
const DEAD: &str = "Dead";

pub(crate) async fn handle(broker: &Broker, call: &Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group_id in request.groups {
        let mut described = match broker.groups().describe(broker, call.node(), &group_id).await {
            Ok(Some(group)) => described(group),
            Ok(None) => missing(call.version(), group_id),
            Err(error) => DescribedGroup { error_code: shard_error(error).code(), group_id, ..DescribedGroup::default() },
        };
        if request.include_authorized_operations && described.error_code == ErrorCode::None.code() {
            described.authorized_operations = GROUP_OPERATIONS;
        }
        groups.push(described);
    }
    DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }
}

fn missing(version: i16, group_id: String) -> DescribedGroup {
    let group_state = DEAD.to_owned();
    if version < GROUP_ID_NOT_FOUND_FROM {
        return DescribedGroup { group_id, group_state, ..DescribedGroup::default() };
    }
    DescribedGroup {
        error_code: ErrorCode::GroupIdNotFound.code(),
        error_message: Some(format!("Group {group_id} not found.")),
        group_id,
        group_state,
        ..DescribedGroup::default()
    }
}

fn described(group: GroupDescription) -> DescribedGroup {
    DescribedGroup {
        group_id: group.group_id.as_str().to_owned(),
        group_state: group.state.name().to_owned(),
        protocol_type: group.protocol_type,
        protocol_data: group.protocol,
        members: group.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

fn member(member: MemberDescription) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: member.member_id.as_str().to_owned(),
        group_instance_id: member.group_instance_id.map(|id| id.as_str().to_owned()),
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    }
}

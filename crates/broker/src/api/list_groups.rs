//! ListGroups (16), versions 0–5: the groups that the asked node coordinates, filtered by state (KIP-518) and type
//! (KIP-848).

use std::ops::RangeInclusive;

use millstream_protocol::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::Call;
use super::errors::shard_error;
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=5;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: ListGroupsRequest) -> ListGroupsResponse {
    match broker.groups().list(broker, call.node(), &request.states_filter, &request.types_filter).await {
        Ok(groups) => {
            let groups = groups.into_iter().map(|group| ListedGroup {
                group_id: group.group_id.as_str().to_owned(),
                protocol_type: group.protocol_type,
                group_state: group.state.name().to_owned(),
                group_type: group.group_type.to_owned(),
            });
            ListGroupsResponse { groups: groups.collect(), ..ListGroupsResponse::default() }
        }
        Err(error) => ListGroupsResponse { error_code: shard_error(error).code(), ..ListGroupsResponse::default() },
    }
}

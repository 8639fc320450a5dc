//! DeleteGroups (42), versions 0–3: removes empty groups with their offsets.

use std::ops::RangeInclusive;

use millstream_coordinator::{Answer, Event};
use millstream_protocol::ErrorCode;
use millstream_protocol::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};

use super::Call;
use super::errors::{group_error, shard_error};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=3;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let groups = vec![group_id.as_str().into()];
        let answer =
            broker.groups().call(broker, call.node(), &group_id, |reply| Event::DeleteGroups { reply, groups }).await;
        let error = match answer {
            Ok(Answer::DeleteGroups(outcomes)) => {
                outcomes.into_iter().find_map(|(_, outcome)| outcome.err()).map_or(ErrorCode::None, group_error)
            }
            Ok(other) => unreachable!("a deletion is answered as one, not with {other:?}"),
            Err(error) => shard_error(error),
        };
        let error_message = (error != ErrorCode::None).then(|| error.message().to_owned());
        results.push(DeletableGroupResult { group_id, error_code: error.code(), error_message });
    }
    DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
}

//! ListPartitionReassignments (46), version 0: partitions that are moving between nodes (KIP-455). None ever is: a
//! partition's data does not move here.

use std::ops::RangeInclusive;

use millstream_protocol::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::Call;
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=0;

pub(crate) async fn handle(
    _broker: &Broker,
    _call: &Call,
    _request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}

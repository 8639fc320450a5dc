//! DescribeCluster (60), versions 0–2: cluster id, controller and nodes (KIP-700). Version 1 may ask for the
//! controllers (KIP-919), which clients of a broker's listener do not reach.

use std::ops::RangeInclusive;

use millstream_protocol::ErrorCode;
use millstream_protocol::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use super::Call;
use super::operations::CLUSTER_OPERATIONS;
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=2;

/// Kinds of endpoint (KIP-919).
const BROKERS: i8 = 1;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        return DescribeClusterResponse {
            error_code: ErrorCode::MismatchedEndpointType.code(),
            error_message: Some("The request was sent to an endpoint of the wrong type.".to_owned()),
            endpoint_type: request.endpoint_type,
            ..DescribeClusterResponse::default()
        };
    }
    let nodes = broker.nodes();
    let brokers = nodes.reachable(&call.peer).map(|node| DescribeClusterBroker {
        broker_id: node.id.0,
        host: node.host,
        port: node.port,
        rack: node.rack,
        is_fenced: false,
    });
    let mut response = DescribeClusterResponse {
        cluster_id: broker.cluster_id().to_owned(),
        controller_id: nodes.controller().0,
        brokers: brokers.collect(),
        ..DescribeClusterResponse::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

//! FindCoordinator (10), versions 0–6: the node that coordinates a group; several keys at once from version 4 (KIP-699).
//!
//! The first question makes `__consumer_offsets`. Transactions (key type 1) and share groups (2) are not served yet
//! and are refused, so that no client waits for a coordinator that does not come.

use std::ops::RangeInclusive;

use millstream_protocol::ErrorCode;
use millstream_protocol::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

use super::Call;
use super::errors::shard_error;
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=6;

/// First version that asks for several keys.
const SEVERAL_KEYS_FROM: i16 = 4;

/// Kinds of key (KIP-98, KIP-932).
mod key_type {
    pub(super) const GROUP: i8 = 0;
    pub(super) const TRANSACTION: i8 = 1;
}

pub(crate) async fn handle(broker: &Broker, call: &Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if call.version() >= SEVERAL_KEYS_FROM {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in request.coordinator_keys {
            coordinators.push(find(broker, call, request.key_type, key).await);
        }
        return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
    }
    let found = find(broker, call, request.key_type, request.key).await;
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}

async fn find(broker: &Broker, call: &Call, kind: i8, key: String) -> Coordinator {
    match kind {
        key_type::GROUP => {}
        key_type::TRANSACTION => {
            return refused(key, ErrorCode::UnsupportedVersion, "This broker does not serve transactions yet.");
        }
        _ => return refused(key, ErrorCode::InvalidRequest, "This broker coordinates no keys of this type."),
    }
    let node = match broker.groups().coordinator_of(broker, &key).await {
        Ok(node) => node,
        Err(error) => {
            let code = shard_error(error);
            return refused(key, code, code.message());
        }
    };
    match broker.nodes().find(node, &call.peer) {
        Some(node) => Coordinator {
            key,
            node_id: node.id.0,
            host: node.host,
            port: node.port,
            ..Coordinator::default()
        },
        None => {
            let code = ErrorCode::CoordinatorNotAvailable;
            refused(key, code, code.message())
        }
    }
}

fn refused(key: String, error: ErrorCode, message: &str) -> Coordinator {
    Coordinator {
        key,
        node_id: -1,
        host: String::new(),
        port: -1,
        error_code: error.code(),
        error_message: Some(message.to_owned()),
    }
}

//! IncrementalAlterConfigs (44), versions 0–1: changes configs one by one (KIP-339).

use std::ops::RangeInclusive;

use millstream_metadata::catalog::ConfigOperation;
use millstream_protocol::incremental_alter_configs::{
    AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::Call;
use super::config_changes::{Alteration, alter};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=1;

/// Kafka's numbers for what happens to a config.
mod operation {
    pub(super) const SET: i8 = 0;
    pub(super) const DELETE: i8 = 1;
    pub(super) const APPEND: i8 = 2;
    pub(super) const SUBTRACT: i8 = 3;
}

pub(crate) async fn handle(
    broker: &Broker,
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let alterations = request.resources.into_iter().map(|resource| Alteration {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        operations: resource.configs.into_iter().map(operation_of).collect(),
        replace: false,
    });
    let outcomes = alter(broker, call, alterations.collect(), request.validate_only).await;
    let responses = outcomes.into_iter().map(|outcome| AlterConfigsResourceResponse {
        error_code: outcome.error.code(),
        error_message: outcome.message,
        resource_type: outcome.resource_type,
        resource_name: outcome.resource_name,
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..IncrementalAlterConfigsResponse::default() }
}

fn operation_of(config: AlterableConfig) -> Result<(String, ConfigOperation), String> {
    let name = config.name;
    let operation = match (config.config_operation, config.value) {
        (operation::DELETE, _) => ConfigOperation::Delete,
        (operation::SET, Some(value)) => ConfigOperation::Set(value),
        (operation::APPEND, Some(value)) => ConfigOperation::Append(value),
        (operation::SUBTRACT, Some(value)) => ConfigOperation::Subtract(value),
        (operation::SET | operation::APPEND | operation::SUBTRACT, None) => {
            return Err(format!("Null value not supported for : {name}"));
        }
        (other, _) => return Err(format!("Unknown operation type {other} for config {name}")),
    };
    Ok((name, operation))
}

//! AlterConfigs (33), versions 0–2: replaces all configs of a resource; the older way (KIP-133).

use std::ops::RangeInclusive;

use millstream_metadata::catalog::ConfigOperation;
use millstream_protocol::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse, AlterableConfig,
};

use super::Call;
use super::config_changes::{Alteration, alter};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=2;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let operation = |config: AlterableConfig| {
        let operation = config.value.map_or(ConfigOperation::Delete, ConfigOperation::Set);
        (config.name, operation)
    };
    let alterations = request.resources.into_iter().map(|resource| Alteration {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        operations: Ok(resource.configs.into_iter().map(operation).collect()),
        replace: true,
    });
    let outcomes = alter(broker, call, alterations.collect(), request.validate_only).await;
    let responses = outcomes.into_iter().map(|outcome| AlterConfigsResourceResponse {
        error_code: outcome.error.code(),
        error_message: outcome.message,
        resource_type: outcome.resource_type,
        resource_name: outcome.resource_name,
    });
    AlterConfigsResponse { responses: responses.collect(), ..AlterConfigsResponse::default() }
}

//! DescribeConfigs (32), versions 1–4: configs of topics, brokers and groups with where each value comes from
//! (KIP-226), its type and its documentation (KIP-569).

use std::collections::HashSet;
use std::ops::RangeInclusive;

use millstream_metadata::catalog::{ConfigResource, Image};
use millstream_metadata::configs::ConfigEntry;
use millstream_model::BrokerId;
use millstream_protocol::ErrorCode;
use millstream_protocol::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::Call;
use super::config_entries::{resource, source_code, type_code};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 1..=4;

/// Kafka's tools print a topic's configs in the order of a hash table, in which these share a place with others. They
/// come first here, as they do in Kafka's answer, so that every output stands in the same order.
const FIRST: [&str; 5] =
    ["segment.bytes", "retention.ms", "flush.messages", "max.compaction.lag.ms", "retention.bytes"];

pub(crate) async fn handle(broker: &Broker, call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let image = broker.image();
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    let results = request.resources.into_iter().map(|asked| match entries(&image, call.node(), &asked) {
        Ok(entries) => {
            // No keys and an empty list both mean every config, as in Kafka.
            let keys = asked.configuration_keys.filter(|keys| !keys.is_empty());
            let wanted: Option<HashSet<String>> = keys.map(|keys| keys.into_iter().collect());
            let entries = entries.into_iter().filter(|entry| wanted.as_ref().is_none_or(|keys| keys.contains(&entry.name)));
            DescribeConfigsResult {
                error_message: None,
                resource_type: asked.resource_type,
                resource_name: asked.resource_name,
                configs: entries.map(|entry| shown(entry, synonyms, documentation)).collect(),
                ..DescribeConfigsResult::default()
            }
        }
        Err((error, message)) => DescribeConfigsResult {
            error_code: error.code(),
            error_message: Some(message),
            resource_type: asked.resource_type,
            resource_name: asked.resource_name,
            ..DescribeConfigsResult::default()
        },
    });
    DescribeConfigsResponse { results: results.collect(), ..DescribeConfigsResponse::default() }
}

fn entries(
    image: &Image,
    node: BrokerId,
    asked: &DescribeConfigsResource,
) -> Result<Vec<ConfigEntry>, (ErrorCode, String)> {
    let named = resource(asked.resource_type, &asked.resource_name)
        .map_err(|error| (ErrorCode::InvalidRequest, error.to_string()))?;
    match named {
        ConfigResource::Topic(name) => {
            if let Err(error) = millstream_metadata::catalog::validate_topic_name(&name) {
                return Err((ErrorCode::InvalidTopicException, error.to_string()));
            }
            let topic = image.topic(&name).ok_or_else(|| {
                let error = ErrorCode::UnknownTopicOrPartition;
                (error, error.message().to_owned())
            })?;
            let mut configs = image.describe_topic_configs(node, &topic.configs);
            configs.sort_by_key(|config| FIRST.iter().position(|first| *first == config.name).unwrap_or(FIRST.len()));
            Ok(configs)
        }
        ConfigResource::Broker(None) => Ok(image.describe_default_broker_configs()),
        ConfigResource::Broker(Some(broker)) if image.brokers().contains(&broker) => {
            Ok(image.describe_broker_configs(broker))
        }
        ConfigResource::Broker(Some(broker)) => {
            let message = format!("Unexpected broker id, expected {node} or empty string, but received {broker}");
            Err((ErrorCode::InvalidRequest, message))
        }
        ConfigResource::Group(group) => Ok(image.describe_group_configs(node, &group)),
    }
}

fn shown(entry: ConfigEntry, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    let synonym = |synonym: millstream_metadata::configs::ConfigSynonym| DescribeConfigsSynonym {
        name: synonym.name,
        value: synonym.value,
        source: source_code(synonym.source),
    };
    DescribeConfigsResourceResult {
        name: entry.name,
        value: entry.value,
        read_only: entry.read_only,
        config_source: source_code(entry.source),
        is_sensitive: entry.sensitive,
        synonyms: if synonyms { entry.synonyms.into_iter().map(synonym).collect() } else { Vec::new() },
        config_type: type_code(entry.value_type),
        documentation: entry.documentation.filter(|_| documentation).map(str::to_owned),
    }
}

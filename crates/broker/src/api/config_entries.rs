//! Kafka's numbers for what a config belongs to, where its value comes from and what type it has (KIP-226, KIP-569),
//! and the resources that requests name.

use millstream_metadata::catalog::ConfigResource;
use millstream_metadata::configs::{ConfigSource, ValueType};
use millstream_model::BrokerId;

/// Kinds of resource.
mod resource_type {
    pub(super) const TOPIC: i8 = 2;
    pub(super) const BROKER: i8 = 4;
    pub(super) const GROUP: i8 = 32;
}

/// Why a resource that a request names has no configs here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResourceError {
    #[error("Node id must be an integer, but it is: {0}")]
    NodeId(String),
    #[error("This broker has no configs of resource type {0}.")]
    Unserved(i8),
}

/// The resource that a request names by type and name.
pub(super) fn resource(kind: i8, name: &str) -> Result<ConfigResource, ResourceError> {
    match kind {
        resource_type::TOPIC => Ok(ConfigResource::Topic(name.to_owned())),
        resource_type::BROKER if name.is_empty() => Ok(ConfigResource::Broker(None)),
        resource_type::BROKER => match name.parse() {
            Ok(id) => Ok(ConfigResource::Broker(Some(BrokerId(id)))),
            Err(_) => Err(ResourceError::NodeId(name.to_owned())),
        },
        resource_type::GROUP => Ok(ConfigResource::Group(name.to_owned())),
        other => Err(ResourceError::Unserved(other)),
    }
}

pub(super) fn source_code(source: ConfigSource) -> i8 {
    match source {
        ConfigSource::DynamicTopic => 1,
        ConfigSource::DynamicBroker => 2,
        ConfigSource::DynamicDefaultBroker => 3,
        ConfigSource::StaticBroker => 4,
        ConfigSource::Default => 5,
        ConfigSource::DynamicGroup => 8,
    }
}

pub(super) fn type_code(value_type: Option<ValueType>) -> i8 {
    match value_type {
        None => 0,
        Some(ValueType::Boolean) => 1,
        Some(ValueType::String) => 2,
        Some(ValueType::Int) => 3,
        Some(ValueType::Short) => 4,
        Some(ValueType::Long) => 5,
        Some(ValueType::Double) => 6,
        Some(ValueType::List) => 7,
        Some(ValueType::Class) => 8,
        Some(ValueType::Password) => 9,
    }
}

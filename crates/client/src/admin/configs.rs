//! Configurations of topics, brokers and groups: describe and alter.

use futures_util::FutureExt;
use millstream_protocol::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use millstream_protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millstream_protocol::list_config_resources::ListConfigResourcesRequest;

use super::{Admin, PerItem};
use crate::Error;
use crate::cluster::NEWEST;
use crate::error::check;

/// What a configuration belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ConfigResourceType {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

/// A thing with a configuration. The name of a broker is its id; an empty one means the cluster-wide default.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    pub kind: ConfigResourceType,
    pub name: String,
}

impl ConfigResource {
    pub fn topic(name: impl Into<String>) -> Self {
        Self { kind: ConfigResourceType::Topic, name: name.into() }
    }

    pub fn broker(id: i32) -> Self {
        Self { kind: ConfigResourceType::Broker, name: id.to_string() }
    }

    /// The broker that alone knows this configuration; others may be asked of any.
    fn owner(&self) -> Option<i32> {
        match self.kind {
            ConfigResourceType::Broker | ConfigResourceType::BrokerLogger => self.name.parse().ok(),
            _ => None,
        }
    }
}

/// Where a value comes from, by Kafka's names and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ConfigSource {
    Unknown = 0,
    DynamicTopicConfig = 1,
    DynamicBrokerConfig = 2,
    DynamicDefaultBrokerConfig = 3,
    StaticBrokerConfig = 4,
    DefaultConfig = 5,
    DynamicBrokerLoggerConfig = 6,
    DynamicClientMetricsConfig = 7,
    DynamicGroupConfig = 8,
}

impl ConfigSource {
    const NAMES: [(Self, &'static str); 9] = [
        (Self::Unknown, "UNKNOWN"),
        (Self::DynamicTopicConfig, "DYNAMIC_TOPIC_CONFIG"),
        (Self::DynamicBrokerConfig, "DYNAMIC_BROKER_CONFIG"),
        (Self::DynamicDefaultBrokerConfig, "DYNAMIC_DEFAULT_BROKER_CONFIG"),
        (Self::StaticBrokerConfig, "STATIC_BROKER_CONFIG"),
        (Self::DefaultConfig, "DEFAULT_CONFIG"),
        (Self::DynamicBrokerLoggerConfig, "DYNAMIC_BROKER_LOGGER_CONFIG"),
        (Self::DynamicClientMetricsConfig, "DYNAMIC_CLIENT_METRICS_CONFIG"),
        (Self::DynamicGroupConfig, "DYNAMIC_GROUP_CONFIG"),
    ];

    /// Kafka's name, as its tools print it.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    fn from_id(id: i8) -> Self {
        usize::try_from(id).ok().and_then(|id| Self::NAMES.get(id)).map_or(Self::Unknown, |(source, _)| *source)
    }
}

/// One configuration with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` when it is sensitive or has no value.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    /// Where the value was looked for, the winner first.
    pub synonyms: Vec<ConfigSynonym>,
    pub documentation: Option<String>,
}

impl ConfigEntry {
    /// Whether nobody has set it.
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::DefaultConfig
    }
}

/// A name under which a configuration may be set, with its value there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// A change of one configuration (KIP-339).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterConfigOp {
    Set(String),
    /// Back to the default.
    Delete,
    /// Adds to a list.
    Append(String),
    /// Takes from a list.
    Subtract(String),
}

impl AlterConfigOp {
    fn parts(&self) -> (i8, Option<String>) {
        match self {
            Self::Set(value) => (0, Some(value.clone())),
            Self::Delete => (1, None),
            Self::Append(value) => (2, Some(value.clone())),
            Self::Subtract(value) => (3, Some(value.clone())),
        }
    }
}

impl Admin {
    /// Names of the things of a kind that have a configuration of their own (KIP-1142). Brokers before Kafka 4.1 know
    /// those of client metrics only.
    pub async fn list_config_resources(&self, kind: ConfigResourceType) -> Result<Vec<String>, Error> {
        let attempt = || {
            async move {
                let connection = self.cluster.any_broker().await?;
                let mut request = ListConfigResourcesRequest::default();
                // Version 0 cannot say which, and means client metrics.
                if kind != ConfigResourceType::ClientMetrics
                    || connection.version::<ListConfigResourcesRequest>(NEWEST)? > 0
                {
                    request.resource_types = vec![kind as i8];
                }
                let answer = connection.call(&request, NEWEST).await?;
                check(answer.error_code, None)?;
                let found = answer.config_resources.into_iter().filter(|found| found.resource_type == kind as i8);
                Ok(found.map(|found| found.resource_name).collect())
            }
            .boxed()
        };
        self.cluster.retry("listConfigResources", attempt).await
    }

    /// All configurations of some things. Documentation makes the answer long; ask for it where it is shown.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
        include_documentation: bool,
    ) -> Result<PerItem<ConfigResource, Vec<ConfigEntry>>, Error> {
        self.each("describeConfigs", resources, |resources| {
            async move {
                let mut answers = Vec::new();
                for (owner, group) in by_owner(&resources) {
                    let request = DescribeConfigsRequest {
                        resources: group.iter().map(|resource| described(resource)).collect(),
                        include_synonyms: true,
                        include_documentation,
                    };
                    let answer = self.connection_to(owner).await?.call(&request, NEWEST).await?;
                    answers.extend(answer.results.into_iter().filter_map(|result| {
                        let resource = named(&group, result.resource_type, &result.resource_name)?;
                        let entries = check(result.error_code, result.error_message.as_deref());
                        Some((resource, entries.map(|()| result.configs.into_iter().map(entry).collect())))
                    }));
                }
                Ok(answers)
            }
            .boxed()
        })
        .await
    }

    /// Changes single configurations and leaves the others as they are.
    pub async fn incremental_alter_configs(
        &self,
        changes: &[(ConfigResource, Vec<(String, AlterConfigOp)>)],
        validate_only: bool,
    ) -> Result<PerItem<ConfigResource, ()>, Error> {
        let resources: Vec<_> = changes.iter().map(|(resource, _)| resource.clone()).collect();
        self.each("incrementalAlterConfigs", &resources, |resources| {
            async move {
                let mut answers = Vec::new();
                for (owner, group) in by_owner(&resources) {
                    let wanted = changes.iter().filter(|(resource, _)| group.contains(&resource));
                    let request = IncrementalAlterConfigsRequest {
                        resources: wanted.map(|(resource, ops)| altered(resource, ops)).collect(),
                        validate_only,
                    };
                    let answer = self.connection_to(owner).await?.call(&request, NEWEST).await?;
                    answers.extend(answer.responses.into_iter().filter_map(|result| {
                        let resource = named(&group, result.resource_type, &result.resource_name)?;
                        Some((resource, check(result.error_code, result.error_message.as_deref())))
                    }));
                }
                Ok(answers)
            }
            .boxed()
        })
        .await
    }
}

/// Resources by the broker that must be asked.
fn by_owner(resources: &[ConfigResource]) -> indexmap::IndexMap<Option<i32>, Vec<&ConfigResource>> {
    let mut owners: indexmap::IndexMap<_, Vec<_>> = indexmap::IndexMap::new();
    for resource in resources {
        owners.entry(resource.owner()).or_default().push(resource);
    }
    owners
}

/// The resource that was asked about under this name: the order of an answer is nobody's promise.
fn named(asked: &[&ConfigResource], kind: i8, name: &str) -> Option<ConfigResource> {
    asked.iter().find(|one| one.kind as i8 == kind && one.name == name).map(|one| (*one).clone())
}

fn described(resource: &ConfigResource) -> DescribeConfigsResource {
    DescribeConfigsResource {
        resource_type: resource.kind as i8,
        resource_name: resource.name.clone(),
        configuration_keys: None,
    }
}

fn altered(resource: &ConfigResource, ops: &[(String, AlterConfigOp)]) -> AlterConfigsResource {
    let configs = ops.iter().map(|(name, op)| {
        let (config_operation, value) = op.parts();
        AlterableConfig { name: name.clone(), config_operation, value }
    });
    AlterConfigsResource {
        resource_type: resource.kind as i8,
        resource_name: resource.name.clone(),
        configs: configs.collect(),
    }
}

fn entry(config: DescribeConfigsResourceResult) -> ConfigEntry {
    let synonyms = config.synonyms.into_iter().map(|synonym| ConfigSynonym {
        name: synonym.name,
        value: synonym.value,
        source: ConfigSource::from_id(synonym.source),
    });
    ConfigEntry {
        name: config.name,
        value: config.value,
        source: ConfigSource::from_id(config.config_source),
        is_read_only: config.read_only,
        is_sensitive: config.is_sensitive,
        synonyms: synonyms.collect(),
        documentation: config.documentation,
    }
}

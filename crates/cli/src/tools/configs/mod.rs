//! `configs`, Kafka's kafka-configs.sh: show and change the configs of topics, brokers and groups.

use std::{
    fmt::Display,
    io::{self, Write},
};

use millstream_client::{
    Admin, Error,
    admin::{AlterConfigOp, ConfigEntry, ConfigResource, ConfigResourceType, ConfigSource},
};
use options::Entity;

use super::{Failure, Streams, Tool, admin::Session, bootstrap, java_order, options::Line};

mod options;

pub(super) const TOOL: Tool = Tool {
    script: "kafka-configs",
    about: "Shows and changes configs of topics, brokers and groups.",
    options: &options::OPTIONS,
    unreadable: Failure::Message,
    run,
};

/// A type of entity: its name in the options, its resource, and where what was set for it alone comes from.
struct Kind {
    plural: &'static str,
    resource: ConfigResourceType,
    dynamic: Option<ConfigSource>,
}

const KINDS: [Kind; 5] = [
    Kind { plural: "topics", resource: ConfigResourceType::Topic, dynamic: Some(ConfigSource::DynamicTopicConfig) },
    Kind { plural: "brokers", resource: ConfigResourceType::Broker, dynamic: Some(ConfigSource::DynamicBrokerConfig) },
    Kind { plural: "broker-loggers", resource: ConfigResourceType::BrokerLogger, dynamic: None },
    Kind {
        plural: "client-metrics",
        resource: ConfigResourceType::ClientMetrics,
        dynamic: Some(ConfigSource::DynamicClientMetricsConfig),
    },
    Kind { plural: "groups", resource: ConfigResourceType::Group, dynamic: Some(ConfigSource::DynamicGroupConfig) },
];

impl Kind {
    /// The type's name without its s, as Kafka cuts it.
    fn singular(&self) -> &'static str {
        &self.plural[..self.plural.len() - 1]
    }
}

/// Why a conversation ends early.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Stop {
    Client(#[from] Error),
    Output(#[from] io::Error),
}

fn run(line: &Line, streams: &mut Streams<'_>) -> Result<(), Failure> {
    let entity = options::check(line)?;
    let Some(kind) = KINDS.iter().find(|kind| kind.plural == entity.types[0]) else {
        let kinds = entity.types.join(" and ");
        return Err(Failure::Message(format!("Quotas and credentials of {kinds} are not served yet")));
    };
    let (added, deleted) = (options::added(line)?, options::deleted(line));
    let failed = |error: &dyn Display| {
        let words = line.words.join(" ");
        Failure::Message(format!("Error while executing config command with args '{words}'\n{error}"))
    };
    let session = Session::open(&bootstrap::admin_settings(line)?).map_err(|error| failed(&error))?;
    let out = &mut *streams.out;
    let done = session.run(async |admin| match line.has("alter") {
        true => alter(admin, kind, &entity.names[0], added, deleted, out).await,
        false => describe(admin, kind, &entity, line.has("all"), out).await,
    })?;
    done.map_err(|stop| match stop {
        Stop::Output(error) => Failure::Output(error),
        Stop::Client(error) => failed(&error),
    })
}

async fn alter(
    admin: &Admin,
    kind: &Kind,
    name: &str,
    added: Vec<(String, String)>,
    deleted: Vec<String>,
    out: &mut dyn Write,
) -> Result<(), Stop> {
    let resource = ConfigResource { kind: kind.resource, name: name.to_owned() };
    let mut changes: Vec<(String, AlterConfigOp)> =
        added.into_iter().map(|(name, value)| (name, AlterConfigOp::Set(value))).collect();
    changes.extend(deleted.into_iter().map(|name| (name, AlterConfigOp::Delete)));
    for (_, answer) in admin.incremental_alter_configs(&[(resource, changes)], false).await? {
        answer?;
    }
    match name {
        "" => writeln!(out, "Completed updating default config for {} in the cluster.", kind.plural)?,
        name => writeln!(out, "Completed updating config for {} {name}.", kind.singular())?,
    }
    Ok(())
}

async fn describe(admin: &Admin, kind: &Kind, entity: &Entity, all: bool, out: &mut dyn Write) -> Result<(), Stop> {
    let known = known_entities(admin, kind).await?;
    let wanted: Vec<String> = match entity.names.first() {
        None => known,
        Some(name) if name.is_empty() || known.contains(name) => vec![name.clone()],
        Some(name) if has_configs(admin, kind, name).await? => vec![name.clone()],
        Some(name) => {
            let kind = kind.singular();
            return Ok(writeln!(out, "The {kind} '{name}' doesn't exist and doesn't have dynamic config.")?);
        }
    };
    for name in wanted {
        print(kind, &name, all, &entries(admin, kind, &name, all).await?, out)?;
    }
    Ok(())
}

/// The entities of a type that the cluster knows.
async fn known_entities(admin: &Admin, kind: &Kind) -> Result<Vec<String>, Stop> {
    match kind.resource {
        ConfigResourceType::Topic => {
            let mut names: Vec<String> = admin.list_topics().await?.into_iter().map(|topic| topic.name).collect();
            java_order::sort_as_hash_map(&mut names, java_order::DEFAULT_CAPACITY, |name| {
                java_order::string_hash(name)
            });
            Ok(names)
        }
        ConfigResourceType::Broker | ConfigResourceType::BrokerLogger => {
            let brokers = admin.describe_cluster().await?.brokers;
            Ok(brokers.iter().map(|broker| broker.id.to_string()).chain([String::new()]).collect())
        }
        ConfigResourceType::Group => {
            Ok(admin.list_groups(&[], &[]).await?.into_iter().map(|group| group.group_id).collect())
        }
        ConfigResourceType::ClientMetrics => Ok(admin.list_config_resources(kind.resource).await?),
    }
}

/// A group may have configs before it exists; a topic or broker that is not there has none.
async fn has_configs(admin: &Admin, kind: &Kind, name: &str) -> Result<bool, Stop> {
    match kind.resource {
        ConfigResourceType::Topic | ConfigResourceType::Broker | ConfigResourceType::BrokerLogger => Ok(false),
        _ => Ok(!entries(admin, kind, name, false).await?.is_empty()),
    }
}

/// What was set for the entity, or everything that holds for it; by name.
async fn entries(admin: &Admin, kind: &Kind, name: &str, all: bool) -> Result<Vec<ConfigEntry>, Error> {
    let resource = ConfigResource { kind: kind.resource, name: name.to_owned() };
    let mut entries = Vec::new();
    for (_, answer) in admin.describe_configs(&[resource], false).await? {
        entries.extend(answer?);
    }
    let is_default_broker = kind.resource == ConfigResourceType::Broker && name.is_empty();
    let dynamic = if is_default_broker { Some(ConfigSource::DynamicDefaultBrokerConfig) } else { kind.dynamic };
    if let Some(dynamic) = dynamic.filter(|_| !all) {
        entries.retain(|entry| entry.source == dynamic);
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn print(kind: &Kind, name: &str, all: bool, entries: &[ConfigEntry], out: &mut dyn Write) -> io::Result<()> {
    match (name, all) {
        ("", _) => writeln!(out, "Default configs for {} in the cluster are:", kind.plural)?,
        (name, true) => writeln!(out, "All configs for {} {name} are:", kind.singular())?,
        (name, false) => writeln!(out, "Dynamic configs for {} {name} are:", kind.singular())?,
    }
    for entry in entries {
        let value = entry.value.as_deref().unwrap_or("null");
        let synonyms: Vec<String> = entry
            .synonyms
            .iter()
            .map(|one| format!("{}:{}={}", one.source.name(), one.name, one.value.as_deref().unwrap_or("null")))
            .collect();
        let (name, sensitive, synonyms) = (&entry.name, entry.is_sensitive, synonyms.join(", "));
        writeln!(out, "  {name}={value} sensitive={sensitive} synonyms={{{synonyms}}}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use millstream_client::admin::ConfigSynonym;

    use super::*;

    /// Recorded from kafka-configs.sh.
    #[test]
    fn configs_stand_with_where_they_come_from() {
        let synonym = |source, name: &str, value: &str| ConfigSynonym {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source,
        };
        let entry = ConfigEntry {
            name: "cleanup.policy".to_owned(),
            value: Some("compact".to_owned()),
            source: ConfigSource::DynamicTopicConfig,
            is_read_only: false,
            is_sensitive: false,
            synonyms: vec![
                synonym(ConfigSource::DynamicTopicConfig, "cleanup.policy", "compact"),
                synonym(ConfigSource::DefaultConfig, "log.cleanup.policy", "delete"),
            ],
            documentation: None,
        };
        let secret = ConfigEntry {
            name: "x".to_owned(),
            value: None,
            is_sensitive: true,
            synonyms: Vec::new(),
            ..entry.clone()
        };
        let mut out = Vec::new();
        print(&KINDS[0], "t_cfg.x", false, &[entry, secret], &mut out).unwrap();
        let expected = "Dynamic configs for topic t_cfg.x are:
  cleanup.policy=compact sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact, DEFAULT_CONFIG:log.cleanup.policy=delete}
  x=null sensitive=true synonyms={}
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        print(&KINDS[1], "", true, &[], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "Default configs for brokers in the cluster are:\n");
    }
}

//! Which value of a config holds: a topic's or group's own, then the broker's dynamic ones, then those given at start,
//! then the default; and how DescribeConfigs shows that, as Kafka's ConfigHelper does.

use std::collections::BTreeMap;

use super::static_config::key_of;
use super::{ConfigKey, ConfigValue, StaticConfig, Unit, ValueType, broker};

/// Values by name, as they were set.
pub type Overrides = BTreeMap<String, String>;

/// Where a value comes from. Kafka's words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConfigSource {
    DynamicTopic,
    DynamicGroup,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
}

/// One of the values that would hold, in order of precedence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigSynonym {
    pub name: String,
    /// `None` when it is secret.
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// A config as DescribeConfigs shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` when it is unset or secret.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub read_only: bool,
    pub sensitive: bool,
    /// `None` for a name that no config bears.
    pub value_type: Option<ValueType>,
    pub synonyms: Vec<ConfigSynonym>,
    pub documentation: Option<&'static str>,
}

/// The configs of one broker, layer by layer.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// Set for this broker while it runs.
    pub dynamic: &'a Overrides,
    /// Set for all brokers while they run.
    pub dynamic_default: &'a Overrides,
    pub given: &'a StaticConfig,
}

/// The layers in which a broker's config can be set, the one that holds first.
const SET: [ConfigSource; 3] =
    [ConfigSource::DynamicBroker, ConfigSource::DynamicDefaultBroker, ConfigSource::StaticBroker];

impl<'a> Layers<'a> {
    /// What one layer says of `name`; topics' and groups' layers are not among these.
    fn text(self, layer: ConfigSource, name: &str) -> Option<&'a str> {
        match layer {
            ConfigSource::DynamicTopic | ConfigSource::DynamicGroup => None,
            ConfigSource::DynamicBroker => self.dynamic.get(name).map(String::as_str),
            ConfigSource::DynamicDefaultBroker => self.dynamic_default.get(name).map(String::as_str),
            ConfigSource::StaticBroker => self.given.get(name),
            ConfigSource::Default => broker::key(name)?.default.text(),
        }
    }

    /// What holds for `name` among what was set.
    fn set(self, name: &str) -> Option<&'a str> {
        SET.into_iter().find_map(|layer| self.text(layer, name))
    }

    /// The value of a broker's config by its own name; `None` when it is unset and has no default.
    #[must_use]
    pub fn broker_value(self, key: &ConfigKey) -> Option<ConfigValue> {
        let text = self.set(key.name).or(key.default.text())?;
        // What was set has been checked; should a rule have become stricter since, the default is the safe answer.
        key.parse(text).ok().or_else(|| key.parse(key.default.text()?).ok())
    }

    /// The value of a topic's or group's config: its own, or what the broker's synonyms give, or the default.
    #[must_use]
    pub fn resource_value(self, key: &ConfigKey, overrides: &Overrides) -> Option<ConfigValue> {
        let own = overrides.get(key.name).and_then(|text| key.parse(text).ok());
        own.or_else(|| self.synonym_value(key)).or_else(|| key.parse(key.default.text()?).ok())
    }

    /// What the broker gives a topic or group that does not set the config itself: within a layer the first synonym holds.
    fn synonym_value(self, key: &ConfigKey) -> Option<ConfigValue> {
        for layer in SET.into_iter().chain([ConfigSource::Default]) {
            for synonym in key.synonyms {
                let Some(text) = self.text(layer, synonym.name) else { continue };
                return match key.parse(text).ok()? {
                    // Less than none is none: -1, in whatever unit.
                    ConfigValue::Number(count) if count < 0 && synonym.unit != Unit::Same => {
                        Some(ConfigValue::Number(-1))
                    }
                    ConfigValue::Number(count) => {
                        Some(ConfigValue::Number(count.saturating_mul(synonym.unit.factor())))
                    }
                    other => Some(other),
                };
            }
        }
        None
    }

    /// The layers of a broker's config and of its synonyms, from the first that bears the name itself.
    fn broker_synonyms(self, name: &str, sensitive: bool) -> Vec<ConfigSynonym> {
        let key = broker::key(name);
        let names = || std::iter::once(name).chain(key.iter().flat_map(|key| key.synonyms.iter().map(|s| s.name)));
        let mut found = Vec::new();
        for source in SET.into_iter().chain([ConfigSource::Default]) {
            for name in names() {
                if let Some(text) = self.text(source, name) {
                    let value = (!sensitive).then(|| text.to_owned());
                    found.push(ConfigSynonym { name: name.to_owned(), value, source });
                }
            }
        }
        let first = found.iter().position(|synonym| synonym.name == name).unwrap_or(found.len());
        found.split_off(first)
    }

    /// A topic's or group's config as DescribeConfigs shows it; `of` says which of the two.
    #[must_use]
    pub fn describe_resource_config(
        self,
        key: &'static ConfigKey,
        overrides: &Overrides,
        of: ConfigSource,
    ) -> ConfigEntry {
        let value = self.resource_value(key, overrides).map(|value| value.to_string());
        let own = ConfigSynonym { name: key.name.to_owned(), value: value.clone(), source: of };
        let mut synonyms: Vec<ConfigSynonym> = overrides.contains_key(key.name).then_some(own).into_iter().collect();
        match (key.synonyms.first(), key.default.text()) {
            (Some(synonym), _) => synonyms.extend(self.broker_synonyms(synonym.name, false)),
            // Kafka shows the default so for groups, and not for topics.
            (None, Some(text)) if of == ConfigSource::DynamicGroup => synonyms.push(ConfigSynonym {
                name: key.name.to_owned(),
                value: Some(text.to_owned()),
                source: ConfigSource::Default,
            }),
            (None, _) => {}
        }
        entry(key.name, Some(key), value, synonyms, false)
    }

    /// A broker's config as DescribeConfigs shows it, whether the name is known or not.
    #[must_use]
    pub fn describe_broker_config(self, name: &str) -> ConfigEntry {
        let key = key_of(name);
        let sensitive = key.is_none_or(ConfigKey::is_sensitive);
        let text = self.set(name);
        let text = text.or_else(|| broker::key(name).and_then(|key| key.default.text()));
        let shown = text.filter(|_| !sensitive).map(|text| match key.map(|key| key.parse(text)) {
            Some(Ok(value)) => value.to_string(),
            Some(Err(_)) | None => text.to_owned(),
        });
        let synonyms = self.broker_synonyms(name, sensitive);
        entry(name, key, shown, synonyms, broker::key(name).is_none_or(|key| !key.is_dynamic()))
    }

    /// All configs of the broker, known ones and others that were set, sorted by name. Internal ones only when set.
    #[must_use]
    pub fn describe_broker(self) -> Vec<ConfigEntry> {
        let known = broker::keys().filter(|key| !key.internal).map(|key| key.name);
        let set = self.given.iter().map(|(name, _)| name);
        let dynamic = self.dynamic.keys().chain(self.dynamic_default.keys()).map(String::as_str);
        let mut names: Vec<&str> = known.chain(set).chain(dynamic).collect();
        names.sort_unstable();
        names.dedup();
        // Kafka lists these only where they were set: they are no configs of its KafkaConfig.
        names.retain(|name| !broker::is_dynamic_only(name) || self.set(name).is_some());
        names.into_iter().map(|name| self.describe_broker_config(name)).collect()
    }

    /// What is set for all brokers, as DescribeConfigs shows it for the broker without a name.
    #[must_use]
    pub fn describe_default_broker(self) -> Vec<ConfigEntry> {
        let names = self.dynamic_default.keys();
        let entries = names.map(|name| {
            let mut entry = Layers { dynamic: &Overrides::new(), ..self }.describe_broker_config(name);
            entry.synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
            entry
        });
        entries.collect()
    }
}

fn entry(
    name: &str,
    key: Option<&'static ConfigKey>,
    value: Option<String>,
    synonyms: Vec<ConfigSynonym>,
    read_only: bool,
) -> ConfigEntry {
    ConfigEntry {
        name: name.to_owned(),
        value,
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        read_only,
        sensitive: key.is_none_or(ConfigKey::is_sensitive),
        value_type: key.map(|key| key.value_type),
        synonyms,
        documentation: key.map(|key| key.documentation),
    }
}

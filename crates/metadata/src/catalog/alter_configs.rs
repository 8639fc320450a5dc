//! Changes of configs: of topics, of brokers while they run, of groups. Checked as Kafka checks them, in its order and
//! with its messages; all changes of one resource happen or none.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use millstream_model::BrokerId;

use super::image::{Image, Set};
use super::record::{self, TopicRecord};
use super::{Catalog, InvalidTopicNameError, topic_name};
use crate::configs::{
    self, ConfigKey, ConfigValue, InvalidConfigError, Layers, Overrides, Update, ValueType, broker, group, topic,
};
use crate::store::{StoreError, Write};

/// Whose configs change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConfigResource {
    Topic(String),
    /// One broker, or all of them.
    Broker(Option<BrokerId>),
    Group(String),
}

/// What happens to one config.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigOperation {
    Set(String),
    Delete,
    /// Adds the items that a list does not have.
    Append(String),
    /// Takes items off a list.
    Subtract(String),
}

/// The changes of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigChange {
    pub resource: ConfigResource,
    pub operations: Vec<(String, ConfigOperation)>,
    /// Whether configs that are not named go, as in the older AlterConfigs.
    pub replace: bool,
}

/// Why configs did not change. The variants are Kafka's error codes; the messages are its own.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AlterConfigsError {
    /// INVALID_CONFIG.
    #[error("{0}")]
    InvalidConfig(String),
    /// INVALID_REQUEST.
    #[error("{0}")]
    InvalidRequest(String),
    #[error(transparent)]
    TopicName(#[from] InvalidTopicNameError),
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(String),
}

impl From<InvalidConfigError> for AlterConfigsError {
    fn from(error: InvalidConfigError) -> Self {
        Self::InvalidConfig(error.to_string())
    }
}

type Result<T> = std::result::Result<T, AlterConfigsError>;

impl Catalog {
    /// Applies the changes of every resource that can take them, in one durable write. `receiver` is the broker that
    /// got the request: a broker's own configs change through that broker. With `validate_only` nothing changes.
    pub async fn alter_configs(
        &self,
        receiver: BrokerId,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> std::result::Result<Vec<Result<()>>, StoreError> {
        let (results, _) = self.change(|image, _| plan(image, receiver, changes, validate_only)).await?;
        Ok(results)
    }
}

fn plan(image: &Image, receiver: BrokerId, changes: &[ConfigChange], validate_only: bool) -> (Write, Vec<Result<()>>) {
    let mut write = Write::default();
    let mut results = Vec::with_capacity(changes.len());
    let mut named: BTreeMap<&ConfigResource, usize> = BTreeMap::new();
    for change in changes {
        *named.entry(&change.resource).or_default() += 1;
    }
    for change in changes {
        results.push(if named[&change.resource] > 1 {
            Err(AlterConfigsError::InvalidRequest("Each resource must appear at most once.".to_owned()))
        } else {
            plan_one(image, receiver, change, &mut write)
        });
    }
    if validate_only { (Write::default(), results) } else { (write, results) }
}

fn plan_one(image: &Image, receiver: BrokerId, change: &ConfigChange, write: &mut Write) -> Result<()> {
    check_operations(&change.operations)?;
    match &change.resource {
        ConfigResource::Topic(name) => plan_topic(image, name, change, write),
        ConfigResource::Broker(broker) => plan_broker(image, receiver, *broker, change, write),
        ConfigResource::Group(group) => plan_group(image, receiver, group, change, write),
    }
}

fn check_operations(operations: &[(String, ConfigOperation)]) -> Result<()> {
    let names: BTreeSet<&str> = operations.iter().map(|(name, _)| name.as_str()).collect();
    if names.len() < operations.len() {
        return Err(AlterConfigsError::InvalidRequest("Error due to duplicate config keys".to_owned()));
    }
    Ok(())
}

fn plan_topic(image: &Image, name: &str, change: &ConfigChange, write: &mut Write) -> Result<()> {
    let known = image.topic(name);
    let none = Overrides::new();
    let current = known.map_or(&none, |topic| &topic.configs);
    let configs = applied(current, change, topic::key, not_a_list)?;
    if name.is_empty() {
        return Err(AlterConfigsError::InvalidRequest("Default topic resources are not allowed.".to_owned()));
    }
    topic_name::validate_topic_name(name)?;
    check_topic_configs(&configs)?;
    let Some(topic) = known else { return Err(AlterConfigsError::UnknownTopic(name.to_owned())) };
    if configs != topic.configs {
        let key = record::topic_key(name);
        write.expect(key.clone(), Some(topic.revision));
        write.put(key, record::encode(&TopicRecord::new(topic.id, &topic.partitions, &configs)));
    }
    Ok(())
}

fn plan_broker(
    image: &Image,
    receiver: BrokerId,
    of: Option<BrokerId>,
    change: &ConfigChange,
    write: &mut Write,
) -> Result<()> {
    if let Some(broker) = of.filter(|broker| *broker != receiver) {
        let message = format!("Unexpected broker id, expected {receiver}, but received {broker}");
        return Err(AlterConfigsError::InvalidRequest(message));
    }
    let refuse =
        |word: &str, name: &str| format!("Config value {} is not allowed for config key: {name}", word.to_lowercase());
    let set = image.broker_set(of);
    let configs = applied(&set.overrides, change, configs::key_of, refuse)?;
    check_broker_configs(&configs, of.is_some())?;
    put_set(write, record::broker_configs_key(of), set, &configs);
    Ok(())
}

fn plan_group(image: &Image, receiver: BrokerId, name: &str, change: &ConfigChange, write: &mut Write) -> Result<()> {
    let set = image.group_set(name);
    let configs = applied(&set.overrides, change, group::key, not_a_list)?;
    if name.is_empty() {
        return Err(AlterConfigsError::InvalidRequest("Default group resources are not allowed.".to_owned()));
    }
    if let Some(name) = configs.keys().find(|name| group::key(name).is_none()) {
        return Err(AlterConfigsError::InvalidConfig(format!("Unknown group config name: {name}")));
    }
    for (name, text) in &configs {
        if let Some(key) = group::key(name)
            && let ConfigValue::Number(number) = key.parse(text)?
        {
            check_group_limits(image.broker_layers(receiver), name, number)?;
        }
    }
    put_set(write, record::group_configs_key(name), set, &configs);
    Ok(())
}

/// A group stays within the limits that the broker sets: `consumer.x` between `group.consumer.min.x` and `.max.x`.
fn check_group_limits(layers: Layers<'_>, name: &str, number: i64) -> Result<()> {
    let Some((kind, rest)) = name.split_once('.') else { return Ok(()) };
    // The limits' names lack the unit word of `streams.num.*`.
    let rest = rest.strip_prefix("num.").unwrap_or(rest);
    let limit = |side: &str| {
        let key = broker::key(&format!("group.{kind}.{side}.{rest}"))?;
        match layers.broker_value(key)? {
            ConfigValue::Number(limit) => Some(limit),
            _ => None,
        }
    };
    let message = match (limit("min"), limit("max")) {
        (Some(min), Some(max)) if !(min..=max).contains(&number) => {
            format!("{name} must be in the range {min} to {max} inclusive.")
        }
        (None, Some(max)) if number > max => format!("{name} must be less than or equal to {max}"),
        (Some(min), None) if number < min => format!("{name} must be greater than or equal to {min}"),
        _ => return Ok(()),
    };
    Err(AlterConfigsError::InvalidConfig(message))
}

fn put_set(write: &mut Write, key: String, set: &Set, configs: &Overrides) {
    if *configs == set.overrides {
        return;
    }
    write.expect(key.clone(), set.revision);
    if configs.is_empty() {
        write.delete(key);
    } else {
        write.put(key, record::encode(configs));
    }
}

fn not_a_list(word: &str, name: &str) -> String {
    format!("Can't {word} to key {name} because its type is not LIST.")
}

/// The overrides after the operations. A list that is not overridden grows from the config's default, as Kafka's does,
/// whatever the broker sets.
fn applied(
    current: &Overrides,
    change: &ConfigChange,
    key_of: impl Fn(&str) -> Option<&'static ConfigKey>,
    refuse: impl Fn(&str, &str) -> String,
) -> Result<Overrides> {
    let mut configs = if change.replace { Overrides::new() } else { current.clone() };
    for (name, operation) in &change.operations {
        let (word, items) = match operation {
            ConfigOperation::Set(text) => {
                check_length(text)?;
                configs.insert(name.clone(), text.clone());
                continue;
            }
            ConfigOperation::Delete => {
                configs.remove(name);
                continue;
            }
            ConfigOperation::Append(items) => ("APPEND", items),
            ConfigOperation::Subtract(items) => ("SUBTRACT", items),
        };
        check_length(items)?;
        let key = key_of(name).filter(|key| key.value_type == ValueType::List);
        let key = key.ok_or_else(|| AlterConfigsError::InvalidConfig(refuse(word, name)))?;
        let value = current.get(name).map(String::as_str).or(key.default.text()).unwrap_or_default();
        let list = match operation {
            ConfigOperation::Subtract(_) => without(value, items),
            _ => with(value, items),
        };
        check_length(&list)?;
        configs.insert(name.clone(), list);
    }
    Ok(configs)
}

/// The items of a list as it is written.
fn items_of(value: &str) -> Vec<&str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn with(value: &str, items: &str) -> String {
    let mut list = items_of(value);
    let mut known: HashSet<&str> = list.iter().copied().collect();
    list.extend(items.split(',').filter(|item| known.insert(item)));
    list.join(",")
}

fn without(value: &str, items: &str) -> String {
    let gone: HashSet<&str> = items.split(',').collect();
    let list: Vec<&str> = items_of(value).into_iter().filter(|item| !gone.contains(item)).collect();
    list.join(",")
}

/// Longest value, in bytes. Kafka's limit.
const VALUE_LENGTH_MAX: usize = 32_767;

fn check_length(text: &str) -> Result<()> {
    if text.len() <= VALUE_LENGTH_MAX {
        return Ok(());
    }
    Err(AlterConfigsError::InvalidConfig(format!(
        "The configuration value cannot be added because it exceeds the maximum value size of {VALUE_LENGTH_MAX} bytes."
    )))
}

/// Checks all configs that a topic sets for itself.
pub(super) fn check_topic_configs(configs: &Overrides) -> Result<()> {
    for text in configs.values() {
        check_length(text)?;
    }
    if let Some(name) = configs.keys().find(|name| topic::key(name).is_none()) {
        return Err(AlterConfigsError::InvalidConfig(format!("Unknown topic config name: {name}")));
    }
    let mut lags = (0, i64::MAX);
    for (name, text) in configs {
        let Some(key) = topic::key(name) else { continue };
        match (name.as_str(), key.parse(text)?) {
            ("min.compaction.lag.ms", ConfigValue::Number(lag)) => lags.0 = lag,
            ("max.compaction.lag.ms", ConfigValue::Number(lag)) => lags.1 = lag,
            ("remote.storage.enable", ConfigValue::Boolean(true)) => {
                let message = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured \
                               with remote log storage.";
                return Err(AlterConfigsError::InvalidConfig(message.to_owned()));
            }
            _ => {}
        }
    }
    if lags.0 > lags.1 {
        let message = format!(
            "conflict topic config setting min.compaction.lag.ms ({}) > max.compaction.lag.ms ({})",
            lags.0, lags.1
        );
        return Err(AlterConfigsError::InvalidConfig(message));
    }
    Ok(())
}

/// Checks all configs that are set for one broker, or for all, while it runs (KIP-226).
fn check_broker_configs(configs: &Overrides, for_one: bool) -> Result<()> {
    let named = |wanted: &dyn Fn(&str, &ConfigKey) -> bool| {
        let known = configs.keys().filter_map(|name| Some((name, configs::key_of(name)?)));
        let names: Vec<&str> = known.filter(|(name, key)| wanted(name, key)).map(|(name, _)| name.as_str()).collect();
        (!names.is_empty()).then(|| format!("[{}]", names.join(", ")))
    };
    let invalid = |message: String| Err(AlterConfigsError::InvalidRequest(message));
    if let Some(names) = named(&|name, key| name == key.name && !key.is_dynamic()) {
        return invalid(format!("Cannot update these configs dynamically: {names}"));
    }
    if let Some(names) = named(&|name, key| name == key.name && is_per_listener(key)) {
        return invalid(format!(
            "These security configs can be dynamically updated only per-listener using the listener prefix: {names}"
        ));
    }
    for (name, text) in configs {
        if let Some(key) = configs::key_of(name)
            && let Err(error) = key.parse(text)
        {
            return invalid(error.to_string());
        }
    }
    if !for_one && let Some(names) = named(&|_, key| key.update == Update::PerBroker) {
        return invalid(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: {names}"
        ));
    }
    if configs.contains_key("listeners") {
        return invalid("listeners cannot change while the broker runs: restart it with the new ones".to_owned());
    }
    Ok(())
}

/// Security configs belong to a listener.
fn is_per_listener(key: &ConfigKey) -> bool {
    key.update == Update::PerBroker && (key.name.starts_with("ssl.") || key.name.starts_with("sasl."))
}

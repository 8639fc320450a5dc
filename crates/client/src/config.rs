//! Configuration by Kafka's property names: parsing, checking, and the names that nobody knows.
//!
//! `ClientConfig` holds pairs; each kind of client turns them into a typed structure once, with Kafka's defaults and
//! words. Properties that Kafka has and this client has no use for are accepted; unknown ones are told in the log.

mod fields;
mod kinds;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use fields::ConfigError;
pub(crate) use fields::Fields;
pub use kinds::{
    AdminConfig, Assignor, AutoOffsetReset, ClientSettings, ConsumerConfig, IsolationLevel, ProducerConfig,
};

/// Properties as pairs of texts, under Kafka's names (`bootstrap.servers`, `linger.ms`, …).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientConfig {
    entries: BTreeMap<String, String>,
}

impl ClientConfig {
    /// The configuration of a client of these brokers (`host:port`, several separated by commas).
    pub fn new(bootstrap_servers: impl Into<String>) -> Self {
        Self::default().with("bootstrap.servers", bootstrap_servers)
    }

    /// Sets a property; the last value counts.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a property; the last value counts.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.entries.insert(name.into(), value.into());
    }

    /// Sets a property unless it is set.
    pub fn set_default(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.entries.entry(name.into()).or_insert_with(|| value.into());
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(String::as_str)
    }

    /// Adds the lines of a Java properties file: `name=value` or `name: value`, `#` and `!` comments.
    pub fn load_properties(&mut self, text: &str) {
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with(['#', '!'])) {
            let (name, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            self.set(name.trim_end(), value.trim());
        }
    }

    /// The typed configuration of a producer; unknown names are warned of.
    pub fn producer(&self) -> Result<ProducerConfig, ConfigError> {
        self.read("producer", ProducerConfig::read)
    }

    /// The typed configuration of a consumer; unknown names are warned of.
    pub fn consumer(&self) -> Result<ConsumerConfig, ConfigError> {
        self.read("consumer", ConsumerConfig::read)
    }

    /// The typed configuration of an admin client; unknown names are warned of.
    pub fn admin(&self) -> Result<AdminConfig, ConfigError> {
        self.read("admin client", AdminConfig::read)
    }

    fn read<T>(
        &self,
        kind: &str,
        read: impl FnOnce(&mut Fields<'_>) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        let mut fields = Fields::new(&self.entries);
        let config = read(&mut fields)?;
        let unknown: Vec<_> = fields.unknown().collect();
        if !unknown.is_empty() {
            tracing::warn!("these configurations are not known to the {kind}: {unknown:?}");
        }
        Ok(config)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for ClientConfig {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self { entries: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

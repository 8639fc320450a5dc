//! `Fields`: typed reading of properties, with Kafka's messages, and the record of which names were read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A property that cannot be used; the text is Kafka's where Kafka has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("Missing required configuration \"{0}\" which has no default value.")]
    Missing(&'static str),
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Invalid { name: &'static str, value: String, reason: String },
    /// Values that exclude each other.
    #[error("{0}")]
    Conflict(String),
}

impl ConfigError {
    pub(crate) fn invalid(name: &'static str, value: impl ToString, reason: impl Into<String>) -> Self {
        Self::Invalid { name, value: value.to_string(), reason: reason.into() }
    }
}

/// Java's names of number types, which its messages mention.
#[derive(Clone, Copy)]
pub(crate) enum Width {
    Int,
    Long,
}

pub(crate) struct Fields<'a> {
    entries: &'a BTreeMap<String, String>,
    read: BTreeSet<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(entries: &'a BTreeMap<String, String>) -> Self {
        Self { entries, read: BTreeSet::new() }
    }

    /// Names that were set and that nobody asked for or has heard of.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &'a str> {
        let names = self.entries.keys().map(String::as_str);
        names.filter(|name| !self.read.contains(name) && !is_without_effect(name))
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.read.insert(name);
        self.entries.get(name).map(|value| value.trim())
    }

    pub(crate) fn required(&mut self, name: &'static str) -> Result<&'a str, ConfigError> {
        self.text(name).ok_or(ConfigError::Missing(name))
    }

    pub(crate) fn number(
        &mut self,
        name: &'static str,
        default: i64,
        width: Width,
        range: RangeInclusive<i64>,
    ) -> Result<i64, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let (kind, max) = match width {
            Width::Int => ("INT", i64::from(i32::MAX)),
            Width::Long => ("LONG", i64::MAX),
        };
        let not_a_number = || ConfigError::invalid(name, text, format!("Not a number of type {kind}"));
        let value: i64 =
            text.parse().ok().filter(|value| *value <= max && *value >= -max - 1).ok_or_else(not_a_number)?;
        if value < *range.start() {
            return Err(ConfigError::invalid(name, text, format!("Value must be at least {}", range.start())));
        }
        if value > *range.end() {
            return Err(ConfigError::invalid(name, text, format!("Value must be no more than {}", range.end())));
        }
        Ok(value)
    }

    /// A count of bytes or of things.
    pub(crate) fn count(&mut self, name: &'static str, default: usize, least: i64) -> Result<usize, ConfigError> {
        let value = self.number(name, default as i64, Width::Int, least..=i64::from(i32::MAX))?;
        Ok(usize::try_from(value).unwrap_or(0))
    }

    pub(crate) fn millis(&mut self, name: &'static str, default: u64) -> Result<Duration, ConfigError> {
        let value = self.number(name, default as i64, Width::Long, 0..=i64::MAX)?;
        Ok(Duration::from_millis(value.unsigned_abs()))
    }

    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.text(name) {
            None => Ok(default),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(ConfigError::invalid(name, text, "Expected value to be either true or false")),
        }
    }

    /// One of a few words, told in this order when it is none of them.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        default: T,
        choices: &[(&'static str, T)],
    ) -> Result<T, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            ConfigError::invalid(name, text, format!("String must be one of: {}", words.join(", ")))
        })
    }
}

/// Kafka's own properties that mean nothing to this client: what Java needs, and tuning that the runtime does itself.
fn is_without_effect(name: &str) -> bool {
    const NAMES: [&str; 27] = [
        "acks",
        "auto.include.jmx.reporter",
        "check.crcs",
        "client.dns.lookup",
        "client.rack",
        "config.providers",
        "connections.max.idle.ms",
        "enable.metrics.push",
        "exclude.internal.topics",
        "group.protocol",
        "interceptor.classes",
        "key.deserializer",
        "key.serializer",
        "metadata.max.idle.ms",
        "metadata.recovery.rebootstrap.trigger.ms",
        "metadata.recovery.strategy",
        "metric.reporters",
        "metrics.num.samples",
        "metrics.recording.level",
        "metrics.sample.window.ms",
        "partitioner.adaptive.partitioning.enable",
        "partitioner.availability.timeout.ms",
        "receive.buffer.bytes",
        "security.providers",
        "send.buffer.bytes",
        "value.deserializer",
        "value.serializer",
    ];
    NAMES.contains(&name) || ["ssl.", "sasl."].iter().any(|prefix| name.starts_with(prefix))
}

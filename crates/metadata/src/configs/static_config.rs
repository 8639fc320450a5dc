//! What a broker was started with: server.properties, flags and `--set`, each value with the place it came from.
//!
//! Values are kept as they were written and checked once, by `check`; from then on `layers` reads them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::properties::{self, PropertiesError};
use super::{ConfigKey, InvalidConfigError, broker};

/// Where a value was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A line (from 1) of a properties file.
    File { path: Arc<Path>, line: usize },
    /// An option of the command line, by its name: `--set`, `--listen`.
    Option(&'static str),
    /// Follows from another config: `broker.id` from `node.id`.
    Derived(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Option(name) | Self::Derived(name) => f.write_str(name),
        }
    }
}

/// Why a broker cannot be started with these configs.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StaticConfigError {
    #[error("{}: {source}", path.display())]
    Syntax { path: PathBuf, source: PropertiesError },
    #[error("{origin}: {source}")]
    Value { origin: Origin, source: InvalidConfigError },
    #[error("{origin}: broker.id={broker_id} and node.id={node_id} must be equal, or one of them left out")]
    NodeId { origin: Origin, broker_id: String, node_id: String },
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Setting {
    text: String,
    origin: Origin,
}

/// A broker's configs as given at start. Cheap to clone where it is shared (`Arc` it).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StaticConfig {
    settings: BTreeMap<String, Setting>,
}

impl StaticConfig {
    /// Nothing given: defaults hold.
    pub const EMPTY: Self = Self { settings: BTreeMap::new() };

    /// Takes over the properties of a file's text; `path` is named in errors. Values set before are replaced.
    pub fn read(&mut self, path: &Path, text: &str) -> Result<(), StaticConfigError> {
        let properties =
            properties::parse(text).map_err(|source| StaticConfigError::Syntax { path: path.to_owned(), source })?;
        let path: Arc<Path> = path.into();
        for property in properties {
            let origin = Origin::File { path: Arc::clone(&path), line: property.line };
            self.set(property.key, property.value, origin);
        }
        Ok(())
    }

    /// Gives one config a value; a value set before is replaced.
    pub fn set(&mut self, name: impl Into<String>, text: impl Into<String>, origin: Origin) {
        self.settings.insert(name.into(), Setting { text: text.into(), origin });
    }

    /// Checks every value whose config is known, and makes `broker.id` and `node.id` one.
    pub fn check(&mut self) -> Result<(), StaticConfigError> {
        for (name, setting) in &self.settings {
            if let Some(key) = broker::key(name) {
                key.parse(&setting.text)
                    .map_err(|source| StaticConfigError::Value { origin: setting.origin.clone(), source })?;
            }
        }
        match (self.settings.get("broker.id"), self.settings.get("node.id")) {
            (Some(broker_id), Some(node_id)) if broker_id.text.trim() != node_id.text.trim() => {
                Err(StaticConfigError::NodeId {
                    origin: broker_id.origin.clone(),
                    broker_id: broker_id.text.clone(),
                    node_id: node_id.text.clone(),
                })
            }
            (Some(broker_id), None) => {
                let text = broker_id.text.clone();
                self.set("node.id", text, Origin::Derived("broker.id"));
                Ok(())
            }
            (None, Some(node_id)) => {
                let text = node_id.text.clone();
                self.set("broker.id", text, Origin::Derived("node.id"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The value as it was written.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|setting| setting.text.as_str())
    }

    /// Where the value was written.
    #[must_use]
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.settings.get(name).map(|setting| &setting.origin)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(name, setting)| (name.as_str(), setting.text.as_str()))
    }

    /// Names that no config bears, with their place. Kafka accepts them too: plugins read names of their own.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, &Origin)> {
        let unknown = |name: &str| key_of(name).is_none();
        self.settings
            .iter()
            .filter(move |(name, _)| unknown(name))
            .map(|(name, setting)| (name.as_str(), &setting.origin))
    }
}

/// The config that `name` sets for the broker, or, behind `listener.name.<listener>.`, for one listener and perhaps one
/// SASL mechanism.
#[must_use]
pub fn key_of(name: &str) -> Option<&'static ConfigKey> {
    broker::key(name).or_else(|| listener_key(name))
}

/// The config behind a listener's prefix. Listener names have no dots; a mechanism may stand before the config.
pub(super) fn listener_key(name: &str) -> Option<&'static ConfigKey> {
    let (_, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    broker::key(base).or_else(|| broker::key(base.split_once('.')?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<StaticConfig, StaticConfigError> {
        let mut config = StaticConfig::default();
        config.read(Path::new("server.properties"), text)?;
        config.check()?;
        Ok(config)
    }

    #[test]
    fn kafkas_own_file_is_read() {
        let text = include_str!("../../testdata/server.properties");
        let config = read(text).unwrap();
        assert_eq!(config.get("log.dirs"), Some("/tmp/kraft-combined-logs"));
        assert_eq!((config.get("node.id"), config.get("broker.id")), (Some("1"), Some("1")));
        assert_eq!(config.unknown().count(), 0);
    }

    #[test]
    fn errors_name_file_and_line() {
        for (text, message) in [
            (
                "\n\nnum.partitions=abc",
                "server.properties:3: Invalid value abc for configuration num.partitions: Not a number of type INT",
            ),
            (
                "a=\\u12",
                "server.properties: line 1: `\\u` must be followed by four hexadecimal digits that name a character",
            ),
            (
                "node.id=1\nbroker.id=2",
                "server.properties:2: broker.id=2 and node.id=1 must be equal, or one of them left out",
            ),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn what_is_set_later_holds() {
        let mut config = read("num.partitions=2\nnum.partitions=3\nno.such=1").unwrap();
        assert_eq!(config.get("num.partitions"), Some("3"));
        config.set("num.partitions", "x", Origin::Option("--set"));
        let error = config.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "--set: Invalid value x for configuration num.partitions: Not a number of type INT"
        );
        let unknown: Vec<String> = config.unknown().map(|(name, origin)| format!("{origin} {name}")).collect();
        assert_eq!(unknown, ["server.properties:3 no.such"]);
    }

    #[test]
    fn listener_prefixes_lead_to_the_config_behind_them() {
        let name = |text: &str| key_of(text).map(|key| key.name);
        assert_eq!(name("listener.name.external.ssl.keystore.location"), Some("ssl.keystore.location"));
        assert_eq!(name("listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config"), Some("sasl.jaas.config"));
        assert_eq!(name("listener.name.external"), None);
        assert_eq!(name("listener.name."), None);
    }
}

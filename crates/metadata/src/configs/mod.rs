//! Every config of Kafka 4.4 by name: type, default, valid values, importance, how it may change, what it does here.
//!
//! The tables (`topic`, `broker`, `group`) are plain data, sorted by name within a theme; `value` reads and checks
//! values with Kafka's messages; `layers` finds the value that holds. docs/reference/configs.md is made from the tables.

pub mod broker;
pub mod group;
pub mod topic;

mod layers;
mod log_config;
pub mod properties;
mod reason;
mod row;
mod static_config;
mod value;

pub use layers::{ConfigEntry, ConfigSource, ConfigSynonym, Layers, Overrides};
pub use log_config::{CompressionType, Durability, LogConfig, MessageTimestampType};
pub use static_config::{Origin, StaticConfig, StaticConfigError, key_of};
pub use value::{ConfigValue, InvalidConfigError};

/// How a value is written and read. Kafka's own types (ConfigDef.Type).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    /// Comma-separated.
    List,
    /// Name of a Java class; kept and shown, never loaded.
    Class,
    /// Never shown.
    Password,
}

impl ValueType {
    /// Kafka's word, as in its messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// Which values of the type are taken.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Valid {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    BetweenDecimal(f64, f64),
    /// Within the range, or -1.
    BetweenOrMinusOne(i64, i64),
    OneOf(&'static [&'static str]),
    OneOfAnyCase(&'static [&'static str]),
    NonEmpty,
    /// Items from the list (any item when it is empty); may be empty unless `NonEmptyListOf`.
    ListOf(&'static [&'static str]),
    NonEmptyListOf(&'static [&'static str]),
    /// `*`, or `partition:broker` items.
    ThrottledReplicas,
    /// `latest`, `earliest` or `by_duration:` with an ISO-8601 duration.
    AutoOffsetReset,
}

/// Kafka's word for how much a config matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// How a broker's config may change while it runs (KIP-226).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// At start only.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker or for all.
    ClusterWide,
}

impl Update {
    /// Kafka's word, as in its documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide => "cluster-wide",
        }
    }
}

/// What Millstream does with a config.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    ActedOn,
    /// Acted on as far as the sentence says.
    InPart(&'static str),
    /// Accepted, kept and shown; the reason why nothing follows from it.
    None(&'static str),
}

/// What a config takes when nobody sets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultValue {
    /// Kafka has none: the config must be set where it is needed.
    Required,
    /// Unset, which Kafka shows as null.
    Null,
    Is(&'static str),
}

impl DefaultValue {
    /// The text of the default, if there is one.
    #[must_use]
    pub const fn text(self) -> Option<&'static str> {
        match self {
            Self::Is(text) => Some(text),
            Self::Required | Self::Null => None,
        }
    }
}

/// Another name for a config on the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synonym {
    pub name: &'static str,
    pub unit: Unit,
}

/// The unit in which a synonym counts, where that differs from the milliseconds of the config.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Same,
    Minutes,
    Hours,
}

impl Unit {
    /// How many milliseconds one is; 1 where nothing is converted.
    #[must_use]
    pub const fn factor(self) -> i64 {
        match self {
            Self::Same => 1,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
        }
    }
}

/// One config.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConfigKey {
    pub name: &'static str,
    pub value_type: ValueType,
    pub default: DefaultValue,
    pub valid: Valid,
    pub importance: Importance,
    pub update: Update,
    pub effect: Effect,
    /// Broker configs that give the value when this one is unset, the first first.
    pub synonyms: &'static [Synonym],
    /// Kafka keeps it out of its listings unless it is set.
    pub internal: bool,
    /// One sentence; units and special values stand in it.
    pub documentation: &'static str,
}

impl ConfigKey {
    /// Whether it may change while the broker runs.
    #[must_use]
    pub const fn is_dynamic(&self) -> bool {
        !matches!(self.update, Update::ReadOnly)
    }

    /// Passwords are stored and never shown.
    #[must_use]
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.value_type, ValueType::Password)
    }
}

/// The config of that name in a table that is sorted by name.
fn find(table: &'static [ConfigKey], name: &str) -> Option<&'static ConfigKey> {
    table.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &table[at])
}

#[cfg(test)]
mod tests;

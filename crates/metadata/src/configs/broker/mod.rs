//! What a broker is configured with (Kafka's KafkaConfig), by theme.

mod cluster;
mod group;
mod log;
mod network;
mod quota;
mod remote;
mod replication;
mod security;
mod share;
mod transaction;

use super::ConfigKey;

/// Title and configs of each theme.
pub const THEMES: &[(&str, &[ConfigKey])] = &[
    ("Node and cluster", cluster::KEYS),
    ("Network", network::KEYS),
    ("Logs", log::KEYS),
    ("Groups and offsets", group::KEYS),
    ("Transactions", transaction::KEYS),
    ("Share groups", share::KEYS),
    ("Replication", replication::KEYS),
    ("Quotas and metrics", quota::KEYS),
    ("Security", security::KEYS),
    ("Tiered storage", remote::KEYS),
];

/// All configs of a broker.
pub fn keys() -> impl Iterator<Item = &'static ConfigKey> {
    THEMES.iter().flat_map(|(_, keys)| keys.iter())
}

/// The config of that name.
#[must_use]
pub fn key(name: &str) -> Option<&'static ConfigKey> {
    THEMES.iter().find_map(|(_, keys)| super::find(keys, name))
}

/// Configs that exist only once they are set while the broker runs: throttles, which Kafka keeps apart.
#[must_use]
pub fn is_dynamic_only(name: &str) -> bool {
    const THROTTLES: [&str; 3] = [
        "follower.replication.throttled.rate",
        "leader.replication.throttled.rate",
        "replica.alter.log.dirs.io.max.bytes.per.second",
    ];
    THROTTLES.contains(&name)
}

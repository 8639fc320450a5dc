//! The broker's `server.properties`, generated from a Kafka resource. Pure.
//!
//! What the operator decides itself (listeners, directories, ids) cannot be overridden by `spec.kafka.config`, as in Strimzi.

use std::fmt::Write as _;

use crate::strimzi::{Kafka, Listener, config_text};

/// Where brokers are reached: clients of a laptop's cluster are on the laptop.
pub(crate) const BROKER_HOST: &str = "127.0.0.1";
/// What brokers bind: the loopback addresses of both families. Nothing is advertised: a broker then tells clients the
/// address that they have reached.
const LISTEN_HOST: &str = "localhost";

/// Keys of `spec.kafka.config` that the operator owns, by prefix (Strimzi's `KafkaConfiguration`).
const OWNED_PREFIXES: [&str; 21] = [
    "listeners",
    "advertised.",
    "broker.",
    "listener.",
    "host.name",
    "port",
    "inter.broker.listener.name",
    "sasl.",
    "ssl.",
    "security.",
    "password.",
    "log.dir",
    "zookeeper.",
    "authorizer.",
    "super.user",
    "node.id",
    "process.roles",
    "controller.",
    "metadata.log.dir",
    "client.quota.callback.",
    "reserved.broker.max.id",
];

/// Keys that Kafka 4 no longer knows; old manifests still carry them.
const REMOVED: [&str; 4] = [
    "inter.broker.protocol.version",
    "log.message.format.version",
    "log.message.downconversion.enable",
    "delegation.token.master.key",
];

/// What becomes of one key of `spec.kafka.config`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigKey {
    /// Goes to the broker.
    Passed,
    /// The operator's own; ignored.
    Owned,
    /// Removed from Kafka; ignored.
    Removed,
    /// Not a scalar; ignored.
    NotText,
}

/// What becomes of this key with this value.
pub(crate) fn classify(key: &str, value: &serde_json::Value) -> ConfigKey {
    if REMOVED.contains(&key) {
        ConfigKey::Removed
    } else if OWNED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) && !key.starts_with("broker.session.") {
        ConfigKey::Owned
    } else if config_text(value).is_none() {
        ConfigKey::NotText
    } else {
        ConfigKey::Passed
    }
}

/// The listeners that are served: plain text without authentication, reachable from this machine.
pub(crate) fn served_listeners(kafka: &Kafka) -> impl Iterator<Item = &Listener> {
    kafka.spec.kafka.listeners.iter().filter(|listener| is_served(listener))
}

/// Whether a listener is served as it is written.
pub(crate) fn is_served(listener: &Listener) -> bool {
    let open = listener.rest.get("authentication").is_none_or(serde_json::Value::is_null);
    !listener.tls && open && matches!(listener.kind.as_str(), "internal" | "cluster-ip" | "nodeport" | "loadbalancer")
}

/// The file's text; the same resource gives the same bytes.
pub(crate) fn server_properties(kafka: &Kafka) -> String {
    let name = |l: &Listener| format!("{}-{}", l.name.to_uppercase(), l.port);
    let join = |part: &dyn Fn(&Listener) -> String| served_listeners(kafka).map(part).collect::<Vec<_>>().join(",");
    let addresses = join(&|l| format!("{}://{LISTEN_HOST}:{}", name(l), l.port));
    let protocols = join(&|l| format!("{}:PLAINTEXT", name(l)));
    let mut text = String::from("# Generated from the Kafka resource; what is changed here is lost.\n");
    property(&mut text, "listeners", &addresses);
    property(&mut text, "listener.security.protocol.map", &protocols);
    for (key, value) in &kafka.spec.kafka.config {
        if classify(key, value) == ConfigKey::Passed {
            property(&mut text, key, &config_text(value).unwrap_or_default());
        }
    }
    text
}

/// One line, escaped as `java.util.Properties` reads it, so that no value can start a line of its own.
fn property(text: &mut String, key: &str, value: &str) {
    let escape = |out: &mut String, c: char, in_key: bool| match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\\' => out.push_str("\\\\"),
        '=' | ':' | ' ' | '#' | '!' if in_key => {
            out.push('\\');
            out.push(c);
        }
        c => out.push(c),
    };
    for c in key.chars() {
        escape(text, c, true);
    }
    text.push('=');
    if value.starts_with(' ') {
        text.push('\\');
    }
    for c in value.chars() {
        escape(text, c, false);
    }
    let _ = writeln!(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) fn kafka(spec: serde_json::Value) -> Kafka {
        serde_json::from_value(json!({"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "Kafka",
            "metadata": {"name": "a", "namespace": "default"}, "spec": spec}))
        .unwrap()
    }

    #[test]
    fn only_plain_listeners_and_the_users_own_keys_reach_the_broker() {
        let kafka = kafka(json!({"kafka": {
            "listeners": [{"name": "plain", "port": 9092, "type": "internal", "tls": false},
                {"name": "tls", "port": 9093, "type": "internal", "tls": true}],
            "config": {"auto.create.topics.enable": false, "inter.broker.protocol.version": "3.3", "listeners": "x",
                "min.insync.replicas": 1, "log.dirs": "/etc"}}}));
        assert_eq!(
            server_properties(&kafka),
            "# Generated from the Kafka resource; what is changed here is lost.\n\
             listeners=PLAIN-9092://localhost:9092\n\
             listener.security.protocol.map=PLAIN-9092:PLAINTEXT\nauto.create.topics.enable=false\nmin.insync.replicas=1\n"
        );
    }

    #[test]
    fn a_value_cannot_start_a_line_of_its_own() {
        let mut text = String::new();
        property(&mut text, "a b=c", " x\nlog.dirs=/etc\\");
        assert_eq!(text, "a\\ b\\=c=\\ x\\nlog.dirs=/etc\\\\\n");
    }

    #[test]
    fn a_listener_with_authentication_is_not_served_in_the_open() {
        let listener: Listener = serde_json::from_value(
            json!({"name": "s", "port": 9094, "type": "internal", "tls": false, "authentication": {"type": "scram-sha-512"}}),
        )
        .unwrap();
        assert!(!is_served(&listener));
    }
}

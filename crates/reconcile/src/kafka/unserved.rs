//! The legal fields of a Kafka resource that have no effect here, each as a Warning condition that names it. Pure.
//!
//! Nothing that a manifest says is passed over in silence: a field is served, or it is listed by this file.

use super::properties::{ConfigKey, classify, is_served};
use crate::strimzi::{Condition, EntityOperatorSpec, Kafka, KafkaClusterSpec, Listener, Storage};

/// The version of Kafka whose protocol and configuration are served.
pub const KAFKA_VERSION: &str = "4.4.0";

/// The field has a meaning, which is not served yet.
const NOT_SERVED: &str = "NotServedYet";
/// The field has no meaning here.
const NO_EFFECT: &str = "NoEffect";

/// One Warning for each field without effect, in the order of the manifest's own structure.
pub(crate) fn warnings(kafka: &Kafka) -> Vec<Condition> {
    let mut found = Vec::new();
    let spec = &kafka.spec;
    cluster(&spec.kafka, &mut found);
    for field in spec.rest.keys() {
        found.push(match field.as_str() {
            "zookeeper" => {
                no_effect("spec.zookeeper", "there is no ZooKeeper: the broker keeps the cluster's metadata itself")
            }
            "jmxTrans" => {
                no_effect("spec.jmxTrans", "there is no JVM and no JMX; metrics are served as Prometheus text")
            }
            field => not_served(&format!("spec.{field}"), "accepted, but not served yet"),
        });
    }
    if let Some(operator) = &spec.entity_operator {
        entity_operator(operator, &mut found);
    }
    found
}

fn cluster(spec: &KafkaClusterSpec, found: &mut Vec<Condition>) {
    if let Some(version) = spec.version.as_deref().filter(|version| *version != KAFKA_VERSION) {
        found
            .push(no_effect("spec.kafka.version", &format!("{version} is asked for, Kafka {KAFKA_VERSION} is served")));
    }
    if spec.replicas.is_none() {
        found
            .push(not_served("spec.kafka.replicas", "absent and KafkaNodePools are not served yet: one broker is run"));
    }
    for (index, listener) in spec.listeners.iter().enumerate() {
        self::listener(index, listener, found);
    }
    for (key, value) in &spec.config {
        let field = format!("spec.kafka.config.{key}");
        match classify(key, value) {
            ConfigKey::Passed => {}
            ConfigKey::Owned => found.push(no_effect(&field, "the operator sets this itself")),
            ConfigKey::Removed => found.push(no_effect(&field, "Kafka 4 no longer has it")),
            ConfigKey::NotText => found.push(no_effect(&field, "expected a string, a number or a boolean")),
        }
    }
    if let Some(storage) = &spec.storage {
        self::storage(storage, found);
    }
    let limits = spec.resources.as_ref().and_then(|resources| resources["limits"].as_object());
    for name in limits.into_iter().flatten().map(|(name, _)| name) {
        found.push(no_effect(&format!("spec.kafka.resources.limits.{name}"), "limits are not enforced"));
    }
    for field in spec.rest.keys() {
        let field_path = format!("spec.kafka.{field}");
        found.push(match field.as_str() {
            "jvmOptions" | "jmxOptions" => no_effect(&field_path, "there is no JVM"),
            "rack" | "brokerRackInitImage" => no_effect(&field_path, "all brokers are on one machine"),
            "image" => no_effect(&field_path, "the broker is this program"),
            _ => not_served(&field_path, "accepted, but not served yet"),
        });
    }
}

fn listener(index: usize, listener: &Listener, found: &mut Vec<Condition>) {
    let field = format!("spec.kafka.listeners[{index}]");
    if !is_served(listener) {
        let name = &listener.name;
        let why = if listener.tls {
            format!("the listener {name} wants TLS, which is not served yet: port {} is not opened", listener.port)
        } else if listener.rest.contains_key("authentication") {
            format!(
                "the listener {name} wants authentication, which is not served yet: port {} is not opened",
                listener.port
            )
        } else {
            format!(
                "the listener {name} of type {} is not served yet: port {} is not opened",
                listener.kind, listener.port
            )
        };
        found.push(not_served(&field, &why));
        return;
    }
    for rest in listener.rest.iter().filter(|(_, value)| !value.is_null()) {
        found.push(not_served(&format!("{field}.{}", rest.0), "accepted, but not served yet"));
    }
}

fn storage(storage: &Storage, found: &mut Vec<Condition>) {
    let volumes = if storage.kind == "jbod" { storage.volumes.as_slice() } else { std::slice::from_ref(storage) };
    if volumes.len() > 1 {
        let count = volumes.len();
        found.push(no_effect("spec.kafka.storage.volumes", &format!("{count} volumes are served as one directory")));
    }
    let sized = |volume: &Storage| volume.rest.contains_key("size") || volume.rest.contains_key("sizeLimit");
    if volumes.iter().any(sized) {
        found.push(no_effect(
            "spec.kafka.storage.size",
            "the size is not enforced: the data is in a directory of this machine",
        ));
    }
    for field in ["class", "selector", "overrides", "volumeAttributesClass"] {
        if volumes.iter().any(|volume| volume.rest.contains_key(field)) {
            found.push(no_effect(&format!("spec.kafka.storage.{field}"), "the data is in a directory of this machine"));
        }
    }
}

fn entity_operator(operator: &EntityOperatorSpec, found: &mut Vec<Condition>) {
    if operator.user_operator.is_some() {
        found.push(not_served("spec.entityOperator.userOperator", "KafkaUsers are accepted, but not reconciled yet"));
    }
    let parts = [("topicOperator", &operator.topic_operator), ("userOperator", &operator.user_operator)];
    for (part, spec) in parts {
        for field in spec.iter().flat_map(|spec| spec.keys()) {
            found.push(no_effect(
                &format!("spec.entityOperator.{part}.{field}"),
                "the operator runs inside this program",
            ));
        }
    }
    for field in operator.rest.keys() {
        found.push(no_effect(&format!("spec.entityOperator.{field}"), "the operator runs inside this program"));
    }
}

fn not_served(field: &str, why: &str) -> Condition {
    Condition::warning(NOT_SERVED, format!("{field}: {why}"))
}

fn no_effect(field: &str, why: &str) -> Condition {
    Condition::warning(NO_EFFECT, format!("{field}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn messages(spec: serde_json::Value) -> Vec<String> {
        let kafka: Kafka = serde_json::from_value(json!({"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "Kafka",
            "metadata": {"name": "a"}, "spec": spec}))
        .unwrap();
        warnings(&kafka).into_iter().filter_map(|condition| condition.message).collect()
    }

    #[test]
    fn a_resource_that_is_served_whole_has_no_warning() {
        let spec = json!({"kafka": {"replicas": 1, "version": "4.4.0", "config": {"min.insync.replicas": 1},
            "storage": {"type": "ephemeral"}, "listeners": [{"name": "plain", "port": 9092, "type": "internal", "tls": false}]},
            "entityOperator": {"topicOperator": {}}});
        assert_eq!(messages(spec), Vec::<String>::new());
    }

    #[test]
    fn each_field_of_an_old_manifest_without_effect_is_named() {
        let spec = json!({"kafka": {"version": "3.3.1", "replicas": 1,
            "listeners": [{"name": "tls", "port": 9093, "type": "internal", "tls": true}],
            "config": {"inter.broker.protocol.version": "3.3"}, "jvmOptions": {}, "template": {},
            "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            "storage": {"type": "jbod", "volumes": [{"type": "persistent-claim", "size": "10Gi", "id": 0}]}},
            "zookeeper": {"replicas": 1}, "cruiseControl": {}, "entityOperator": {"topicOperator": {}, "userOperator": {}}});
        let found = messages(spec);
        let fields: Vec<&str> = found.iter().filter_map(|m| m.split(": ").next()).collect();
        assert_eq!(
            fields,
            [
                "spec.kafka.version",
                "spec.kafka.listeners[0]",
                "spec.kafka.config.inter.broker.protocol.version",
                "spec.kafka.storage.size",
                "spec.kafka.resources.limits.memory",
                "spec.kafka.jvmOptions",
                "spec.kafka.template",
                "spec.zookeeper",
                "spec.cruiseControl",
                "spec.entityOperator.userOperator",
            ]
        );
    }
}

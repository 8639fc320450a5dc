//! Strimzi's kinds as far as they are served. Every struct keeps the fields that it does not know in `rest`: that is how
//! the reconciler can name, in a Warning condition, each legal field that has no effect yet.
//!
//! `v1beta2` is the version that still has replicas and storage in the Kafka resource; objects written as `v1` are read
//! through it.

use std::collections::BTreeMap;

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The label by which a KafkaTopic or KafkaUser names its Kafka.
pub const CLUSTER_LABEL: &str = "strimzi.io/cluster";
/// `"true"`: leave this resource alone.
pub(crate) const PAUSE_ANNOTATION: &str = "strimzi.io/pause-reconciliation";
/// `"false"` on a KafkaTopic: the topic in Kafka is somebody else's.
pub(crate) const MANAGED_ANNOTATION: &str = "strimzi.io/managed";
/// Keeps a KafkaTopic until its topic is deleted.
pub(crate) const TOPIC_FINALIZER: &str = "strimzi.io/topic-operator";

/// `Kafka`: a cluster.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize)]
#[kube(group = "kafka.strimzi.io", version = "v1beta2", kind = "Kafka", plural = "kafkas", namespaced)]
#[kube(status = "KafkaStatus", schema = "disabled")]
#[serde(rename_all = "camelCase")]
pub struct KafkaSpec {
    /// The brokers.
    #[serde(default)]
    pub kafka: KafkaClusterSpec,
    /// The operators of topics and users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_operator: Option<EntityOperatorSpec>,
    /// Everything else: accepted, without effect.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `spec.kafka`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterSpec {
    /// Kafka's version as the manifest wishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Brokers; absent in `v1`, where KafkaNodePools say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Where clients connect.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// Broker configuration by Kafka's names.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
    /// Where the data is; decides whether it outlives the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Limits and requests, handed to the broker's container as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Value>,
    /// Everything else: accepted, without effect.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One of `spec.kafka.listeners`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Unique name, such as `plain`.
    pub name: String,
    /// Port, unique too.
    pub port: u16,
    /// `internal`, `nodeport`, …
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Whether clients speak TLS.
    #[serde(default)]
    pub tls: bool,
    /// Everything else: accepted, without effect.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `spec.kafka.storage`, also one of its JBOD volumes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// `ephemeral`, `persistent-claim` or `jbod`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Whether the data goes with the Kafka resource.
    #[serde(default)]
    pub delete_claim: bool,
    /// The volumes of a `jbod`.
    #[serde(default)]
    pub volumes: Vec<Storage>,
    /// Everything else: accepted, without effect.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Storage {
    /// Whether nothing of this storage may outlive the resource.
    pub fn goes_with_the_resource(&self) -> bool {
        match self.kind.as_str() {
            "jbod" => !self.volumes.is_empty() && self.volumes.iter().all(Self::goes_with_the_resource),
            "ephemeral" => true,
            _ => self.delete_claim,
        }
    }
}

/// `spec.entityOperator`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityOperatorSpec {
    /// Reconciles KafkaTopics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_operator: Option<Map<String, Value>>,
    /// Reconciles KafkaUsers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_operator: Option<Map<String, Value>>,
    /// Everything else: accepted, without effect.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `status` of a Kafka.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KafkaStatus {
    /// Ready, and a Warning for each field without effect.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where clients reach each listener.
    #[serde(default)]
    pub listeners: Vec<ListenerStatus>,
    /// Kafka's cluster id, once a broker answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The version of Kafka's protocol that is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_version: Option<String>,
}

/// `status.listeners[]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// The listener's name.
    #[serde(default)]
    pub name: String,
    /// One address a broker.
    #[serde(default)]
    pub addresses: Vec<ListenerAddress>,
    /// The addresses as clients write them.
    #[serde(default)]
    pub bootstrap_servers: String,
}

/// `status.listeners[].addresses[]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct ListenerAddress {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// `KafkaTopic`.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize)]
#[kube(group = "kafka.strimzi.io", version = "v1beta2", kind = "KafkaTopic", plural = "kafkatopics", namespaced)]
#[kube(status = "KafkaTopicStatus", schema = "disabled")]
#[serde(rename_all = "camelCase")]
pub struct KafkaTopicSpec {
    /// The topic's name where it is no legal name of a resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,
    /// Partitions; the broker's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Replication factor; the broker's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i16>,
    /// Topic configuration by Kafka's names.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
}

/// `status` of a KafkaTopic.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTopicStatus {
    /// Ready, Unmanaged or ReconciliationPaused.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The topic's name in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,
    /// The topic's id in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
}

/// One of `status.conditions`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Warning`, `Unmanaged`, `ReconciliationPaused`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When it became so, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
    /// One word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Condition {
    /// Ready, and nothing to say.
    pub fn ready() -> Self {
        Self { kind: "Ready".into(), status: "True".into(), ..Self::default() }
    }

    /// Not ready, and why.
    pub fn not_ready(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: "Ready".into(),
            status: "False".into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_transition_time: None,
        }
    }

    /// Something legal that has no effect.
    pub fn warning(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: "Warning".into(), status: "True".into(), ..Self::not_ready(reason, message) }
    }

    /// A state of its own, such as `Unmanaged`.
    pub fn state(kind: &str) -> Self {
        Self { kind: kind.into(), status: "True".into(), ..Self::default() }
    }
}

/// Gives each condition its time: the old one where nothing changed, `now` (RFC 3339) where it did.
pub(crate) fn timed(mut conditions: Vec<Condition>, before: &[Condition], now: &str) -> Vec<Condition> {
    for condition in &mut conditions {
        let same = |old: &&Condition| {
            (&old.kind, &old.status, &old.reason, &old.message)
                == (&condition.kind, &condition.status, &condition.reason, &condition.message)
        };
        let time = before.iter().find(same).and_then(|old| old.last_transition_time.clone());
        condition.last_transition_time = Some(time.unwrap_or_else(|| now.to_owned()));
    }
    conditions
}

/// A scalar of a manifest's `config` as Kafka's configuration text; nothing for a map or a list.
pub(crate) fn config_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        // An empty value is how a manifest resets a key to nothing.
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_while_it_says_the_same() {
        let before = timed(vec![Condition::ready(), Condition::warning("R", "a")], &[], "t1");
        let after = timed(vec![Condition::ready(), Condition::warning("R", "b")], &before, "t2");
        let times: Vec<_> = after.iter().map(|c| c.last_transition_time.as_deref().unwrap()).collect();
        assert_eq!(times, ["t1", "t2"]);
    }

    #[test]
    fn fields_that_are_not_served_are_kept_by_name() {
        let spec: KafkaSpec =
            serde_json::from_value(serde_json::json!({"kafka": {"jvmOptions": {}}, "zookeeper": {"replicas": 3}}))
                .unwrap();
        assert!(spec.rest.contains_key("zookeeper"));
        assert!(spec.kafka.rest.contains_key("jvmOptions"));
    }

    #[test]
    fn data_outlives_the_resource_unless_every_volume_says_otherwise() {
        let storage = |text: &str| serde_json::from_str::<Storage>(text).unwrap().goes_with_the_resource();
        assert!(!storage(r#"{"type": "persistent-claim"}"#));
        assert!(storage(r#"{"type": "persistent-claim", "deleteClaim": true}"#));
        assert!(storage(r#"{"type": "ephemeral"}"#));
        assert!(!storage(r#"{"type": "jbod", "volumes": [{"type": "persistent-claim"}, {"type": "ephemeral"}]}"#));
        assert!(!storage(r#"{"type": "jbod"}"#));
    }
}

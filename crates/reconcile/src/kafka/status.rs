//! The status of a Kafka. Pure.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::properties::{BROKER_HOST, served_listeners};
use super::unserved::{KAFKA_VERSION, warnings};
use crate::strimzi::{Condition, Kafka, KafkaStatus, ListenerAddress, ListenerStatus, timed};
use crate::workload::pods::is_ready;

/// Why the resource cannot be brought to life as it is written, if so. `all` are the Kafkas of the namespace.
pub(super) fn refusal(kafka: &Kafka, all: &[Kafka]) -> Option<Condition> {
    if served_listeners(kafka).next().is_none() {
        let message = "no listener that is served: expected one in spec.kafka.listeners with type internal, tls: false and \
                       no authentication";
        return Some(Condition::not_ready("InvalidResourceException", message));
    }
    let key = |kafka: &Kafka| (kafka.metadata.creation_timestamp.as_ref().map(|time| time.0), kafka.name_any());
    let older = all.iter().filter(|other| other.metadata.deletion_timestamp.is_none() && key(other) < key(kafka));
    for other in older {
        let taken = served_listeners(kafka).find(|mine| served_listeners(other).any(|theirs| theirs.port == mine.port));
        if let Some(listener) = taken {
            let message = format!(
                "port {} of listener {} is taken by the Kafka {}",
                listener.port,
                listener.name,
                other.name_any()
            );
            return Some(Condition::not_ready("PortConflict", message));
        }
    }
    None
}

/// The whole status. `cluster_id` is what a broker answered; an older answer stays.
pub(super) fn status(kafka: &Kafka, ready: Condition, cluster_id: Option<String>, now: &str) -> Value {
    let before = kafka.status.clone().unwrap_or_default();
    let served = ready.status == "True";
    let mut conditions = vec![ready];
    conditions.extend(warnings(kafka));
    json!(KafkaStatus {
        conditions: timed(conditions, &before.conditions, now),
        observed_generation: kafka.metadata.generation,
        listeners: if served { listeners(kafka) } else { Vec::new() },
        cluster_id: cluster_id.or(before.cluster_id),
        kafka_version: Some(KAFKA_VERSION.into()),
    })
}

/// The status of a resource that is left alone.
pub(super) fn paused(kafka: &Kafka, now: &str) -> Value {
    let before = kafka.status.clone().unwrap_or_default();
    let conditions = timed(vec![Condition::state("ReconciliationPaused")], &before.conditions, now);
    json!(KafkaStatus { conditions, observed_generation: kafka.metadata.generation, ..before })
}

fn listeners(kafka: &Kafka) -> Vec<ListenerStatus> {
    let status = |listener: &crate::strimzi::Listener| ListenerStatus {
        name: listener.name.clone(),
        addresses: vec![ListenerAddress { host: BROKER_HOST.into(), port: listener.port }],
        bootstrap_servers: format!("{BROKER_HOST}:{}", listener.port),
    };
    served_listeners(kafka).map(status).collect()
}

/// Ready or not, from the pod of the process, and what a process that ended said last.
pub(super) fn condition(process: Option<&Pod>, last_words: Option<String>) -> Condition {
    let Some(process) = process else { return Condition::not_ready("Creating", "Kafka cluster is being deployed") };
    if is_ready(process) {
        return Condition::ready();
    }
    match ended(process) {
        Some(code) => {
            let message = last_words.unwrap_or_else(|| format!("the broker ended with exit code {code}"));
            Condition::not_ready("BrokerFailed", message)
        }
        None => Condition::not_ready("Creating", "Kafka cluster is being deployed"),
    }
}

/// The exit code of a process that ended badly and does not run again by now.
pub(super) fn ended(process: &Pod) -> Option<i32> {
    let container = container_status(process)?;
    let state = container.state.as_ref()?;
    if state.running.is_some() {
        return None;
    }
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = state.terminated.as_ref().or(last)?;
    (ended.exit_code != 0).then_some(ended.exit_code)
}

fn container_status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::from_json;

    fn kafka(name: &str, port: u16, created: &str) -> Kafka {
        from_json(json!({"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "Kafka",
            "metadata": {"name": name, "generation": 4, "creationTimestamp": created},
            "spec": {"kafka": {"replicas": 1, "listeners": [{"name": "plain", "port": port, "type": "internal", "tls": false}]}}}))
    }

    fn pod(status: Value) -> Pod {
        from_json(json!({"metadata": {"name": "p"}, "status": status}))
    }

    #[test]
    fn a_ready_process_makes_the_resource_ready_with_its_addresses() {
        let kafka = kafka("a", 9092, "2026-01-01T00:00:00Z");
        let process = pod(json!({"conditions": [{"type": "Ready", "status": "True"}]}));
        let status = status(&kafka, condition(Some(&process), None), Some("id".into()), "now");
        assert_eq!(status["conditions"][0], json!({"type": "Ready", "status": "True", "lastTransitionTime": "now"}));
        assert_eq!(status["listeners"][0]["bootstrapServers"], "127.0.0.1:9092");
        assert_eq!((&status["clusterId"], &status["observedGeneration"]), (&json!("id"), &json!(4)));
    }

    #[test]
    fn a_process_that_ended_gives_its_last_words_until_it_runs_again() {
        let process = |state: Value| {
            pod(
                json!({"containerStatuses": [{"name": "kafka", "image": "", "imageID": "", "ready": false, "restartCount": 1,
                "state": state, "lastState": {"terminated": {"exitCode": 1}}}]}),
            )
        };
        let waiting = process(json!({"waiting": {"reason": "CrashLoopBackOff"}}));
        let found = condition(Some(&waiting), Some("cannot listen".into()));
        assert_eq!((found.reason.as_deref(), found.message.as_deref()), (Some("BrokerFailed"), Some("cannot listen")));
        let silent = condition(Some(&waiting), None).message;
        assert_eq!(silent.as_deref(), Some("the broker ended with exit code 1"));
        let again = condition(Some(&process(json!({"running": {}}))), None);
        assert_eq!(again.reason.as_deref(), Some("Creating"));
    }

    #[test]
    fn a_process_that_starts_is_being_deployed() {
        assert_eq!(condition(None, None).reason.as_deref(), Some("Creating"));
        let kafka = kafka("a", 9092, "2026-01-01T00:00:00Z");
        assert_eq!(status(&kafka, condition(None, None), None, "now")["listeners"], json!([]));
    }

    #[test]
    fn the_younger_of_two_with_one_port_is_told_whose_it_is() {
        let (first, second) = (kafka("a", 9092, "2026-01-01T00:00:00Z"), kafka("b", 9092, "2026-01-02T00:00:00Z"));
        let all = [first.clone(), second.clone()];
        assert!(refusal(&first, &all).is_none());
        let message = refusal(&second, &all).unwrap().message.unwrap();
        assert_eq!(message, "port 9092 of listener plain is taken by the Kafka a");
    }

    #[test]
    fn a_resource_without_a_served_listener_says_what_is_expected() {
        let mut kafka = kafka("a", 9092, "2026-01-01T00:00:00Z");
        kafka.spec.kafka.listeners[0].tls = true;
        assert!(refusal(&kafka, &[]).unwrap().message.unwrap().contains("spec.kafka.listeners"));
    }
}

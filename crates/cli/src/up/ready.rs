//! Whether an object is what its manifest asked for: what `up` waits for. Pure.

use serde_json::Value;

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    /// Not yet; why, where the object says so.
    Waiting(String),
    /// It will not become ready as it is written.
    Failed(String),
}

/// Reasons of a Kafka's condition after which waiting is of no use.
const FINAL_REASONS: [&str; 3] = ["BrokerFailed", "PortConflict", "InvalidResourceException"];

/// Whether objects of a kind become ready; others are when they exist.
pub(crate) fn may_wait(kind: &str) -> bool {
    matches!(kind, "Kafka" | "KafkaTopic") || has_pods(kind)
}

/// Whether an object of a kind is ready when its pods are.
pub(crate) fn has_pods(kind: &str) -> bool {
    matches!(kind, "Deployment" | "DeploymentConfig")
}

/// The state of an object as the server shows it.
pub(crate) fn state(object: &Value) -> State {
    match object["kind"].as_str().unwrap_or_default() {
        "Kafka" => strimzi(object, true),
        "KafkaTopic" => strimzi(object, false),
        kind if has_pods(kind) => deployment(object),
        _ => State::Ready,
    }
}

/// Warnings in an object's status: legal fields without effect.
pub(crate) fn warnings(object: &Value) -> impl Iterator<Item = &str> {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.filter(|condition| condition["type"] == "Warning").filter_map(|condition| condition["message"].as_str())
}

/// Why a pod's container does not run, as Kubernetes shows it: `CrashLoopBackOff: …`.
pub(crate) fn trouble(pod: &Value) -> Option<String> {
    let statuses = pod["status"]["containerStatuses"].as_array()?;
    statuses.iter().find_map(|status| {
        let waiting = &status["state"]["waiting"];
        let reason =
            waiting["reason"].as_str().filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))?;
        Some(match waiting["message"].as_str() {
            Some(message) => format!("{reason}: {message}"),
            None => reason.to_owned(),
        })
    })
}

fn strimzi(object: &Value, may_fail: bool) -> State {
    if object["status"]["observedGeneration"] != object["metadata"]["generation"] {
        return State::Waiting(String::new());
    }
    let conditions: Vec<&Value> = object["status"]["conditions"].as_array().into_iter().flatten().collect();
    // An unmanaged or paused resource is what its owner wants it to be.
    let left_alone = |c: &&&Value| c["type"] == "Unmanaged" || c["type"] == "ReconciliationPaused";
    if conditions.iter().any(|condition| left_alone(&condition)) {
        return State::Ready;
    }
    let Some(ready) = conditions.iter().find(|condition| condition["type"] == "Ready") else {
        return State::Waiting(String::new());
    };
    if ready["status"] == "True" {
        return State::Ready;
    }
    let reason = ready["reason"].as_str().unwrap_or_default();
    let message = ready["message"].as_str().unwrap_or(reason).to_owned();
    // A topic that Kafka refuses stays refused until its manifest changes; a broker that is not there yet may come.
    let refused = matches!(reason, "NotSupported" | "ResourceConflict" | "InvalidResource");
    if (may_fail && FINAL_REASONS.contains(&reason)) || refused {
        State::Failed(message)
    } else {
        State::Waiting(message)
    }
}

fn deployment(object: &Value) -> State {
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let status = &object["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    if status["observedGeneration"] != object["metadata"]["generation"] {
        return State::Waiting(String::new());
    }
    if count("updatedReplicas") == wanted && count("availableReplicas") == wanted && count("replicas") == wanted {
        return State::Ready;
    }
    State::Waiting(format!("{} of {wanted} pods are ready", count("availableReplicas")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kafka(reason: &str, status: &str) -> Value {
        json!({"kind": "Kafka", "metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": [
            {"type": "Ready", "status": status, "reason": reason, "message": "m"},
            {"type": "Warning", "status": "True", "message": "spec.zookeeper: no effect"}]}})
    }

    #[test]
    fn a_kafka_is_ready_when_its_condition_says_so_of_this_generation() {
        assert_eq!(state(&kafka("", "True")), State::Ready);
        let mut stale = kafka("", "True");
        stale["metadata"]["generation"] = json!(3);
        assert_eq!(state(&stale), State::Waiting(String::new()));
        assert_eq!(state(&json!({"kind": "Kafka", "metadata": {"generation": 1}})), State::Waiting(String::new()));
    }

    #[test]
    fn a_broker_that_cannot_start_is_a_failure_and_one_that_starts_is_not() {
        assert_eq!(state(&kafka("BrokerFailed", "False")), State::Failed("m".into()));
        assert_eq!(state(&kafka("Creating", "False")), State::Waiting("m".into()));
    }

    #[test]
    fn a_deployment_is_ready_when_all_its_pods_are_of_this_template_and_available() {
        let deployment = |status: Value| {
            state(
                &json!({"kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": status}),
            )
        };
        let full = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(deployment(full), State::Ready);
        let half = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1});
        assert_eq!(deployment(half), State::Waiting("1 of 2 pods are ready".into()));
    }

    #[test]
    fn a_pod_in_trouble_says_which() {
        let pod = |waiting: Value| json!({"status": {"containerStatuses": [{"state": {"waiting": waiting}}]}});
        let trouble = |waiting| trouble(&pod(waiting));
        assert_eq!(
            trouble(json!({"reason": "ErrImagePull", "message": "no program"})).as_deref(),
            Some("ErrImagePull: no program")
        );
        assert_eq!(trouble(json!({"reason": "ContainerCreating"})), None);
    }

    #[test]
    fn other_kinds_are_ready_when_they_exist() {
        assert_eq!(state(&json!({"kind": "ConfigMap"})), State::Ready);
    }

    #[test]
    fn warnings_are_found() {
        assert_eq!(warnings(&kafka("", "True")).collect::<Vec<_>>(), ["spec.zookeeper: no effect"]);
    }
}

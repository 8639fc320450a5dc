//! The status of a Deployment: its counts, and the conditions Available and Progressing with their times. Pure.
//!
//! A rollout progresses while its counts move; when none has moved for `progressDeadlineSeconds` the condition Progressing
//! says so, which is what `kubectl rollout status` and `up` read.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::rollout::{Counts, counts, current_name, is_recreate, limits, wanted};

const COMPLETE: &str = "NewReplicaSetAvailable";
const EXCEEDED: &str = "ProgressDeadlineExceeded";

/// Pods of a Deployment over all its ReplicaSets.
struct Sums {
    of_all: Counts,
    /// Pods of the current template.
    updated: i32,
}

/// The Deployment's status at `now`, and when to look again although nothing changes.
pub(super) fn status(deployment: &Deployment, sets: &[ReplicaSet], now: Timestamp) -> (Value, Option<Duration>) {
    let name = current_name(deployment);
    let sum = |pick: fn(Counts) -> i32| sets.iter().map(|set| pick(counts(set))).sum::<i32>();
    let of_all = Counts {
        all: sum(|c| c.all),
        ready: sum(|c| c.ready),
        available: sum(|c| c.available),
        terminating: sum(|c| c.terminating),
    };
    let updated = sets.iter().find(|set| set.name_any() == name).map_or(0, |set| counts(set).all);
    let sums = Sums { of_all, updated };
    let (progressing, look_again) = progressing(deployment, &sums, &name, now);
    let mut status = json!({
        "observedGeneration": deployment.metadata.generation.unwrap_or(0),
        "conditions": [available(deployment, &sums), progressing],
    });
    // Kubernetes leaves counts of zero out.
    let missing = (wanted(deployment) - of_all.available).max(0);
    for (field, count) in [
        ("replicas", of_all.all),
        ("updatedReplicas", updated),
        ("readyReplicas", of_all.ready),
        ("availableReplicas", of_all.available),
        ("unavailableReplicas", missing),
        ("terminatingReplicas", of_all.terminating),
    ] {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    (with_times(status, deployment, now), look_again)
}

fn available(deployment: &Deployment, sums: &Sums) -> Value {
    let (_, unavailable) = limits(deployment);
    let wanted = wanted(deployment);
    let needed = if is_recreate(deployment) { wanted } else { (wanted - unavailable).max(0) };
    if sums.of_all.available >= needed {
        json!({"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
            "message": "Deployment has minimum availability."})
    } else {
        json!({"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable",
            "message": "Deployment does not have minimum availability."})
    }
}

fn progressing(deployment: &Deployment, sums: &Sums, set: &str, now: Timestamp) -> (Value, Option<Duration>) {
    let before = condition(deployment, "Progressing");
    let state = |status: &str, reason: &str, message: String| json!({"type": "Progressing", "status": status, "reason": reason, "message": message});
    if deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true)) {
        return (state("Unknown", "DeploymentPaused", "Deployment is paused".to_owned()), None);
    }
    let wanted = wanted(deployment);
    let all_new = sums.updated == wanted && sums.of_all.all == wanted;
    let complete = format!("ReplicaSet \"{set}\" has successfully progressed.");
    // A pod that fails later does not undo a rollout that was complete.
    let was_complete = before["reason"] == COMPLETE && before["message"] == complete.as_str();
    if all_new && (sums.of_all.available == wanted || was_complete) {
        return (state("True", COMPLETE, complete), None);
    }
    let deadline = deployment.spec.as_ref().and_then(|spec| spec.progress_deadline_seconds).unwrap_or(600);
    let deadline = SignedDuration::from_secs(i64::from(deadline));
    let since = before["lastUpdateTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let stands = !has_moved(deployment, sums);
    let since = since.filter(|_| stands && before["reason"] != COMPLETE).unwrap_or(now);
    let left = deadline - now.duration_since(since);
    if left.is_positive() && !(stands && before["reason"] == EXCEEDED) {
        let mut moving = state("True", "ReplicaSetUpdated", format!("ReplicaSet \"{set}\" is progressing."));
        moving["lastUpdateTime"] = json!(text(since));
        return (moving, Some(left.unsigned_abs()));
    }
    (state("False", EXCEEDED, format!("ReplicaSet \"{set}\" has timed out progressing.")), None)
}

/// Whether the rollout is further than when the status was written.
fn has_moved(deployment: &Deployment, sums: &Sums) -> bool {
    let Some(before) = &deployment.status else { return true };
    let count = |field: Option<i32>| field.unwrap_or(0);
    let old_before = count(before.replicas) - count(before.updated_replicas);
    before.observed_generation != deployment.metadata.generation
        || sums.updated > count(before.updated_replicas)
        || sums.of_all.ready > count(before.ready_replicas)
        || sums.of_all.available > count(before.available_replicas)
        || sums.of_all.all - sums.updated < old_before
}

fn condition(deployment: &Deployment, kind: &str) -> Value {
    let all = deployment.status.as_ref().and_then(|status| status.conditions.as_ref());
    all.and_then(|all| all.iter().find(|condition| condition.type_ == kind)).map_or(Value::Null, |found| json!(found))
}

/// Gives each condition its times: the old ones while its state is the same.
fn with_times(mut status: Value, deployment: &Deployment, now: Timestamp) -> Value {
    let now = text(now);
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let old = self::condition(deployment, condition["type"].as_str().unwrap_or_default());
        let time =
            |old_time: &Value, same: bool| if same && old_time.is_string() { old_time.clone() } else { json!(now) };
        let same_state = old["status"] == condition["status"];
        let same = same_state && old["reason"] == condition["reason"] && old["message"] == condition["message"];
        condition["lastTransitionTime"] = time(&old["lastTransitionTime"], same_state);
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = time(&old["lastUpdateTime"], same);
        }
    }
    status
}

/// Whole seconds, as Kubernetes writes times.
fn text(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::from_json;

    fn deployment(replicas: i32, status: &Value) -> Deployment {
        from_json(
            json!({"metadata": {"name": "d", "namespace": "default", "uid": "u", "generation": 3}, "status": status,
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "d"}}, "progressDeadlineSeconds": 60,
                "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}),
        )
    }

    fn set(name: &str, all: i32, available: i32) -> ReplicaSet {
        from_json(json!({"metadata": {"name": name}, "spec": {"replicas": all, "selector": {}},
            "status": {"replicas": all, "readyReplicas": available, "availableReplicas": available}}))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The status after this one, at this second.
    fn next(before: &Value, available: i32, second: i64) -> (Value, Option<Duration>) {
        let d = deployment(1, before);
        status(&d, &[set(&current_name(&d), 1, available)], at(second))
    }

    #[test]
    fn the_status_counts_and_says_whether_it_is_available() {
        let (before, look_again) = next(&json!({}), 0, 0);
        assert_eq!((&before["unavailableReplicas"], &before["conditions"][0]["status"]), (&json!(1), &json!("False")));
        assert_eq!(look_again, Some(Duration::from_secs(60)));
        let (after, look_again) = next(&before, 1, 5);
        assert_eq!((&after["availableReplicas"], &after["conditions"][0]["status"]), (&json!(1), &json!("True")));
        assert_eq!(after["conditions"][1]["reason"], "NewReplicaSetAvailable");
        assert_eq!((&after["observedGeneration"], look_again), (&json!(3), None));
        assert!(after.get("unavailableReplicas").is_none());
    }

    #[test]
    fn a_rollout_that_does_not_move_exceeds_its_deadline_and_comes_back() {
        let (first, _) = next(&json!({}), 0, 0);
        let (waits, look_again) = next(&first, 0, 59);
        assert_eq!(
            (&waits["conditions"][1]["reason"], look_again),
            (&json!("ReplicaSetUpdated"), Some(Duration::from_secs(1)))
        );
        let (exceeded, _) = next(&waits, 0, 60);
        assert_eq!(exceeded["conditions"][1]["status"], "False");
        assert_eq!(exceeded["conditions"][1]["reason"], "ProgressDeadlineExceeded");
        let (again, _) = next(&exceeded, 0, 100);
        assert_eq!(again, exceeded, "it is not written anew at every look");
        assert_eq!(next(&exceeded, 1, 101).0["conditions"][1]["status"], "True");
    }

    #[test]
    fn a_pod_that_fails_later_does_not_undo_a_rollout() {
        let (done, _) = next(&json!({}), 1, 0);
        let (failing, look_again) = next(&done, 0, 1000);
        assert_eq!(failing["conditions"][0]["status"], "False");
        assert_eq!((&failing["conditions"][1], look_again), (&done["conditions"][1], None));
    }

    #[test]
    fn a_condition_keeps_its_transition_while_its_state_is_the_same() {
        let (first, _) = next(&json!({}), 0, 0);
        let (second, _) = next(&first, 1, 30);
        let times = |status: &Value| {
            let of = |field: &str| status["conditions"][1][field].as_str().unwrap().to_owned();
            (of("lastTransitionTime"), of("lastUpdateTime"))
        };
        assert_eq!(times(&second), ("1970-01-01T00:00:00Z".into(), "1970-01-01T00:00:30Z".into()));
    }
}

//! How a Deployment becomes ReplicaSets: names, revisions, the steps of a rollout, the status. Pure.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use crate::kafka::from_json;
use crate::names::short_hash;

/// Tells the pods of one template from those of another.
pub(crate) const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// Counts the templates of a Deployment.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";

/// One thing to do; the next look at the cluster decides what follows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make the ReplicaSet of the current template, with so many replicas.
    Create(i32),
    /// Give the named ReplicaSet so many replicas.
    Scale(String, i32),
    /// Remove a ReplicaSet of an old template that the history no longer holds.
    Forget(String),
}

/// Replicas that are asked for.
pub(crate) fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1).max(0)
}

/// The name of the ReplicaSet of the current template.
pub(crate) fn current_name(deployment: &Deployment) -> String {
    format!("{}-{}", deployment.name_any(), template_hash(deployment))
}

fn template_hash(deployment: &Deployment) -> String {
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    short_hash(&json!(template).to_string(), 10)
}

/// The ReplicaSet of the current template.
pub(crate) fn replica_set(deployment: &Deployment, replicas: i32, revision: u64) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let hash = template_hash(deployment);
    let mut template = json!(spec.template);
    template["metadata"]["labels"][POD_TEMPLATE_HASH] = json!(hash);
    let mut selector = json!(spec.selector);
    selector["matchLabels"][POD_TEMPLATE_HASH] = json!(hash);
    let mut labels = json!(spec.template.metadata.unwrap_or_default().labels.unwrap_or_default());
    labels[POD_TEMPLATE_HASH] = json!(hash);
    from_json(json!({
        "metadata": {
            "name": current_name(deployment),
            "namespace": deployment.namespace(),
            "labels": labels,
            "annotations": {REVISION: revision.to_string()},
            "ownerReferences": deployment.controller_owner_ref(&()).into_iter().collect::<Vec<_>>(),
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }))
}

/// The revision of a ReplicaSet, 0 when it has none.
pub(crate) fn revision(set: &ReplicaSet) -> u64 {
    set.annotations().get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0)
}

/// Pods that a ReplicaSet has: all, ready, available.
fn counts(set: &ReplicaSet) -> (i32, i32, i32) {
    let Some(status) = &set.status else { return (0, 0, 0) };
    (status.replicas, status.ready_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0))
}

/// What to do next for a Deployment with these ReplicaSets. Nothing when it is as it should be or has to wait.
pub(crate) fn steps(deployment: &Deployment, sets: &[ReplicaSet]) -> Vec<Step> {
    let Some(spec) = &deployment.spec else { return Vec::new() };
    if spec.paused == Some(true) {
        return Vec::new();
    }
    let name = current_name(deployment);
    let current = sets.iter().find(|set| set.name_any() == name);
    let old: Vec<&ReplicaSet> = sets.iter().filter(|set| set.name_any() != name).collect();
    let recreate = spec.strategy.as_ref().and_then(|s| s.type_.as_deref()) == Some("Recreate");
    let mut steps =
        if recreate { recreate_steps(deployment, current, &old) } else { rolling_steps(deployment, current, &old) };
    steps.extend(forgotten(spec, &old));
    steps
}

/// Old pods go first and wholly: two versions never run side by side.
fn recreate_steps(deployment: &Deployment, current: Option<&ReplicaSet>, old: &[&ReplicaSet]) -> Vec<Step> {
    let down: Vec<Step> =
        old.iter().filter(|set| replicas(set) > 0).map(|set| Step::Scale(set.name_any(), 0)).collect();
    if !down.is_empty() {
        return down;
    }
    if old.iter().any(|set| counts(set).0 > 0) {
        return Vec::new();
    }
    scale_current(deployment, current, wanted(deployment))
}

/// New pods come while old ones go, within `maxSurge` and `maxUnavailable`.
fn rolling_steps(deployment: &Deployment, current: Option<&ReplicaSet>, old: &[&ReplicaSet]) -> Vec<Step> {
    let wanted = wanted(deployment);
    let (surge, unavailable) = limits(deployment);
    let old_replicas: i32 = old.iter().map(|set| replicas(set)).sum();
    let current_replicas = current.map_or(0, replicas);
    let room = (wanted + surge - old_replicas - current_replicas).max(0);
    let target = if current_replicas > wanted { wanted } else { (current_replicas + room).min(wanted) };
    let mut steps = scale_current(deployment, current, target);

    let available: i32 = old.iter().copied().chain(current).map(|set| counts(set).2).sum();
    let mut spare = (available - (wanted - unavailable)).max(0);
    for set in old.iter().filter(|set| replicas(set) > 0) {
        // Pods that never became available are no loss; others only as far as the rest can carry.
        let broken = (replicas(set) - counts(set).2).max(0);
        let healthy = (replicas(set) - broken).min(spare);
        spare -= healthy;
        if broken + healthy > 0 {
            steps.push(Step::Scale(set.name_any(), replicas(set) - broken - healthy));
        }
    }
    steps
}

fn scale_current(deployment: &Deployment, current: Option<&ReplicaSet>, target: i32) -> Vec<Step> {
    match current {
        None => vec![Step::Create(target)],
        Some(set) if replicas(set) != target => vec![Step::Scale(current_name(deployment), target)],
        Some(_) => Vec::new(),
    }
}

/// `maxSurge` (rounded up) and `maxUnavailable` (rounded down), 25 % each by default, never both zero.
fn limits(deployment: &Deployment) -> (i32, i32) {
    let rolling = deployment.spec.as_ref().and_then(|s| s.strategy.as_ref()).and_then(|s| s.rolling_update.as_ref());
    let quarter = IntOrString::String("25%".into());
    let surge = rolling.and_then(|r| r.max_surge.clone()).unwrap_or_else(|| quarter.clone());
    let unavailable = rolling.and_then(|r| r.max_unavailable.clone()).unwrap_or(quarter);
    let wanted = wanted(deployment);
    match (portion(&surge, wanted, true), portion(&unavailable, wanted, false)) {
        (0, 0) => (0, 1),
        limits => limits,
    }
}

fn portion(value: &IntOrString, of: i32, up: bool) -> i32 {
    match value {
        IntOrString::Int(count) => (*count).max(0),
        IntOrString::String(text) => {
            let percent = text.trim_end_matches('%').parse::<i64>().unwrap_or(25).clamp(0, 100);
            let hundredths = percent * i64::from(of) + if up { 99 } else { 0 };
            i32::try_from(hundredths / 100).unwrap_or(i32::MAX)
        }
    }
}

fn forgotten(spec: &DeploymentSpec, old: &[&ReplicaSet]) -> Vec<Step> {
    let kept = usize::try_from(spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
    let mut idle: Vec<_> = old.iter().filter(|set| replicas(set) == 0 && counts(set).0 == 0).collect();
    idle.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    idle.into_iter().skip(kept).map(|set| Step::Forget(set.name_any())).collect()
}

/// The Deployment's status but for the times of its conditions.
pub(crate) fn status(deployment: &Deployment, sets: &[ReplicaSet]) -> Value {
    let name = current_name(deployment);
    let sum = |pick: fn(&(i32, i32, i32)) -> i32| sets.iter().map(|set| pick(&counts(set))).sum::<i32>();
    let (all, ready, available) = (sum(|c| c.0), sum(|c| c.1), sum(|c| c.2));
    let current = sets.iter().find(|set| set.name_any() == name);
    let updated = current.map_or(0, |set| counts(set).0);
    let wanted = wanted(deployment);
    let (_, unavailable) = limits(deployment);
    let recreate =
        deployment.spec.as_ref().and_then(|s| s.strategy.as_ref()).and_then(|s| s.type_.as_deref()) == Some("Recreate");
    let needed = if recreate { wanted } else { (wanted - unavailable).max(0) };
    let done = updated == wanted && all == wanted && available == wanted;
    let mut status = json!({
        "observedGeneration": deployment.metadata.generation.unwrap_or(0),
        "conditions": [available_condition(available >= needed), progressing_condition(done, &name)],
    });
    // Kubernetes leaves counts of zero out.
    let missing = (wanted - available).max(0);
    for (field, count) in [
        ("replicas", all),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", missing),
    ] {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    status
}

fn available_condition(available: bool) -> Value {
    if available {
        json!({"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
            "message": "Deployment has minimum availability."})
    } else {
        json!({"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable",
            "message": "Deployment does not have minimum availability."})
    }
}

fn progressing_condition(done: bool, set: &str) -> Value {
    if done {
        json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
            "message": format!("ReplicaSet \"{set}\" has successfully progressed.")})
    } else {
        json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
            "message": format!("ReplicaSet \"{set}\" is progressing.")})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(replicas: i32, strategy: &str, image: &str) -> Deployment {
        from_json(json!({"metadata": {"name": "d", "namespace": "default", "uid": "u", "generation": 3},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "d"}}, "strategy": {"type": strategy},
                "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}}))
    }

    fn set(name: &str, replicas: i32, all: i32, available: i32) -> ReplicaSet {
        from_json(json!({"metadata": {"name": name, "annotations": {REVISION: "1"}},
            "spec": {"replicas": replicas, "selector": {}},
            "status": {"replicas": all, "readyReplicas": available, "availableReplicas": available}}))
    }

    #[test]
    fn the_first_template_gets_its_replica_set_at_once() {
        assert_eq!(steps(&deployment(2, "RollingUpdate", "a"), &[]), [Step::Create(2)]);
        assert_eq!(steps(&deployment(1, "Recreate", "a"), &[]), [Step::Create(1)]);
    }

    #[test]
    fn a_replica_set_selects_only_the_pods_of_its_template() {
        let made = replica_set(&deployment(1, "Recreate", "a"), 1, 1);
        let hash = made.labels()[POD_TEMPLATE_HASH].clone();
        assert_eq!(made.name_any(), format!("d-{hash}"));
        let spec = made.spec.unwrap();
        assert_eq!(spec.selector.match_labels.unwrap()[POD_TEMPLATE_HASH], hash);
        assert_eq!(spec.template.unwrap().metadata.unwrap().labels.unwrap()[POD_TEMPLATE_HASH], hash);
        assert_ne!(current_name(&deployment(1, "Recreate", "b")), format!("d-{hash}"));
    }

    #[test]
    fn recreate_waits_until_the_old_pods_are_gone() {
        let d = deployment(1, "Recreate", "new");
        assert_eq!(steps(&d, &[set("d-old", 1, 1, 1)]), [Step::Scale("d-old".into(), 0)]);
        assert_eq!(steps(&d, &[set("d-old", 0, 1, 0)]), []);
        assert_eq!(steps(&d, &[set("d-old", 0, 0, 0)]), [Step::Create(1)]);
    }

    #[test]
    fn a_rolling_update_keeps_what_is_needed_available() {
        let d = deployment(4, "RollingUpdate", "new");
        let new = current_name(&d);
        // 25 %: one more, one fewer.
        assert_eq!(steps(&d, &[set("d-old", 4, 4, 4)]), [Step::Create(1), Step::Scale("d-old".into(), 3)]);
        assert_eq!(steps(&d, &[set("d-old", 3, 3, 3), set(&new, 1, 1, 0)]), [Step::Scale(new.clone(), 2)]);
        assert_eq!(steps(&d, &[set("d-old", 3, 3, 3), set(&new, 2, 2, 1)]), [Step::Scale("d-old".into(), 2)]);
        assert_eq!(steps(&d, &[set("d-old", 0, 0, 0), set(&new, 4, 4, 4)]), []);
    }

    #[test]
    fn one_replica_is_replaced_only_when_the_new_one_is_available() {
        let d = deployment(1, "RollingUpdate", "new");
        let new = current_name(&d);
        assert_eq!(steps(&d, &[set("d-old", 1, 1, 1)]), [Step::Create(1)]);
        assert_eq!(steps(&d, &[set("d-old", 1, 1, 1), set(&new, 1, 1, 0)]), []);
        assert_eq!(steps(&d, &[set("d-old", 1, 1, 1), set(&new, 1, 1, 1)]), [Step::Scale("d-old".into(), 0)]);
    }

    #[test]
    fn scaling_needs_no_new_replica_set() {
        let d = deployment(3, "Recreate", "a");
        let name = current_name(&d);
        assert_eq!(steps(&d, &[set(&name, 1, 1, 1)]), [Step::Scale(name, 3)]);
    }

    #[test]
    fn the_status_counts_and_says_whether_it_is_available() {
        let d = deployment(1, "Recreate", "a");
        let name = current_name(&d);
        let before = status(&d, &[set(&name, 1, 1, 0)]);
        assert_eq!((&before["unavailableReplicas"], &before["conditions"][0]["status"]), (&json!(1), &json!("False")));
        let after = status(&d, &[set(&name, 1, 1, 1)]);
        assert_eq!((&after["availableReplicas"], &after["conditions"][0]["status"]), (&json!(1), &json!("True")));
        assert_eq!(after["conditions"][1]["reason"], "NewReplicaSetAvailable");
        assert_eq!(after["observedGeneration"], 3);
        assert!(after.get("unavailableReplicas").is_none());
    }

    #[test]
    fn history_beyond_the_limit_is_forgotten() {
        let mut d = deployment(1, "Recreate", "a");
        d.spec.as_mut().unwrap().revision_history_limit = Some(0);
        let name = current_name(&d);
        assert_eq!(steps(&d, &[set(&name, 1, 1, 1), set("d-old", 0, 0, 0)]), [Step::Forget("d-old".into())]);
    }
}

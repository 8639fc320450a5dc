//! How a Deployment becomes ReplicaSets: names, revisions, the steps of a rollout. Pure.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use serde_json::json;

use crate::names::short_hash;
use crate::object::from_json;

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

/// The ReplicaSet of the current template, which belongs to `owner`.
pub(crate) fn replica_set(
    deployment: &Deployment,
    owner: Option<&OwnerReference>,
    replicas: i32,
    revision: u64,
) -> ReplicaSet {
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
            "ownerReferences": owner.into_iter().collect::<Vec<_>>(),
        },
        "spec": {"replicas": replicas, "minReadySeconds": spec.min_ready_seconds, "selector": selector, "template": template},
    }))
}

/// The revision of a ReplicaSet, 0 when it has none.
pub(crate) fn revision(set: &ReplicaSet) -> u64 {
    set.annotations().get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Replicas that a ReplicaSet is asked for.
pub(super) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0)
}

/// Pods that a ReplicaSet has, as its status says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) all: i32,
    pub(super) ready: i32,
    /// Ready for `minReadySeconds`.
    pub(super) available: i32,
    /// Told to end; not among the others.
    pub(super) terminating: i32,
}

pub(super) fn counts(set: &ReplicaSet) -> Counts {
    let Some(status) = &set.status else { return Counts::default() };
    Counts {
        all: status.replicas,
        ready: status.ready_replicas.unwrap_or(0),
        available: status.available_replicas.unwrap_or(0),
        terminating: status.terminating_replicas.unwrap_or(0),
    }
}

/// Whether the status counts what the specification as it is now asks for.
fn is_observed(set: &ReplicaSet) -> bool {
    let observed = set.status.as_ref().and_then(|status| status.observed_generation);
    set.metadata.generation.is_none_or(|generation| observed.is_some_and(|observed| observed >= generation))
}

/// Whether old pods are all gone before new ones come.
pub(super) fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

/// What to do next for a Deployment with these ReplicaSets. Nothing when it is as it should be or has to wait.
pub(crate) fn steps(deployment: &Deployment, sets: &[ReplicaSet]) -> Vec<Step> {
    let Some(spec) = &deployment.spec else { return Vec::new() };
    let name = current_name(deployment);
    let current = sets.iter().find(|set| set.name_any() == name);
    let mut old: Vec<&ReplicaSet> = sets.iter().filter(|set| set.name_any() != name).collect();
    old.sort_by_key(|set| revision(set));
    if spec.paused == Some(true) {
        return paused_steps(deployment, current, &old);
    }
    let mut steps = if is_recreate(deployment) {
        recreate_steps(deployment, current, &old)
    } else {
        rolling_steps(deployment, current, &old)
    };
    steps.extend(forgotten(spec, &old));
    steps
}

/// A paused Deployment takes no new template, but is scaled: the one ReplicaSet with pods, or the newest.
fn paused_steps(deployment: &Deployment, current: Option<&ReplicaSet>, old: &[&ReplicaSet]) -> Vec<Step> {
    let mut all = old.iter().copied().chain(current);
    let scaled = all.clone().rfind(|set| replicas(set) > 0).or_else(|| all.next_back());
    let target = wanted(deployment);
    let differs = scaled.filter(|set| replicas(set) != target);
    differs.map(|set| Step::Scale(set.name_any(), target)).into_iter().collect()
}

/// Old pods go first and wholly: two versions never run side by side.
fn recreate_steps(deployment: &Deployment, current: Option<&ReplicaSet>, old: &[&ReplicaSet]) -> Vec<Step> {
    let down: Vec<Step> =
        old.iter().filter(|set| replicas(set) > 0).map(|set| Step::Scale(set.name_any(), 0)).collect();
    if !down.is_empty() {
        return down;
    }
    let still_run = |set: &&ReplicaSet| !is_observed(set) || counts(set).all > 0 || counts(set).terminating > 0;
    if old.iter().any(still_run) {
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

    // New pods that may still fail are not counted on.
    let current_available = current.map_or(0, |set| counts(set).available).min(target);
    let needed = wanted - unavailable;
    let mut may_go = (old_replicas + current_available - needed).max(0);
    let old_available: i32 = old.iter().map(|set| counts(set).available).sum();
    let mut available_may_go = (old_available + current_available - needed).max(0);
    // First the pods that never became available, over all old templates: they are no loss.
    let mut left: Vec<i32> = old.iter().map(|set| replicas(set)).collect();
    for (set, left) in old.iter().zip(&mut left) {
        let broken = (replicas(set) - counts(set).available).clamp(0, may_go);
        *left -= broken;
        may_go -= broken;
    }
    for left in &mut left {
        let healthy = (*left).min(available_may_go).min(may_go);
        *left -= healthy;
        available_may_go -= healthy;
        may_go -= healthy;
    }
    let shrunk = old.iter().zip(left).filter(|(set, left)| replicas(set) != *left);
    steps.extend(shrunk.map(|(set, left)| Step::Scale(set.name_any(), left)));
    steps
}

fn scale_current(deployment: &Deployment, current: Option<&ReplicaSet>, target: i32) -> Vec<Step> {
    match current {
        None => vec![Step::Create(target)],
        Some(set) if replicas(set) != target => vec![Step::Scale(current_name(deployment), target)],
        Some(_) => Vec::new(),
    }
}

/// More than a thousand pods for one are a typing error, and must not overflow.
const PERCENT_MAX: i64 = 100_000;

/// `maxSurge` (rounded up) and `maxUnavailable` (rounded down), 25 % each by default, never both zero.
pub(super) fn limits(deployment: &Deployment) -> (i32, i32) {
    let rolling = deployment.spec.as_ref().and_then(|s| s.strategy.as_ref()).and_then(|s| s.rolling_update.as_ref());
    let quarter = IntOrString::String("25%".into());
    let surge = rolling.and_then(|r| r.max_surge.clone()).unwrap_or_else(|| quarter.clone());
    let unavailable = rolling.and_then(|r| r.max_unavailable.clone()).unwrap_or(quarter);
    let wanted = wanted(deployment);
    match (portion(&surge, wanted, true), portion(&unavailable, wanted, false).min(wanted)) {
        (0, 0) => (0, 1),
        limits => limits,
    }
}

fn portion(value: &IntOrString, of: i32, up: bool) -> i32 {
    match value {
        IntOrString::Int(count) => (*count).max(0),
        IntOrString::String(text) => {
            let percent = text.trim_end_matches('%').parse::<i64>().unwrap_or(25).clamp(0, PERCENT_MAX);
            let hundredths = percent * i64::from(of) + if up { 99 } else { 0 };
            i32::try_from(hundredths / 100).unwrap_or(i32::MAX)
        }
    }
}

/// Whether a ReplicaSet waits another time than its Deployment says before it counts a pod as available.
pub(super) fn is_slower_or_faster(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let asked = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0) != asked
}

fn forgotten(spec: &DeploymentSpec, old: &[&ReplicaSet]) -> Vec<Step> {
    let kept = usize::try_from(spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
    let mut idle: Vec<_> = old.iter().filter(|set| replicas(set) == 0 && counts(set).all == 0).collect();
    idle.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    idle.into_iter().skip(kept).map(|set| Step::Forget(set.name_any())).collect()
}

#[cfg(test)]
mod tests;

//! The workloads' own reconcilers: Deployment, ReplicaSet, and the Endpoints of Services. On a real cluster Kubernetes has
//! them; on a laptop this process runs them. The decisions are in [`rollout`] and [`pods`]; here they meet the API.

pub(crate) mod pods;
pub(crate) mod rollout;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt as _};
use serde_json::{Value, json};

use crate::{Context, Error, object};
use pods::PodStep;
use rollout::Step;

/// Kubernetes' label of ReplicaSets and pods that belong to somebody.
fn is_owned_by<K: Resource>(object: &K, owner: &str) -> bool {
    object.owner_references().iter().any(|reference| reference.controller == Some(true) && reference.uid == owner)
}

/// One look at a Deployment: the next steps of its rollout, and its status.
pub(crate) async fn deployment(deployment: Arc<Deployment>, context: Arc<Context>) -> Result<Action, Error> {
    if deployment.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = deployment.namespace().unwrap_or_default();
    let uid = deployment.uid().unwrap_or_default();
    let sets_api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), &namespace);
    let mut sets = sets_api.list(&ListParams::default()).await?.items;
    sets.retain(|set| is_owned_by(set, &uid));
    let revision = sets.iter().map(rollout::revision).max().unwrap_or(0);
    for step in rollout::steps(&deployment, &sets) {
        match step {
            Step::Create(replicas) => {
                object::create(&sets_api, &rollout::replica_set(&deployment, replicas, revision + 1)).await?;
            }
            Step::Scale(name, replicas) => {
                let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
                sets_api.patch(&name, &PatchParams::default(), &patch).await?;
            }
            Step::Forget(name) => object::delete(&sets_api, &name).await?,
        }
    }
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), &namespace);
    raise_revision(&api, &deployment, &sets_api, &sets, revision).await?;
    let status = rollout::status(&deployment, &sets);
    let status = with_times(status, &json!(&*deployment)["status"], &context.now());
    object::write_status(&api, &deployment, status).await?;
    Ok(Action::await_change())
}

/// The current template always has the highest revision, also when it is an old one that came back.
async fn raise_revision(
    api: &Api<Deployment>,
    deployment: &Deployment,
    sets_api: &Api<ReplicaSet>,
    sets: &[ReplicaSet],
    highest: u64,
) -> Result<(), Error> {
    let name = rollout::current_name(deployment);
    let mut current = highest + 1;
    if let Some(set) = sets.iter().find(|set| set.name_any() == name) {
        let alone = sets.iter().filter(|other| rollout::revision(other) == highest).count() == 1;
        current = if rollout::revision(set) == highest && alone { highest } else { highest + 1 };
        if rollout::revision(set) != current {
            annotate(sets_api, &name, current).await?;
        }
    }
    let known = deployment.annotations().get(rollout::REVISION);
    if known.is_none_or(|known| *known != current.to_string()) {
        annotate(api, &deployment.name_any(), current).await?;
    }
    Ok(())
}

async fn annotate<K>(api: &Api<K>, name: &str, revision: u64) -> Result<(), Error>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let patch = Patch::Merge(json!({"metadata": {"annotations": {rollout::REVISION: revision.to_string()}}}));
    api.patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Gives each condition its times: the old ones while its state is the same.
fn with_times(mut status: Value, before: &Value, now: &str) -> Value {
    let Some(conditions) = status["conditions"].as_array_mut() else { return status };
    for condition in conditions {
        let old = before["conditions"].as_array().into_iter().flatten().find(|old| old["type"] == condition["type"]);
        let old = old.cloned().unwrap_or_default();
        let time =
            |old_time: &Value, same: bool| if same && old_time.is_string() { old_time.clone() } else { json!(now) };
        let same_state = old["status"] == condition["status"];
        let same = same_state && old["reason"] == condition["reason"] && old["message"] == condition["message"];
        condition["lastTransitionTime"] = time(&old["lastTransitionTime"], same_state);
        condition["lastUpdateTime"] = time(&old["lastUpdateTime"], same);
    }
    status
}

/// One look at a ReplicaSet: as many pods as it wants, and its status.
pub(crate) async fn replica_set(set: Arc<ReplicaSet>, context: Arc<Context>) -> Result<Action, Error> {
    if set.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = set.namespace().unwrap_or_default();
    let uid = set.uid().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
    let list = async || -> Result<Vec<Pod>, Error> {
        let mut pods = api.list(&ListParams::default()).await?.items;
        pods.retain(|pod| is_owned_by(pod, &uid));
        Ok(pods)
    };
    match pods::pod_step(&set, &list().await?) {
        PodStep::Nothing => {}
        PodStep::Create(count) => {
            for _ in 0..count {
                object::create(&api, &pods::new_pod(&set)).await?;
            }
        }
        PodStep::Delete(names) => {
            for name in names {
                object::delete(&api, &name).await?;
            }
        }
    }
    let status = pods::set_status(&set, &list().await?);
    object::write_status(&Api::namespaced(context.client.clone(), &namespace), &*set, status).await?;
    Ok(Action::await_change())
}

/// One look at a Service: the addresses of its pods.
pub(crate) async fn service(service: Arc<Service>, context: Arc<Context>) -> Result<Action, Error> {
    if service.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = service.namespace().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
    let pods = pods.list(&ListParams::default()).await?.items;
    if let Some(endpoints) = pods::endpoints(&service, &pods) {
        let api: Api<Endpoints> = Api::namespaced(context.client.clone(), &namespace);
        object::ensure(&api, &endpoints).await?;
    }
    Ok(Action::await_change())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_transition_while_its_state_is_the_same() {
        let before = json!({"conditions": [{"type": "A", "status": "True", "reason": "R", "message": "m",
            "lastTransitionTime": "t1", "lastUpdateTime": "t1"}]});
        let after = json!({"conditions": [{"type": "A", "status": "True", "reason": "R", "message": "other"}]});
        let timed = with_times(after, &before, "t2");
        assert_eq!(timed["conditions"][0]["lastTransitionTime"], "t1");
        assert_eq!(timed["conditions"][0]["lastUpdateTime"], "t2");
    }
}

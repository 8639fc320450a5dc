//! The workloads' own reconcilers: Deployment, ReplicaSet, and the Endpoints of Services. On a real cluster Kubernetes has
//! them; on a laptop this process runs them. The decisions are in [`rollout`], [`progress`] and [`pods`]; here they meet the API.

pub(crate) mod pods;
mod progress;
pub(crate) mod rollout;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt as _};
use serde_json::json;

use crate::{Context, Error, object};
use pods::PodStep;
use rollout::Step;

/// Times are written in whole seconds: a look that is a moment early would be one for nothing.
const CLOCK_SLACK: Duration = Duration::from_secs(1);
/// Who makes and deletes pods, in events.
const REPLICA_SETS: &str = "replicaset-controller";

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
        take(step, &deployment, &sets, &context).await?;
    }
    for set in sets.iter().filter(|set| rollout::is_slower_or_faster(&deployment, set)) {
        let seconds = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        let patch = Patch::Merge(json!({"spec": {"minReadySeconds": seconds}}));
        sets_api.patch(&set.name_any(), &PatchParams::default(), &patch).await?;
    }
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), &namespace);
    raise_revision(&api, &deployment, &sets_api, &sets, revision).await?;
    let (status, look_again) = progress::status(&deployment, &sets, (context.now)());
    object::write_status(&api, &deployment, status).await?;
    Ok(look_again.map_or_else(Action::await_change, |wait| Action::requeue(wait + CLOCK_SLACK)))
}

/// Does one step of a rollout and tells of it in an event.
async fn take(step: Step, deployment: &Deployment, sets: &[ReplicaSet], context: &Context) -> Result<(), Error> {
    let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), &deployment.namespace().unwrap_or_default());
    let (name, from, to) = match step {
        Step::Create(replicas) => {
            let revision = sets.iter().map(rollout::revision).max().unwrap_or(0) + 1;
            object::create(&api, &rollout::replica_set(deployment, replicas, revision)).await?;
            (rollout::current_name(deployment), 0, replicas)
        }
        Step::Scale(name, replicas) => {
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            api.patch(&name, &PatchParams::default(), &patch).await?;
            let before = sets.iter().find(|set| set.name_any() == name).map_or(0, rollout::replicas);
            (name, before, replicas)
        }
        Step::Forget(name) => return object::delete(&api, &name).await,
    };
    if from != to {
        let direction = if to > from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {name} from {from} to {to}");
        object::tell(context, deployment, "ScalingReplicaSet", message, "deployment-controller").await;
    }
    Ok(())
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
                let made = api.create(&PostParams::default(), &pods::new_pod(&set)).await?;
                let message = format!("Created pod: {}", made.name_any());
                object::tell(&context, &*set, "SuccessfulCreate", message, REPLICA_SETS).await;
            }
        }
        PodStep::Delete(names) => {
            for name in names {
                object::delete(&api, &name).await?;
                object::tell(&context, &*set, "SuccessfulDelete", format!("Deleted pod: {name}"), REPLICA_SETS).await;
            }
        }
    }
    let (status, look_again) = pods::set_status(&set, &list().await?, (context.now)());
    object::write_status(&Api::namespaced(context.client.clone(), &namespace), &*set, status).await?;
    Ok(look_again.map_or_else(Action::await_change, |wait| Action::requeue(wait + CLOCK_SLACK)))
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

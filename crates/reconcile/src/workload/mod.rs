//! The workloads' own reconcilers: Deployment, DeploymentConfig, ReplicaSet, and the Endpoints of Services. On a real cluster Kubernetes has
//! them; on a laptop this process runs them. The decisions are in [`rollout`], [`progress`] and [`pods`]; here they meet the API.

pub(crate) mod deployment_config;
pub(crate) mod pods;
mod progress;
pub(crate) mod rollout;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, ObjectReference, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt as _};
use serde_json::{Value, json};

use crate::{Context, Error, object};
use pods::PodStep;
use rollout::Step;

/// Times are written in whole seconds: a look that is a moment early would be one for nothing.
const CLOCK_SLACK: Duration = Duration::from_secs(1);
/// Who scales ReplicaSets, in events.
const DEPLOYMENTS: &str = "deployment-controller";
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
    let (owner, about) = (deployment.controller_owner_ref(&()), deployment.object_ref(&()));
    let rolled = Rollout { deployment: &deployment, owner, about, context: &context }.look().await?;
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), &deployment.namespace().unwrap_or_default());
    let known = deployment.annotations().get(rollout::REVISION);
    if known.is_none_or(|known| *known != rolled.revision.to_string()) {
        annotate(&api, &deployment.name_any(), rolled.revision).await?;
    }
    object::write_status(&api, &deployment, rolled.status).await?;
    Ok(rolled.next)
}

/// The same for a DeploymentConfig.
pub(crate) async fn deployment_config(config: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, Error> {
    let kind = deployment_config::resource();
    let deployment = deployment_config::as_deployment(&config);
    let Some(deployment) = deployment.filter(|_| config.metadata.deletion_timestamp.is_none()) else {
        return Ok(Action::await_change());
    };
    let (owner, about) = (config.controller_owner_ref(&kind), config.object_ref(&kind));
    let rolled = Rollout { deployment: &deployment, owner, about, context: &context }.look().await?;
    let namespace = config.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &kind);
    object::write_status(&api, &config, deployment_config::status(&rolled.status, rolled.revision)).await?;
    Ok(rolled.next)
}

/// A Deployment that rolls, and the object that it stands for: itself or a DeploymentConfig.
struct Rollout<'l> {
    deployment: &'l Deployment,
    owner: Option<OwnerReference>,
    about: ObjectReference,
    context: &'l Context,
}

/// What one look at a rollout found.
struct Rolled {
    status: Value,
    revision: u64,
    next: Action,
}

impl Rollout<'_> {
    async fn look(&self) -> Result<Rolled, Error> {
        let uid = self.deployment.uid().unwrap_or_default();
        let mut sets = self.sets().list(&ListParams::default()).await?.items;
        sets.retain(|set| is_owned_by(set, &uid));
        for step in rollout::steps(self.deployment, &sets) {
            self.take(step, &sets).await?;
        }
        for set in sets.iter().filter(|set| rollout::is_slower_or_faster(self.deployment, set)) {
            let seconds = self.deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
            let patch = Patch::Merge(json!({"spec": {"minReadySeconds": seconds}}));
            self.sets().patch(&set.name_any(), &PatchParams::default(), &patch).await?;
        }
        let revision = self.raise_revision(&sets).await?;
        let (status, look_again) = progress::status(self.deployment, &sets, (self.context.now)());
        let next = look_again.map_or_else(Action::await_change, |wait| Action::requeue(wait + CLOCK_SLACK));
        Ok(Rolled { status, revision, next })
    }

    fn sets(&self) -> Api<ReplicaSet> {
        Api::namespaced(self.context.client.clone(), &self.deployment.namespace().unwrap_or_default())
    }

    /// Does one step and tells of it in an event.
    async fn take(&self, step: Step, sets: &[ReplicaSet]) -> Result<(), Error> {
        let (name, from, to) = match step {
            Step::Create(replicas) => {
                let revision = sets.iter().map(rollout::revision).max().unwrap_or(0) + 1;
                let set = rollout::replica_set(self.deployment, self.owner.as_ref(), replicas, revision);
                object::create(&self.sets(), &set).await?;
                (rollout::current_name(self.deployment), 0, replicas)
            }
            Step::Scale(name, replicas) => {
                let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
                self.sets().patch(&name, &PatchParams::default(), &patch).await?;
                let before = sets.iter().find(|set| set.name_any() == name).map_or(0, rollout::replicas);
                (name, before, replicas)
            }
            Step::Forget(name) => return object::delete(&self.sets(), &name).await,
        };
        if from != to {
            let direction = if to > from { "up" } else { "down" };
            let message = format!("Scaled {direction} replica set {name} from {from} to {to}");
            object::tell(self.context, &self.about, "ScalingReplicaSet", message, DEPLOYMENTS).await;
        }
        Ok(())
    }

    /// The current template always has the highest revision, also when it is an old one that came back. Returns it.
    async fn raise_revision(&self, sets: &[ReplicaSet]) -> Result<u64, Error> {
        let highest = sets.iter().map(rollout::revision).max().unwrap_or(0);
        let name = rollout::current_name(self.deployment);
        let Some(set) = sets.iter().find(|set| set.name_any() == name) else { return Ok(highest + 1) };
        let alone = sets.iter().filter(|other| rollout::revision(other) == highest).count() == 1;
        let current = if rollout::revision(set) == highest && alone { highest } else { highest + 1 };
        if rollout::revision(set) != current {
            annotate(&self.sets(), &name, current).await?;
        }
        Ok(current)
    }
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
                object::tell(&context, &set.object_ref(&()), "SuccessfulCreate", message, REPLICA_SETS).await;
            }
        }
        PodStep::Delete(names) => {
            for name in names {
                object::delete(&api, &name).await?;
                object::tell(
                    &context,
                    &set.object_ref(&()),
                    "SuccessfulDelete",
                    format!("Deleted pod: {name}"),
                    REPLICA_SETS,
                )
                .await;
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

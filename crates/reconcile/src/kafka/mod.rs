//! The Kafka reconciler: one look brings pods, Services, Endpoints and status to what the resource says.
//!
//! What should exist is decided in [`desired`], [`properties`] and [`unserved`]; here it meets the API. The data outlives
//! the resource unless its storage says that it goes with it; then a finalizer keeps the resource until the data is gone.

mod desired;
mod properties;
mod status;
mod unserved;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, LogParams, Patch, PatchParams};
use kube::runtime::controller::Action;
use serde_json::json;

use crate::strimzi::{CLUSTER_LABEL, Kafka, PAUSE_ANNOTATION, Storage};
use crate::workload::pods::is_ready;
use crate::{Context, Error, object};

pub use desired::{BrokerProcess, RUNS_IN_ANNOTATION};
pub use unserved::KAFKA_VERSION;

/// Keeps a Kafka whose data goes with it until the data is gone.
const DATA_FINALIZER: &str = "millstream.io/delete-claim";
/// Enough of a log to find the last line that says something.
const LAST_LINES: i64 = 5;
/// How soon a resource that waits for a process to end is looked at again; its pods' events come first as a rule.
const ENDING_RETRY: Duration = Duration::from_millis(500);

/// Where a Kafka's first listener is reached, whether or not a broker is there.
pub(crate) fn bootstrap_servers(kafka: &Kafka) -> Option<String> {
    properties::served_listeners(kafka).next().map(|listener| format!("{}:{}", properties::BROKER_HOST, listener.port))
}

/// One look at a Kafka.
pub(crate) async fn reconcile(kafka: Arc<Kafka>, context: Arc<Context>) -> Result<Action, Error> {
    let api: Api<Kafka> = Api::namespaced(context.client.clone(), &kafka.namespace().unwrap_or_default());
    if kafka.metadata.deletion_timestamp.is_some() {
        return delete_data(&api, &kafka, &context).await;
    }
    if kafka.annotations().get(PAUSE_ANNOTATION).is_some_and(|value| value == "true") {
        object::write_status(&api, &*kafka, status::paused(&kafka, &context.now())).await?;
        return Ok(Action::await_change());
    }
    let goes = kafka.spec.kafka.storage.as_ref().is_some_and(Storage::goes_with_the_resource);
    object::set_finalizer(&api, &*kafka, DATA_FINALIZER, goes).await?;
    if let Some(refusal) = status::refusal(&kafka, &api.list(&ListParams::default()).await?.items) {
        let refused = status::status(&kafka, refusal, None, &context.now());
        object::write_status(&api, &*kafka, refused).await?;
        return Ok(Action::await_change());
    }
    write_properties(&kafka, &context).await?;
    let process = bring_pods(&kafka, &context).await?;
    let ready = process.as_ref().is_some_and(is_ready);
    bring_network(&kafka, &context, ready).await?;
    let cluster_id = if ready { context.cluster_id(&kafka).await } else { None };
    let last_words = if ready { None } else { last_words(&kafka, process.as_ref(), &context).await };
    let condition = status::condition(process.as_ref(), last_words);
    let status = status::status(&kafka, condition, cluster_id, &context.now());
    object::write_status(&api, &*kafka, status).await?;
    Ok(Action::await_change())
}

async fn write_properties(kafka: &Arc<Kafka>, context: &Arc<Context>) -> Result<(), Error> {
    let file = context.process.properties_file(kafka);
    let kafka = Arc::clone(kafka);
    let written = tokio::task::spawn_blocking(move || {
        desired::write_properties(&kafka, &file).map_err(|error| Error::File { path: file, error })
    });
    written.await.expect("writing a file does not panic").map(|_| ())
}

/// Makes missing pods, removes those of an older spec (they are made anew when they are gone) and superfluous ones. Returns
/// the pod of the process.
async fn bring_pods(kafka: &Kafka, context: &Context) -> Result<Option<Pod>, Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &kafka.namespace().unwrap_or_default());
    let selector = ListParams::default().labels(&format!("{CLUSTER_LABEL}={}", kafka.name_any()));
    let uid = kafka.uid().unwrap_or_default();
    let mut live = api.list(&selector).await?.items;
    live.retain(|pod| pod.owner_references().iter().any(|owner| owner.uid == uid));
    let wanted = desired::pods(kafka, &context.process);
    for pod in &live {
        let same = |wanted: &&Pod| {
            let hash = |pod: &Pod| pod.annotations().get(desired::SPEC_HASH_ANNOTATION).cloned();
            wanted.name_any() == pod.name_any() && hash(wanted) == hash(pod)
        };
        if pod.metadata.deletion_timestamp.is_none() && !wanted.iter().any(|wanted| same(&wanted)) {
            object::delete(&api, &pod.name_any()).await?;
        }
    }
    for pod in wanted.iter().filter(|wanted| !live.iter().any(|pod| pod.name_any() == wanted.name_any())) {
        object::create(&api, pod).await?;
    }
    let process = desired::process_pod_name(kafka);
    Ok(live.into_iter().find(|pod| pod.name_any() == process))
}

/// What a broker that ended said last, from its log.
async fn last_words(kafka: &Kafka, process: Option<&Pod>, context: &Context) -> Option<String> {
    status::ended(process?)?;
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &kafka.namespace().unwrap_or_default());
    // While it waits for its next run the log is that of the previous one.
    for previous in [false, true] {
        let tail = LogParams { tail_lines: Some(LAST_LINES), previous, ..LogParams::default() };
        let Ok(log) = api.logs(&desired::process_pod_name(kafka), &tail).await else { continue };
        if let Some(line) = log.lines().rfind(|line| !line.trim().is_empty()) {
            return Some(line.trim_start_matches("error: ").to_owned());
        }
    }
    None
}

async fn bring_network(kafka: &Kafka, context: &Context, ready: bool) -> Result<(), Error> {
    let namespace = kafka.namespace().unwrap_or_default();
    let services: Api<Service> = Api::namespaced(context.client.clone(), &namespace);
    for service in desired::services(kafka) {
        object::ensure(&services, &service).await?;
    }
    if let Some(endpoints) = desired::endpoints(kafka, ready) {
        let api: Api<Endpoints> = Api::namespaced(context.client.clone(), &namespace);
        if api.get_opt(&endpoints.name_any()).await?.is_none_or(|live| live.subsets != endpoints.subsets) {
            replace_subsets(&api, &endpoints).await?;
        }
    }
    Ok(())
}

async fn replace_subsets(api: &Api<Endpoints>, endpoints: &Endpoints) -> Result<(), Error> {
    object::create(api, endpoints).await?;
    let patch = Patch::Merge(json!({"subsets": endpoints.subsets}));
    api.patch(&endpoints.name_any(), &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Ends the process, then removes the data, then lets the resource go. Without the finalizer there is nothing to do: the
/// garbage collector takes the pods and Services, and the data stays.
async fn delete_data(api: &Api<Kafka>, kafka: &Kafka, context: &Context) -> Result<Action, Error> {
    if !kafka.finalizers().iter().any(|finalizer| finalizer == DATA_FINALIZER) {
        return Ok(Action::await_change());
    }
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &kafka.namespace().unwrap_or_default());
    let name = desired::process_pod_name(kafka);
    if pods.get_opt(&name).await?.is_some() {
        object::delete(&pods, &name).await?;
        return Ok(Action::requeue(ENDING_RETRY));
    }
    let home = context.process.home(kafka);
    let removed = tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(&home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::File { path: home, error }),
        _ => Ok(()),
    });
    removed.await.expect("removing a folder does not panic")?;
    object::set_finalizer(api, kafka, DATA_FINALIZER, false).await?;
    Ok(Action::await_change())
}

//! Strimzi and workload reconcilers, written against the Kubernetes API: a laptop's or a cluster's.
//!
//! [`run`] watches and reconciles until it is stopped; `up` calls it with a client of its own small API server. Each
//! reconciler is level-triggered: it looks at what is wanted and what is there, does the next steps, and looks again when
//! something changed. What is decided is decided by pure functions; only `mod.rs` of each part talks to the API.

mod accepted;
mod kafka;
mod names;
mod object;
mod strimzi;
mod topic;
mod workload;

use std::fmt::Debug;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::DynamicObject;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

pub use kafka::{BrokerProcess, KAFKA_VERSION, RUNS_IN_ANNOTATION};
pub use strimzi::{
    CLUSTER_LABEL, Condition, EntityOperatorSpec, Kafka, KafkaClusterSpec, KafkaSpec, KafkaStatus, KafkaTopic,
    KafkaTopicSpec, KafkaTopicStatus, Listener, ListenerAddress, ListenerStatus, Storage,
};

/// How soon a reconciler that failed looks again.
const RETRY: Duration = Duration::from_secs(1);

/// What the reconcilers need to know of the machine they run on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How a broker is started, and where it keeps its files.
    pub process: BrokerProcess,
    /// The wall clock, for the times of conditions.
    pub now: fn() -> jiff::Timestamp,
    /// How often a KafkaTopic is compared with its topic when nothing tells of a change (Strimzi: 120 s).
    pub topic_resync: Duration,
}

/// Why one look failed. It is logged, and the object looked at again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the Kubernetes API answered: {0}")]
    Api(#[from] kube::Error),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
}

/// What every reconciler has at hand.
pub(crate) struct Context {
    client: Client,
    process: BrokerProcess,
    now: fn() -> jiff::Timestamp,
    topic_resync: Duration,
    clusters: topic::Clusters,
}

impl Context {
    /// The time in RFC 3339 and whole seconds, as Kubernetes writes it.
    fn now(&self) -> String {
        jiff::Timestamp::from_second((self.now)().as_second()).unwrap_or_default().to_string()
    }
}

/// Reconciles everything that `client` shows, in all namespaces, until `stop`. Ends when the looks under way have ended.
pub async fn run(client: Client, settings: Settings, stop: CancellationToken) {
    let Settings { process, now, topic_resync } = settings;
    let clusters = topic::Clusters::default();
    let context = Arc::new(Context { client: client.clone(), process, now, topic_resync, clusters });

    let kafkas = controller::<Kafka>(&client, &stop)
        .owns(Api::<Pod>::all(client.clone()), watcher::Config::default())
        .owns(Api::<Service>::all(client.clone()), watcher::Config::default());
    let topics = controller::<KafkaTopic>(&client, &stop);
    let store = topics.store();
    let topics = topics
        .watches(Api::<Kafka>::all(client.clone()), watcher::Config::default(), move |kafka| topics_of(&store, &kafka));
    let deployments = controller::<Deployment>(&client, &stop)
        .owns(Api::<ReplicaSet>::all(client.clone()), watcher::Config::default());
    let sets =
        controller::<ReplicaSet>(&client, &stop).owns(Api::<Pod>::all(client.clone()), watcher::Config::default());
    let services = controller::<Service>(&client, &stop);
    let store = services.store();
    let services = services
        .watches(Api::<Pod>::all(client.clone()), watcher::Config::default(), move |pod| services_of(&store, &pod));

    tokio::join!(
        drive(kafkas, kafka::reconcile, &context),
        drive(topics, topic::reconcile, &context),
        drive(deployments, workload::deployment, &context),
        drive_configs(&context, &stop),
        drive(sets, workload::replica_set, &context),
        drive(services, workload::service, &context),
        accepted::run(&context, &stop),
    );
}

fn controller<K>(client: &Client, stop: &CancellationToken) -> Controller<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    Controller::new(Api::<K>::all(client.clone()), watcher::Config::default())
        .graceful_shutdown_on(stop.clone().cancelled_owned().boxed().shared())
}

async fn drive<K, R, F>(controller: Controller<K>, reconcile: R, context: &Arc<Context>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + Unpin + 'static,
    K::DynamicType: Eq + Hash + Clone,
    R: FnMut(Arc<K>, Arc<Context>) -> F,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let looks = controller.run(reconcile, retry, Arc::clone(context));
    looks.for_each(async |_| {}).await;
}

/// DeploymentConfigs have no type of their own in Rust.
async fn drive_configs(context: &Arc<Context>, stop: &CancellationToken) {
    let kind = workload::deployment_config::resource();
    let all: Api<DynamicObject> = Api::all_with(context.client.clone(), &kind);
    let retry = |config: Arc<DynamicObject>, error: &Error, _| again("DeploymentConfig", &config.name_any(), error);
    Controller::new_with(all, watcher::Config::default(), kind)
        .owns(Api::<ReplicaSet>::all(context.client.clone()), watcher::Config::default())
        .graceful_shutdown_on(stop.clone().cancelled_owned().boxed().shared())
        .run(workload::deployment_config, retry, Arc::clone(context))
        .for_each(async |_| {})
        .await;
}

fn retry<K>(object: Arc<K>, error: &Error, _: Arc<Context>) -> Action
where
    K: Resource<DynamicType = ()>,
{
    again(&K::kind(&()), &object.name_any(), error)
}

fn again(kind: &str, name: &str, error: &Error) -> Action {
    // Somebody else wrote meanwhile: the watch brings the newer object, nothing is wrong.
    if matches!(error, Error::Api(kube::Error::Api(status)) if status.code == 409) {
        return Action::requeue(Duration::from_millis(50));
    }
    tracing::warn!(%kind, %name, %error, "cannot reconcile; trying again");
    Action::requeue(RETRY)
}

/// The topics of a Kafka: they are looked at when it becomes ready or changes.
fn topics_of(topics: &Store<KafkaTopic>, kafka: &Kafka) -> Vec<ObjectRef<KafkaTopic>> {
    let name = kafka.name_any();
    let mine = |topic: &Arc<KafkaTopic>| {
        topic.labels().get(CLUSTER_LABEL) == Some(&name) && topic.namespace() == kafka.namespace()
    };
    topics.state().iter().filter(|topic| mine(topic)).map(|topic| ObjectRef::from_obj(&**topic)).collect()
}

/// The Services that select a pod: their Endpoints follow it.
fn services_of(services: &Store<Service>, pod: &Pod) -> Vec<ObjectRef<Service>> {
    let mine = |service: &Arc<Service>| service.namespace() == pod.namespace() && workload::pods::selects(service, pod);
    services.state().iter().filter(|service| mine(service)).map(|service| ObjectRef::from_obj(&**service)).collect()
}

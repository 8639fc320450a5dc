//! One pod: its containers' tasks, its status in the store, its end. The pod's task is the only writer of its status.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::Settings;
use super::container::{Container, grace};
use super::events::{EventText, Severity, record};
use super::status::{ContainerState, ContainerStatus, PodStatus};
use crate::kinds::POD;
use crate::logs::Logs;
use crate::object::{self, list, text};
use crate::resources::{DeleteOptions, Part, Resources, Target};
use crate::store::{Key, WatchNext};
use crate::unserved;

/// Says whose process stands for a pod: `up` (this one) or `pod/NAME` (that of another pod of the namespace).
pub const RUNS_IN_ANNOTATION: &str = "millstream.io/runs-in";
/// The name of the one node.
pub(super) const NODE: &str = "millstream";

/// What the runner tells a pod's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    /// End within this time. With `remove` the object goes afterwards; otherwise it stays for the next start.
    Stop {
        grace: Duration,
        remove: bool,
    },
}

/// A container's view of its pod's orders.
#[derive(Clone, Debug)]
pub(super) struct Stop(pub(super) watch::Receiver<Order>);

impl Stop {
    /// Resolves when the pod is to end, with the time it has. Cancel-safe.
    pub(super) async fn requested(&mut self) -> Duration {
        match self.0.wait_for(|order| *order != Order::Run).await.map(|order| *order) {
            Ok(Order::Stop { grace, .. }) => grace,
            // The runner is gone: end at once.
            _ => Duration::ZERO,
        }
    }

    /// Whether the pod goes for good.
    pub(super) fn removes(&self) -> bool {
        matches!(*self.0.borrow(), Order::Stop { remove: true, .. })
    }
}

/// What the tasks of one pod share.
#[derive(Debug)]
pub(super) struct PodContext {
    pub(super) resources: Resources,
    pub(super) logs: Logs,
    pub(super) settings: Arc<Settings>,
    /// The pod as it was when it was started here.
    pub(super) pod: Value,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) ip: Ipv4Addr,
    pub(super) restart_policy: String,
    pub(super) grace: Duration,
    /// Init containers first. Each is written by its container's task only.
    pub(super) statuses: Mutex<Vec<ContainerStatus>>,
    pub(super) changed: Notify,
    started_at: String,
}

impl PodContext {
    pub(super) fn new(resources: Resources, logs: Logs, settings: Arc<Settings>, pod: &Value, ip: Ipv4Addr) -> Self {
        let mut about = pod.clone();
        about["kind"] = "Pod".into();
        about["apiVersion"] = "v1".into();
        let before = pod.get("status").cloned().unwrap_or_default();
        let containers = |pointer: &str, waiting| {
            let of = move |definition: &Value| ContainerStatus::new(definition, &before, waiting);
            list(pod, pointer).iter().map(of).collect::<Vec<_>>()
        };
        let has_init = !list(pod, "/spec/initContainers").is_empty();
        let mut statuses = containers.clone()("/spec/initContainers", "PodInitializing");
        statuses.extend(containers("/spec/containers", if has_init { "PodInitializing" } else { "ContainerCreating" }));
        let started_at = resources.store.clock().now_text();
        Self {
            resources,
            logs,
            settings,
            namespace: object::namespace(pod).to_owned(),
            name: object::name(pod).to_owned(),
            uid: object::uid(pod).to_owned(),
            ip,
            restart_policy: text(pod, "/spec/restartPolicy").to_owned(),
            grace: grace(pod),
            statuses: Mutex::new(statuses),
            changed: Notify::new(),
            started_at,
            pod: about,
        }
    }

    pub(super) fn now_text(&self) -> String {
        self.resources.store.clock().now_text()
    }

    /// `web_default(1b4e28ba-…)`: how the kubelet's messages name it.
    pub(super) fn full_name(&self) -> String {
        format!("{}_{}({})", self.name, self.namespace, self.uid)
    }

    fn target(&self) -> Target {
        Target { kind: &POD, version: "v1", namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// Resolves when a ConfigMap or Secret of the namespace has changed since the version `seen`: what a container waits for
    /// may be there.
    pub(super) async fn settings_changed(&self, seen: u64) {
        let mut watch = self.resources.store.watch(seen);
        loop {
            let WatchNext::Changes(changes) = watch.next().await else { return };
            let is_setting = |kind: &str| kind == "ConfigMap" || kind == "Secret";
            if changes.iter().any(|c| c.key.namespace == self.namespace && is_setting(c.key.kind().kind)) {
                return;
            }
        }
    }

    /// Runs the pod until it has ended and, if so ordered, its object is gone.
    pub(super) async fn run(self: Arc<Self>, orders: watch::Receiver<Order>) {
        self.assign().await;
        self.write_status(false).await;
        let stop = Stop(orders.clone());
        let work = async {
            match object::annotation(&self.pod, RUNS_IN_ANNOTATION).map(str::to_owned) {
                Some(place) => self.stand_for(&place, stop).await,
                None => {
                    self.warn_of_unserved().await;
                    self.run_containers(&stop).await;
                }
            }
        };
        let mut work = std::pin::pin!(work);
        // When we end and the pod does not, its status stays as it was: it goes on at the next start.
        let is_paused = || matches!(*orders.borrow(), Order::Stop { remove: false, .. });
        loop {
            tokio::select! {
                () = &mut work => break,
                () = self.changed.notified() => {
                    if !is_paused() {
                        self.write_status(false).await;
                    }
                }
            }
        }
        if !is_paused() {
            self.write_status(true).await;
            self.end(Stop(orders)).await;
        }
    }

    /// An event for each field of the pod that has no effect.
    async fn warn_of_unserved(&self) {
        let spec = self.pod.get("spec").cloned().unwrap_or_default();
        for message in unserved::of_pod(&spec, "spec") {
            let field_path = message.split(": ").next().unwrap_or_default().to_owned();
            let event = EventText {
                severity: Severity::Warning,
                reason: "NotServed",
                message,
                component: "kubelet",
                field_path,
            };
            record(&self.resources, &self.pod, event).await;
        }
    }

    async fn run_containers(self: &Arc<Self>, stop: &Stop) {
        let init = list(&self.pod, "/spec/initContainers");
        let container = |index: usize, definition: &Value, is_init: bool| Container {
            context: Arc::clone(self),
            definition: definition.clone(),
            index,
            is_init,
        };
        for (index, definition) in init.iter().enumerate() {
            if !container(index, definition, true).run(stop.clone()).await {
                return;
            }
        }
        let main = list(&self.pod, "/spec/containers").iter().enumerate();
        let runs = main.map(|(index, definition)| container(init.len() + index, definition, false).run(stop.clone()));
        join_all(runs).await;
    }

    /// A pod without processes of its own: it is shown as running, and ready while what it stands for is ready.
    async fn stand_for(&self, place: &str, mut stop: Stop) {
        let started_at = self.now_text();
        let other = place.strip_prefix("pod/").map(|name| Key::new(&POD, &self.namespace, name));
        loop {
            let store = &self.resources.store;
            let mut watch = store.watch(store.version());
            let is_ready = other.as_ref().is_none_or(|key| store.get(key).is_some_and(|pod| is_ready(&pod)));
            self.stand(&started_at, is_ready);
            tokio::select! {
                _ = stop.requested() => break,
                _ = watch.next(), if other.is_some() => {}
            }
        }
    }

    fn stand(&self, started_at: &str, is_ready: bool) {
        let mut has_changed = false;
        for status in self.statuses.lock().iter_mut() {
            has_changed |= status.ready != is_ready || !matches!(status.state, ContainerState::Running { .. });
            status.state = ContainerState::Running { started_at: started_at.to_owned() };
            status.process_id = Some(std::process::id());
            status.started = true;
            status.ready = is_ready;
        }
        if has_changed {
            self.changed.notify_one();
        }
    }

    /// Does what the scheduler does.
    async fn assign(&self) {
        if !text(&self.pod, "/spec/nodeName").is_empty() {
            return;
        }
        let (resources, target, uid) = (self.resources.clone(), self.target(), self.uid.clone());
        let bound = tokio::task::spawn_blocking(move || {
            resources.edit(&target, Part::Main, |pod| {
                if object::uid(pod) == uid {
                    pod["spec"]["nodeName"] = NODE.into();
                }
            })
        });
        if let Ok(Err(error)) = bound.await {
            tracing::debug!(pod = %self.name, %error, "a pod cannot be assigned");
        }
        let message = format!("Successfully assigned {}/{} to {NODE}", self.namespace, self.name);
        let component = "default-scheduler";
        let event = EventText {
            severity: Severity::Normal,
            reason: "Scheduled",
            message,
            component,
            field_path: String::new(),
        };
        record(&self.resources, &self.pod, event).await;
    }

    async fn write_status(&self, is_over: bool) {
        let statuses = self.statuses.lock().clone();
        let (resources, target, uid) = (self.resources.clone(), self.target(), self.uid.clone());
        let (ip, started_at, now) = (self.ip.to_string(), self.started_at.clone(), self.now_text());
        let (restart_policy, init_count) = (self.restart_policy.clone(), list(&self.pod, "/spec/initContainers").len());
        let written = tokio::task::spawn_blocking(move || {
            let (init, containers) = statuses.split_at(init_count);
            let status = PodStatus {
                init,
                containers,
                ip: &ip,
                started_at: &started_at,
                now: &now,
                restart_policy: &restart_policy,
                is_over,
            };
            resources.edit(&target, Part::Status, |pod| {
                if object::uid(pod) == uid {
                    let before = pod["status"].take();
                    pod["status"] = status.to_value(&before);
                }
            })
        });
        if let Ok(Err(error)) = written.await {
            // The pod was removed by force: nobody is left to tell.
            tracing::debug!(pod = %self.name, %error, "a pod's status cannot be written");
        }
    }

    /// Waits for the order to stop, which may have caused the end, and takes the object out if so ordered.
    async fn end(&self, mut stop: Stop) {
        stop.requested().await;
        if !stop.removes() {
            return;
        }
        let (resources, target, uid) = (self.resources.clone(), self.target(), self.uid.clone());
        let folder = self.logs.pod_folder(&self.namespace, &self.name, &self.uid);
        let removed = tokio::task::spawn_blocking(move || {
            let _ = std::fs::remove_dir_all(folder);
            remove(&resources, &target, &uid);
        });
        let _ = removed.await;
    }
}

/// Takes the object of an ended pod out of the store. Blocks on the disk.
pub(super) fn remove(resources: &Resources, target: &Target, uid: &str) {
    let options = DeleteOptions { grace_seconds: Some(0), uid: Some(uid.to_owned()), ..DeleteOptions::default() };
    match resources.delete(target, &options) {
        Ok(_) => {}
        Err(error) if error.code == 404 || error.code == 409 => {}
        Err(error) => tracing::warn!(pod = %target.name, %error, "an ended pod cannot be removed"),
    }
}

/// Whether a pod's condition `Ready` holds.
fn is_ready(pod: &Value) -> bool {
    list(pod, "/status/conditions")
        .iter()
        .any(|condition| text(condition, "/type") == "Ready" && text(condition, "/status") == "True")
}

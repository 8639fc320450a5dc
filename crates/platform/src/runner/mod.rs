//! The kubelet of the one node: runs every pod of the store as processes of this machine and keeps their statuses.
//! One task per pod (`pod`), one per container (`container`); a thread per process (`process`).
//! Processes end with us in every case: stopped on shutdown, and killed by the kernel and by the warden when we are killed.

mod addresses;
mod before_exec;
mod container;
mod environment;
mod events;
mod exec;
mod image;
mod pod;
mod probe;
mod probing;
mod process;
mod status;
mod warden;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use events::{EventText, Severity, record};
pub use image::{ImageRule, ImageRuleError};
pub use pod::RUNS_IN_ANNOTATION;

use crate::kinds::POD;
use crate::logs::Logs;
use crate::object::{self, text};
use crate::resources::{Resources, Target};
use crate::store::{ChangeKind, Watch, WatchNext};
use addresses::Addresses;
use container::{Backoff, grace};
use pod::{Order, PodContext};
use warden::Warden;

/// On shutdown a pod gets its own grace period, but no more than this: somebody waits at a terminal.
const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(10);

/// What the pods' tasks need to know beside their pods.
#[derive(Debug)]
pub(crate) struct Settings {
    images: Vec<ImageRule>,
    /// What built-in images run.
    executable: PathBuf,
    backoff: Backoff,
    warden: Arc<Warden>,
    hosts_folder: PathBuf,
}

impl Settings {
    pub(crate) fn new(images: Vec<ImageRule>, executable: PathBuf, hosts_folder: &Path) -> Self {
        let warden = Arc::new(Warden::start());
        Self { images, executable, backoff: Backoff::default(), warden, hosts_folder: hosts_folder.to_owned() }
    }

    /// The back-off of restarts, for tests that wait for many.
    pub(crate) fn restart_backoff(mut self, initial: Duration) -> Self {
        self.backoff.initial = initial;
        self
    }

    /// The file in which pods of `namespace` find the names of its Services.
    fn hosts_file(&self, namespace: &str) -> PathBuf {
        self.hosts_folder.join(namespace)
    }
}

/// Runs the pods of the store.
#[derive(Debug)]
pub(crate) struct Runner {
    resources: Resources,
    logs: Logs,
    settings: Arc<Settings>,
    addresses: Addresses,
    /// Orders to the pods' tasks, by uid.
    pods: HashMap<String, watch::Sender<Order>>,
    tasks: JoinSet<String>,
}

impl Runner {
    pub(crate) fn new(resources: Resources, logs: Logs, settings: Settings, pod_network: Ipv4Addr) -> Self {
        Self {
            resources,
            logs,
            settings: Arc::new(settings),
            addresses: Addresses::new(pod_network),
            pods: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Runs until `shutdown`, then stops every pod and waits for it. Objects stay, for the next start.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut watch = self.list();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                ended = self.tasks.join_next(), if !self.tasks.is_empty() => self.ended(ended),
                next = watch.next() => match next {
                    WatchNext::Expired(_) => watch = self.list(),
                    WatchNext::Changes(changes) => {
                        for change in changes.into_iter().filter(|change| change.key.kind() == &POD) {
                            if change.kind == ChangeKind::Deleted {
                                self.order(object::uid(&change.object), Duration::ZERO, true);
                            } else {
                                self.look_at(&change.object);
                            }
                        }
                    }
                },
            }
        }
        for orders in self.pods.values() {
            orders.send_if_modified(|order| {
                let grace = match order {
                    Order::Run => SHUTDOWN_GRACE_MAX,
                    Order::Stop { grace, .. } => SHUTDOWN_GRACE_MAX.min(*grace),
                };
                let remove = matches!(order, Order::Stop { remove: true, .. });
                *order = Order::Stop { grace, remove };
                true
            });
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// Looks at every pod; stops those whose objects are gone. Returns the watch that goes on from there.
    fn list(&mut self) -> Watch {
        let listing = self.resources.store.list(&POD, None);
        let known: HashSet<&str> = listing.objects.iter().map(|(_, pod)| object::uid(pod)).collect();
        let gone: Vec<String> = self.pods.keys().filter(|uid| !known.contains(uid.as_str())).cloned().collect();
        for uid in gone {
            self.order(&uid, Duration::ZERO, true);
        }
        for (_, pod) in &listing.objects {
            self.look_at(pod);
        }
        self.resources.store.watch(listing.version)
    }

    fn look_at(&mut self, pod: &Value) {
        let uid = object::uid(pod);
        if self.pods.contains_key(uid) {
            if object::is_deleting(pod) {
                self.order(uid, grace(pod), true);
            }
            return;
        }
        if object::is_deleting(pod) {
            // It was stopped in an earlier life of ours, before its object could go.
            let target = Target {
                kind: &POD,
                version: "v1",
                namespace: object::namespace(pod).to_owned(),
                name: object::name(pod).to_owned(),
            };
            let (resources, uid) = (self.resources.clone(), uid.to_owned());
            self.tasks.spawn(async move {
                let of = uid.clone();
                let _ = tokio::task::spawn_blocking(move || pod::remove(&resources, &target, &of)).await;
                uid
            });
        } else if !["Succeeded", "Failed"].contains(&text(pod, "/status/phase")) {
            self.start(pod);
        }
    }

    fn start(&mut self, pod: &Value) {
        let uid = object::uid(pod).to_owned();
        let ip = self.addresses.assign(pod);
        let (sender, orders) = watch::channel(Order::Run);
        let settings = Arc::clone(&self.settings);
        let context = Arc::new(PodContext::new(self.resources.clone(), self.logs.clone(), settings, pod, ip));
        self.pods.insert(uid.clone(), sender);
        self.tasks.spawn(async move {
            context.run(orders).await;
            uid
        });
    }

    fn order(&mut self, uid: &str, grace: Duration, remove: bool) {
        if let Some(orders) = self.pods.get(uid) {
            orders.send_replace(Order::Stop { grace, remove });
        }
    }

    fn ended(&mut self, ended: Option<Result<String, tokio::task::JoinError>>) {
        match ended {
            Some(Ok(uid)) => {
                self.pods.remove(&uid);
                self.addresses.release(&uid);
            }
            Some(Err(error)) => tracing::error!(%error, "the task of a pod failed"),
            None => {}
        }
    }
}

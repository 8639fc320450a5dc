//! A TCP listener for each port of each Service, at the Service's own address; connections go on to ready pods in turn.
//! On Linux all of 127.0.0.0/8 reaches this machine; elsewhere Services share 127.0.0.1, and the first takes a port.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hosts::Hosts;
use super::{PortChoice, backends};
use crate::kinds::SERVICE;
use crate::object::{self, integer, list, text};
use crate::resources::Resources;
use crate::runner::{EventText, Severity, record};
use crate::store::{Key, Store, WatchNext};

/// Connections of all Services at once; each takes two file descriptors.
const CONNECTIONS_MAX: usize = 4096;
/// A port that could not be bound is tried again this often.
const RETRY_EVERY: Duration = Duration::from_secs(5);
/// How long a backend may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a Service with the address `cluster_ip` listens.
pub(super) fn listen_ip(cluster_ip: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = cluster_ip.parse().ok().filter(Ipv4Addr::is_loopback)?;
    Some(if cfg!(target_os = "linux") { address } else { Ipv4Addr::LOCALHOST })
}

/// One port of one Service, as it is to be served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    namespace: String,
    service: String,
    name: String,
    listen: SocketAddr,
}

/// Serves all Services. Runs as one task, with one more per port and per connection.
#[derive(Debug)]
pub(crate) struct Services {
    resources: Resources,
    hosts: Option<Hosts>,
    serving: BTreeMap<Port, CancellationToken>,
    tasks: TaskTracker,
    connections: Arc<Semaphore>,
}

impl Services {
    pub(crate) fn new(resources: Resources, hosts_folder: &Path) -> Self {
        Self {
            resources,
            hosts: Some(Hosts::new(hosts_folder)),
            serving: BTreeMap::new(),
            tasks: TaskTracker::new(),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// Runs until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let mut watch = self.resources.store.watch(self.resources.store.version());
            let is_complete = self.sync(&shutdown).await;
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = changed(&mut watch) => {}
                () = tokio::time::sleep(RETRY_EVERY), if !is_complete => {}
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Brings listeners and hosts files to the present Services; false when a port could not be bound.
    async fn sync(&mut self, shutdown: &CancellationToken) -> bool {
        let store = self.resources.store.clone();
        if let Some(mut hosts) = self.hosts.take() {
            let written = tokio::task::spawn_blocking(move || {
                let written = hosts.write(&store);
                (hosts, written)
            });
            if let Ok((hosts, written)) = written.await {
                self.hosts = Some(hosts);
                if let Err(error) = written {
                    tracing::warn!(%error, "the names of Services cannot be written");
                }
            }
        }
        let wanted = wanted(&self.resources.store);
        self.serving.retain(|port, stop| {
            let is_wanted = wanted.contains(port);
            if !is_wanted {
                stop.cancel();
            }
            is_wanted
        });
        let mut is_complete = true;
        for port in wanted {
            if !self.serving.contains_key(&port) {
                is_complete &= self.serve(port, shutdown).await;
            }
        }
        is_complete
    }

    async fn serve(&mut self, port: Port, shutdown: &CancellationToken) -> bool {
        let listener = match TcpListener::bind(port.listen).await {
            Ok(listener) => listener,
            Err(error) => {
                let message = format!("cannot listen on {}: {error}", port.listen);
                tracing::warn!(service = %port.service, "{message}");
                self.warn(&port, message).await;
                return false;
            }
        };
        let stop = shutdown.child_token();
        self.serving.insert(port.clone(), stop.clone());
        let (store, connections) = (self.resources.store.clone(), Arc::clone(&self.connections));
        self.tasks.spawn(accept(listener, port, store, connections, stop, self.tasks.clone()));
        true
    }

    async fn warn(&self, port: &Port, message: String) {
        let Some(service) = self.resources.store.get(&Key::new(&SERVICE, &port.namespace, &port.service)) else {
            return;
        };
        let mut about = service.as_ref().clone();
        about["kind"] = json!("Service");
        about["apiVersion"] = json!("v1");
        let event = EventText {
            severity: Severity::Warning,
            reason: "FailedToListen",
            message,
            component: "service-proxy",
            field_path: String::new(),
        };
        record(&self.resources, &about, event).await;
    }
}

/// Resolves when a Service, its Endpoints or a namespace changes.
async fn changed(watch: &mut crate::store::Watch) {
    loop {
        let WatchNext::Changes(changes) = watch.next().await else { return };
        let matters = |kind: &str| matches!(kind, "Service" | "Endpoints" | "Namespace");
        if changes.iter().any(|change| matters(change.key.kind().kind)) {
            return;
        }
    }
}

fn wanted(store: &Store) -> Vec<Port> {
    let mut wanted = Vec::new();
    for (key, service) in store.list(&SERVICE, None).objects {
        let Some(ip) = listen_ip(text(&service, "/spec/clusterIP")) else { continue };
        let is_tcp = |port: &&Value| text(port, "/protocol") == "TCP" || text(port, "/protocol").is_empty();
        for port in list(&service, "/spec/ports").iter().filter(is_tcp) {
            let Some(number) = integer(port, "/port").and_then(|number| u16::try_from(number).ok()) else { continue };
            wanted.push(Port {
                namespace: object::namespace(&service).to_owned(),
                service: key.name.clone(),
                name: text(port, "/name").to_owned(),
                listen: SocketAddr::new(IpAddr::V4(ip), number),
            });
        }
    }
    wanted
}

async fn accept(
    listener: TcpListener,
    port: Port,
    store: Store,
    connections: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let (turn, choice) = (AtomicUsize::new(0), PortChoice::Named(port.name.clone()));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = accepted else {
            // Out of file descriptors, most likely: accepting again at once would spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            tracing::warn!(limit = CONNECTIONS_MAX, service = %port.service, "too many connections: one is refused");
            continue;
        };
        let mut found = backends(&store, &port.namespace, &port.service, &choice);
        found.retain(|backend| *backend != port.listen);
        if !found.is_empty() {
            let first = turn.fetch_add(1, Ordering::Relaxed) % found.len();
            found.rotate_left(first);
        }
        let stop = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = forward(client, &found) => {}
            }
            drop(permit);
        });
    }
}

/// Connects to the first backend that accepts, and copies both ways until both sides are done.
async fn forward(mut client: TcpStream, backends: &[SocketAddr]) {
    let Some(mut backend) = connect(backends).await else { return };
    let _ = client.set_nodelay(true);
    // Ends with an error when either side resets: then both are closed, which is all there is to do.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut backend).await;
}

/// The first of `backends` that accepts.
pub(super) async fn connect(backends: &[SocketAddr]) -> Option<TcpStream> {
    for backend in backends {
        if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(backend)).await {
            let _ = stream.set_nodelay(true);
            return Some(stream);
        }
    }
    None
}

//! Puts the parts together: opens the store, serves the API in process and on loopback, runs what runs beside it, and stops
//! all of it in order. `millstream up` owns one of these.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{ApiService, ListenError, Listener, USER};
use crate::clock::Clock;
use crate::error::ApiError;
use crate::logs::Logs;
use crate::network::{Claim, Routes, RoutesAddress, Services};
use crate::resources::{Defaults, Resources};
use crate::runner::{ImageRule, Runner, Settings};
use crate::store::{OpenError, Store};

/// How often events older than an hour are looked for.
const EXPIRY_EVERY: Duration = Duration::from_secs(60);

/// What a platform is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of the store, the logs and the token; created when absent.
    pub data_dir: PathBuf,
    /// Where the API listens: a loopback address; port 0 picks one.
    pub api: SocketAddr,
    /// Where Routes answer.
    pub routes: RoutesAddress,
    /// Stands for the pair of /16 networks of 127.0.0.0/8 out of which Services and pods get their addresses; when another
    /// platform of this machine has that pair, the next free one is taken.
    pub network: u64,
    /// Programs behind images, before the built-in ones.
    pub images: Vec<ImageRule>,
    /// What built-in images run: the binary `millstream`.
    pub executable: PathBuf,
    /// The first delay of a container's restarts after the immediate one; it doubles up to five minutes.
    pub restart_backoff: Duration,
    /// Whether pods are run and Services and Routes are served; without, there is the API alone.
    pub runs_pods: bool,
    /// Where "now" comes from.
    pub clock: Clock,
}

impl Config {
    /// The defaults for a data folder: a free port of 127.0.0.1, the first free pair of networks, this program as that of
    /// built-in images, the kubelet's back-off.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            api: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            routes: RoutesAddress::Off,
            network: 0,
            images: Vec::new(),
            executable: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("millstream")),
            restart_backoff: Duration::from_secs(10),
            runs_pods: true,
            clock: Clock::system(),
        }
    }
}

/// The platform cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error("{path}: {error}")]
    DataDir {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The store is locked, newer or unreadable.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The API or the Routes cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The first objects cannot be written.
    #[error("{0}")]
    Prepare(#[from] ApiError),
}

/// A running platform. [`Platform::shutdown`] stops it; dropping it stops it without waiting.
#[derive(Debug)]
pub struct Platform {
    service: ApiService,
    address: SocketAddr,
    routes_address: Option<SocketAddr>,
    token: String,
    store: Store,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    /// Pods and Services have addresses out of it until they have ended.
    _claim: Claim,
}

impl Platform {
    /// Starts everything; returns when the API answers.
    ///
    /// # Errors
    /// When the data folder, the store or the port cannot be used; nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let of_store = config.clone();
        let opened = tokio::task::spawn_blocking(move || open(&of_store)).await;
        let Opened { resources, logs, token, claim } = opened.map_err(ApiError::internal)??;
        let listener = Listener::bind(config.api, token.clone()).await?;
        let routes = Routes::bind(config.routes, resources.store.clone()).await?;
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let store = resources.store.clone();
        let service = ApiService::new(resources.clone(), logs.clone(), shutdown.clone());
        let address = listener.address();
        tasks.spawn(listener.serve(service.clone(), shutdown.clone()));
        tasks.spawn(expire_events(resources.clone(), shutdown.clone()));
        let routes_address = routes.as_ref().map(Routes::address);
        if let Some(routes) = routes {
            tasks.spawn(routes.serve(shutdown.clone()));
        }
        if config.runs_pods {
            let hosts = config.data_dir.join("hosts");
            tasks.spawn(Services::new(resources.clone(), &hosts).run(shutdown.clone()));
            let settings =
                Settings::new(config.images, config.executable, &hosts).restart_backoff(config.restart_backoff);
            tasks.spawn(Runner::new(resources, logs, settings, claim.pods).run(shutdown.clone()));
        }
        Ok(Self { service, address, routes_address, token, store, shutdown, tasks, _claim: claim })
    }

    /// The API in process, for `kube::Client::new(platform.service(), "default")`.
    #[must_use]
    pub fn service(&self) -> ApiService {
        self.service.clone()
    }

    /// Where the API listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What opens the API over its port, as a bearer token. A secret of the user who started the platform.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where Routes answer, if they do.
    #[must_use]
    pub fn routes_address(&self) -> Option<SocketAddr> {
        self.routes_address
    }

    /// A kubeconfig file (YAML) with which kubectl reaches this API. It holds the token: write it readable by its owner only.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        let mut text = String::from("apiVersion: v1\nkind: Config\n");
        // client-go sends no bearer token without TLS, but the credentials in the URL; kube-rs does the opposite.
        let server = format!("http://{USER}:{}@{}", self.token, self.address);
        let _ = write!(text, "clusters:\n- name: millstream\n  cluster:\n    server: {server}\n");
        let _ = write!(text, "users:\n- name: millstream\n  user:\n    token: {}\n", self.token);
        text.push_str("contexts:\n- name: millstream\n  context:\n    cluster: millstream\n    user: millstream\n");
        text.push_str("    namespace: default\ncurrent-context: millstream\n");
        text
    }

    /// Stops everything and waits until it has stopped.
    pub async fn shutdown(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let store = self.store.clone();
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What is there before anything is served.
struct Opened {
    resources: Resources,
    logs: Logs,
    token: String,
    claim: Claim,
}

fn open(config: &Config) -> Result<Opened, StartError> {
    let folder = &config.data_dir;
    std::fs::create_dir_all(folder).map_err(|error| StartError::DataDir { path: folder.clone(), error })?;
    let store = Store::open(&folder.join("platform.redb"), config.clock.clone())?;
    // After the store is ours: who finds it locked takes no networks.
    let claim = Claim::take(config.network);
    let resources = Resources::new(store, Defaults { service_network: claim.services })?;
    let token = token(&folder.join("token"))?;
    Ok(Opened { resources, logs: Logs::new(&folder.join("pods")), token, claim })
}

/// The bearer token of this data folder, made at first use, so that a kubeconfig stays valid over restarts.
fn token(path: &Path) -> Result<String, StartError> {
    let failed = |error| StartError::DataDir { path: path.to_owned(), error };
    match std::fs::read_to_string(path) {
        Ok(token) if token.trim().len() >= 32 => return Ok(token.trim().to_owned()),
        Ok(_) => std::fs::remove_file(path).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    io::Write::write_all(&mut file, token.as_bytes()).map_err(failed)?;
    Ok(token)
}

async fn expire_events(resources: Resources, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(EXPIRY_EVERY) => {}
        }
        let resources = resources.clone();
        let expired = tokio::task::spawn_blocking(move || resources.expire_events()).await;
        if let Ok(Err(error)) = expired {
            tracing::warn!(%error, "old events cannot be removed");
        }
    }
}

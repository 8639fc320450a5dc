//! From options to a serving broker, and back to silence. Called by `millstream broker` and `millstream up`.
//!
//! Listeners are bound first, so that a port in use is known before the data is touched; requests are served once the
//! data is open. Stopping goes the other way: no more connections, requests in flight answered, logs closed.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millstream_metadata::catalog::{self, Catalog, OpenCatalogError, Topic};
use millstream_metadata::store::{EmbeddedStore, OpenStoreError};
use millstream_model::{BrokerId, PartitionIndex};
use millstream_storage::clock::{Clock, SystemClock};
use millstream_storage::{
    FileDisk, LogConfig, OpenDiskError, OpenError, PartitionSpec, RecoveryReport, Storage, StorageError,
    StorageOptions, WeakFileSystem,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::fetch::sessions::FetchSessions;
use crate::groups::Groups;
use crate::listeners::ListenerSpec;
use crate::metrics::Metrics;
use crate::nodes::{Endpoint, Node, Nodes};
use crate::producer_ids::ProducerIds;
use crate::server::{AnswerMemory, BindError, BoundListener, RequestMemory, Workers, bind};
use crate::settings::{BrokerOptions, Settings, SettingsError};
use crate::tasks::Tasks;
use crate::topic_names::TopicNames;
use crate::topic_settings::TopicSettings;
use crate::{Broker, http, log_upkeep};

/// The metadata store, in the data directory.
pub const METADATA_FILE: &str = "metadata.redb";
/// What a Kafka broker keeps in each of its log directories.
const KAFKA_META_PROPERTIES: &str = "meta.properties";
/// Threads that wait for the disk: the lane's slots in flight, segments behind them, reads beside.
const DISK_THREADS: usize = 6;

/// Why a broker does not start. Each is one clear sentence for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot listen for HTTP on {address}: {source}")]
    Http { address: SocketAddr, source: io::Error },
    #[error("the data directory {} cannot be made: {source}", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error(transparent)]
    MetadataStore(#[from] OpenStoreError),
    #[error(transparent)]
    Catalog(#[from] OpenCatalogError),
    #[error(transparent)]
    Disk(#[from] OpenDiskError),
    #[error(transparent)]
    Storage(#[from] OpenError),
    #[error("{} holds a Kafka broker's own logs: choose another data directory", .0.display())]
    KafkaLogs(PathBuf),
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// A broker that serves requests.
#[derive(Debug)]
pub struct RunningBroker {
    broker: Arc<Broker>,
    workers: Arc<Workers>,
    acceptors: Vec<JoinHandle<io::Result<()>>>,
    http: Option<(SocketAddr, JoinHandle<()>)>,
    /// Ends connections and acceptors.
    stop: CancellationToken,
    addresses: Vec<SocketAddr>,
}

/// Starts a broker. It serves requests when this returns. Needs a tokio runtime, which must live as long as it.
pub async fn start(mut options: BrokerOptions) -> Result<RunningBroker, StartError> {
    let settings = Settings::read(&mut options)?;
    let mut listeners = bind_all(&settings.listeners, options.nodes.max(1))?;
    let addresses = listeners.iter().map(|listener| listener.address).collect();
    let http = match options.http {
        Some(address) => Some(bind_http(address).await?),
        None => None,
    };
    let (broker, stop) = open(&options, settings, &mut listeners).await?;
    let workers = Arc::new(Workers::start(&broker, worker_count(), &stop)?);
    let accept = |listener: BoundListener| {
        tokio::spawn(listener.accept(Arc::clone(&workers), Arc::clone(&broker), stop.clone()))
    };
    let acceptors = listeners.into_iter().map(accept).collect();
    log_upkeep::begin(&broker);
    broker.ready.store(true, Ordering::Release);
    let http = http
        .map(|(address, listener)| (address, tokio::spawn(http::serve(listener, Arc::clone(&broker), stop.clone()))));
    Ok(RunningBroker { broker, workers, acceptors, http, stop, addresses })
}

/// Binds every listener of every node.
fn bind_all(specs: &[ListenerSpec], nodes: u32) -> Result<Vec<BoundListener>, StartError> {
    let mut bound = Vec::new();
    for node in 0..nodes {
        for spec in specs {
            if node == 0 && spec.is_beyond_loopback() {
                warn!(listener = %spec.name, "anybody who reaches this listener may read and write everything: it has no authentication");
            }
            bind_listener(spec, node as u16, &mut bound)?;
        }
    }
    Ok(bound)
}

/// Binds a listener's addresses on the same port. The first must be had; a machine without IPv6 lacks the second.
fn bind_listener(spec: &ListenerSpec, node: u16, bound: &mut Vec<BoundListener>) -> Result<(), StartError> {
    let mut port = match spec.port() {
        0 => 0,
        first => first.checked_add(node).expect("the settings say that the nodes' ports fit"),
    };
    for (index, address) in spec.addresses.iter().enumerate() {
        match bind(BrokerId(i32::from(node)), &spec.name, SocketAddr::new(address.ip(), port)) {
            Ok(listener) => {
                port = listener.address.port();
                bound.push(listener);
            }
            Err(error) if index == 0 => return Err(error.into()),
            Err(error) => info!(%error, "served on the other loopback address only"),
        }
    }
    Ok(())
}

async fn bind_http(address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let failed = |source| StartError::Http { address, source };
    let listener = http::bind(address).await.map_err(failed)?;
    Ok((listener.local_addr().map_err(failed)?, listener))
}

fn worker_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Opens the catalog and the logs, and puts the broker together.
async fn open(
    options: &BrokerOptions,
    settings: Settings,
    listeners: &mut [BoundListener],
) -> Result<(Arc<Broker>, CancellationToken), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let catalog = Arc::new(open_catalog(options, &settings.data_dir).await?);
    // Listeners are bound before the catalog says which numbers its nodes have.
    let first = catalog.image().brokers().first().copied().unwrap_or_default();
    listeners.iter_mut().for_each(|listener| listener.node.0 += first.0);
    let nodes = nodes_of(&settings, listeners);
    let stop = CancellationToken::new();
    let log_config = |topic: &Topic| TopicSettings::of(topic, &catalog.image()).log;
    let storage = open_storage(&settings.data_dir, &catalog, log_config, &clock).await?;
    let broker = Arc::new_cyclic(|weak| Broker {
        cluster_id: catalog.image().cluster_id().to_owned(),
        nodes,
        storage,
        groups: Groups::default(),
        fetch_sessions: FetchSessions::new(settings.fetch_sessions_max, || Uuid::new_v4().as_u128() as u32),
        producer_ids: ProducerIds::default(),
        request_memory: RequestMemory::new(settings.request_memory_bytes),
        // Answers may hold as much again as requests.
        answer_memory: AnswerMemory::new(settings.request_memory_bytes),
        connections: Arc::default(),
        metrics: Metrics::new(weak.clone(), clock.now()),
        clock,
        tasks: Tasks::new(stop.clone()),
        topic_names: TopicNames::default(),
        topic_settings: parking_lot::RwLock::default(),
        backups: crate::backup::Backups::default(),
        ready: AtomicBool::new(false),
        catalog,
        settings,
    });
    Ok((broker, stop))
}

async fn open_catalog(options: &BrokerOptions, data_dir: &Path) -> Result<Catalog, StartError> {
    std::fs::create_dir_all(data_dir).map_err(|source| StartError::DataDir { path: data_dir.to_owned(), source })?;
    if data_dir.join(KAFKA_META_PROPERTIES).exists() {
        return Err(StartError::KafkaLogs(data_dir.to_owned()));
    }
    let store = Arc::new(EmbeddedStore::open(&data_dir.join(METADATA_FILE))?);
    let settings = catalog::Settings {
        config: options.config.clone(),
        brokers: options.nodes.max(1),
        cluster_id: None,
        new_uuid: Box::new(Uuid::new_v4),
    };
    Ok(Catalog::open(store, settings).await?)
}

fn nodes_of(settings: &Settings, listeners: &[BoundListener]) -> Nodes {
    let mut nodes: BTreeMap<BrokerId, Node> = BTreeMap::new();
    let first = listeners.iter().map(|listener| listener.node).min().unwrap_or_default();
    for listener in listeners {
        let spec = settings.listeners.iter().find(|spec| spec.name == listener.name);
        let spec = spec.expect("bound listeners are those of the settings");
        let endpoint = match &spec.advertised {
            Some((host, 0)) => Endpoint { host: Some(host.clone()), port: listener.address.port() },
            Some((host, port)) => {
                Endpoint { host: Some(host.clone()), port: port.saturating_add((listener.node.0 - first.0) as u16) }
            }
            None => Endpoint { host: None, port: listener.address.port() },
        };
        let node = nodes.entry(listener.node).or_insert_with(|| Node {
            id: listener.node,
            rack: settings.rack.clone(),
            endpoints: BTreeMap::new(),
        });
        node.endpoints.entry(listener.name.clone()).or_insert(endpoint);
    }
    Nodes::new(nodes.into_values().collect())
}

async fn open_storage(
    data_dir: &Path,
    catalog: &Catalog,
    topic_settings: impl Fn(&Topic) -> LogConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Storage, StartError> {
    let image = catalog.image();
    let partitions = image.topics().flat_map(|topic| {
        let config = topic_settings(topic);
        (0..topic.partitions.len() as i32).map(move |index| PartitionSpec {
            topic_id: topic.id,
            topic: Arc::clone(&topic.name),
            index: PartitionIndex(index),
            config: config.clone(),
        })
    });
    let partitions = partitions.collect();
    let node = image.brokers().first().copied().unwrap_or_default();
    let disk = Arc::new(FileDisk::open(data_dir, DISK_THREADS)?);
    if let Some(weak) = WeakFileSystem::of(data_dir) {
        warn!("{}", weak.warning());
    }
    let options = StorageOptions::new(image.cluster_id().to_owned(), node, Uuid::new_v4());
    let (storage, report) = Storage::open(options, disk, Arc::clone(clock), partitions).await?;
    tell_recovery(&report);
    Ok(storage)
}

/// One line when there was something to recover, and one for each thing that an operator must know.
fn tell_recovery(report: &RecoveryReport) {
    if !report.clean {
        info!(
            batches = report.batches_replayed,
            slots = report.slots_replayed,
            torn_slots = report.slots_torn,
            leader_epoch = report.generation.0,
            "recovered after an unclean end"
        );
    }
    for (topic, index, reason) in &report.offline {
        error!("partition {topic}-{index} is offline: {reason}");
    }
    for (from, to) in &report.moved_aside {
        warn!("{} belongs to no topic and was moved to {}", from.display(), to.display());
    }
}

impl RunningBroker {
    #[cfg(test)]
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Where requests are served, each node's listeners in turn.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where HTTP is served, if it is.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(address, _)| *address)
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        self.broker.cluster_id()
    }

    /// Resolves when the storage has failed for good, with the reason: stop then, and start again to recover.
    pub async fn failed(&self) -> Arc<str> {
        self.broker.storage().failed().await
    }

    /// Stops: answers what is in flight, closes every connection, then the logs.
    ///
    /// # Errors
    /// When the logs cannot be closed; the next start recovers.
    pub async fn stop(self) -> Result<(), StorageError> {
        self.broker.ready.store(false, Ordering::Release);
        self.stop.cancel();
        for acceptor in self.acceptors {
            if let Ok(Err(error)) = acceptor.await {
                warn!(%error, "a listener ended early");
            }
        }
        let workers = Arc::clone(&self.workers);
        // The workers' threads are waited for where waiting may block.
        let _ = tokio::task::spawn_blocking(move || workers.join()).await;
        if let Some((_, http)) = self.http {
            let _ = http.await;
        }
        self.broker.tasks().ended().await;
        self.broker.storage().close().await
    }
}

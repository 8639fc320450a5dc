//! Opens the catalog of a store: makes a new cluster's identity or checks an old one's, registers the brokers of this
//! process, and gives every partition a leader that is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use millstream_model::{BrokerId, LeaderEpoch};
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use super::image::{Image, Partition};
use super::record::{self, BrokerRecord, ClusterRecord, NodeRecord, TopicRecord};
use super::{Catalog, NewUuid, Operation, random_id};
use crate::configs::{Origin, StaticConfig};
use crate::store::{Change, Lease, MetadataStore, StoreError, Write};

/// How long other processes keep a broker's registration after it has gone silent.
const REGISTRATION_TIME_TO_LIVE: Duration = Duration::from_secs(9);

/// Who opens the catalog.
pub struct Settings {
    /// The configs given at start, of which `node.id` is read; without it the node keeps its number, at first 0.
    pub config: StaticConfig,
    /// Brokers in this process, with consecutive numbers from the node's; at least 1.
    pub brokers: u32,
    /// The id of a new cluster; `None` for a random one.
    pub cluster_id: Option<String>,
    /// Makes the random ids.
    pub new_uuid: NewUuid,
}

impl Default for Settings {
    fn default() -> Self {
        Self { config: StaticConfig::default(), brokers: 1, cluster_id: None, new_uuid: Box::new(Uuid::new_v4) }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("config", &self.config).field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

/// Why the catalog could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenCatalogError {
    #[error("the cluster's metadata was written by a newer version (format {found}; this one reads up to {supported})")]
    Newer { found: u32, supported: u32 },
    #[error("node.id={configured} is configured, but the data directory belongs to node {stored}")]
    NodeId { configured: i32, stored: i32 },
    #[error("the cluster is to be {configured}, but the data directory belongs to cluster {stored}")]
    ClusterId { configured: String, stored: String },
    /// Going on without it would lose what it stands for.
    #[error(
        "the entry {key} of the metadata store cannot be read: start the version that wrote it, or restore the file"
    )]
    Damaged { key: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Write(#[from] crate::store::WriteError),
}

impl Catalog {
    /// Opens the catalog of `store`. Waits for the store; everything that is changed is durable when it returns.
    pub async fn open(store: Arc<dyn MetadataStore>, mut settings: Settings) -> Result<Self, OpenCatalogError> {
        let (first, mut write) = identify(&*store, &mut settings).await?;
        let brokers: Vec<BrokerId> =
            (0..settings.brokers.max(1)).map(|n| BrokerId(first.0 + n.cast_signed())).collect();
        let lease = store.lease(REGISTRATION_TIME_TO_LIVE).await?;
        write.changes.extend(brokers.iter().map(|broker| registration(*broker, &lease)));
        store.write(write).await?;
        let given: BTreeMap<BrokerId, StaticConfig> =
            brokers.iter().map(|broker| (*broker, numbered(&settings.config, *broker))).collect();
        let (image, unreadable) = Image::empty(given).replaced_by(&store.list("").await?);
        if let Some(key) = unreadable {
            return Err(damaged(&key));
        }
        let (changes, _) = watch::channel(image.revision());
        let catalog = Self {
            store,
            image: ArcSwap::from_pointee(image),
            changes,
            operation: Mutex::new(Operation { new_uuid: settings.new_uuid, stale: false }),
            _registration: lease,
        };
        catalog.change(|image, _| (elect(image), ())).await?;
        Ok(catalog)
    }
}

fn damaged(key: &str) -> OpenCatalogError {
    OpenCatalogError::Damaged { key: key.to_owned() }
}

/// Checks the cluster's id and the node's number; answers the latter, and the write that stores what is new.
async fn identify(store: &dyn MetadataStore, settings: &mut Settings) -> Result<(BrokerId, Write), OpenCatalogError> {
    let mut write = Write::default();
    match store.get(record::CLUSTER).await? {
        Some(entry) => {
            let cluster: ClusterRecord =
                record::decode(record::CLUSTER, &entry.value).ok_or(damaged(record::CLUSTER))?;
            if cluster.format > record::FORMAT {
                return Err(OpenCatalogError::Newer { found: cluster.format, supported: record::FORMAT });
            }
            if let Some(configured) = settings.cluster_id.take_if(|configured| *configured != cluster.id) {
                return Err(OpenCatalogError::ClusterId { configured, stored: cluster.id });
            }
        }
        None => {
            let id = settings.cluster_id.take().unwrap_or_else(|| random_id(&mut settings.new_uuid).to_string());
            write.expect(record::CLUSTER, None);
            write.put(record::CLUSTER, record::encode(&ClusterRecord { format: record::FORMAT, id }));
        }
    }
    let configured = settings.config.get("node.id").and_then(|text| text.trim().parse::<i32>().ok());
    let node = match store.get(record::NODE).await? {
        Some(entry) => {
            let NodeRecord { id: stored } = record::decode(record::NODE, &entry.value).ok_or(damaged(record::NODE))?;
            if let Some(configured) = configured.filter(|configured| *configured != stored) {
                return Err(OpenCatalogError::NodeId { configured, stored });
            }
            stored
        }
        None => {
            let id = configured.unwrap_or(0);
            write.expect(record::NODE, None);
            write.put(record::NODE, record::encode(&NodeRecord { id }));
            id
        }
    };
    Ok((BrokerId(node), write))
}

/// Makes a broker of this process known, for as long as the lease is held.
fn registration(broker: BrokerId, lease: &Lease) -> Change {
    Change::Put {
        key: record::broker_key(broker),
        value: record::encode(&BrokerRecord::default()),
        lease: Some(lease.id()),
    }
}

/// The configs as the broker of that number has them.
fn numbered(config: &StaticConfig, broker: BrokerId) -> StaticConfig {
    let mut config = config.clone();
    for name in ["node.id", "broker.id"] {
        config.set(name, broker.to_string(), Origin::Derived("--nodes"));
    }
    config
}

/// Leaders for the brokers that are there: each partition's first replica among them, so that every broker leads its
/// share again once it is back; or, as every broker reads the same storage, any broker in turn.
fn elect(image: &Image) -> Write {
    let brokers = image.brokers();
    let ring: Vec<BrokerId> = brokers.iter().copied().collect();
    let mut write = Write::default();
    for topic in image.topics() {
        let led = |(index, partition): (usize, &Partition)| {
            let present = partition.replicas.iter().copied().find(|replica| brokers.contains(replica));
            let leader = match present {
                Some(replica) => replica,
                None if brokers.contains(&partition.leader) => partition.leader,
                None => ring[index % ring.len()],
            };
            let changes = i32::from(leader != partition.leader);
            let leader_epoch = LeaderEpoch(partition.leader_epoch.0 + changes);
            Partition { leader, leader_epoch, replicas: partition.replicas.clone() }
        };
        let partitions: Vec<Partition> = topic.partitions.iter().enumerate().map(led).collect();
        if partitions != topic.partitions {
            let key = record::topic_key(&topic.name);
            write.expect(key.clone(), Some(topic.revision));
            write.put(key, record::encode(&TopicRecord::new(topic.id, &partitions, &topic.configs)));
        }
    }
    write
}

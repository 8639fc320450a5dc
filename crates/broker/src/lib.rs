//! The broker: sockets, request handlers, partitions. `start` opens the data, binds the listeners and serves Kafka's
//! protocol until it is told to stop.
//!
//! One `Broker` is one process, with one storage and one catalog; with `--nodes N` it is N nodes to its clients.
//! Lock order: group shard → partition → lane; no lock is held across an await.

mod api;
mod backup;
mod fetch;
mod groups;
mod http;
mod listeners;
mod log_upkeep;
mod metrics;
mod nodes;
mod partitions;
mod producer_ids;
mod server;
mod settings;
mod start;
mod tasks;
mod topic_names;
mod topic_settings;
mod topics;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millstream_coordinator::GroupSettings;
use millstream_metadata::catalog::{Catalog, Image};
use millstream_model::{BrokerId, TimestampMs, TopicId};
use millstream_storage::Storage;
use millstream_storage::clock::Clock;
use parking_lot::RwLock;
use uuid::Uuid;

pub use millstream_metadata::configs::{Origin, StaticConfig};
pub use server::BindError;
pub use settings::{BrokerOptions, SettingsError};
pub use start::{METADATA_FILE, RunningBroker, StartError, start};

use crate::backup::Backups;
use crate::fetch::sessions::FetchSessions;
use crate::groups::Groups;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::producer_ids::ProducerIds;
use crate::server::{AnswerMemory, ConnectionCount, ConnectionLimits, RequestMemory};
use crate::settings::Settings;
use crate::tasks::Tasks;
use crate::topic_names::TopicNames;
use crate::topic_settings::TopicSettings;

/// Everything that the requests of one process share.
#[derive(Debug)]
pub(crate) struct Broker {
    settings: Settings,
    cluster_id: String,
    nodes: Nodes,
    catalog: Arc<Catalog>,
    storage: Storage,
    clock: Arc<dyn Clock>,
    groups: Groups,
    fetch_sessions: FetchSessions,
    producer_ids: ProducerIds,
    request_memory: RequestMemory,
    answer_memory: AnswerMemory,
    connections: Arc<ConnectionCount>,
    metrics: Metrics,
    tasks: Tasks,
    /// Names of topics that are being made or deleted.
    topic_names: TopicNames,
    /// Settings of the topics that were used since their configs last changed.
    topic_settings: RwLock<HashMap<TopicId, Arc<TopicSettings>>>,
    backups: Backups,
    ready: AtomicBool,
}

impl Broker {
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The catalog as it stands; one look-up sees one state.
    pub(crate) fn image(&self) -> Arc<Image> {
        self.catalog.image()
    }

    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The wall clock.
    pub(crate) fn now(&self) -> TimestampMs {
        self.clock.now()
    }

    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    pub(crate) fn group_settings(&self) -> GroupSettings {
        self.settings.groups.clone()
    }

    pub(crate) fn fetch_sessions(&self) -> &FetchSessions {
        &self.fetch_sessions
    }

    pub(crate) fn producer_ids(&self) -> &ProducerIds {
        &self.producer_ids
    }

    pub(crate) fn request_memory(&self) -> &RequestMemory {
        &self.request_memory
    }

    pub(crate) fn answer_memory(&self) -> &AnswerMemory {
        &self.answer_memory
    }

    pub(crate) fn connections(&self) -> &Arc<ConnectionCount> {
        &self.connections
    }

    /// What a node's configs say now.
    pub(crate) fn connection_limits(&self, node: BrokerId) -> ConnectionLimits {
        ConnectionLimits::of(self.image().broker_layers(node))
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Randomness for the ids of members and sessions.
    #[expect(clippy::unused_self, reason = "the seam for randomness: a simulation replaces it here")]
    pub(crate) fn random_uuid(&self) -> Uuid {
        Uuid::new_v4()
    }

    pub(crate) fn backups(&self) -> &Backups {
        &self.backups
    }

    /// Whether requests are served.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

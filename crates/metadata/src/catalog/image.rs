//! The cluster at one revision: immutable, shared by everybody who reads. Made from the store's entries by one function
//! for start, own writes and others' writes alike.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use millstream_model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use smallvec::SmallVec;

use super::record::{self, ClusterRecord, ProducerIdsRecord, TopicRecord};
use crate::configs::{self, ConfigEntry, ConfigSource, Layers, LogConfig, Overrides, StaticConfig};
use crate::store::{Change, Listing, Revision};

/// A partition as clients see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    pub leader: BrokerId,
    /// Grows with every change of the leader; storage adds its own generation to it.
    pub leader_epoch: LeaderEpoch,
    /// The brokers that may lead, the preferred one first.
    pub replicas: SmallVec<[BrokerId; 3]>,
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    pub name: Arc<str>,
    pub id: TopicId,
    /// By number; never empty.
    pub partitions: Vec<Partition>,
    /// What the topic sets for itself.
    pub configs: Overrides,
    /// The write that made it what it is.
    pub revision: Revision,
}

impl Topic {
    /// The partition of that number.
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    /// Replicas of each partition, as tools show it: those of the first.
    #[must_use]
    pub fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.replicas.len())
    }
}

/// Overrides of a broker, of all brokers, or of a group, with the write that made them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Set {
    pub(super) overrides: Overrides,
    pub(super) revision: Option<Revision>,
}

/// The cluster at one revision.
#[derive(Clone, Debug)]
pub struct Image {
    revision: Revision,
    cluster_id: Arc<str>,
    brokers: BTreeSet<BrokerId>,
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
    partition_count: usize,
    broker_configs: BTreeMap<Option<BrokerId>, Set>,
    group_configs: BTreeMap<String, Set>,
    next_producer_id: (i64, Option<Revision>),
    given: Arc<BTreeMap<BrokerId, StaticConfig>>,
}

impl Image {
    /// An empty cluster, as brokers with these configs see it.
    pub(super) fn empty(given: BTreeMap<BrokerId, StaticConfig>) -> Self {
        Self {
            revision: Revision(0),
            cluster_id: "".into(),
            brokers: BTreeSet::new(),
            topics: BTreeMap::new(),
            by_id: HashMap::new(),
            partition_count: 0,
            broker_configs: BTreeMap::new(),
            group_configs: BTreeMap::new(),
            next_producer_id: (0, None),
            given: Arc::new(given),
        }
    }

    /// The image after one more write.
    pub(super) fn after(&self, revision: Revision, changes: &[Change]) -> Self {
        let mut next = self.clone();
        next.revision = revision;
        for change in changes {
            match change {
                Change::Put { key, value, .. } => next.set(key, Some(value), revision),
                Change::Delete { key } => next.set(key, None, revision),
            };
        }
        next
    }

    /// The image of a whole store, and the first key whose value cannot be read and is left out.
    pub(super) fn replaced_by(&self, listing: &Listing) -> (Self, Option<String>) {
        let mut next = Self { given: Arc::clone(&self.given), ..Self::empty(BTreeMap::new()) };
        next.revision = listing.revision;
        let mut unreadable = None;
        for entry in &listing.entries {
            if !next.set(&entry.key, Some(&entry.value), entry.revision) && unreadable.is_none() {
                unreadable = Some(entry.key.clone());
            }
        }
        (next, unreadable)
    }

    /// Takes over one key; false when its value cannot be read. Keys of later versions are left alone.
    fn set(&mut self, key: &str, value: Option<&[u8]>, revision: Revision) -> bool {
        if let Some(name) = key.strip_prefix(record::TOPICS) {
            let parts = value.and_then(|value| record::decode::<TopicRecord>(key, value)?.into_parts());
            let readable = parts.is_some() || value.is_none();
            self.set_topic(name, parts, revision);
            readable
        } else if let Some(broker) = key.strip_prefix(record::BROKER_CONFIGS).and_then(record::broker_of) {
            set_overrides(&mut self.broker_configs, broker, key, value, revision)
        } else if let Some(group) = key.strip_prefix(record::GROUP_CONFIGS) {
            set_overrides(&mut self.group_configs, group.to_owned(), key, value, revision)
        } else if let Some(Some(broker)) = key.strip_prefix(record::BROKERS).and_then(record::broker_of) {
            if value.is_some() {
                self.brokers.insert(broker)
            } else {
                self.brokers.remove(&broker)
            };
            true
        } else if key == record::PRODUCER_IDS {
            let ids = value.and_then(|value| record::decode::<ProducerIdsRecord>(key, value));
            let readable = ids.is_some() || value.is_none();
            self.next_producer_id = ids.map_or((0, None), |ids| (ids.next, Some(revision)));
            readable
        } else if key == record::CLUSTER {
            let cluster = value.and_then(|value| record::decode::<ClusterRecord>(key, value));
            let readable = cluster.is_some();
            self.cluster_id = cluster.map_or_else(|| "".into(), |cluster| cluster.id.into());
            readable
        } else {
            true
        }
    }

    fn set_topic(&mut self, name: &str, parts: Option<(TopicId, Vec<Partition>, Overrides)>, revision: Revision) {
        if let Some(old) = self.topics.remove(name) {
            self.by_id.remove(&old.id);
            self.partition_count -= old.partitions.len();
        }
        if let Some((id, partitions, configs)) = parts {
            self.partition_count += partitions.len();
            let topic = Arc::new(Topic { name: name.into(), id, partitions, configs, revision });
            self.by_id.insert(id, Arc::clone(&topic));
            self.topics.insert(Arc::clone(&topic.name), topic);
        }
    }
}

/// False when the value cannot be read.
fn set_overrides<K: Ord>(
    sets: &mut BTreeMap<K, Set>,
    of: K,
    key: &str,
    value: Option<&[u8]>,
    revision: Revision,
) -> bool {
    match value.map(|value| record::decode(key, value)) {
        Some(Some(overrides)) => {
            sets.insert(of, Set { overrides, revision: Some(revision) });
            true
        }
        unset => {
            sets.remove(&of);
            unset.is_none()
        }
    }
}

/// What the broker reads.
impl Image {
    /// The write that made it; a later image has a higher one.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// 22 characters of URL-safe base64, the same for the cluster's whole life.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The brokers that are there.
    #[must_use]
    pub fn brokers(&self) -> &BTreeSet<BrokerId> {
        &self.brokers
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// Partitions of all topics.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// The topic of that name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// The topic of that id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// The replicas in sync: brokers share one storage, so all that are there, and the leader also when it is none of
    /// the replicas (which have all left the cluster then).
    #[must_use]
    pub fn in_sync_replicas(&self, partition: &Partition) -> SmallVec<[BrokerId; 3]> {
        let mut present: SmallVec<[BrokerId; 3]> =
            partition.replicas.iter().copied().filter(|replica| self.brokers.contains(replica)).collect();
        if present.is_empty() {
            present.push(partition.leader);
        }
        present
    }

    /// The first producer id that no block holds yet.
    #[must_use]
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id.0
    }

    pub(super) fn producer_ids_revision(&self) -> Option<Revision> {
        self.next_producer_id.1
    }

    pub(super) fn broker_set(&self, broker: Option<BrokerId>) -> &Set {
        self.broker_configs.get(&broker).unwrap_or(NO_SET)
    }

    pub(super) fn group_set(&self, group: &str) -> &Set {
        self.group_configs.get(group).unwrap_or(NO_SET)
    }

    /// The configs of a broker, layer by layer. A broker of another process shows what is set for it while it runs.
    #[must_use]
    pub fn broker_layers(&self, broker: BrokerId) -> Layers<'_> {
        Layers {
            dynamic: &self.broker_set(Some(broker)).overrides,
            dynamic_default: &self.broker_set(None).overrides,
            given: self.given.get(&broker).unwrap_or(NOTHING_GIVEN),
        }
    }

    /// What one broker's log of a topic follows; `overrides` are the topic's own configs.
    #[must_use]
    pub fn log_config(&self, broker: BrokerId, overrides: &Overrides) -> LogConfig {
        LogConfig::of(self.broker_layers(broker), overrides)
    }

    /// All configs that a topic with these overrides has on a broker, sorted by name.
    #[must_use]
    pub fn describe_topic_configs(&self, broker: BrokerId, overrides: &Overrides) -> Vec<ConfigEntry> {
        let layers = self.broker_layers(broker);
        let keys = configs::topic::KEYS.iter().filter(|key| !key.internal || overrides.contains_key(key.name));
        keys.map(|key| layers.describe_resource_config(key, overrides, ConfigSource::DynamicTopic)).collect()
    }

    /// All configs of a broker, sorted by name.
    #[must_use]
    pub fn describe_broker_configs(&self, broker: BrokerId) -> Vec<ConfigEntry> {
        self.broker_layers(broker).describe_broker()
    }

    /// What is set for all brokers while they run, sorted by name.
    #[must_use]
    pub fn describe_default_broker_configs(&self) -> Vec<ConfigEntry> {
        let layers = Layers {
            dynamic: &NO_SET.overrides,
            dynamic_default: &self.broker_set(None).overrides,
            given: NOTHING_GIVEN,
        };
        layers.describe_default_broker()
    }

    /// All configs that a group has on a broker, sorted by name.
    #[must_use]
    pub fn describe_group_configs(&self, broker: BrokerId, group: &str) -> Vec<ConfigEntry> {
        let (layers, overrides) = (self.broker_layers(broker), &self.group_set(group).overrides);
        let keys = configs::group::KEYS.iter().filter(|key| !key.internal || overrides.contains_key(key.name));
        keys.map(|key| layers.describe_resource_config(key, overrides, ConfigSource::DynamicGroup)).collect()
    }
}

static NO_SET: &Set = &Set { overrides: Overrides::new(), revision: None };
static NOTHING_GIVEN: &StaticConfig = &StaticConfig::EMPTY;

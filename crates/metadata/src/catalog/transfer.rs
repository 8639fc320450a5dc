//! The catalog as a whole, from another cluster's metadata and back: `millstream log import` writes an empty store with
//! `adopt`, `export` reads one with `describe`. docs/format/metadata.md describes the keys.

use std::collections::BTreeMap;

use millstream_model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use serde::de::DeserializeOwned;

use super::image::Partition;
use super::record::{self, ClusterRecord, NodeRecord, ProducerIdsRecord, TopicRecord};
use super::security::{self, ScramRecord};
use crate::configs::Overrides;
use crate::kafka::{Cluster, ConfigOwner, Topic, TopicPartition};
use crate::store::{Listing, Write};

/// Why a store does not describe a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    #[error("the metadata store is empty")]
    Empty,
    #[error("the cluster's metadata was written by a newer version (format {0})")]
    Newer(u32),
    #[error("the entry {0} of the metadata store cannot be read")]
    Damaged(String),
}

/// A store's cluster, with what Kafka keeps elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    pub cluster_id: String,
    pub node: BrokerId,
    pub cluster: Cluster,
}

/// The write that makes an empty store the cluster's, all of whose partitions the node leads.
#[must_use]
pub fn adopt(cluster_id: &str, node: BrokerId, cluster: &Cluster) -> Write {
    let mut write = Write::default();
    write.expect(record::CLUSTER, None);
    let id = cluster_id.to_owned();
    write.put(record::CLUSTER, record::encode(&ClusterRecord { format: record::FORMAT, id }));
    write.put(record::NODE, record::encode(&NodeRecord { id: node.0 }));
    write.put(record::PRODUCER_IDS, record::encode(&ProducerIdsRecord { next: cluster.next_producer_id }));
    for (id, topic) in &cluster.topics {
        let led = |partition: &TopicPartition| Partition {
            leader: node,
            leader_epoch: partition.leader_epoch,
            replicas: [node].into_iter().collect(),
        };
        let partitions: Vec<Partition> = topic.partitions.values().map(led).collect();
        let none = Overrides::new();
        let configs = cluster.configs.get(&ConfigOwner::Topic(topic.name.clone())).unwrap_or(&none);
        write.put(record::topic_key(&topic.name), record::encode(&TopicRecord::new(*id, &partitions, configs)));
    }
    for (owner, set) in &cluster.configs {
        let key = match owner {
            ConfigOwner::Topic(_) => continue,
            ConfigOwner::Broker(broker) => record::broker_configs_key(*broker),
            ConfigOwner::Group(group) => record::group_configs_key(group),
            ConfigOwner::ClientMetrics(name) => format!("{}{name}", security::CLIENT_METRICS_CONFIGS),
        };
        write.put(key, record::encode(set));
    }
    for (id, acl) in &cluster.acls {
        write.put(security::acl_key(*id), record::encode(acl));
    }
    for ((mechanism, user), credential) in &cluster.scram {
        write.put(security::scram_key(*mechanism, user), record::encode(&ScramRecord::of(credential)));
    }
    for (entity, limits) in &cluster.quotas {
        write.put(security::quota_key(entity), record::encode(limits));
    }
    write
}

/// The cluster that a store holds.
///
/// # Errors
/// When an entry cannot be read: nothing is left out silently.
pub fn describe(listing: &Listing) -> Result<Described, DescribeError> {
    let mut described = Described { cluster_id: String::new(), node: BrokerId(0), cluster: Cluster::default() };
    for entry in &listing.entries {
        take(&mut described, &entry.key, &entry.value)?;
    }
    if described.cluster_id.is_empty() { Err(DescribeError::Empty) } else { Ok(described) }
}

fn take(described: &mut Described, key: &str, value: &[u8]) -> Result<(), DescribeError> {
    let damaged = || DescribeError::Damaged(key.to_owned());
    let cluster = &mut described.cluster;
    if key == record::CLUSTER {
        let found: ClusterRecord = read(key, value)?;
        if found.format > record::FORMAT {
            return Err(DescribeError::Newer(found.format));
        }
        described.cluster_id = found.id;
    } else if key == record::NODE {
        described.node = BrokerId(read::<NodeRecord>(key, value)?.id);
    } else if key == record::PRODUCER_IDS {
        cluster.next_producer_id = read::<ProducerIdsRecord>(key, value)?.next;
    } else if let Some(name) = key.strip_prefix(record::TOPICS) {
        let parts = read::<TopicRecord>(key, value)?.into_parts().ok_or_else(damaged)?;
        take_topic(cluster, name, parts);
    } else if let Some(broker) = key.strip_prefix(record::BROKER_CONFIGS) {
        let broker = record::broker_of(broker).ok_or_else(damaged)?;
        cluster.configs.insert(ConfigOwner::Broker(broker), read(key, value)?);
    } else if let Some(group) = key.strip_prefix(record::GROUP_CONFIGS) {
        cluster.configs.insert(ConfigOwner::Group(group.to_owned()), read(key, value)?);
    } else if let Some(name) = key.strip_prefix(security::CLIENT_METRICS_CONFIGS) {
        cluster.configs.insert(ConfigOwner::ClientMetrics(name.to_owned()), read(key, value)?);
    } else if let Some(id) = key.strip_prefix(security::ACLS) {
        let id: TopicId = id.parse().map_err(|_| damaged())?;
        cluster.acls.insert(id.0, read(key, value)?);
    } else if let Some(rest) = key.strip_prefix(security::SCRAM) {
        let of = security::scram_of(rest).ok_or_else(damaged)?;
        cluster.scram.insert(of, read::<ScramRecord>(key, value)?.into_credential().ok_or_else(damaged)?);
    } else if let Some(entity) = key.strip_prefix(security::QUOTAS) {
        let entity = security::quota_of(entity).ok_or_else(damaged)?;
        cluster.quotas.insert(entity, read(key, value)?);
    } else if let Some(broker) = key.strip_prefix(record::BROKERS) {
        cluster.brokers.extend(record::broker_of(broker).flatten());
    }
    Ok(())
}

fn take_topic(cluster: &mut Cluster, name: &str, (id, partitions, configs): (TopicId, Vec<Partition>, Overrides)) {
    let partition = |partition: Partition| TopicPartition {
        replicas: partition.replicas.to_vec(),
        leader_epoch: LeaderEpoch(partition.leader_epoch.0),
        directories: Vec::new(),
    };
    let partitions: BTreeMap<PartitionIndex, TopicPartition> =
        (0..).map(PartitionIndex).zip(partitions.into_iter().map(partition)).collect();
    cluster.topics.insert(id, Topic { name: name.to_owned(), partitions });
    if !configs.is_empty() {
        cluster.configs.insert(ConfigOwner::Topic(name.to_owned()), configs);
    }
}

fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, DescribeError> {
    record::decode(key, value).ok_or_else(|| DescribeError::Damaged(key.to_owned()))
}

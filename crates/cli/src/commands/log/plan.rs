//! What an import takes over: the cluster's metadata held against the directories that were named. Whatever one node of ours
//! could not be is refused here, before anything is copied.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use millstream_metadata::catalog::validate_topic_name;
use millstream_metadata::configs::Overrides;
use millstream_metadata::kafka::{Cluster, ConfigOwner, Tail, Topic, TopicPartition, read_metadata};
use millstream_model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use millstream_storage::segments::kafka::exchange::topic_id_in;
use uuid::Uuid;

use super::kafka_dirs::{KafkaDirs, Name, directory_text};

/// Config and topic that tell of tiered storage (KIP-405).
const TIERED_CONFIG: &str = "remote.storage.enable";
const TIERED_TOPIC: &str = "__remote_log_metadata";
/// Topics that are compacted in every cluster.
const COMPACTED_TOPICS: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// One partition.
#[derive(Debug)]
pub(super) struct PlannedLog {
    pub(super) topic_id: TopicId,
    pub(super) topic: String,
    pub(super) index: PartitionIndex,
    /// None when the node has not made it yet.
    pub(super) from: Option<PathBuf>,
    /// First offset that may be read, where that is not a segment's first.
    pub(super) log_start: Option<Offset>,
    /// Batches below must be whole.
    pub(super) sure_below: Offset,
}

/// What is imported.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) cluster_id: String,
    pub(super) node: BrokerId,
    pub(super) cluster: Cluster,
    pub(super) logs: Vec<PlannedLog>,
    /// What is not taken over, and why.
    pub(super) left_out: Vec<String>,
}

impl Plan {
    pub(super) fn new(mut dirs: KafkaDirs) -> Result<Self> {
        let mut left_out = std::mem::take(&mut dirs.left_out);
        let node = BrokerId(dirs.node_id);
        let cluster = if dirs.is_zookeeper { topics_of(&dirs, node)? } else { metadata_of(&dirs, node)? };
        if dirs.is_zookeeper {
            left_out.push(
                "configs, ACLs, credentials and quotas: they were in ZooKeeper. Until you set their configs, topics keep all \
                 their records (retention.ms=-1)"
                    .to_owned(),
            );
        }
        if !cluster.delegation_tokens.is_empty() {
            left_out.push("delegation tokens: they are worth nothing without the brokers' secret key".to_owned());
        }
        check_tiered(&cluster)?;
        let mut logs = Vec::new();
        for (id, topic) in &cluster.topics {
            validate_topic_name(&topic.name).with_context(|| format!("topic {:?} cannot be", topic.name))?;
            for (expected, (index, partition)) in topic.partitions.iter().enumerate() {
                ensure!(i32::try_from(expected) == Ok(index.0), "topic {} has no partition {expected}", topic.name);
                check_replicas(&topic.name, *index, partition, node)?;
                let name = (topic.name.clone(), *index);
                logs.push(log(&mut dirs, *id, name, partition, &mut left_out)?);
            }
            ensure!(!topic.partitions.is_empty(), "topic {} has no partition", topic.name);
        }
        left_out.extend(dirs.partitions.values().map(|dir| format!("{}: it belongs to no topic", dir.display())));
        let cluster_id = match dirs.cluster_id {
            Some(id) => id,
            None if dirs.is_zookeeper => TopicId(Uuid::new_v4()).to_string(),
            None => bail!("meta.properties has no cluster.id"),
        };
        Ok(Self { cluster_id, node, cluster, logs, left_out })
    }
}

/// The cluster as its metadata log describes it.
fn metadata_of(dirs: &KafkaDirs, node: BrokerId) -> Result<Cluster> {
    let dir = dirs.metadata.as_deref().context(
        "none of the directories has __cluster_metadata-0: name the one that metadata.log.dir names as well, or, of a \
         broker whose controllers are other nodes, start and stop it once",
    )?;
    let tail = if dirs.is_clean { Tail::Whole } else { Tail::Torn };
    let cluster = read_metadata(dir, tail)?;
    ensure!(!cluster.is_migrating, "a migration from ZooKeeper is under way: let it end first");
    let brokers: Vec<String> = cluster.brokers.iter().map(ToString::to_string).collect();
    ensure!(
        brokers.len() <= 1,
        "the cluster has the nodes {}: the data of one node is imported, not of several",
        brokers.join(", ")
    );
    ensure!(
        cluster.brokers.is_empty() || cluster.brokers.contains(&node),
        "these are the directories of node {node}, but the cluster's broker is node {}",
        brokers.join(", ")
    );
    Ok(cluster)
}

/// A cluster of ZooKeeper's era: topics as the names of the directories say.
fn topics_of(dirs: &KafkaDirs, node: BrokerId) -> Result<Cluster> {
    let mut ids: BTreeMap<&str, TopicId> = BTreeMap::new();
    let mut cluster = Cluster::default();
    for ((topic, index), dir) in &dirs.partitions {
        ensure!(
            topic != TIERED_TOPIC,
            "the cluster had tiered storage ({TIERED_TOPIC}), and which topics used it only ZooKeeper knew"
        );
        let id = match topic_id_in(dir)? {
            Some(id) => id,
            None => ids.get(topic.as_str()).copied().unwrap_or_else(|| TopicId(Uuid::new_v4())),
        };
        let known = *ids.entry(topic).or_insert(id);
        ensure!(known == id, "{} has another topic id than the topic's other partitions", dir.display());
        let partition = TopicPartition { replicas: vec![node], leader_epoch: LeaderEpoch(0), directories: Vec::new() };
        let of_topic = cluster.topics.entry(id).or_insert_with(|| Topic { name: topic.clone(), ..Topic::default() });
        of_topic.partitions.insert(*index, partition);
    }
    for topic in cluster.topics.values() {
        // By default a broker would begin with the removal of what is older than a week.
        let kept = if COMPACTED_TOPICS.contains(&topic.name.as_str()) {
            ("cleanup.policy", "compact")
        } else {
            ("retention.ms", "-1")
        };
        let set = Overrides::from([(kept.0.to_owned(), kept.1.to_owned())]);
        cluster.configs.insert(ConfigOwner::Topic(topic.name.clone()), set);
        let last = topic.partitions.keys().next_back().map_or(0, |index| index.0);
        let missing = (0..=last).find(|index| !topic.partitions.contains_key(&PartitionIndex(*index)));
        if let Some(missing) = missing {
            bail!(
                "{}-{missing} is in none of the directories: name all of the node's, or it was on another node, and the \
                 data of one node is imported, not of several",
                topic.name
            );
        }
    }
    Ok(cluster)
}

fn check_tiered(cluster: &Cluster) -> Result<()> {
    let is_tiered = |(owner, set): (&ConfigOwner, &BTreeMap<String, String>)| match owner {
        ConfigOwner::Topic(name) => {
            set.get(TIERED_CONFIG).is_some_and(|value| value.trim().eq_ignore_ascii_case("true")).then(|| name.clone())
        }
        _ => None,
    };
    let tiered: Vec<String> = cluster.configs.iter().filter_map(is_tiered).collect();
    ensure!(
        tiered.is_empty(),
        "older records of {} are in tiered storage ({TIERED_CONFIG}=true) and would be lost: disable it for the topic in \
         Kafka with remote.log.delete.on.disable=true, or delete the topic",
        tiered.join(", ")
    );
    Ok(())
}

fn check_replicas(topic: &str, index: PartitionIndex, partition: &TopicPartition, node: BrokerId) -> Result<()> {
    if partition.replicas == [node] {
        return Ok(());
    }
    let replicas: Vec<String> = partition.replicas.iter().map(ToString::to_string).collect();
    bail!(
        "{topic}-{index} has its replicas on the nodes {}, these are the directories of node {node}: the data of one node \
         is imported, not of several",
        replicas.join(", ")
    )
}

/// Takes a partition's directory out of those that were found.
fn log(
    dirs: &mut KafkaDirs,
    topic_id: TopicId,
    name: Name,
    partition: &TopicPartition,
    left_out: &mut Vec<String>,
) -> Result<PlannedLog> {
    let mut from = dirs.partitions.remove(&name);
    if let Some(dir) = &from
        && topic_id_in(dir)?.is_some_and(|found| found != topic_id)
    {
        left_out.push(format!("{}: it belongs to an earlier topic of that name", dir.display()));
        from = None;
    }
    let (topic, index) = &name;
    if from.is_none() && dirs.is_clean {
        let named = |id: &&Uuid| !dirs.directory_ids.contains(&directory_text(**id));
        let elsewhere = partition.directories.iter().find(named).map(|id| directory_text(*id));
        let which = elsewhere.map(|id| format!(" It is in the directory with directory.id={id}.")).unwrap_or_default();
        bail!("{topic}-{index} is in none of the directories: name all of the node's log.dirs.{which}");
    }
    let recovery_point = dirs.recovery_points.get(&name).copied().unwrap_or_default();
    let sure_below = if dirs.is_clean { Offset(i64::MAX) } else { recovery_point };
    let log_start = dirs.log_starts.get(&name).copied();
    let (topic, index) = name;
    Ok(PlannedLog { topic_id, topic, index, from, log_start, sure_below })
}

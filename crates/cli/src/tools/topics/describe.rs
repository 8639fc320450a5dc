//! What `topics --describe` prints: a line per topic, a line per partition, tabs between.

use std::io::{self, Write};

use millstream_client::admin::{ConfigEntry, DescribedPartition, Reassignment, TopicDescription};

use crate::tools::options::Line;

/// What of a topic is shown.
#[derive(Debug, Default)]
pub(super) struct Report {
    live_brokers: Vec<i32>,
    under_replicated: bool,
    unavailable: bool,
    under_min_isr: bool,
    at_min_isr: bool,
    overrides_only: bool,
}

impl Report {
    pub(super) fn of(line: &Line, live_brokers: Vec<i32>) -> Self {
        Self {
            live_brokers,
            under_replicated: line.has("under-replicated-partitions"),
            unavailable: line.has("unavailable-partitions"),
            under_min_isr: line.has("under-min-isr-partitions"),
            at_min_isr: line.has("at-min-isr-partitions"),
            overrides_only: line.has("topics-with-overrides"),
        }
    }

    /// Whether partitions are looked at for trouble; the topic's own line is left out then.
    fn is_narrowed(&self) -> bool {
        self.under_replicated || self.unavailable || self.under_min_isr || self.at_min_isr
    }

    pub(super) fn print(
        &self,
        topic: &TopicDescription,
        configs: &[ConfigEntry],
        moves: &[Reassignment],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let reassignment = |partition: &DescribedPartition| {
            let is_this = |one: &&Reassignment| {
                *one.partition.topic == *topic.name && one.partition.partition == partition.metadata.index
            };
            moves.iter().find(is_this)
        };
        let has_overrides = configs.iter().any(|config| !config.is_default());
        if !self.is_narrowed() && (has_overrides || !self.overrides_only) {
            let factor = topic.partitions.first().map_or(0, |first| replication_factor(first, reassignment(first)));
            print_topic(topic, factor, configs, out)?;
        }
        if self.overrides_only {
            return Ok(());
        }
        let min_isr = configs.iter().find(|config| config.name == "min.insync.replicas");
        let min_isr = min_isr.and_then(|config| config.value.as_deref()?.parse().ok()).unwrap_or(1);
        for partition in &topic.partitions {
            let moved = reassignment(partition);
            if self.shows(partition, moved, min_isr) {
                print_partition(&topic.name, partition, moved, out)?;
            }
        }
        Ok(())
    }

    fn shows(&self, partition: &DescribedPartition, moved: Option<&Reassignment>, min_isr: usize) -> bool {
        let metadata = &partition.metadata;
        let (has_leader, in_sync) = (metadata.leader >= 0, metadata.isr.len());
        !self.is_narrowed()
            || (self.under_replicated && replication_factor(partition, moved) > in_sync)
            || (self.unavailable && !(has_leader && self.live_brokers.contains(&metadata.leader)))
            || (self.under_min_isr && (!has_leader || in_sync < min_isr))
            || (self.at_min_isr && in_sync == min_isr)
    }
}

/// How many replicas the partition is to have: those that are only being added do not count.
fn replication_factor(partition: &DescribedPartition, moved: Option<&Reassignment>) -> usize {
    let replicas = &partition.metadata.replicas;
    let is_moving = |moved: &&Reassignment| {
        replicas.iter().any(|replica| moved.adding.contains(replica) || moved.removing.contains(replica))
    };
    match moved.filter(is_moving) {
        Some(moved) => moved.replicas.len() - moved.adding.len(),
        None => replicas.len(),
    }
}

fn print_topic(
    topic: &TopicDescription,
    replication_factor: usize,
    configs: &[ConfigEntry],
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "Topic: {}", topic.name)?;
    let id = topic.id.to_string();
    if id != super::ZERO_ID {
        write!(out, "\tTopicId: {id}")?;
    }
    let set: Vec<String> = configs
        .iter()
        .filter(|config| !config.is_default())
        .map(|config| format!("{}={}", config.name, config.value.as_deref().unwrap_or("null")))
        .collect();
    let count = topic.partitions.len();
    writeln!(out, "\tPartitionCount: {count}\tReplicationFactor: {replication_factor}\tConfigs: {}", set.join(","))
}

fn print_partition(
    topic: &str,
    partition: &DescribedPartition,
    moved: Option<&Reassignment>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let metadata = &partition.metadata;
    let leader = if metadata.leader >= 0 { metadata.leader.to_string() } else { "none".to_owned() };
    write!(out, "\tTopic: {topic}\tPartition: {}\tLeader: {leader}", metadata.index)?;
    write!(out, "\tReplicas: {}\tIsr: {}", joined(&metadata.replicas), joined(&metadata.isr))?;
    if let Some(moved) = moved {
        write!(out, "\tAdding Replicas: {}\tRemoving Replicas: {}", joined(&moved.adding), joined(&moved.removing))?;
    }
    let told = |brokers: &Option<Vec<i32>>| brokers.as_deref().map_or("N/A".to_owned(), joined);
    writeln!(
        out,
        "\tElr: {}\tLastKnownElr: {}",
        told(&partition.eligible_leader_replicas),
        told(&partition.last_known_elr)
    )
}

fn joined(brokers: &[i32]) -> String {
    brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;

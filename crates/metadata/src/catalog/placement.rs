//! Where partitions go: leaders in turn over the brokers, or as the request says.

use std::collections::BTreeSet;

use millstream_model::{BrokerId, LeaderEpoch, PartitionIndex};

use super::image::Partition;

/// A manual assignment that cannot be; the message is Kafka's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssignmentError {
    #[error("The manual partition assignment includes an empty replica list.")]
    NoReplicas,
    #[error("The manual partition assignment includes broker {0}, but no such broker is registered.")]
    UnknownBroker(BrokerId),
    #[error("The manual partition assignment includes the broker {0} more than once.")]
    BrokerTwice(BrokerId),
    #[error(
        "The manual partition assignment includes a partition with {found} replica(s), but this is not consistent \
         with previous partitions, which have {expected} replica(s)."
    )]
    ReplicaCount { found: usize, expected: usize },
    #[error("Found multiple manual partition assignments for partition {0}")]
    PartitionTwice(PartitionIndex),
    #[error("partitions should be a consecutive 0-based integer sequence")]
    Gap,
    #[error("Attempted to add {expected} additional partition(s), but only {found} assignment(s) were specified.")]
    Count { expected: usize, found: usize },
}

/// `count` partitions with `replication_factor` replicas each, the leader of the first being the broker at `start` in
/// the round. The factor is at least 1 and at most the number of brokers.
pub(super) fn place(
    brokers: &BTreeSet<BrokerId>,
    start: usize,
    count: usize,
    replication_factor: usize,
) -> Vec<Partition> {
    let ring: Vec<BrokerId> = brokers.iter().copied().collect();
    debug_assert!((1..=ring.len()).contains(&replication_factor), "the caller checked the factor");
    let replicas = |first: usize| (first..first + replication_factor).map(|at| ring[at % ring.len()]);
    (start..start + count).map(|first| led_by_first(replicas(first))).collect()
}

/// A partition that its first replica leads.
fn led_by_first(replicas: impl IntoIterator<Item = BrokerId>) -> Partition {
    let replicas: smallvec::SmallVec<[BrokerId; 3]> = replicas.into_iter().collect();
    Partition { leader: replicas[0], leader_epoch: LeaderEpoch(0), replicas }
}

/// A partition as a request assigns it; `expected` is the number of replicas that the others have.
pub(super) fn assigned(
    brokers: &BTreeSet<BrokerId>,
    replicas: &[BrokerId],
    expected: Option<usize>,
) -> Result<Partition, AssignmentError> {
    if replicas.is_empty() {
        return Err(AssignmentError::NoReplicas);
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    for (at, broker) in sorted.iter().enumerate() {
        if !brokers.contains(broker) {
            return Err(AssignmentError::UnknownBroker(*broker));
        }
        if at > 0 && sorted[at - 1] == *broker {
            return Err(AssignmentError::BrokerTwice(*broker));
        }
    }
    match expected {
        Some(expected) if expected != replicas.len() => {
            Err(AssignmentError::ReplicaCount { found: replicas.len(), expected })
        }
        _ => Ok(led_by_first(replicas.iter().copied())),
    }
}

/// The partitions of a new topic as a request assigns them.
pub(super) fn assigned_topic(
    brokers: &BTreeSet<BrokerId>,
    assignments: &[(PartitionIndex, Vec<BrokerId>)],
) -> Result<Vec<Partition>, AssignmentError> {
    let mut partitions = std::collections::BTreeMap::new();
    let mut expected = None;
    for (index, replicas) in assignments {
        if partitions.contains_key(index) {
            return Err(AssignmentError::PartitionTwice(*index));
        }
        partitions.insert(*index, assigned(brokers, replicas, expected)?);
        expected = Some(replicas.len());
    }
    let consecutive = partitions.keys().enumerate().all(|(at, index)| i32::try_from(at) == Ok(index.0));
    if consecutive { Ok(partitions.into_values().collect()) } else { Err(AssignmentError::Gap) }
}

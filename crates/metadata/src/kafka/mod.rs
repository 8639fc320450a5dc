//! A KRaft cluster's metadata as Apache Kafka keeps it: read from the newest snapshot and the log of `__cluster_metadata-0`,
//! written as the snapshot of a new node. Called by `millstream log import` and `export`.
//!
//! `Cluster` is what the two and the catalog (`catalog::adopt`, `catalog::describe`) have in common. The formats are
//! described in docs/format/kafka-metadata.md. What is read is hostile until it is in a `Cluster`.

mod cluster;
mod files;
mod replay;
mod snapshot;

pub use cluster::{
    AclOperation, AclRule, Cluster, ConfigOwner, PatternType, Permission, QuotaEntity, ResourceType, ScramCredential,
    ScramMechanism, Topic, TopicPartition,
};
pub use files::{METADATA_DIR, ReadMetadataError, Tail, read_metadata};
pub use replay::RecordError;
pub use snapshot::{Node, SNAPSHOT_FILE, snapshot};

/// The newest `metadata.version` whose records are known: 4.4-IV2.
pub const METADATA_VERSION: i16 = 33;
/// Name of the feature that says which records a cluster's controllers write.
pub const METADATA_VERSION_FEATURE: &str = "metadata.version";

#[cfg(test)]
mod tests;

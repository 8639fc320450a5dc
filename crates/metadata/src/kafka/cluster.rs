//! `Cluster`: what Kafka's metadata records amount to, and the words of its security model. Plain data; who reads it from a
//! file or the store has checked it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use millstream_model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::configs::Overrides;

/// A cluster as its metadata describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// Finalized levels by feature, `metadata.version` among them.
    pub features: BTreeMap<String, i16>,
    /// Registered brokers, running or not.
    pub brokers: BTreeSet<BrokerId>,
    pub topics: BTreeMap<TopicId, Topic>,
    pub configs: BTreeMap<ConfigOwner, Overrides>,
    /// The first that was given to nobody.
    pub next_producer_id: i64,
    pub acls: BTreeMap<Uuid, AclRule>,
    pub scram: BTreeMap<(ScramMechanism, String), ScramCredential>,
    pub quotas: BTreeMap<QuotaEntity, BTreeMap<String, f64>>,
    /// Ids of delegation tokens; what they are worth only the brokers' secret key says.
    pub delegation_tokens: BTreeSet<String>,
    /// A migration from ZooKeeper has begun and not ended.
    pub is_migrating: bool,
}

/// A topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// By number; a cluster that was read has no gap.
    pub partitions: BTreeMap<PartitionIndex, TopicPartition>,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPartition {
    pub replicas: Vec<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    /// For each replica the directory that it lies in (KIP-858); empty in clusters that do not know of it.
    pub directories: Vec<Uuid>,
}

/// Whose configs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigOwner {
    Topic(String),
    /// `None` for all brokers.
    Broker(Option<BrokerId>),
    Group(String),
    /// A subscription of client metrics (KIP-714).
    ClientMetrics(String),
}

/// Kafka's numbers for whose configs they are.
const TOPIC_CONFIGS: i8 = 2;
const BROKER_CONFIGS: i8 = 4;
const CLIENT_METRICS_CONFIGS: i8 = 16;
const GROUP_CONFIGS: i8 = 32;

impl ConfigOwner {
    /// Whom a config record names; `None` when it is nobody that is known.
    pub(super) fn of(resource_type: i8, resource_name: &str) -> Option<Self> {
        let name = resource_name.to_owned();
        match resource_type {
            TOPIC_CONFIGS => Some(Self::Topic(name)),
            BROKER_CONFIGS if name.is_empty() => Some(Self::Broker(None)),
            BROKER_CONFIGS => name.parse().ok().map(|id| Self::Broker(Some(BrokerId(id)))),
            CLIENT_METRICS_CONFIGS => Some(Self::ClientMetrics(name)),
            GROUP_CONFIGS => Some(Self::Group(name)),
            _ => None,
        }
    }

    /// Type and name as a config record has them.
    pub(super) fn resource(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (TOPIC_CONFIGS, name.clone()),
            Self::Broker(id) => (BROKER_CONFIGS, id.map_or_else(String::new, |id| id.to_string())),
            Self::ClientMetrics(name) => (CLIENT_METRICS_CONFIGS, name.clone()),
            Self::Group(name) => (GROUP_CONFIGS, name.clone()),
        }
    }
}

/// Whom a quota binds: the name for each type of entity (`user`, `client-id`, `ip`), `None` for its default.
pub type QuotaEntity = BTreeMap<String, Option<String>>;

/// Words that Kafka numbers.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name {
            $($variant,)*
        }

        impl $name {
            /// The word that has this number.
            #[must_use]
            pub const fn from_number(number: i8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Kafka's number for it.
            #[must_use]
            pub const fn number(self) -> i8 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }
        }
    };
}

numbered! {
    /// What an ACL is about.
    ResourceType { Topic = 2, Group = 3, Cluster = 4, TransactionalId = 5, DelegationToken = 6, User = 7, }
}

numbered! {
    /// How an ACL names its resources.
    PatternType { Literal = 3, Prefixed = 4, }
}

numbered! {
    /// What an ACL allows or denies.
    AclOperation {
        All = 2, Read = 3, Write = 4, Create = 5, Delete = 6, Alter = 7, Describe = 8, ClusterAction = 9,
        DescribeConfigs = 10, AlterConfigs = 11, IdempotentWrite = 12, CreateTokens = 13, DescribeTokens = 14,
        TwoPhaseCommit = 15,
    }
}

numbered! {
    /// Whether an ACL allows or denies.
    Permission { Deny = 2, Allow = 3, }
}

numbered! {
    /// A hash of SCRAM (RFC 5802).
    ScramMechanism { Sha256 = 1, Sha512 = 2, }
}

/// One rule of the authorizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclRule {
    pub resource_type: ResourceType,
    pub resource_name: String,
    pub pattern_type: PatternType,
    pub principal: String,
    pub host: String,
    pub operation: AclOperation,
    pub permission: Permission,
}

/// What a broker keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    pub salt: Bytes,
    pub stored_key: Bytes,
    pub server_key: Bytes,
    pub iterations: i32,
}

impl fmt::Debug for ScramCredential {
    /// Without the keys, from which a password can be guessed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramCredential").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

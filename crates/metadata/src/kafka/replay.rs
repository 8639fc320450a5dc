//! Applies metadata records one after the other. Records of a metadata transaction (KIP-868) take effect at its end.
//!
//! A record's value is a frame: version of the frame, type, version of the type, each an unsigned varint, then the record.

use std::ops::RangeInclusive;

use bytes::Bytes;
use millstream_model::wire::{Decode, DecodeError, Decoder};
use millstream_model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};

use super::cluster::{
    AclOperation, AclRule, Cluster, ConfigOwner, PatternType, Permission, ResourceType, ScramCredential,
    ScramMechanism, Topic, TopicPartition,
};
use super::{METADATA_VERSION, METADATA_VERSION_FEATURE};
use crate::generated::abort_transaction::AbortTransactionRecord;
use crate::generated::access_control_entry::AccessControlEntryRecord;
use crate::generated::begin_transaction::BeginTransactionRecord;
use crate::generated::broker_registration_change::BrokerRegistrationChangeRecord;
use crate::generated::clear_elr::ClearElrRecord;
use crate::generated::client_quota::ClientQuotaRecord;
use crate::generated::config::ConfigRecord;
use crate::generated::delegation_token::DelegationTokenRecord;
use crate::generated::end_transaction::EndTransactionRecord;
use crate::generated::feature_level::FeatureLevelRecord;
use crate::generated::fence_broker::FenceBrokerRecord;
use crate::generated::no_op::NoOpRecord;
use crate::generated::partition::PartitionRecord;
use crate::generated::partition_change::PartitionChangeRecord;
use crate::generated::producer_ids::ProducerIdsRecord;
use crate::generated::register_broker::RegisterBrokerRecord;
use crate::generated::register_controller::RegisterControllerRecord;
use crate::generated::remove_access_control_entry::RemoveAccessControlEntryRecord;
use crate::generated::remove_delegation_token::RemoveDelegationTokenRecord;
use crate::generated::remove_topic::RemoveTopicRecord;
use crate::generated::remove_user_scram_credential::RemoveUserScramCredentialRecord;
use crate::generated::topic::TopicRecord;
use crate::generated::unfence_broker::UnfenceBrokerRecord;
use crate::generated::unregister_broker::UnregisterBrokerRecord;
use crate::generated::unregister_controller::UnregisterControllerRecord;
use crate::generated::user_scram_credential::UserScramCredentialRecord;
use crate::generated::zk_migration_state::ZkMigrationStateRecord;

/// The only version of the frame.
pub(super) const FRAME_VERSION: u32 = 1;
/// In a partition change: the leader stays.
const NO_LEADER_CHANGE: i32 = -2;
/// States of a migration from ZooKeeper in which both hold the metadata.
const MIGRATING: RangeInclusive<i8> = 1..=2;
/// Records of one metadata transaction that is not ended; a controller writes fewer.
const TRANSACTION_RECORDS_MAX: usize = 1_000_000;

/// Why a record cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("it is no record: {0}")]
    Malformed(#[from] DecodeError),
    #[error("frames of version {0} are not known: a newer Kafka wrote it")]
    Frame(u32),
    #[error("records of type {0} are not known: a newer Kafka wrote it")]
    UnknownType(i16),
    #[error("{name} {number} is not known: a newer Kafka wrote it")]
    UnknownWord { name: &'static str, number: i8 },
    #[error("configs of `{resource_name}`, type {resource_type}, are not known: a newer Kafka wrote it")]
    UnknownConfigs { resource_type: i8, resource_name: String },
    #[error("metadata.version is {0}, the newest that is known is {METADATA_VERSION} (Kafka 4.4)")]
    NewerMetadataVersion(i16),
    #[error("it names {0}, of which no earlier record tells")]
    Unknown(String),
    #[error("a metadata transaction {0}")]
    Transaction(&'static str),
}

/// A cluster in the making.
#[derive(Debug, Default)]
pub(super) struct Replay {
    cluster: Cluster,
    /// Records of the open metadata transaction.
    held: Option<Vec<Bytes>>,
}

impl Replay {
    /// What the records came to. A metadata transaction that was not ended did not happen.
    pub(super) fn finish(self) -> Cluster {
        self.cluster
    }

    /// Takes the next record's value.
    pub(super) fn record(&mut self, value: Bytes) -> Result<(), RecordError> {
        let (record_type, ..) = frame(value.clone())?;
        match record_type {
            BeginTransactionRecord::RECORD_TYPE if self.held.is_some() => {
                Err(RecordError::Transaction("begins in another one"))
            }
            BeginTransactionRecord::RECORD_TYPE => {
                self.held = Some(Vec::new());
                Ok(())
            }
            AbortTransactionRecord::RECORD_TYPE => {
                self.held.take().map(|_| ()).ok_or(RecordError::Transaction("is aborted that did not begin"))
            }
            EndTransactionRecord::RECORD_TYPE => {
                let held = self.held.take().ok_or(RecordError::Transaction("ends that did not begin"))?;
                held.into_iter().try_for_each(|value| self.apply(value))
            }
            _ => match &mut self.held {
                Some(held) if held.len() >= TRANSACTION_RECORDS_MAX => Err(RecordError::Transaction("has no end")),
                Some(held) => {
                    held.push(value);
                    Ok(())
                }
                None => self.apply(value),
            },
        }
    }

    fn apply(&mut self, value: Bytes) -> Result<(), RecordError> {
        let (record_type, version, body) = frame(value)?;
        match record_type {
            TopicRecord::RECORD_TYPE => self.topic(decode(body, version)?),
            PartitionRecord::RECORD_TYPE => self.partition(decode(body, version)?)?,
            PartitionChangeRecord::RECORD_TYPE => self.partition_change(decode(body, version)?)?,
            RemoveTopicRecord::RECORD_TYPE => self.remove_topic(&decode(body, version)?)?,
            ConfigRecord::RECORD_TYPE => self.config(decode(body, version)?)?,
            ProducerIdsRecord::RECORD_TYPE => {
                self.cluster.next_producer_id = decode::<ProducerIdsRecord>(body, version)?.next_producer_id;
            }
            FeatureLevelRecord::RECORD_TYPE => self.feature(decode(body, version)?)?,
            RegisterBrokerRecord::RECORD_TYPE => {
                self.cluster.brokers.insert(BrokerId(decode::<RegisterBrokerRecord>(body, version)?.broker_id));
            }
            UnregisterBrokerRecord::RECORD_TYPE => {
                self.cluster.brokers.remove(&BrokerId(decode::<UnregisterBrokerRecord>(body, version)?.broker_id));
            }
            ZkMigrationStateRecord::RECORD_TYPE => {
                let state = decode::<ZkMigrationStateRecord>(body, version)?.zk_migration_state;
                self.cluster.is_migrating = MIGRATING.contains(&state);
            }
            // Who is there now, and which replica was in sync when: of no meaning to one node that is stopped.
            FenceBrokerRecord::RECORD_TYPE
            | UnfenceBrokerRecord::RECORD_TYPE
            | BrokerRegistrationChangeRecord::RECORD_TYPE
            | RegisterControllerRecord::RECORD_TYPE
            | UnregisterControllerRecord::RECORD_TYPE
            | ClearElrRecord::RECORD_TYPE
            | NoOpRecord::RECORD_TYPE => {}
            _ => return self.apply_security(record_type, version, body),
        }
        Ok(())
    }

    fn apply_security(&mut self, record_type: i16, version: i16, body: Bytes) -> Result<(), RecordError> {
        match record_type {
            AccessControlEntryRecord::RECORD_TYPE => {
                let entry: AccessControlEntryRecord = decode(body, version)?;
                self.cluster.acls.insert(entry.id, acl(entry)?);
            }
            RemoveAccessControlEntryRecord::RECORD_TYPE => {
                self.cluster.acls.remove(&decode::<RemoveAccessControlEntryRecord>(body, version)?.id);
            }
            UserScramCredentialRecord::RECORD_TYPE => {
                let record: UserScramCredentialRecord = decode(body, version)?;
                let mechanism = known("SCRAM mechanism", record.mechanism, ScramMechanism::from_number)?;
                let UserScramCredentialRecord { name, salt, stored_key, server_key, iterations, .. } = record;
                let credential = ScramCredential { salt, stored_key, server_key, iterations };
                self.cluster.scram.insert((mechanism, name), credential);
            }
            RemoveUserScramCredentialRecord::RECORD_TYPE => {
                let record: RemoveUserScramCredentialRecord = decode(body, version)?;
                let mechanism = known("SCRAM mechanism", record.mechanism, ScramMechanism::from_number)?;
                self.cluster.scram.remove(&(mechanism, record.name));
            }
            ClientQuotaRecord::RECORD_TYPE => self.quota(decode(body, version)?),
            DelegationTokenRecord::RECORD_TYPE => {
                self.cluster.delegation_tokens.insert(decode::<DelegationTokenRecord>(body, version)?.token_id);
            }
            RemoveDelegationTokenRecord::RECORD_TYPE => {
                self.cluster.delegation_tokens.remove(&decode::<RemoveDelegationTokenRecord>(body, version)?.token_id);
            }
            other => return Err(RecordError::UnknownType(other)),
        }
        Ok(())
    }

    fn topic(&mut self, record: TopicRecord) {
        let topic = Topic { name: record.name, ..Topic::default() };
        self.cluster.topics.insert(TopicId(record.topic_id), topic);
    }

    fn known_topic(&mut self, id: uuid::Uuid) -> Result<&mut Topic, RecordError> {
        let id = TopicId(id);
        self.cluster.topics.get_mut(&id).ok_or_else(|| RecordError::Unknown(format!("topic {id}")))
    }

    fn partition(&mut self, record: PartitionRecord) -> Result<(), RecordError> {
        let topic = self.known_topic(record.topic_id)?;
        let partition = TopicPartition {
            replicas: record.replicas.into_iter().map(BrokerId).collect(),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            directories: record.directories,
        };
        topic.partitions.insert(PartitionIndex(record.partition_id), partition);
        Ok(())
    }

    fn partition_change(&mut self, record: PartitionChangeRecord) -> Result<(), RecordError> {
        let topic = self.known_topic(record.topic_id)?;
        let index = PartitionIndex(record.partition_id);
        let unknown = || RecordError::Unknown(format!("partition {}-{index}", topic.name));
        let Some(partition) = topic.partitions.get_mut(&index) else { return Err(unknown()) };
        if let Some(replicas) = record.replicas {
            partition.replicas = replicas.into_iter().map(BrokerId).collect();
        }
        if let Some(directories) = record.directories {
            partition.directories = directories;
        }
        if record.leader != NO_LEADER_CHANGE {
            partition.leader_epoch.0 = partition.leader_epoch.0.saturating_add(1);
        }
        Ok(())
    }

    /// The topic's configs go with it.
    fn remove_topic(&mut self, record: &RemoveTopicRecord) -> Result<(), RecordError> {
        let id = TopicId(record.topic_id);
        let topic = self.cluster.topics.remove(&id).ok_or_else(|| RecordError::Unknown(format!("topic {id}")))?;
        self.cluster.configs.remove(&ConfigOwner::Topic(topic.name));
        Ok(())
    }

    fn config(&mut self, record: ConfigRecord) -> Result<(), RecordError> {
        let ConfigRecord { resource_type, resource_name, name, value } = record;
        let owner = ConfigOwner::of(resource_type, &resource_name)
            .ok_or(RecordError::UnknownConfigs { resource_type, resource_name })?;
        let set = self.cluster.configs.entry(owner.clone()).or_default();
        match value {
            Some(value) => set.insert(name, value),
            None => set.remove(&name),
        };
        if set.is_empty() {
            self.cluster.configs.remove(&owner);
        }
        Ok(())
    }

    fn feature(&mut self, record: FeatureLevelRecord) -> Result<(), RecordError> {
        if record.name == METADATA_VERSION_FEATURE && record.feature_level > METADATA_VERSION {
            return Err(RecordError::NewerMetadataVersion(record.feature_level));
        }
        match record.feature_level {
            0 => self.cluster.features.remove(&record.name),
            level => self.cluster.features.insert(record.name, level),
        };
        Ok(())
    }

    fn quota(&mut self, record: ClientQuotaRecord) {
        let entity = record.entity.into_iter().map(|part| (part.entity_type, part.entity_name)).collect();
        let quotas = &mut self.cluster.quotas;
        let limits = quotas.entry(entity).or_default();
        if record.remove {
            limits.remove(&record.key);
        } else {
            limits.insert(record.key, record.value);
        }
        quotas.retain(|_, limits| !limits.is_empty());
    }
}

/// Type, version and body of the record in a value.
fn frame(value: Bytes) -> Result<(i16, i16, Bytes), RecordError> {
    let mut decoder = Decoder::new(value);
    let frame = decoder.unsigned_varint()?;
    if frame != FRAME_VERSION {
        return Err(RecordError::Frame(frame));
    }
    let (record_type, version) = (decoder.unsigned_varint()?, decoder.unsigned_varint()?);
    let body = decoder.slice(decoder.remaining())?;
    let short = |number: u32| i16::try_from(number).unwrap_or(i16::MAX);
    Ok((short(record_type), short(version), body))
}

fn decode<T: Decode>(body: Bytes, version: i16) -> Result<T, RecordError> {
    let mut decoder = Decoder::new(body);
    let record = T::decode(&mut decoder, version)?;
    decoder.finish()?;
    Ok(record)
}

fn known<T>(name: &'static str, number: i8, word: impl Fn(i8) -> Option<T>) -> Result<T, RecordError> {
    word(number).ok_or(RecordError::UnknownWord { name, number })
}

fn acl(entry: AccessControlEntryRecord) -> Result<AclRule, RecordError> {
    Ok(AclRule {
        resource_type: known("resource type", entry.resource_type, ResourceType::from_number)?,
        resource_name: entry.resource_name,
        pattern_type: known("pattern type", entry.pattern_type, PatternType::from_number)?,
        principal: entry.principal,
        host: entry.host,
        operation: known("operation", entry.operation, AclOperation::from_number)?,
        permission: known("permission", entry.permission_type, Permission::from_number)?,
    })
}

//! The records of `__consumer_offsets` that classic groups write and read (docs/format/consumer-offsets.md).
//!
//! Keys begin with the record's type, values with their version. Written as Apache Kafka 4.4 writes them; read in every
//! version that Kafka reads. Other types of record, of groups that are not served here, are named and passed over.

use bytes::Bytes;
use millstream_model::wire::{Decode, DecodeError, Decoder, Encode, Encoder};
use millstream_model::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId};

use crate::classic::{ClassicGroup, Member};
use crate::generated::group_metadata::{GroupMetadataKey, GroupMetadataValue, MemberMetadata};
use crate::generated::legacy_offset_commit::LegacyOffsetCommitKey;
use crate::generated::offset_commit::{OffsetCommitKey, OffsetCommitValue};
use crate::ids::GroupId;
use crate::offsets::CommittedOffset;

/// The version of every key; what changes is the type.
const KEY_VERSION: i16 = 0;
const GROUP_METADATA_VALUE_VERSION: i16 = 3;
/// With the topic's id.
const OFFSET_COMMIT_VALUE_VERSION: i16 = 4;
/// The only one that can say when an offset expires.
const OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY: i16 = 1;

/// A record to append to `__consumer_offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    pub key: Bytes,
    /// `None` for a tombstone.
    pub value: Option<Bytes>,
}

/// What a record of `__consumer_offsets` was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The shard's state has followed it.
    Applied,
    /// It is of a type that this coordinator does not keep; the number is Kafka's.
    Ignored { record_type: i16 },
}

/// Why a record of `__consumer_offsets` cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("the key of a record in __consumer_offsets is malformed: {0}")]
    Key(DecodeError),
    #[error("the value of a record of group {group_id} in __consumer_offsets is malformed: {error}")]
    Value { group_id: GroupId, error: DecodeError },
    #[error("a record of group {group_id} in __consumer_offsets contradicts itself: {reason}")]
    Inconsistent { group_id: GroupId, reason: &'static str },
}

/// A record of `__consumer_offsets`, read.
#[derive(Debug)]
pub(crate) enum ParsedRecord {
    Offset { group_id: GroupId, topic: String, partition: PartitionIndex, offset: Option<CommittedOffset> },
    Group { group_id: GroupId, value: Option<GroupMetadataValue> },
    Other { record_type: i16 },
}

impl GroupRecord {
    fn new(record_type: i16, key: &impl Encode, value: Option<Bytes>) -> Self {
        let mut encoder = Encoder::new();
        encoder.i16(record_type);
        encode(key, KEY_VERSION, &mut encoder);
        Self { key: encoder.into_bytes(), value }
    }

    /// The group as it is, with each member's share of the work.
    pub(crate) fn of_group(group: &ClassicGroup, assignment: impl Fn(&Member) -> Bytes) -> Self {
        let protocol = group.protocol_name.as_deref().unwrap_or_default();
        let members = group.members.values().map(|member| MemberMetadata {
            member_id: member.id.as_str().to_owned(),
            group_instance_id: member.instance_id.as_ref().map(|instance| instance.as_str().to_owned()),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: assignment(member),
        });
        let value = GroupMetadataValue {
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            generation: group.generation,
            protocol: group.protocol_name.clone(),
            leader: group.leader.as_ref().map(|leader| leader.as_str().to_owned()),
            current_state_timestamp: group.state_since.0,
            members: members.collect(),
        };
        let key = GroupMetadataKey { group: group.id.as_str().to_owned() };
        Self::new(GroupMetadataKey::RECORD_TYPE, &key, Some(versioned(&value, GROUP_METADATA_VALUE_VERSION)))
    }

    pub(crate) fn group_tombstone(group_id: &GroupId) -> Self {
        let key = GroupMetadataKey { group: group_id.as_str().to_owned() };
        Self::new(GroupMetadataKey::RECORD_TYPE, &key, None)
    }

    /// A committed offset, or its tombstone.
    pub(crate) fn of_offset(
        group_id: &GroupId,
        topic: &str,
        partition: PartitionIndex,
        offset: Option<&CommittedOffset>,
    ) -> Self {
        let key =
            OffsetCommitKey { group: group_id.as_str().to_owned(), topic: topic.to_owned(), partition: partition.0 };
        let value = offset.map(|offset| {
            let version = match offset.expires_at {
                Some(_) => OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY,
                None => OFFSET_COMMIT_VALUE_VERSION,
            };
            let value = OffsetCommitValue {
                offset: offset.offset.0,
                leader_epoch: offset.leader_epoch.0,
                metadata: offset.metadata.clone(),
                commit_timestamp: offset.committed_at.0,
                expire_timestamp: offset.expires_at.unwrap_or(TimestampMs::NONE).0,
                topic_id: offset.topic_id.0,
            };
            versioned(&value, version)
        });
        Self::new(OffsetCommitKey::RECORD_TYPE, &key, value)
    }
}

fn encode(message: &impl Encode, version: i16, encoder: &mut Encoder) {
    message.encode(encoder, version).expect("texts were bounded when they came in, and the version has every field");
}

fn versioned(value: &impl Encode, version: i16) -> Bytes {
    let mut encoder = Encoder::new();
    encoder.i16(version);
    encode(value, version, &mut encoder);
    encoder.into_bytes()
}

impl ParsedRecord {
    pub(crate) fn parse(key: &Bytes, value: Option<&Bytes>) -> Result<Self, ReplayError> {
        let mut decoder = Decoder::new(key.clone());
        let record_type = decoder.i16().map_err(ReplayError::Key)?;
        match record_type {
            // Keys of both types are alike; Kafka wrote 0 before 0.10.
            LegacyOffsetCommitKey::RECORD_TYPE | OffsetCommitKey::RECORD_TYPE => {
                let key = OffsetCommitKey::decode(&mut decoder, KEY_VERSION).map_err(ReplayError::Key)?;
                let group_id = GroupId::from(key.group);
                let value: Option<OffsetCommitValue> = parse_value(&group_id, value)?;
                let offset = value.map(CommittedOffset::from);
                Ok(Self::Offset { group_id, topic: key.topic, partition: PartitionIndex(key.partition), offset })
            }
            GroupMetadataKey::RECORD_TYPE => {
                let key = GroupMetadataKey::decode(&mut decoder, KEY_VERSION).map_err(ReplayError::Key)?;
                let group_id = GroupId::from(key.group);
                let value = parse_value(&group_id, value)?;
                Ok(Self::Group { group_id, value })
            }
            record_type => Ok(Self::Other { record_type }),
        }
    }
}

fn parse_value<T: Decode>(group_id: &GroupId, value: Option<&Bytes>) -> Result<Option<T>, ReplayError> {
    let Some(value) = value else { return Ok(None) };
    let mut decoder = Decoder::new(value.clone());
    let mut parse = || {
        let version = decoder.i16()?;
        T::decode(&mut decoder, version)
    };
    parse().map(Some).map_err(|error| ReplayError::Value { group_id: group_id.clone(), error })
}

impl From<OffsetCommitValue> for CommittedOffset {
    fn from(value: OffsetCommitValue) -> Self {
        Self {
            offset: Offset(value.offset),
            leader_epoch: LeaderEpoch(value.leader_epoch),
            metadata: value.metadata,
            committed_at: TimestampMs(value.commit_timestamp),
            expires_at: (value.expire_timestamp >= 0).then_some(TimestampMs(value.expire_timestamp)),
            topic_id: TopicId(value.topic_id),
        }
    }
}

//! What happens to groups: the requests of clients, as the broker has decoded them, and the outcomes of appends.
//!
//! Version rules of the wire protocol that change behaviour arrive as fields here; everything else about versions stays
//! with the broker.

use bytes::Bytes;
use millstream_model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use uuid::Uuid;

use crate::ids::{GroupId, InstanceId, MemberId};

/// The broker's number for a request that waits for its answer; used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyId(pub u64);

/// The shard's number for an append, counting up from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

/// Something that happens to a shard.
#[derive(Clone, Debug)]
pub enum Event {
    Join {
        reply: ReplyId,
        request: JoinRequest,
    },
    Sync {
        reply: ReplyId,
        request: SyncRequest,
    },
    Heartbeat {
        reply: ReplyId,
        request: HeartbeatRequest,
    },
    Leave {
        reply: ReplyId,
        request: LeaveRequest,
    },
    CommitOffsets {
        reply: ReplyId,
        request: CommitRequest,
    },
    DeleteOffsets {
        reply: ReplyId,
        request: DeleteOffsetsRequest,
    },
    DeleteGroups {
        reply: ReplyId,
        groups: Vec<GroupId>,
    },
    /// Topics that are gone: offsets committed for them go too.
    TopicsDeleted(Vec<DeletedTopic>),
    /// The outcome of an `Effect::Append`, exactly once for each.
    AppendDone {
        append: AppendId,
        outcome: Result<(), AppendError>,
    },
    /// The moment of `next_deadline` has come.
    Tick,
}

/// Why an append failed. In each case its records are not in the log and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("the log of this partition cannot be written for the moment")]
    Unavailable,
    #[error("this broker no longer leads the partition")]
    NotLeader,
    #[error("the records exceed the largest batch that the partition takes")]
    TooLarge,
}

/// JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    pub group_id: GroupId,
    /// Empty for a client that has none yet.
    pub member_id: MemberId,
    pub group_instance_id: Option<InstanceId>,
    /// From the request's header; part of a new member id.
    pub client_id: String,
    /// As Kafka shows it: `/` and the address.
    pub client_host: String,
    /// Randomness for a new member id, used when `member_id` is empty.
    pub uuid: Uuid,
    pub session_timeout_ms: i32,
    /// Version 0 has none: the session timeout serves.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, …
    pub protocol_type: String,
    /// In the member's order of preference.
    pub protocols: Vec<JoinProtocol>,
    /// Version 4 and later: a new dynamic member is sent back once with its id (KIP-394).
    pub requires_known_member_id: bool,
    /// Version 9 and later: a returning static leader may be told not to assign (KIP-814).
    pub supports_skipping_assignment: bool,
    /// Version 8 and later: why it joins (KIP-800).
    pub reason: Option<String>,
}

/// One way of assigning that a member can follow, with what the leader must know about the member for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinProtocol {
    /// Such as `range` or `cooperative-sticky`.
    pub name: String,
    /// Opaque to the coordinator, except that offsets are kept for the topics a `consumer` subscribes to.
    pub metadata: Bytes,
}

/// SyncGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRequest {
    pub group_id: GroupId,
    pub generation: i32,
    pub member_id: MemberId,
    pub group_instance_id: Option<InstanceId>,
    /// Version 5 and later.
    pub protocol_type: Option<String>,
    /// Version 5 and later.
    pub protocol_name: Option<String>,
    /// From the leader: each member's share. Empty from the others.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// Heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRequest {
    pub group_id: GroupId,
    pub generation: i32,
    pub member_id: MemberId,
    pub group_instance_id: Option<InstanceId>,
}

/// LeaveGroup; before version 3 with one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveRequest {
    pub group_id: GroupId,
    pub members: Vec<LeavingMember>,
}

/// Who leaves. An administrator may name a static member by its instance id alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    pub member_id: MemberId,
    pub group_instance_id: Option<InstanceId>,
    pub reason: Option<String>,
}

/// OffsetCommit. The broker has checked that the topics and partitions exist and may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    pub group_id: GroupId,
    /// -1 from a client that does not take part in the group.
    pub generation: i32,
    /// Empty from a client that does not take part in the group.
    pub member_id: MemberId,
    pub group_instance_id: Option<InstanceId>,
    /// Versions 2 to 4: how long to keep these offsets, instead of the broker's setting.
    pub retention_ms: Option<i64>,
    /// Version 9 and later: a missing group is named as such; before, it is an illegal generation.
    pub knows_group_id_not_found: bool,
    pub topics: Vec<TopicCommit>,
}

/// The offsets committed for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicCommit {
    pub topic: String,
    /// `TopicId::ZERO` where it is not known.
    pub topic_id: TopicId,
    pub partitions: Vec<PartitionCommit>,
}

/// The offset committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionCommit {
    pub partition: PartitionIndex,
    /// The next offset to read.
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
    /// The client's own words.
    pub metadata: Option<String>,
}

/// OffsetDelete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOffsetsRequest {
    pub group_id: GroupId,
    pub topics: Vec<TopicPartitions>,
}

/// Some partitions of a topic, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    pub topic: String,
    /// `TopicId::ZERO` where it is not known.
    pub topic_id: TopicId,
    pub partitions: Vec<PartitionIndex>,
}

/// A topic that is gone, told from a later one of the same name by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub topic: String,
    pub topic_id: TopicId,
}

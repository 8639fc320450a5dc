//! What the broker must do: answer a request, append records, write a line to its log.

use std::fmt;

use bytes::Bytes;
use millstream_model::PartitionIndex;

use crate::event::{AppendError, AppendId, ReplyId};
use crate::ids::{GroupId, InstanceId, MemberId};
use crate::record::GroupRecord;

/// Something that the broker must do, in the order given.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send an answer. Each `ReplyId` gets exactly one.
    Reply { reply: ReplyId, answer: Answer },
    /// Append the records to the shard's partition, in one batch and behind earlier appends, and report with
    /// `Event::AppendDone` when they are durable or have failed.
    Append { append: AppendId, records: Vec<GroupRecord> },
    /// Worth a line in the broker's log.
    Notice(Notice),
}

/// The answer to a request, by the kind of request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Join(Result<Joined, JoinRefused>),
    Sync(Result<Synced, GroupError>),
    Heartbeat(Result<(), GroupError>),
    Leave(Result<Vec<MemberLeft>, GroupError>),
    CommitOffsets(Result<Vec<TopicOutcome>, GroupError>),
    DeleteOffsets(Result<Vec<TopicOutcome>, GroupError>),
    DeleteGroups(Vec<(GroupId, Result<(), GroupError>)>),
}

/// The member is in the generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub member_id: MemberId,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: MemberId,
    /// Every member, for the leader; nobody, for the others.
    pub members: Vec<JoinedMember>,
    /// For a returning static leader: the assignment stands, do not make another (KIP-814).
    pub skip_assignment: bool,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: MemberId,
    pub group_instance_id: Option<InstanceId>,
    pub metadata: Bytes,
}

/// The member is not in the generation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct JoinRefused {
    /// With `MemberIdRequired` the id to come back with; otherwise the id to answer with, often empty.
    pub member_id: MemberId,
    pub error: GroupError,
}

/// A member's share of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}

/// What became of one member of a LeaveGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberLeft {
    pub member_id: MemberId,
    pub group_instance_id: Option<InstanceId>,
    pub outcome: Result<(), GroupError>,
}

/// What became of a topic's partitions, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOutcome {
    pub topic: String,
    pub partitions: Vec<(PartitionIndex, Result<(), GroupError>)>,
}

/// Why a group request was not granted: one variant for each thing that the client does differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum GroupError {
    #[error("the group id is empty or too long")]
    InvalidGroupId,
    #[error("the group id is not known")]
    GroupIdNotFound,
    #[error("the session timeout is outside group.min.session.timeout.ms and group.max.session.timeout.ms")]
    InvalidSessionTimeout,
    #[error("a text of the request is longer than a record can hold")]
    InvalidRequest,
    #[error("the group has another protocol type, or no protocol that every member supports")]
    InconsistentGroupProtocol,
    #[error("come back with the member id that this answer names")]
    MemberIdRequired,
    #[error("the coordinator does not know this member")]
    UnknownMemberId,
    #[error("another member has taken over this group.instance.id")]
    FencedInstanceId,
    #[error("the generation is not the group's")]
    IllegalGeneration,
    #[error("the group is rebalancing: rejoin")]
    RebalanceInProgress,
    #[error("the group has as many members as group.max.size allows")]
    GroupMaxSizeReached,
    #[error("the group has members")]
    NonEmptyGroup,
    #[error("the group's members subscribe to the topic")]
    GroupSubscribedToTopic,
    #[error("the metadata of the commit is longer than offset.metadata.max.bytes")]
    OffsetMetadataTooLarge,
    #[error("the commit does not fit into one batch")]
    InvalidCommitOffsetSize,
    #[error("the group's metadata does not fit into one batch")]
    GroupMetadataTooLarge,
    #[error("the coordinator cannot serve the group for the moment")]
    CoordinatorNotAvailable,
    #[error("the group is coordinated elsewhere")]
    NotCoordinator,
}

impl GroupError {
    /// What a failed append of a group's metadata means to its members.
    pub(crate) fn of_group_append(error: AppendError) -> Self {
        match error {
            AppendError::Unavailable => Self::CoordinatorNotAvailable,
            AppendError::NotLeader => Self::NotCoordinator,
            AppendError::TooLarge => Self::GroupMetadataTooLarge,
        }
    }

    /// What a failed append of offsets means to the client that committed or deleted them.
    pub(crate) fn of_offsets_append(error: AppendError) -> Self {
        match error {
            AppendError::Unavailable => Self::CoordinatorNotAvailable,
            AppendError::NotLeader => Self::NotCoordinator,
            AppendError::TooLarge => Self::InvalidCommitOffsetSize,
        }
    }
}

/// Something about a group that its operator wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    RebalanceBegun { group_id: GroupId, generation: i32, reason: String },
    GenerationFormed { group_id: GroupId, generation: i32, members: usize },
    Stable { group_id: GroupId, generation: i32 },
    MemberRemoved { group_id: GroupId, member_id: MemberId, reason: String },
    InstanceReplaced { group_id: GroupId, group_instance_id: InstanceId, old: MemberId, new: MemberId },
    AppendFailed { group_id: GroupId, error: AppendError },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RebalanceBegun { group_id, generation, reason } => {
                write!(f, "group {group_id} rebalances from generation {generation}: {reason}")
            }
            Self::GenerationFormed { group_id, generation, members } => {
                write!(f, "group {group_id} forms generation {generation} with {members} members")
            }
            Self::Stable { group_id, generation } => write!(f, "group {group_id} is stable in generation {generation}"),
            Self::MemberRemoved { group_id, member_id, reason } => {
                write!(f, "member {member_id} is out of group {group_id}: {reason}")
            }
            Self::InstanceReplaced { group_id, group_instance_id, old, new } => {
                write!(f, "instance {group_instance_id} of group {group_id} is now {new}, before {old}")
            }
            Self::AppendFailed { group_id, error } => {
                write!(f, "a record of group {group_id} was not written: {error}")
            }
        }
    }
}

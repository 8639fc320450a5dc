//! Group state machines and their record formats: event and time in, effects out.
//!
//! A `GroupShard` owns every group of one partition of `__consumer_offsets`: classic consumer groups (KIP-394, KIP-345)
//! and the offsets that they commit. The broker feeds it requests and the outcomes of appends, and carries out its
//! effects: answers to send and records to append. Nothing here waits, reads a clock or touches a disk.
//!
//! What must stay true: an answer that vouches for a record leaves only after that record is durable; what a read shows
//! was durable when it was shown; replaying the records that were appended rebuilds the groups.

mod answer;
mod classic;
mod event;
pub mod generated;
mod ids;
mod offsets;
mod partition;
mod record;
mod settings;
mod shard;
mod time;

pub use answer::{
    Answer, Effect, GroupError, JoinRefused, Joined, JoinedMember, MemberLeft, Notice, Synced, TopicOutcome,
};
pub use classic::GroupState;
pub use event::{
    AppendError, AppendId, CommitRequest, DeleteOffsetsRequest, DeletedTopic, Event, HeartbeatRequest, JoinProtocol,
    JoinRequest, LeaveRequest, LeavingMember, PartitionCommit, ReplyId, SyncRequest, TopicCommit, TopicPartitions,
};
pub use ids::{GroupId, InstanceId, MemberId};
pub use offsets::CommittedOffset;
pub use partition::partition_for;
pub use record::{GroupRecord, ReplayError, Replayed};
pub use settings::GroupSettings;
pub use shard::{
    FetchedPartition, FetchedTopic, GroupDescription, GroupShard, ListedGroup, MemberDescription, UnstableOffset,
};
pub use time::{Now, SteadyMs};

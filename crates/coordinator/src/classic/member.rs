//! A member of a classic group: what it asked for, what it was given, which of its requests wait.

use bytes::Bytes;

use crate::event::{JoinProtocol, ReplyId};
use crate::ids::{InstanceId, MemberId};
use crate::time::SteadyMs;

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) instance_id: Option<InstanceId>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// In the member's order of preference, each name once.
    pub(crate) protocols: Vec<JoinProtocol>,
    pub(crate) assignment: Bytes,
    /// Has not yet been in a generation: it does not know its id, so it cannot send heartbeats.
    pub(crate) is_new: bool,
    /// The JoinGroup that waits for the next generation.
    pub(crate) join: Option<ReplyId>,
    /// The SyncGroup that waits for the leader's assignment.
    pub(crate) sync: Option<ReplyId>,
    /// In a generation whose SyncGroup it still owes.
    pub(crate) owes_sync: bool,
    /// When it is taken for gone; `None` while one of its requests waits here past its session.
    pub(crate) session_deadline: Option<SteadyMs>,
}

impl Member {
    /// What the leader must know about this member under `protocol`; empty when the member does not support it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|known| known.name == protocol)
            .map(|known| known.metadata.clone())
            .unwrap_or_default()
    }

    /// A member whose request waits here is alive, unless it is new: its client may have given up long ago.
    pub(crate) fn outlives_session(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }
}

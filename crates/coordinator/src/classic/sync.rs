//! SyncGroup: the leader's assignment goes to the log, then to every member.

use std::collections::HashMap;

use bytes::Bytes;

use super::{ClassicGroup, GroupState};
use crate::answer::{Answer, GroupError, Notice, Synced};
use crate::event::{AppendError, AppendId, ReplyId, SyncRequest};
use crate::ids::MemberId;
use crate::record::GroupRecord;
use crate::shard::{Then, Turn};

/// The leader's assignment, until the log knows of it.
#[derive(Clone, Debug)]
pub(crate) struct PendingAssignment {
    assignments: HashMap<MemberId, Bytes>,
}

impl ClassicGroup {
    /// Handles a SyncGroup; the answer waits for the leader's assignment to be durable.
    pub(crate) fn sync(&mut self, turn: &mut Turn<'_>, reply: ReplyId, request: SyncRequest) {
        if let Err(error) = self.check_sync(&request) {
            return turn.reply(reply, Answer::Sync(Err(error)));
        }
        let member = &mut self.members[&request.member_id];
        member.owes_sync = false;
        if self.state == GroupState::Stable {
            let assignment = member.assignment.clone();
            let answer = self.synced(assignment);
            return turn.reply(reply, Answer::Sync(Ok(answer)));
        }
        if let Some(superseded) = member.sync.replace(reply) {
            // The client has sent another SyncGroup behind this one.
            turn.reply(superseded, Answer::Sync(Err(GroupError::RebalanceInProgress)));
        }
        // A second assignment for the same generation would leave the log with one and the members with the other.
        if self.is_leader(&request.member_id) && self.assignment_append.is_none() {
            let assignments: HashMap<MemberId, Bytes> = request.assignments.into_iter().collect();
            let share = |member: &super::Member| assignments.get(&member.id).cloned().unwrap_or_default();
            let record = GroupRecord::of_group(self, share);
            self.stored = true;
            let then = Then::Assign(PendingAssignment { assignments });
            self.assignment_append = Some(turn.append(&self.id, vec![record], then));
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs =
            |asked: &Option<String>, actual: &Option<String>| asked.is_some() && actual.is_some() && asked != actual;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match self.state {
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::Empty => Err(GroupError::UnknownMemberId),
            GroupState::CompletingRebalance | GroupState::Stable | GroupState::Dead => Ok(()),
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced { protocol_type: self.protocol_type.clone(), protocol_name: self.protocol_name.clone(), assignment }
    }

    /// The record of the leader's assignment is durable or has failed. A rebalance that has begun meanwhile voids it.
    pub(crate) fn assignment_stored(
        &mut self,
        turn: &mut Turn<'_>,
        append: AppendId,
        pending: PendingAssignment,
        outcome: Result<(), AppendError>,
    ) {
        if self.assignment_append != Some(append) {
            return;
        }
        self.assignment_append = None;
        if let Err(error) = outcome {
            let error = GroupError::of_group_append(error);
            self.void_assignments(turn, error);
            return self.prepare_rebalance(turn, &format!("the assignment was not stored: {error}"));
        }
        self.assign(turn, pending.assignments);
        self.transition(GroupState::Stable, turn.now);
        turn.notice(Notice::Stable { group_id: self.id.clone(), generation: self.generation });
    }

    fn assign(&mut self, turn: &mut Turn<'_>, mut assignments: HashMap<MemberId, Bytes>) {
        let member_ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for member_id in &member_ids {
            let member = &mut self.members[member_id];
            member.assignment = assignments.remove(member_id).unwrap_or_default();
            let assignment = member.assignment.clone();
            if let Some(reply) = member.sync.take() {
                let answer = self.synced(assignment);
                turn.reply(reply, Answer::Sync(Ok(answer)));
                // While it waited its session may have run out unheeded.
                self.touch(member_id, turn.now);
            }
        }
    }
}

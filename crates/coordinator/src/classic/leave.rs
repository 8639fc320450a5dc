//! Staying and going: heartbeats, LeaveGroup, deadlines that have passed.

use super::rebalance::JoinDeadline;
use super::{ClassicGroup, GroupState};
use crate::answer::{GroupError, MemberLeft};
use crate::event::{HeartbeatRequest, LeavingMember};
use crate::ids::MemberId;
use crate::shard::Turn;
use crate::time::SteadyMs;

impl ClassicGroup {
    /// Handles a Heartbeat: the session is extended, and a rebalance under way is announced.
    pub(crate) fn heartbeat(&mut self, turn: &mut Turn<'_>, request: &HeartbeatRequest) -> Result<(), GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.touch(&request.member_id, turn.now);
        match self.state {
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
        }
    }

    /// Handles a LeaveGroup of one or several members; one rebalance follows, not one for each.
    pub(crate) fn leave(
        &mut self,
        turn: &mut Turn<'_>,
        leaving: Vec<LeavingMember>,
    ) -> Result<Vec<MemberLeft>, GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        let mut left = Vec::with_capacity(leaving.len());
        for member in leaving {
            let outcome = self.leave_one(turn, &member);
            let LeavingMember { member_id, group_instance_id, .. } = member;
            left.push(MemberLeft { member_id, group_instance_id, outcome });
        }
        if left.iter().any(|member| member.outcome.is_ok()) {
            match self.state {
                GroupState::Stable | GroupState::CompletingRebalance => {
                    self.prepare_rebalance(turn, "members have left");
                }
                GroupState::PreparingRebalance => self.maybe_complete_join(turn),
                GroupState::Empty | GroupState::Dead => {}
            }
        }
        Ok(left)
    }

    fn leave_one(&mut self, turn: &mut Turn<'_>, leaving: &LeavingMember) -> Result<(), GroupError> {
        let member_id = if leaving.member_id.is_empty() {
            let holder = leaving.group_instance_id.as_ref().and_then(|instance| self.instances.get(instance));
            holder.cloned().ok_or(GroupError::UnknownMemberId)?
        } else {
            leaving.member_id.clone()
        };
        if self.pending_joins.shift_remove(&member_id).is_some() {
            return Ok(());
        }
        self.check_member(&member_id, leaving.group_instance_id.as_ref())?;
        let reason = leaving.reason.as_deref().unwrap_or("not provided");
        self.expel(turn, &member_id, &format!("it left; its reason: {reason}"));
        Ok(())
    }

    /// Does what is due, and finds when something will be due next.
    pub(crate) fn expire(&mut self, turn: &mut Turn<'_>) {
        self.wake = None;
        self.expire_pending_joins(turn);
        self.expire_sessions(turn);
        let steady = turn.now.steady;
        let is_due = |at: SteadyMs| at <= steady;
        if let Some(deadline) = self.join_deadline.take_if(|deadline| is_due(deadline.at())) {
            self.join_deadline_reached(turn, deadline);
        }
        if self.sync_deadline.take_if(|at| is_due(*at)).is_some() {
            self.sync_deadline_reached(turn);
        }
        self.wake = self.earliest_deadline();
    }

    pub(super) fn earliest_deadline(&self) -> Option<SteadyMs> {
        let sessions = self.members.values().filter_map(|member| member.session_deadline);
        let pending = self.pending_joins.values().copied();
        let rebalance = self.join_deadline.map(JoinDeadline::at).into_iter().chain(self.sync_deadline);
        sessions.chain(pending).chain(rebalance).min()
    }

    fn expire_pending_joins(&mut self, turn: &mut Turn<'_>) {
        let before = self.pending_joins.len();
        self.pending_joins.retain(|_, deadline| *deadline > turn.now.steady);
        if self.pending_joins.len() < before {
            self.complete_join_without_the_missing(turn);
        }
    }

    fn expire_sessions(&mut self, turn: &mut Turn<'_>) {
        let is_due = |deadline: Option<SteadyMs>| deadline.is_some_and(|at| at <= turn.now.steady);
        let due: Vec<MemberId> = self
            .members
            .values()
            .filter(|member| is_due(member.session_deadline))
            .map(|member| member.id.clone())
            .collect();
        for member_id in due {
            // Removing one may have completed a rebalance that renewed the others or put them out.
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            if member.session_deadline.is_none_or(|at| at > turn.now.steady) {
                continue;
            }
            if member.outlives_session() {
                member.session_deadline = None;
                continue;
            }
            self.expel(turn, &member_id, "its session has expired");
            match self.state {
                GroupState::Stable | GroupState::CompletingRebalance => {
                    self.prepare_rebalance(turn, "a member's session has expired");
                }
                GroupState::PreparingRebalance => self.complete_join_without_the_missing(turn),
                GroupState::Empty | GroupState::Dead => {}
            }
        }
    }

    /// Members that have not asked for their assignment within the rebalance timeout are put out.
    fn sync_deadline_reached(&mut self, turn: &mut Turn<'_>) {
        let owing = self.members.values().filter(|member| member.owes_sync);
        let owing: Vec<MemberId> = owing.map(|member| member.id.clone()).collect();
        for member_id in &owing {
            self.expel(turn, member_id, "it did not sync in time");
        }
        if !owing.is_empty() {
            self.prepare_rebalance(turn, "members did not sync in time");
        }
    }
}

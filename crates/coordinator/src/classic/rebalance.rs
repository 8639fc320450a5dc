//! From one generation to the next: gathering the members, electing leader and protocol, telling everybody.

use super::{ClassicGroup, GroupState, protocols};
use crate::answer::{Answer, GroupError, Notice};
use crate::ids::MemberId;
use crate::record::GroupRecord;
use crate::shard::{Then, Turn};
use crate::time::SteadyMs;

/// When nobody has come back, the wait begins again; a client that asks for no rebalance timeout must not make it a spin.
const WAIT_AGAIN_MS_MIN: i64 = 100;

/// Until when the members are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoinDeadline {
    /// For a group that was empty: a short delay, extended while members come (`group.initial.rebalance.delay.ms`).
    Initial { at: SteadyMs, delay_ms: i64, remaining_ms: i64 },
    /// For members of the last generation to come back.
    Rejoin { at: SteadyMs },
}

impl JoinDeadline {
    pub(super) fn at(self) -> SteadyMs {
        match self {
            Self::Initial { at, .. } | Self::Rejoin { at } => at,
        }
    }
}

impl ClassicGroup {
    /// Something has changed: begins a rebalance, or completes the one under way if it waited for just that.
    pub(super) fn rebalance(&mut self, turn: &mut Turn<'_>, reason: &str) {
        match self.state {
            GroupState::Empty | GroupState::Stable | GroupState::CompletingRebalance => {
                self.prepare_rebalance(turn, reason);
            }
            GroupState::PreparingRebalance | GroupState::Dead => self.maybe_complete_join(turn),
        }
    }

    /// Begins to gather the members. Assignments that were awaited are void.
    pub(super) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>, reason: &str) {
        if self.state == GroupState::CompletingRebalance {
            self.void_assignments(turn, GroupError::RebalanceInProgress);
        }
        for member in self.members.values_mut() {
            member.owes_sync = false;
        }
        self.sync_deadline = None;
        self.assignment_append = None;
        turn.notice(Notice::RebalanceBegun {
            group_id: self.id.clone(),
            generation: self.generation,
            reason: reason.to_owned(),
        });
        let initial = self.state == GroupState::Empty;
        self.transition(GroupState::PreparingRebalance, turn.now);
        if initial {
            self.member_added = false;
            let delay_ms = i64::from(turn.settings.initial_rebalance_delay_ms.max(0));
            let remaining_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
            let at = turn.now.steady.after(delay_ms);
            self.gather_until(JoinDeadline::Initial { at, delay_ms, remaining_ms });
        } else if self.all_joined() {
            self.complete_join(turn);
        } else {
            self.gather_until(JoinDeadline::Rejoin { at: turn.now.steady.after(self.rebalance_timeout_ms()) });
        }
    }

    fn gather_until(&mut self, deadline: JoinDeadline) {
        self.join_deadline = Some(deadline);
        self.wake_by(deadline.at());
    }

    /// Takes back what was assigned and answers the SyncGroups that wait.
    pub(super) fn void_assignments(&mut self, turn: &mut Turn<'_>, error: GroupError) {
        let mut answered: Vec<MemberId> = Vec::new();
        for member in self.members.values_mut() {
            member.assignment.clear();
            if let Some(reply) = member.sync.take() {
                turn.reply(reply, Answer::Sync(Err(error)));
                answered.push(member.id.clone());
            }
        }
        for member_id in &answered {
            self.touch(member_id, turn.now);
        }
    }

    pub(super) fn all_joined(&self) -> bool {
        self.joining == self.members.len() && self.pending_joins.is_empty()
    }

    /// Forms the generation if everybody is there. The initial delay is always waited out.
    pub(super) fn maybe_complete_join(&mut self, turn: &mut Turn<'_>) {
        let gathering = self.state == GroupState::PreparingRebalance && self.previous_state != GroupState::Empty;
        if gathering && self.all_joined() {
            self.complete_join(turn);
        }
    }

    /// A member or a pending id is gone: forms the generation if it was the last to be waited for.
    pub(super) fn complete_join_without_the_missing(&mut self, turn: &mut Turn<'_>) {
        if self.state == GroupState::PreparingRebalance && self.all_joined() {
            self.complete_join(turn);
        }
    }

    /// The time for gathering is over.
    pub(super) fn join_deadline_reached(&mut self, turn: &mut Turn<'_>, deadline: JoinDeadline) {
        match deadline {
            JoinDeadline::Initial { delay_ms, remaining_ms, .. } if self.member_added && remaining_ms != 0 => {
                self.member_added = false;
                let next_ms = i64::from(turn.settings.initial_rebalance_delay_ms.max(0)).min(remaining_ms);
                self.gather_until(JoinDeadline::Initial {
                    at: turn.now.steady.after(next_ms),
                    delay_ms: next_ms,
                    remaining_ms: (remaining_ms - delay_ms).max(0),
                });
            }
            JoinDeadline::Initial { .. } | JoinDeadline::Rejoin { .. } => self.complete_join(turn),
        }
    }

    /// Forms the next generation out of those who have joined. Static members may be absent until their session ends.
    pub(super) fn complete_join(&mut self, turn: &mut Turn<'_>) {
        self.join_deadline = None;
        let missing = |member: &&super::Member| member.join.is_none() && member.instance_id.is_none();
        let missing: Vec<MemberId> = self.members.values().filter(missing).map(|member| member.id.clone()).collect();
        for member_id in &missing {
            self.expel(turn, member_id, "it did not rejoin in time");
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            let wait_ms = self.rebalance_timeout_ms().max(WAIT_AGAIN_MS_MIN);
            return self.gather_until(JoinDeadline::Rejoin { at: turn.now.steady.after(wait_ms) });
        }
        // After i32::MAX generations the count begins again; nobody of the first is left.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol_name = self.elected_protocol();
        self.refresh_subscriptions();
        if self.members.is_empty() {
            self.transition(GroupState::Empty, turn.now);
            let record = GroupRecord::of_group(self, |_| bytes::Bytes::new());
            self.stored = true;
            turn.append(&self.id, vec![record], Then::Nothing);
        } else {
            self.transition(GroupState::CompletingRebalance, turn.now);
            self.announce_generation(turn);
        }
    }

    /// The leader stays if it has joined; otherwise the first who has becomes it. False when nobody has joined.
    fn elect_joined_leader(&mut self) -> bool {
        let joined = |member_id: &MemberId| self.members.get(member_id).is_some_and(|member| member.join.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let Some(first) = self.members.values().find(|member| member.join.is_some()) else { return false };
        self.leader = Some(first.id.clone());
        true
    }

    /// The protocol that the members would elect now.
    pub(super) fn elected_protocol(&self) -> Option<String> {
        protocols::elect(self.members.values(), &self.support)
    }

    /// Answers the JoinGroups and expects every member's SyncGroup.
    fn announce_generation(&mut self, turn: &mut Turn<'_>) {
        let (group_id, generation, members) = (self.id.clone(), self.generation, self.members.len());
        turn.notice(Notice::GenerationFormed { group_id, generation, members });
        let member_ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for member_id in &member_ids {
            let joined = self.joined(member_id);
            let member = &mut self.members[member_id];
            member.is_new = false;
            member.owes_sync = true;
            if let Some(reply) = member.join.take() {
                self.joining -= 1;
                turn.reply(reply, Answer::Join(Ok(joined)));
            }
            self.touch(member_id, turn.now);
        }
        let deadline = turn.now.steady.after(self.rebalance_timeout_ms());
        self.sync_deadline = Some(deadline);
        self.wake_by(deadline);
    }
}

//! JoinGroup: who is taken in, who is sent back for an id, when a join begins a rebalance.

use super::member::Member;
use super::protocols;
use super::{ClassicGroup, GroupState};
use crate::answer::{Answer, GroupError, JoinRefused, Joined, JoinedMember, Notice};
use crate::event::{AppendError, JoinProtocol, JoinRequest, ReplyId};
use crate::ids::{InstanceId, MemberId};
use crate::record::GroupRecord;
use crate::shard::{Then, Turn};

/// A static member that came back under a new id while the group was stable, until the log knows of it.
#[derive(Clone, Debug)]
pub(crate) struct InstanceReplacement {
    reply: ReplyId,
    generation: i32,
    /// The member as it was.
    old: Member,
    new: MemberId,
    old_leader: Option<MemberId>,
    supports_skipping_assignment: bool,
}

fn refuse(turn: &mut Turn<'_>, reply: ReplyId, member_id: MemberId, error: GroupError) {
    turn.reply(reply, Answer::Join(Err(JoinRefused { member_id, error })));
}

impl ClassicGroup {
    /// Handles a JoinGroup; the answer may wait for the next generation.
    pub(crate) fn join(&mut self, turn: &mut Turn<'_>, reply: ReplyId, mut request: JoinRequest) {
        request.protocols = protocols::distinct(request.protocols);
        if self.state == GroupState::Dead {
            return refuse(turn, reply, request.member_id, GroupError::CoordinatorNotAvailable);
        }
        if !self.has_room_for(&request.member_id, turn.settings.group_size_max) {
            self.remove(turn, &request.member_id, GroupError::GroupMaxSizeReached);
            refuse(turn, reply, "".into(), GroupError::GroupMaxSizeReached);
            return self.maybe_complete_join(turn);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return refuse(turn, reply, request.member_id, GroupError::InconsistentGroupProtocol);
        }
        if request.member_id.is_empty() {
            self.join_unknown(turn, reply, request);
        } else if self.pending_joins.contains_key(&request.member_id) && request.group_instance_id.is_none() {
            let member_id = request.member_id.clone();
            self.admit(turn, reply, request, member_id);
        } else if let Err(error) = self.check_member(&request.member_id, request.group_instance_id.as_ref()) {
            refuse(turn, reply, request.member_id, error);
        } else {
            self.rejoin(turn, reply, request);
        }
    }

    /// While members gather, those already waiting count, not those of the last generation: that way the last to come
    /// back are turned away when `group.max.size` was lowered.
    fn has_room_for(&self, member_id: &MemberId, size_max: usize) -> bool {
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                self.joining < size_max || self.members.get(member_id).is_some_and(|member| member.join.is_some())
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.members.len() < size_max || self.members.contains_key(member_id)
            }
        }
    }

    fn supports(&self, protocol_type: &str, protocols: &[JoinProtocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let common = |protocol: &JoinProtocol| self.support.is_common(&protocol.name, self.members.len());
        self.protocol_type.as_deref() == Some(protocol_type) && protocols.iter().any(common)
    }

    /// A client without a member id: new, or a static member that has restarted.
    fn join_unknown(&mut self, turn: &mut Turn<'_>, reply: ReplyId, request: JoinRequest) {
        let prefix = request.group_instance_id.as_ref().map_or(request.client_id.as_str(), InstanceId::as_str);
        let member_id = MemberId::from(format!("{prefix}-{}", request.uuid.hyphenated()));
        let instance = request.group_instance_id.as_ref();
        match instance.and_then(|instance| self.instances.get(instance)).cloned() {
            Some(old) => self.replace_instance(turn, reply, request, &old, member_id),
            None if request.group_instance_id.is_none() && request.requires_known_member_id => {
                let deadline = turn.now.steady.after(i64::from(request.session_timeout_ms));
                self.pending_joins.insert(member_id.clone(), deadline);
                self.wake_by(deadline);
                refuse(turn, reply, member_id, GroupError::MemberIdRequired);
            }
            None => self.admit(turn, reply, request, member_id),
        }
    }

    /// Takes a new member in, which begins a rebalance or waits for the one that is under way.
    fn admit(&mut self, turn: &mut Turn<'_>, reply: ReplyId, request: JoinRequest, member_id: MemberId) {
        if self.state == GroupState::PreparingRebalance && self.previous_state == GroupState::Empty {
            self.member_added = true;
        }
        let member = Member {
            id: member_id.clone(),
            instance_id: request.group_instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: bytes::Bytes::new(),
            is_new: true,
            join: Some(reply),
            sync: None,
            owes_sync: false,
            session_deadline: None,
        };
        self.add(member, &request.protocol_type);
        // It does not know its id yet and cannot send heartbeats, so its session would run out in a long rebalance;
        // but a client that has given up must not stay for ever.
        self.extend_session(&member_id, turn.now, turn.settings.new_member_join_timeout_ms);
        let reason = request.reason.as_deref().unwrap_or("not provided");
        self.rebalance(turn, &format!("member {member_id} joins; its reason: {reason}"));
    }

    /// A member joins again. In a generation with unchanged metadata it is told of the generation once more, since it
    /// may have missed the answer; the leader of a stable group rejoins in order to assign anew.
    fn rejoin(&mut self, turn: &mut Turn<'_>, reply: ReplyId, request: JoinRequest) {
        let member = &self.members[&request.member_id];
        let unchanged = member.protocols == request.protocols;
        let told_again = match self.state {
            GroupState::CompletingRebalance => unchanged,
            GroupState::Stable => unchanged && !self.is_leader(&request.member_id),
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => false,
        };
        if told_again {
            let joined = self.joined(&request.member_id);
            return turn.reply(reply, Answer::Join(Ok(joined)));
        }
        let why = if unchanged { "rejoins" } else { "rejoins with other metadata" };
        let client_reason = request.reason.as_deref().unwrap_or("not provided");
        let reason = format!("member {} {why}; its reason: {client_reason}", request.member_id);
        let member_id = request.member_id.clone();
        self.update(turn, &member_id, reply, request);
        self.rebalance(turn, &reason);
    }

    /// Puts what a member asks for now in the place of what it asked for before, and lets its JoinGroup wait.
    fn update(&mut self, turn: &mut Turn<'_>, member_id: &MemberId, reply: ReplyId, request: JoinRequest) {
        let member = &mut self.members[member_id];
        self.support.remove(member);
        member.protocols = request.protocols;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        self.support.add(member);
        match member.join.replace(reply) {
            // The client has sent another JoinGroup behind this one.
            Some(superseded) => refuse(turn, superseded, member_id.clone(), GroupError::RebalanceInProgress),
            None => self.joining += 1,
        }
    }

    /// What a member is told of the current generation.
    pub(super) fn joined(&self, member_id: &MemberId) -> Joined {
        let members = if self.is_leader(member_id) { self.joined_members() } else { Vec::new() };
        Joined {
            member_id: member_id.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_else(|| "".into()),
            members,
            skip_assignment: false,
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let joined = |member: &Member| JoinedMember {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.values().map(joined).collect()
    }

    /// A static member is back under a new id (KIP-345). When the group is stable and would elect the same protocol, the
    /// new id takes over the assignment without a rebalance, as soon as the log knows it.
    fn replace_instance(
        &mut self,
        turn: &mut Turn<'_>,
        reply: ReplyId,
        request: JoinRequest,
        old_id: &MemberId,
        new_id: MemberId,
    ) {
        let old = self.members[old_id].clone();
        let old_leader = self.leader.clone();
        let supports_skipping_assignment = request.supports_skipping_assignment;
        let reason = format!("instance of {old_id} is back as {new_id}");
        self.rename(turn, old_id, new_id.clone());
        self.update(turn, &new_id, reply, request);
        self.touch(&new_id, turn.now);
        match self.state {
            GroupState::Stable if self.elected_protocol() == self.protocol_name => {
                let record = GroupRecord::of_group(self, |member| member.assignment.clone());
                let replacement = InstanceReplacement {
                    reply,
                    generation: self.generation,
                    old,
                    new: new_id,
                    old_leader,
                    supports_skipping_assignment,
                };
                turn.append(&self.id, vec![record], Then::ReplaceInstance(Box::new(replacement)));
            }
            // The leader may be assigning to the old id: its assignment would miss the new one.
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(turn, &reason),
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => self.maybe_complete_join(turn),
        }
    }

    /// Gives a static member another id. Requests under the old one are fenced.
    fn rename(&mut self, turn: &mut Turn<'_>, old_id: &MemberId, new_id: MemberId) {
        let Some(old) = self.members.shift_remove(old_id) else { return };
        self.joining -= usize::from(old.join.is_some());
        if let Some(instance_id) = old.instance_id.clone() {
            self.instances.insert(instance_id.clone(), new_id.clone());
            let (group_id, old) = (self.id.clone(), old_id.clone());
            turn.notice(Notice::InstanceReplaced {
                group_id,
                group_instance_id: instance_id,
                old,
                new: new_id.clone(),
            });
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        let renamed = Member { id: new_id.clone(), join: None, sync: None, is_new: false, ..old.clone() };
        self.members.insert(new_id, renamed);
        Self::refuse_waiting(turn, old, GroupError::FencedInstanceId);
    }

    /// The record of a replaced instance is durable or has failed.
    pub(crate) fn instance_stored(
        &mut self,
        turn: &mut Turn<'_>,
        replacement: InstanceReplacement,
        outcome: Result<(), AppendError>,
    ) {
        let InstanceReplacement { reply, generation, new, .. } = &replacement;
        let waits = self.members.get(new).is_some_and(|member| member.join == Some(*reply));
        if !waits || self.state != GroupState::Stable || self.generation != *generation {
            // A rebalance has taken the waiting JoinGroup over, or it has been answered with the member's removal.
            return;
        }
        self.members[new].join = None;
        self.joining -= 1;
        match outcome {
            Ok(()) => self.answer_replaced(turn, &replacement),
            Err(error) => self.undo_replacement(turn, replacement, error),
        }
    }

    fn answer_replaced(&mut self, turn: &mut Turn<'_>, replacement: &InstanceReplacement) {
        let mut joined = self.joined(&replacement.new);
        if replacement.supports_skipping_assignment {
            joined.skip_assignment = self.is_leader(&replacement.new);
        } else {
            // Told that the old id leads, it will not assign: the assignment stands.
            joined.leader = replacement.old_leader.clone().unwrap_or(joined.leader);
            joined.members = Vec::new();
        }
        self.touch(&replacement.new, turn.now);
        turn.reply(replacement.reply, Answer::Join(Ok(joined)));
    }

    fn undo_replacement(&mut self, turn: &mut Turn<'_>, replacement: InstanceReplacement, error: AppendError) {
        let InstanceReplacement { reply, old, new, .. } = replacement;
        self.rename(turn, &new, old.id.clone());
        let member = &mut self.members[&old.id];
        self.support.remove(member);
        member.protocols.clone_from(&old.protocols);
        member.rebalance_timeout_ms = old.rebalance_timeout_ms;
        member.session_timeout_ms = old.session_timeout_ms;
        self.support.add(member);
        self.touch(&old.id, turn.now);
        refuse(turn, reply, "".into(), GroupError::of_group_append(error));
    }
}

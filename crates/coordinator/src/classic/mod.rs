//! A classic group: its members, its generation, the requests that wait for the next one, its deadlines.
//!
//! `ClassicGroup` is owned by the shard; `join`, `rebalance`, `sync` and `leave` hold its rules. The states are Kafka's:
//! Empty → PreparingRebalance → CompletingRebalance → Stable, back to PreparingRebalance whenever the membership
//! changes, and Dead while the group is being deleted. At every moment the leader is a member if there is one, an
//! instance id names one member, and no deadline lies before `wake`.

mod join;
mod leave;
mod member;
mod protocols;
mod rebalance;
mod sync;

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use indexmap::IndexMap;
use millstream_model::TimestampMs;

pub(crate) use join::InstanceReplacement;
pub(crate) use member::Member;
use protocols::{CONSUMER_PROTOCOL_TYPE, Support};
use rebalance::JoinDeadline;
pub(crate) use sync::PendingAssignment;

use crate::answer::{Answer, GroupError, JoinRefused, Notice};
use crate::event::AppendId;
use crate::ids::{GroupId, InstanceId, MemberId};
use crate::shard::Turn;
use crate::time::{Now, SteadyMs};

/// State of a classic group, under Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// Nobody is in it; it exists for its offsets.
    Empty,
    /// Members are being gathered for the next generation.
    PreparingRebalance,
    /// The generation stands; the leader's assignment is awaited.
    CompletingRebalance,
    /// Everybody can have its assignment.
    Stable,
    /// It is being deleted.
    Dead,
}

impl GroupState {
    /// The name that Kafka shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ClassicGroup {
    pub(crate) id: GroupId,
    pub(crate) state: GroupState,
    previous_state: GroupState,
    /// `TimestampMs::NONE` when an old record did not say.
    pub(crate) state_since: TimestampMs,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    pub(crate) leader: Option<MemberId>,
    /// In the order in which they joined.
    pub(crate) members: IndexMap<MemberId, Member>,
    instances: HashMap<InstanceId, MemberId>,
    /// Ids given out with MEMBER_ID_REQUIRED, until when they may be used.
    pub(crate) pending_joins: IndexMap<MemberId, SteadyMs>,
    support: Support,
    /// How many members have a JoinGroup waiting.
    joining: usize,
    /// `None` when the members' subscriptions cannot be read.
    subscribed_topics: Option<BTreeSet<String>>,
    /// Somebody joined during the initial delay, so it may be extended.
    member_added: bool,
    join_deadline: Option<JoinDeadline>,
    sync_deadline: Option<SteadyMs>,
    /// The leader's assignment that is on its way to the log.
    assignment_append: Option<AppendId>,
    /// Whether a record of the group may be in the log.
    pub(crate) stored: bool,
    /// No deadline of the group lies before this moment.
    pub(crate) wake: Option<SteadyMs>,
}

impl ClassicGroup {
    /// A group that nothing has happened to yet.
    pub(crate) fn new(id: GroupId, now: Now) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            previous_state: GroupState::Dead,
            state_since: now.wall,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: IndexMap::new(),
            instances: HashMap::new(),
            pending_joins: IndexMap::new(),
            support: Support::default(),
            joining: 0,
            subscribed_topics: None,
            member_added: false,
            join_deadline: None,
            sync_deadline: None,
            assignment_append: None,
            stored: false,
            wake: None,
        }
    }

    /// Whether nobody is in it or on the way in, and the log knows nothing of it.
    pub(crate) fn is_blank(&self) -> bool {
        self.state == GroupState::Empty && self.pending_joins.is_empty() && !self.stored
    }

    pub(crate) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether the members read `topic`. A consumer group whose subscriptions are unreadable is taken to read everything.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    /// Whether the topics that the members read are known.
    pub(crate) fn knows_subscriptions(&self) -> bool {
        self.subscribed_topics.is_some()
    }

    fn is_leader(&self, member_id: &MemberId) -> bool {
        self.leader.as_ref() == Some(member_id)
    }

    pub(crate) fn transition(&mut self, state: GroupState, now: Now) {
        self.previous_state = self.state;
        self.state = state;
        self.state_since = now.wall;
    }

    /// Remembers that a deadline lies at `at`.
    pub(crate) fn wake_by(&mut self, at: SteadyMs) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Gives the member `timeout_ms` from now to show that it is alive.
    fn extend_session(&mut self, member_id: &MemberId, now: Now, timeout_ms: i32) {
        let deadline = now.steady.after(i64::from(timeout_ms));
        if let Some(member) = self.members.get_mut(member_id) {
            member.session_deadline = Some(deadline);
            self.wake_by(deadline);
        }
    }

    /// The member has shown that it is alive.
    pub(crate) fn touch(&mut self, member_id: &MemberId, now: Now) {
        if let Some(member) = self.members.get(member_id) {
            self.extend_session(member_id, now, member.session_timeout_ms);
        }
    }

    /// Errors unless `member_id` is a member and, for a static one, the latest to bear its instance id.
    pub(crate) fn check_member(
        &self,
        member_id: &MemberId,
        instance_id: Option<&InstanceId>,
    ) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.instances.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(holder) if holder != member_id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    /// Takes a member in. Its id and instance id must be free and one of its protocols common to all.
    pub(crate) fn add(&mut self, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        if let Some(instance_id) = &member.instance_id {
            self.instances.insert(instance_id.clone(), member.id.clone());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.pending_joins.shift_remove(&member.id);
        self.support.add(&member);
        self.joining += usize::from(member.join.is_some());
        let replaced = self.members.insert(member.id.clone(), member);
        debug_assert!(replaced.is_none(), "a new member bears the id of another");
    }

    /// Puts a member or a pending id out. Requests of the member that wait are answered with `error`.
    fn remove(&mut self, turn: &mut Turn<'_>, member_id: &MemberId, error: GroupError) {
        self.pending_joins.shift_remove(member_id);
        let Some(member) = self.members.shift_remove(member_id) else { return };
        self.support.remove(&member);
        self.joining -= usize::from(member.join.is_some());
        if let Some(instance_id) = &member.instance_id {
            self.instances.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        Self::refuse_waiting(turn, member, error);
    }

    /// Answers what waits for a member that is out of the group.
    fn refuse_waiting(turn: &mut Turn<'_>, member: Member, error: GroupError) {
        if let Some(reply) = member.join {
            // After UNKNOWN_MEMBER_ID a client starts over without an id; a fenced one must learn which id was fenced.
            let member_id = if error == GroupError::FencedInstanceId { member.id } else { "".into() };
            turn.reply(reply, Answer::Join(Err(JoinRefused { member_id, error })));
        }
        if let Some(reply) = member.sync {
            turn.reply(reply, Answer::Sync(Err(error)));
        }
    }

    /// As `remove`, with a line for the log.
    fn expel(&mut self, turn: &mut Turn<'_>, member_id: &MemberId, reason: &str) {
        self.remove(turn, member_id, GroupError::UnknownMemberId);
        turn.notice(Notice::MemberRemoved {
            group_id: self.id.clone(),
            member_id: member_id.clone(),
            reason: reason.to_owned(),
        });
    }

    /// Rereads which topics the members subscribe to, under the protocol that was elected.
    pub(crate) fn refresh_subscriptions(&mut self) {
        self.subscribed_topics = None;
        if !self.is_consumer_group() {
            return;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let Some(protocol) = &self.protocol_name else { return };
            let Ok(subscribed) = protocols::subscribed_topics(&member.metadata(protocol)) else { return };
            topics.extend(subscribed);
        }
        self.subscribed_topics = Some(topics);
    }

    /// The longest rebalance timeout of a member.
    fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(|member| i64::from(member.rebalance_timeout_ms)).max().unwrap_or(0).max(0)
    }

    /// Begins the sessions of the members that the log named, and a rebalance when they are too many.
    pub(crate) fn loaded(&mut self, turn: &mut Turn<'_>) {
        let members: Vec<MemberId> = self.members.keys().cloned().collect();
        for member_id in &members {
            self.touch(member_id, turn.now);
        }
        if members.len() > turn.settings.group_size_max {
            self.prepare_rebalance(turn, "the group is larger than group.max.size");
        }
    }

    /// Answers every request that waits, because the group is coordinated elsewhere from now on.
    pub(crate) fn resign(&mut self, turn: &mut Turn<'_>) {
        for (_, member) in self.members.drain(..) {
            Self::refuse_waiting(turn, member, GroupError::NotCoordinator);
        }
    }
}

#[cfg(test)]
mod invariants;

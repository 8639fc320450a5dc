//! `GroupShard`: the groups of one partition of `__consumer_offsets`, owned by the broker task that leads it.
//!
//! The broker loads it (`replay` for each record, then `loaded`), feeds it events in any order, carries out the effects
//! in theirs, and calls `Tick` when `next_deadline` has come. Outcomes of appends are taken in the order of the appends,
//! whatever the order in which they are reported, so that state follows the log.

mod appends;
mod commit;
mod delete;
mod load;
mod read;

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use appends::{Outbox, PendingAppend};
pub(crate) use appends::{Then, Turn};
use delete::Deletion;
pub use read::{FetchedPartition, FetchedTopic, GroupDescription, ListedGroup, MemberDescription, UnstableOffset};

use crate::answer::{Answer, Effect, GroupError, JoinRefused, MemberLeft, Notice};
use crate::classic::ClassicGroup;
use crate::event::{AppendError, AppendId, Event, HeartbeatRequest, JoinRequest, LeaveRequest, ReplyId, SyncRequest};
use crate::ids::GroupId;
use crate::offsets::GroupOffsets;
use crate::settings::GroupSettings;
use crate::time::{Now, SteadyMs};

/// Bytes at most in a text that goes into a record (Kafka's limit for any string).
const TEXT_BYTES_MAX: usize = i16::MAX as usize;

/// A group and what it has committed.
#[derive(Debug)]
struct GroupEntry {
    group: ClassicGroup,
    offsets: GroupOffsets,
    /// Under which moment it stands in `wakes`.
    armed: Option<SteadyMs>,
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct GroupShard {
    settings: GroupSettings,
    groups: IndexMap<GroupId, GroupEntry>,
    /// The moments at which groups have something to do, each no later than the group's earliest deadline.
    wakes: BTreeSet<(SteadyMs, GroupId)>,
    /// When offsets are next looked through for expired ones.
    expiry_check: Option<SteadyMs>,
    /// DeleteGroups requests whose records are on their way.
    deletions: HashMap<ReplyId, Deletion>,
    outbox: Outbox,
}

impl GroupShard {
    /// A shard without groups.
    pub fn new(settings: GroupSettings) -> Self {
        Self {
            settings,
            groups: IndexMap::new(),
            wakes: BTreeSet::new(),
            expiry_check: None,
            deletions: HashMap::new(),
            outbox: Outbox::default(),
        }
    }

    /// Puts other settings in force, for what happens from now on.
    pub fn set_settings(&mut self, settings: GroupSettings) {
        self.settings = settings;
    }

    /// When `Event::Tick` is due; `None` while nothing waits for time to pass.
    pub fn next_deadline(&self) -> Option<SteadyMs> {
        let wake = self.wakes.first().map(|(at, _)| *at);
        wake.into_iter().chain(self.expiry_check).min()
    }

    /// Handles an event; the effects are to be carried out in order.
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        match event {
            Event::Join { reply, request } => self.join(now, reply, request),
            Event::Sync { reply, request } => self.sync(now, reply, request),
            Event::Heartbeat { reply, request } => self.heartbeat(now, reply, &request),
            Event::Leave { reply, request } => self.leave(now, reply, request),
            Event::CommitOffsets { reply, request } => self.commit_offsets(now, reply, request),
            Event::DeleteOffsets { reply, request } => self.delete_offsets(now, reply, request),
            Event::DeleteGroups { reply, groups } => self.delete_groups(now, reply, groups),
            Event::TopicsDeleted(topics) => self.topics_deleted(now, &topics),
            Event::AppendDone { append, outcome } => self.append_done(now, append, outcome),
            Event::Tick => self.tick(now),
        }
        self.outbox.take_effects()
    }

    /// The broker leads the partition no longer: every request that waits is answered `NotCoordinator`. What was on its
    /// way to the log may or may not have arrived.
    pub fn resign(mut self, now: Now) -> Vec<Effect> {
        while let Some((_, pending)) = self.outbox.appends.pop_any() {
            self.finish_append(now, None, pending, Err(AppendError::NotLeader));
        }
        for entry in self.groups.values_mut() {
            entry.group.resign(&mut Turn { now, settings: &self.settings, outbox: &mut self.outbox });
        }
        self.outbox.take_effects().into_iter().filter(|effect| !matches!(effect, Effect::Append { .. })).collect()
    }

    /// Lets `act` at a group, then puts its next wake in place and forgets the group if nothing is left of it.
    fn with_group<T>(
        &mut self,
        now: Now,
        group_id: &GroupId,
        act: impl FnOnce(&mut GroupEntry, &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let entry = self.groups.get_mut(group_id)?;
        let result = act(entry, &mut Turn { now, settings: &self.settings, outbox: &mut self.outbox });
        self.settle_group(group_id);
        Some(result)
    }

    fn group_or_new(&mut self, now: Now, group_id: &GroupId) -> &mut GroupEntry {
        self.groups.entry(group_id.clone()).or_insert_with(|| GroupEntry {
            group: ClassicGroup::new(group_id.clone(), now),
            offsets: GroupOffsets::default(),
            armed: None,
        })
    }

    fn settle_group(&mut self, group_id: &GroupId) {
        let Some(entry) = self.groups.get_mut(group_id) else { return };
        if entry.group.is_blank() && entry.offsets.is_empty() {
            return self.remove_group(group_id);
        }
        let Some(wake) = entry.group.wake else { return };
        if entry.armed.is_none_or(|armed| wake < armed) {
            if let Some(armed) = entry.armed.replace(wake) {
                self.wakes.remove(&(armed, group_id.clone()));
            }
            self.wakes.insert((wake, group_id.clone()));
        }
    }

    fn remove_group(&mut self, group_id: &GroupId) {
        let Some(entry) = self.groups.swap_remove(group_id) else { return };
        if let Some(armed) = entry.armed {
            self.wakes.remove(&(armed, group_id.clone()));
        }
    }

    fn reply(&mut self, reply: ReplyId, answer: Answer) {
        self.outbox.reply(reply, answer);
    }

    fn join(&mut self, now: Now, reply: ReplyId, request: JoinRequest) {
        let timeouts = self.settings.session_timeout_min_ms..=self.settings.session_timeout_max_ms;
        let error = if !is_valid(&request.group_id) {
            GroupError::InvalidGroupId
        } else if !timeouts.contains(&request.session_timeout_ms) {
            GroupError::InvalidSessionTimeout
        } else if !request.texts_fit() {
            GroupError::InvalidRequest
        } else if !request.member_id.is_empty() && !self.groups.contains_key(&request.group_id) {
            GroupError::UnknownMemberId
        } else {
            let group_id = request.group_id.clone();
            self.group_or_new(now, &group_id);
            self.with_group(now, &group_id, |entry, turn| entry.group.join(turn, reply, request));
            return;
        };
        let refused = JoinRefused { member_id: request.member_id, error };
        self.reply(reply, Answer::Join(Err(refused)));
    }

    fn sync(&mut self, now: Now, reply: ReplyId, request: SyncRequest) {
        if !is_valid(&request.group_id) {
            return self.reply(reply, Answer::Sync(Err(GroupError::InvalidGroupId)));
        }
        let group_id = request.group_id.clone();
        if self.with_group(now, &group_id, |entry, turn| entry.group.sync(turn, reply, request)).is_none() {
            self.reply(reply, Answer::Sync(Err(GroupError::UnknownMemberId)));
        }
    }

    fn heartbeat(&mut self, now: Now, reply: ReplyId, request: &HeartbeatRequest) {
        let outcome = if is_valid(&request.group_id) {
            self.with_group(now, &request.group_id, |entry, turn| entry.group.heartbeat(turn, request))
                .unwrap_or(Err(GroupError::UnknownMemberId))
        } else {
            Err(GroupError::InvalidGroupId)
        };
        self.reply(reply, Answer::Heartbeat(outcome));
    }

    fn leave(&mut self, now: Now, reply: ReplyId, request: LeaveRequest) {
        let LeaveRequest { group_id, members } = request;
        let outcome = if !is_valid(&group_id) {
            Err(GroupError::InvalidGroupId)
        } else if self.groups.contains_key(&group_id) {
            let left = self.with_group(now, &group_id, |entry, turn| entry.group.leave(turn, members));
            left.expect("the group was there")
        } else {
            let unknown = members.into_iter().map(|member| MemberLeft {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                outcome: Err(GroupError::UnknownMemberId),
            });
            Ok(unknown.collect())
        };
        self.reply(reply, Answer::Leave(outcome));
    }

    fn append_done(&mut self, now: Now, append: AppendId, outcome: Result<(), AppendError>) {
        self.outbox.appends.report(append, outcome);
        while let Some((append, pending, outcome)) = self.outbox.appends.pop_reported() {
            self.finish_append(now, Some(append), pending, outcome);
        }
    }

    /// Takes the outcome of an append. `append` is `None` when the shard resigns and its state no longer matters.
    fn finish_append(
        &mut self,
        now: Now,
        append: Option<AppendId>,
        pending: PendingAppend,
        outcome: Result<(), AppendError>,
    ) {
        let PendingAppend { group_id, touched, then } = pending;
        if let Err(error) = outcome {
            self.outbox.notice(Notice::AppendFailed { group_id: group_id.clone(), error });
        }
        if let (Some(append), Some(entry)) = (append, self.groups.get_mut(&group_id)) {
            entry.offsets.settle(append, &touched, outcome.is_ok());
        }
        match then {
            Then::Nothing => self.settle_group(&group_id),
            Then::Answer { reply, answer } => {
                self.reply(reply, appends::unless_failed(answer, outcome));
                self.settle_group(&group_id);
            }
            Then::Assign(assignment) => {
                let Some(append) = append else { return };
                self.with_group(now, &group_id, |entry, turn| {
                    entry.group.assignment_stored(turn, append, assignment, outcome);
                });
            }
            Then::ReplaceInstance(replacement) => {
                self.with_group(now, &group_id, |entry, turn| entry.group.instance_stored(turn, *replacement, outcome));
            }
            Then::Delete { request } => self.group_deleted(&group_id, request, outcome),
        }
    }

    fn tick(&mut self, now: Now) {
        while let Some((at, group_id)) = self.wakes.pop_first() {
            if at > now.steady {
                self.wakes.insert((at, group_id));
                break;
            }
            if let Some(entry) = self.groups.get_mut(&group_id) {
                entry.armed = None;
            }
            self.with_group(now, &group_id, |entry, turn| entry.group.expire(turn));
        }
        if self.expiry_check.is_some_and(|at| at <= now.steady) {
            self.schedule_expiry_check(now);
            self.expire_offsets(now);
        }
    }

    fn schedule_expiry_check(&mut self, now: Now) {
        // An interval of nothing would make a tick that never ends.
        self.expiry_check = Some(now.steady.after(self.settings.offsets_retention_check_interval_ms.max(1)));
    }
}

fn is_valid(group_id: &GroupId) -> bool {
    !group_id.is_empty() && fits(group_id.as_str())
}

/// Whether a record can hold the text.
fn fits(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX
}

impl JoinRequest {
    /// Whether a record can hold every text of the request, a new member id included.
    fn texts_fit(&self) -> bool {
        let instance_id = self.group_instance_id.as_ref().map_or("", |instance| instance.as_str());
        let prefix_bytes = self.client_id.len().max(instance_id.len());
        let names = self.protocols.iter().map(|protocol| protocol.name.as_str());
        prefix_bytes + 1 + uuid::fmt::Hyphenated::LENGTH <= TEXT_BYTES_MAX
            && [self.member_id.as_str(), &self.client_host, &self.protocol_type].into_iter().chain(names).all(fits)
    }
}

#[cfg(test)]
mod tests;

//! What ends: groups that are deleted, offsets of deleted topics, offsets that nobody has used for long (KIP-211).

use millstream_model::{PartitionIndex, TimestampMs, TopicId};

use super::{GroupEntry, GroupShard, Then, Turn};
use crate::answer::{Answer, GroupError};
use crate::classic::GroupState;
use crate::event::{AppendError, DeletedTopic, ReplyId};
use crate::ids::GroupId;
use crate::offsets::CommittedOffset;
use crate::record::GroupRecord;
use crate::settings::GroupSettings;
use crate::time::Now;

/// Records at most in one append that nobody waits for: tombstones of a large group must not fill a lane slot.
const TOMBSTONES_PER_APPEND_MAX: usize = 1_000;

/// A DeleteGroups some of whose groups are on their way out.
#[derive(Debug)]
pub(super) struct Deletion {
    under_way: usize,
    outcomes: Vec<(GroupId, Result<(), GroupError>)>,
}

impl GroupShard {
    pub(super) fn delete_groups(&mut self, now: Now, reply: ReplyId, group_ids: Vec<GroupId>) {
        let mut deletion = Deletion { under_way: 0, outcomes: Vec::with_capacity(group_ids.len()) };
        for group_id in group_ids {
            let outcome = self
                .with_group(now, &group_id, |entry, turn| {
                    entry.check_deletion().map(|()| entry.delete(turn, Some(reply)))
                })
                .unwrap_or(Err(GroupError::GroupIdNotFound));
            deletion.under_way += usize::from(outcome.is_ok());
            deletion.outcomes.push((group_id, outcome));
        }
        if deletion.under_way == 0 {
            return self.reply(reply, Answer::DeleteGroups(deletion.outcomes));
        }
        self.deletions.insert(reply, deletion);
    }

    /// The tombstones of a group are durable or have failed.
    pub(super) fn group_deleted(
        &mut self,
        group_id: &GroupId,
        request: Option<ReplyId>,
        outcome: Result<(), AppendError>,
    ) {
        match outcome {
            Ok(()) => self.remove_group(group_id),
            Err(_) => {
                if let Some(entry) = self.groups.get_mut(group_id) {
                    entry.group.state = GroupState::Empty;
                }
                self.settle_group(group_id);
            }
        }
        let Some(reply) = request else { return };
        let Some(deletion) = self.deletions.get_mut(&reply) else { return };
        deletion.under_way -= 1;
        if let Err(error) = outcome {
            let failed = deletion.outcomes.iter_mut().find(|(id, deleted)| id == group_id && deleted.is_ok());
            if let Some((_, deleted)) = failed {
                *deleted = Err(GroupError::of_group_append(error));
            }
        }
        if deletion.under_way == 0
            && let Some(deletion) = self.deletions.remove(&reply)
        {
            self.reply(reply, Answer::DeleteGroups(deletion.outcomes));
        }
    }

    /// Deletes what was committed for topics that are gone.
    pub(super) fn topics_deleted(&mut self, now: Now, topics: &[DeletedTopic]) {
        let is_gone = |topic: &str, offset: &CommittedOffset| {
            let same = |id: TopicId, gone: TopicId| id == TopicId::ZERO || gone == TopicId::ZERO || id == gone;
            topics.iter().any(|gone| gone.topic == topic && same(offset.topic_id, gone.topic_id))
        };
        self.for_each_group(now, |entry, turn| {
            let gone = entry.offsets.all_latest().filter(|(topic, _, offset)| is_gone(topic, offset));
            let gone = gone.map(|(topic, partition, _)| (topic.to_owned(), partition)).collect();
            entry.append_tombstones(turn, gone);
        });
    }

    /// Deletes offsets whose retention is over, and groups that have nothing left.
    pub(super) fn expire_offsets(&mut self, now: Now) {
        self.for_each_group(now, GroupEntry::expire_offsets);
    }

    fn for_each_group(&mut self, now: Now, act: impl Fn(&mut GroupEntry, &mut Turn<'_>)) {
        let group_ids: Vec<GroupId> = self.groups.keys().cloned().collect();
        for group_id in &group_ids {
            self.with_group(now, group_id, &act);
        }
    }
}

/// Since when the retention of a group's offsets runs.
enum RetentionSince {
    Commit,
    Moment(TimestampMs),
}

impl GroupEntry {
    fn check_deletion(&self) -> Result<(), GroupError> {
        match self.group.state {
            GroupState::Empty => Ok(()),
            GroupState::Dead => Err(GroupError::GroupIdNotFound),
            GroupState::PreparingRebalance | GroupState::CompletingRebalance | GroupState::Stable => {
                Err(GroupError::NonEmptyGroup)
            }
        }
    }

    /// Begins to delete the group: dead until its tombstones are durable, then gone. One append, all or nothing.
    fn delete(&mut self, turn: &mut Turn<'_>, request: Option<ReplyId>) {
        self.group.state = GroupState::Dead;
        self.group.pending_joins.clear();
        // Also those whose tombstone is on its way: that one may fail, and would leave an offset without its group.
        let offsets = self.offsets.partitions().map(|(topic, partition)| (topic.to_owned(), partition, None));
        let changes: Vec<(String, PartitionIndex, Option<CommittedOffset>)> = offsets.collect();
        let tombstone = |(topic, partition, _): &(String, PartitionIndex, _)| {
            GroupRecord::of_offset(&self.group.id, topic, *partition, None)
        };
        let mut records: Vec<GroupRecord> = changes.iter().map(tombstone).collect();
        records.push(GroupRecord::group_tombstone(&self.group.id));
        self.append_offsets(turn, records, changes, Then::Delete { request });
    }

    fn append_tombstones(&mut self, turn: &mut Turn<'_>, partitions: Vec<(String, PartitionIndex)>) {
        for chunk in partitions.chunks(TOMBSTONES_PER_APPEND_MAX) {
            let records = chunk
                .iter()
                .map(|(topic, partition)| GroupRecord::of_offset(&self.group.id, topic, *partition, None))
                .collect();
            let changes = chunk.iter().map(|(topic, partition)| (topic.clone(), *partition, None)).collect();
            self.append_offsets(turn, records, changes, Then::Nothing);
        }
    }

    fn expire_offsets(&mut self, turn: &mut Turn<'_>) {
        if self.group.state == GroupState::Dead {
            return;
        }
        let Some(since) = self.retention_since() else { return };
        let (now, settings) = (turn.now.wall, turn.settings);
        let expired = self.offsets.all_latest().filter(|(topic, _, offset)| {
            !self.group.is_subscribed_to(topic) && is_expired(offset, &since, now, settings)
        });
        let expired: Vec<(String, PartitionIndex)> =
            expired.map(|(topic, partition, _)| (topic.to_owned(), partition)).collect();
        let all_expired = self.offsets.all_latest().count() == expired.len();
        let deletable = self.group.state == GroupState::Empty && self.group.pending_joins.is_empty();
        if all_expired && deletable && self.offsets.partitions().count() < TOMBSTONES_PER_APPEND_MAX {
            return self.delete(turn, None);
        }
        self.append_tombstones(turn, expired);
    }

    /// `None` while nothing expires: the group rebalances, or nobody knows what its members read.
    fn retention_since(&self) -> Option<RetentionSince> {
        if self.group.protocol_type.is_none() {
            return Some(RetentionSince::Commit);
        }
        match self.group.state {
            GroupState::Empty if self.group.state_since == TimestampMs::NONE => Some(RetentionSince::Commit),
            GroupState::Empty => Some(RetentionSince::Moment(self.group.state_since)),
            GroupState::Stable if self.group.is_consumer_group() && self.group.knows_subscriptions() => {
                Some(RetentionSince::Commit)
            }
            _ => None,
        }
    }
}

fn is_expired(offset: &CommittedOffset, since: &RetentionSince, now: TimestampMs, settings: &GroupSettings) -> bool {
    if let Some(expires_at) = offset.expires_at {
        return now.0 >= expires_at.0;
    }
    let since = match since {
        RetentionSince::Commit => offset.committed_at,
        RetentionSince::Moment(moment) => *moment,
    };
    now.0.saturating_sub(since.0) >= settings.offsets_retention_ms
}

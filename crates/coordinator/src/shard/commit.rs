//! OffsetCommit and OffsetDelete.

use millstream_model::{PartitionIndex, TimestampMs};

use super::appends::PendingAppend;
use super::{GroupEntry, GroupShard, Then, Turn, fits};
use crate::answer::{Answer, GroupError, TopicOutcome};
use crate::classic::{ClassicGroup, GroupState};
use crate::event::{CommitRequest, DeleteOffsetsRequest, PartitionCommit, ReplyId};
use crate::offsets::{CommittedOffset, TouchedOffsets};
use crate::record::GroupRecord;
use crate::time::Now;

impl GroupShard {
    pub(super) fn commit_offsets(&mut self, now: Now, reply: ReplyId, request: CommitRequest) {
        if !fits(request.group_id.as_str()) {
            return self.reply(reply, Answer::CommitOffsets(Err(GroupError::InvalidGroupId)));
        }
        if !self.groups.contains_key(&request.group_id) {
            if request.generation >= 0 {
                let error = if request.knows_group_id_not_found {
                    GroupError::GroupIdNotFound
                } else {
                    GroupError::IllegalGeneration
                };
                return self.reply(reply, Answer::CommitOffsets(Err(error)));
            }
            // A client that only keeps its offsets here: the group has no members, and exists as long as its offsets.
            self.group_or_new(now, &request.group_id);
        }
        let group_id = request.group_id.clone();
        self.with_group(now, &group_id, |entry, turn| match entry.group.check_commit(&request) {
            Ok(()) => entry.commit(turn, reply, request),
            Err(error) => turn.reply(reply, Answer::CommitOffsets(Err(error))),
        });
    }

    pub(super) fn delete_offsets(&mut self, now: Now, reply: ReplyId, request: DeleteOffsetsRequest) {
        let group_id = request.group_id.clone();
        let found = self.with_group(now, &group_id, |entry, turn| match entry.group.check_offset_deletion() {
            Ok(()) => entry.delete_offsets(turn, reply, request),
            Err(error) => turn.reply(reply, Answer::DeleteOffsets(Err(error))),
        });
        if found.is_none() {
            self.reply(reply, Answer::DeleteOffsets(Err(GroupError::GroupIdNotFound)));
        }
    }
}

impl ClassicGroup {
    /// Whether a commit comes from a member of the current generation, or from nobody to a group without members.
    fn check_commit(&self, request: &CommitRequest) -> Result<(), GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        if request.generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        if request.generation >= 0 || !request.member_id.is_empty() || request.group_instance_id.is_some() {
            self.check_member(&request.member_id, request.group_instance_id.as_ref())?;
            if request.generation != self.generation {
                return Err(GroupError::IllegalGeneration);
            }
        } else if self.state != GroupState::Empty {
            return Err(GroupError::UnknownMemberId);
        }
        // The member knows the generation but not yet its assignment: it must not commit for what it had before.
        if self.state == GroupState::CompletingRebalance { Err(GroupError::RebalanceInProgress) } else { Ok(()) }
    }

    fn check_offset_deletion(&self) -> Result<(), GroupError> {
        match self.state {
            GroupState::Dead => Err(GroupError::GroupIdNotFound),
            GroupState::Empty => Ok(()),
            // Only of a consumer group is it known which topics its members read.
            _ if self.is_consumer_group() => Ok(()),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }
}

impl GroupEntry {
    fn commit(&mut self, turn: &mut Turn<'_>, reply: ReplyId, request: CommitRequest) {
        if matches!(self.group.state, GroupState::Stable | GroupState::PreparingRebalance) {
            self.group.touch(&request.member_id, turn.now);
        }
        let expires_at =
            request.retention_ms.map(|retention_ms| TimestampMs(turn.now.wall.0.saturating_add(retention_ms)));
        let mut changes = Vec::new();
        let mut outcomes = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for commit in topic.partitions {
                let outcome = check_texts(&topic.topic, &commit, turn.settings.offset_metadata_max);
                partitions.push((commit.partition, outcome));
                if outcome.is_ok() {
                    let offset = CommittedOffset {
                        offset: commit.offset,
                        leader_epoch: commit.leader_epoch,
                        metadata: commit.metadata.unwrap_or_default(),
                        committed_at: turn.now.wall,
                        expires_at,
                        topic_id: topic.topic_id,
                    };
                    changes.push((topic.topic.clone(), commit.partition, Some(offset)));
                }
            }
            outcomes.push(TopicOutcome { topic: topic.topic, partitions });
        }
        self.change_offsets(turn, changes, reply, Answer::CommitOffsets(Ok(outcomes)));
    }

    fn delete_offsets(&mut self, turn: &mut Turn<'_>, reply: ReplyId, request: DeleteOffsetsRequest) {
        let mut changes = Vec::new();
        let mut outcomes = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let outcome = if self.group.is_subscribed_to(&topic.topic) {
                Err(GroupError::GroupSubscribedToTopic)
            } else {
                Ok(())
            };
            for partition in topic.partitions.iter().filter(|_| outcome.is_ok()) {
                // Also when a tombstone is on its way: that one may fail, and this answer must not rest on it.
                if self.offsets.contains(&topic.topic, *partition) {
                    changes.push((topic.topic.clone(), *partition, None));
                }
            }
            let partitions = topic.partitions.into_iter().map(|partition| (partition, outcome)).collect();
            outcomes.push(TopicOutcome { topic: topic.topic, partitions });
        }
        self.change_offsets(turn, changes, reply, Answer::DeleteOffsets(Ok(outcomes)));
    }

    /// Appends the changes and answers when they are durable; at once, when nothing changes.
    fn change_offsets(
        &mut self,
        turn: &mut Turn<'_>,
        changes: Vec<(String, PartitionIndex, Option<CommittedOffset>)>,
        reply: ReplyId,
        answer: Answer,
    ) {
        if changes.is_empty() {
            return turn.reply(reply, answer);
        }
        let records = changes.iter().map(|(topic, partition, offset)| {
            GroupRecord::of_offset(&self.group.id, topic, *partition, offset.as_ref())
        });
        self.append_offsets(turn, records.collect(), changes, Then::Answer { reply, answer });
    }

    /// Appends `records`, among them those that make `changes`.
    pub(super) fn append_offsets(
        &mut self,
        turn: &mut Turn<'_>,
        records: Vec<GroupRecord>,
        changes: Vec<(String, PartitionIndex, Option<CommittedOffset>)>,
        then: Then,
    ) {
        let mut touched: TouchedOffsets = Vec::new();
        for (topic, partition, _) in &changes {
            match touched.last_mut() {
                Some((last, partitions)) if last == topic => partitions.push(*partition),
                _ => touched.push((topic.clone(), vec![*partition])),
            }
        }
        let append = turn.outbox.append(records, PendingAppend { group_id: self.group.id.clone(), touched, then });
        for (topic, partition, offset) in changes {
            self.offsets.begin(append, &topic, partition, offset);
        }
    }
}

fn check_texts(topic: &str, commit: &PartitionCommit, units_max: usize) -> Result<(), GroupError> {
    if !fits(topic) {
        return Err(GroupError::InvalidRequest);
    }
    let Some(metadata) = &commit.metadata else { return Ok(()) };
    if fits(metadata) && metadata.encode_utf16().count() <= units_max {
        Ok(())
    } else {
        Err(GroupError::OffsetMetadataTooLarge)
    }
}

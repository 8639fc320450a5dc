//! Appends on their way to the log: what they change and what follows when they are durable or have failed.

use std::collections::VecDeque;

use crate::answer::{Answer, Effect, GroupError, Notice};
use crate::classic::{InstanceReplacement, PendingAssignment};
use crate::event::{AppendError, AppendId, ReplyId};
use crate::ids::GroupId;
use crate::offsets::TouchedOffsets;
use crate::record::GroupRecord;
use crate::settings::GroupSettings;
use crate::time::Now;

/// What follows when the outcome of an append is known.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    /// Nobody waits for it.
    Nothing,
    /// The answer, if it is durable; an error of the same kind, if it failed.
    Answer { reply: ReplyId, answer: Answer },
    /// The leader's assignment goes to the members.
    Assign(PendingAssignment),
    /// A static member has another id from now on.
    ReplaceInstance(Box<InstanceReplacement>),
    /// The group is gone; `request` is the DeleteGroups that asked for it, if one did.
    Delete { request: Option<ReplyId> },
}

/// One append, always of a single group.
#[derive(Clone, Debug)]
pub(super) struct PendingAppend {
    pub(super) group_id: GroupId,
    pub(super) touched: TouchedOffsets,
    pub(super) then: Then,
}

/// Appends whose outcome has not been taken yet, in their order.
#[derive(Debug, Default)]
pub(super) struct Appends {
    /// The id of the first in the queue.
    first: u64,
    queue: VecDeque<(PendingAppend, Option<Result<(), AppendError>>)>,
}

impl Appends {
    fn push(&mut self, pending: PendingAppend) -> AppendId {
        self.queue.push_back((pending, None));
        AppendId(self.first + self.queue.len() as u64 - 1)
    }

    /// Notes the outcome of an append. Panics when it was never asked for or has been reported before: the broker would
    /// have lost track of what is in the log.
    pub(super) fn report(&mut self, append: AppendId, outcome: Result<(), AppendError>) {
        let index = append.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let reported = index.and_then(|index| self.queue.get_mut(index)).map(|(_, reported)| reported);
        match reported {
            Some(slot) if slot.is_none() => *slot = Some(outcome),
            _ => panic!("append {} is not under way", append.0),
        }
    }

    /// The next append in order, once its outcome has been reported.
    pub(super) fn pop_reported(&mut self) -> Option<(AppendId, PendingAppend, Result<(), AppendError>)> {
        let outcome = self.queue.front()?.1?;
        let (append, pending) = self.pop_any()?;
        Some((append, pending, outcome))
    }

    /// The next append in order, whether reported or not.
    pub(super) fn pop_any(&mut self) -> Option<(AppendId, PendingAppend)> {
        let (pending, _) = self.queue.pop_front()?;
        let append = AppendId(self.first);
        self.first += 1;
        Some((append, pending))
    }
}

/// Effects that are being gathered, and the appends among them that are under way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    effects: Vec<Effect>,
    pub(super) appends: Appends,
}

impl Outbox {
    pub(super) fn reply(&mut self, reply: ReplyId, answer: Answer) {
        self.effects.push(Effect::Reply { reply, answer });
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.effects.push(Effect::Notice(notice));
    }

    pub(super) fn append(&mut self, records: Vec<GroupRecord>, pending: PendingAppend) -> AppendId {
        let append = self.appends.push(pending);
        self.effects.push(Effect::Append { append, records });
        append
    }

    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

/// What a group's rules see of the shard while they handle one event.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) settings: &'a GroupSettings,
    pub(super) outbox: &'a mut Outbox,
}

impl Turn<'_> {
    pub(crate) fn reply(&mut self, reply: ReplyId, answer: Answer) {
        self.outbox.reply(reply, answer);
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.outbox.notice(notice);
    }

    /// Appends records of a group that change no offsets.
    pub(crate) fn append(&mut self, group_id: &GroupId, records: Vec<GroupRecord>, then: Then) -> AppendId {
        self.outbox.append(records, PendingAppend { group_id: group_id.clone(), touched: Vec::new(), then })
    }
}

/// The answer, or what takes its place when the append that it vouches for has failed.
pub(super) fn unless_failed(answer: Answer, outcome: Result<(), AppendError>) -> Answer {
    let Err(error) = outcome else { return answer };
    let error = GroupError::of_offsets_append(error);
    match answer {
        Answer::CommitOffsets(_) => Answer::CommitOffsets(Err(error)),
        Answer::DeleteOffsets(_) => Answer::DeleteOffsets(Err(error)),
        Answer::Join(_) | Answer::Sync(_) | Answer::Heartbeat(_) | Answer::Leave(_) | Answer::DeleteGroups(_) => {
            unreachable!("only answers about offsets wait for an append in this form")
        }
    }
}

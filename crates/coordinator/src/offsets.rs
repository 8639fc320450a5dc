//! The offsets that a group has committed, durable or on their way to the log.
//!
//! Reads see what is durable. Deletes and expiry must also see what is on its way, because their tombstones come behind
//! it in the log. So each partition keeps its durable offset and the changes that were appended since, oldest first.

use std::collections::{BTreeMap, VecDeque};

use millstream_model::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId};

use crate::event::AppendId;

/// What a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// `LeaderEpoch::NONE` where the client did not say.
    pub leader_epoch: LeaderEpoch,
    /// The client's own words; empty where it had none.
    pub metadata: String,
    pub committed_at: TimestampMs,
    /// Set by old clients that chose their own retention.
    pub expires_at: Option<TimestampMs>,
    /// `TopicId::ZERO` where it was not known.
    pub topic_id: TopicId,
}

/// One partition's offset. Some field is set, or the slot does not exist.
#[derive(Clone, Debug, Default)]
struct Slot {
    durable: Option<CommittedOffset>,
    /// `None` for a tombstone.
    pending: VecDeque<(AppendId, Option<CommittedOffset>)>,
}

impl Slot {
    fn latest(&self) -> Option<&CommittedOffset> {
        self.pending.back().map_or(self.durable.as_ref(), |(_, change)| change.as_ref())
    }
}

/// The partitions that an append changes, so that its outcome finds them.
pub(crate) type TouchedOffsets = Vec<(String, Vec<PartitionIndex>)>;

/// The offsets of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupOffsets {
    topics: BTreeMap<String, BTreeMap<PartitionIndex, Slot>>,
}

impl GroupOffsets {
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    fn slot(&self, topic: &str, partition: PartitionIndex) -> Option<&Slot> {
        self.topics.get(topic)?.get(&partition)
    }

    fn slot_or_new(&mut self, topic: &str, partition: PartitionIndex) -> &mut Slot {
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.to_owned(), BTreeMap::new());
        }
        let partitions = self.topics.get_mut(topic).expect("it was there or has just been put there");
        partitions.entry(partition).or_default()
    }

    fn drop_blank_slot(&mut self, topic: &str, partition: PartitionIndex) {
        let Some(partitions) = self.topics.get_mut(topic) else { return };
        if partitions.get(&partition).is_some_and(|slot| slot.durable.is_none() && slot.pending.is_empty()) {
            partitions.remove(&partition);
        }
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// The log says so.
    pub(crate) fn set_durable(&mut self, topic: &str, partition: PartitionIndex, offset: Option<CommittedOffset>) {
        self.slot_or_new(topic, partition).durable = offset;
        self.drop_blank_slot(topic, partition);
    }

    /// A change is on its way to the log; `None` deletes.
    pub(crate) fn begin(
        &mut self,
        append: AppendId,
        topic: &str,
        partition: PartitionIndex,
        change: Option<CommittedOffset>,
    ) {
        self.slot_or_new(topic, partition).pending.push_back((append, change));
    }

    /// The changes of `append` have become durable, or have not. Appends are settled in their order.
    pub(crate) fn settle(&mut self, append: AppendId, touched: &TouchedOffsets, durable: bool) {
        for (topic, partitions) in touched {
            for partition in partitions {
                let slot = self.slot_or_new(topic, *partition);
                while slot.pending.front().is_some_and(|(id, _)| *id == append) {
                    let change = slot.pending.pop_front();
                    if let (true, Some((_, offset))) = (durable, change) {
                        slot.durable = offset;
                    }
                }
                self.drop_blank_slot(topic, *partition);
            }
        }
    }

    /// What reads may show.
    pub(crate) fn durable(&self, topic: &str, partition: PartitionIndex) -> Option<&CommittedOffset> {
        self.slot(topic, partition)?.durable.as_ref()
    }

    /// Whether a change of this partition is on its way to the log.
    pub(crate) fn is_unsettled(&self, topic: &str, partition: PartitionIndex) -> bool {
        self.slot(topic, partition).is_some_and(|slot| !slot.pending.is_empty())
    }

    /// Whether the log holds an offset of this partition, or may once everything on its way has arrived or failed.
    pub(crate) fn contains(&self, topic: &str, partition: PartitionIndex) -> bool {
        self.slot(topic, partition).is_some()
    }

    /// Every partition of which `contains` is true.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (&str, PartitionIndex)> {
        self.topics.iter().flat_map(|(topic, slots)| slots.keys().map(move |partition| (topic.as_str(), *partition)))
    }

    /// What the log will say when everything on its way has arrived, topic by topic.
    pub(crate) fn all_latest(&self) -> impl Iterator<Item = (&str, PartitionIndex, &CommittedOffset)> {
        self.topics.iter().flat_map(|(topic, slots)| {
            slots.iter().filter_map(move |(partition, slot)| Some((topic.as_str(), *partition, slot.latest()?)))
        })
    }
}

//! What clients were told while a broker was killed again and again, and the check of what it holds in the end against
//! that. Pure: the checker is shown able to fail on histories with planted anomalies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use millstream_client::{TopicId, TopicPartition};

/// A record's value: who sent it, and which of its records it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Value {
    pub(crate) sender: u32,
    pub(crate) number: u64,
}

impl Value {
    /// The value's bytes, filled up to `length`.
    pub(crate) fn bytes(self, length: usize) -> Vec<u8> {
        let mut bytes = format!("{}:{}:{length}:", self.sender, self.number).into_bytes();
        bytes.resize(length.max(bytes.len()), b'.');
        bytes
    }

    /// Reads the bytes of a value; none when no sender of ours wrote them.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut fields = text.splitn(4, ':');
        let value = Self { sender: fields.next()?.parse().ok()?, number: fields.next()?.parse().ok()? };
        let length: usize = fields.next()?.parse().ok()?;
        (value.bytes(length) == bytes).then_some(value)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sender, self.number)
    }
}

/// What a sender's records may undergo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Retries, but no record twice and none out of order.
    Idempotent,
    /// Never retries, so no record can be there twice.
    Once,
    /// Retries: what was not acknowledged may be there twice.
    Retrying,
}

/// A record as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
    pub(crate) value: Option<Value>,
}

/// What is known of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Present(TopicId),
    Absent,
    /// Something was asked for and not answered.
    Unsure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Commit {
    /// Acknowledged, or seen: it never falls below.
    floor: i64,
    /// The highest that was ever asked for.
    ceiling: i64,
}

/// What must hold and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anomaly {
    /// An acknowledged record is not at its offset.
    Lost {
        value: Value,
        partition: TopicPartition,
        offset: i64,
    },
    /// A value at several offsets that must be at one.
    Duplicate {
        value: Value,
        partition: TopicPartition,
        offsets: Vec<i64>,
    },
    /// A sender's later record lies before an earlier one.
    Reordered {
        earlier: Value,
        later: Value,
        partition: TopicPartition,
    },
    /// An offset that was read or acknowledged holds something else now.
    OffsetReused {
        partition: TopicPartition,
        offset: i64,
        before: Value,
        now: Option<Value>,
    },
    /// A record that nobody sent there.
    Phantom {
        partition: TopicPartition,
        offset: i64,
        value: Option<Value>,
    },
    Gap {
        partition: TopicPartition,
        expected: i64,
        found: i64,
    },
    EpochFell {
        partition: TopicPartition,
        offset: i64,
        from: i32,
        to: i32,
    },
    /// The leader epoch was not raised at an unclean start.
    EpochNotRaised {
        before: i32,
        after: i32,
    },
    CommitLost {
        group: String,
        partition: TopicPartition,
        floor: i64,
        found: Option<i64>,
    },
    /// A committed offset that nobody asked for.
    CommitInvented {
        group: String,
        partition: TopicPartition,
        found: i64,
    },
    TopicLost {
        name: String,
        id: TopicId,
    },
    /// A topic that was deleted is there again.
    TopicUndead {
        name: String,
        id: TopicId,
    },
    /// A client was told something that it never may be told.
    Refused {
        who: String,
        why: String,
    },
}

/// What a trial's clients did and were told.
#[derive(Debug, Default)]
pub(crate) struct History {
    senders: BTreeMap<u32, Sender>,
    sent: BTreeMap<Value, TopicPartition>,
    acknowledged: BTreeMap<Value, (TopicPartition, i64)>,
    /// What lies at an offset, as acknowledged or read.
    known: BTreeMap<TopicPartition, BTreeMap<i64, Value>>,
    commits: BTreeMap<(String, TopicPartition), Commit>,
    topics: BTreeMap<String, Topic>,
    dead: BTreeSet<TopicId>,
    pub(crate) anomalies: Vec<Anomaly>,
}

/// What a broker holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) logs: BTreeMap<TopicPartition, Vec<Record>>,
    pub(crate) topics: BTreeMap<String, TopicId>,
}

impl History {
    pub(crate) fn add_sender(&mut self, sender: u32, kind: Sender) {
        self.senders.insert(sender, kind);
    }

    pub(crate) fn sending(&mut self, value: Value, partition: &TopicPartition) {
        self.sent.insert(value, partition.clone());
    }

    pub(crate) fn acknowledged(&mut self, value: Value, partition: &TopicPartition, offset: i64) {
        self.acknowledged.insert(value, (partition.clone(), offset));
        self.know(partition, offset, Some(value));
    }

    pub(crate) fn acknowledged_count(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn acknowledged_of(&self, sender: u32) -> usize {
        let own = Value { sender, number: 0 }..Value { sender: sender + 1, number: 0 };
        self.acknowledged.range(own).count()
    }

    /// A consumer has read this.
    pub(crate) fn read(&mut self, partition: &TopicPartition, offset: i64, value: Option<Value>) {
        self.know(partition, offset, value);
    }

    /// Offsets whose content somebody was told.
    pub(crate) fn known_count(&self) -> usize {
        self.known.values().map(BTreeMap::len).sum()
    }

    fn know(&mut self, partition: &TopicPartition, offset: i64, now: Option<Value>) {
        let known = self.known.entry(partition.clone()).or_default();
        let Some(value) = now else {
            return self.anomalies.push(Anomaly::Phantom { partition: partition.clone(), offset, value: None });
        };
        let before = *known.entry(offset).or_insert(value);
        if before != value {
            self.anomalies.push(Anomaly::OffsetReused { partition: partition.clone(), offset, before, now });
        }
    }

    pub(crate) fn committing(&mut self, group: &str, partition: &TopicPartition, offset: i64) {
        let commit =
            self.commits.entry((group.to_owned(), partition.clone())).or_insert(Commit { floor: -1, ceiling: -1 });
        commit.ceiling = commit.ceiling.max(offset);
    }

    pub(crate) fn committed(&mut self, group: &str, partition: &TopicPartition, offset: i64) {
        if let Some(commit) = self.commits.get_mut(&(group.to_owned(), partition.clone())) {
            commit.floor = commit.floor.max(offset);
        }
    }

    /// The lowest offset that a group may be told for a partition from now on.
    pub(crate) fn commit_floor(&self, group: &str, partition: &TopicPartition) -> i64 {
        self.commits.get(&(group.to_owned(), partition.clone())).map_or(-1, |commit| commit.floor)
    }

    pub(crate) fn committed_partitions(&self) -> Vec<(String, TopicPartition)> {
        self.commits.keys().cloned().collect()
    }

    /// A group was told an offset; `floor` is what it was when it asked.
    pub(crate) fn fetched_commit(&mut self, group: &str, partition: &TopicPartition, floor: i64, found: Option<i64>) {
        let (group, partition) = (group.to_owned(), partition.clone());
        let ceiling = self.commits.get(&(group.clone(), partition.clone())).map_or(-1, |commit| commit.ceiling);
        match found {
            Some(found) if found > ceiling => {
                self.anomalies.push(Anomaly::CommitInvented { group, partition, found });
            }
            Some(found) if found >= floor => self.committed(&group, &partition, found),
            None if floor < 0 => {}
            found => self.anomalies.push(Anomaly::CommitLost { group, partition, floor, found }),
        }
    }

    pub(crate) fn topic(&self, name: &str) -> Topic {
        self.topics.get(name).copied().unwrap_or(Topic::Absent)
    }

    pub(crate) fn topic_is(&mut self, name: &str, topic: Topic) {
        self.topics.insert(name.to_owned(), topic);
    }

    /// The records of a topic are not owed any more: somebody asked to delete it.
    pub(crate) fn topic_doomed(&mut self, name: &str) {
        self.topics.insert(name.to_owned(), Topic::Unsure);
        self.acknowledged.retain(|_, (partition, _)| &*partition.topic != name);
        self.known.retain(|partition, _| &*partition.topic != name);
    }

    /// A topic's deletion was acknowledged: neither it nor its records come back.
    pub(crate) fn topic_gone(&mut self, name: &str, id: Option<TopicId>) {
        self.topics.insert(name.to_owned(), Topic::Absent);
        self.dead.extend(id);
        self.sent.retain(|_, partition| &*partition.topic != name);
    }

    pub(crate) fn refused(&mut self, who: impl Into<String>, why: impl fmt::Display) {
        self.anomalies.push(Anomaly::Refused { who: who.into(), why: why.to_string() });
    }

    pub(crate) fn epoch_after_kill(&mut self, before: i32, after: i32) {
        if after <= before {
            self.anomalies.push(Anomaly::EpochNotRaised { before, after });
        }
    }

    /// Everything that is wrong, with what the broker holds now.
    pub(crate) fn check(&self, found: &Found) -> Vec<Anomaly> {
        let mut anomalies = self.anomalies.clone();
        for (partition, records) in &found.logs {
            check_shape(partition, records, &mut anomalies);
            self.check_values(partition, records, &mut anomalies);
        }
        self.check_known(found, &mut anomalies);
        self.check_topics(found, &mut anomalies);
        anomalies
    }

    /// Each value is one that was sent there, and there as often, and in the order, that its sender may expect.
    fn check_values(&self, partition: &TopicPartition, records: &[Record], anomalies: &mut Vec<Anomaly>) {
        let mut places: BTreeMap<Value, Vec<i64>> = BTreeMap::new();
        let mut last: BTreeMap<u32, Value> = BTreeMap::new();
        for Record { offset, value, .. } in records {
            let Some(value) = value.filter(|value| self.sent.get(value) == Some(partition)) else {
                let (partition, offset, value) = (partition.clone(), *offset, *value);
                anomalies.push(Anomaly::Phantom { partition, offset, value });
                continue;
            };
            places.entry(value).or_default().push(*offset);
            let before = last.insert(value.sender, value);
            if let Some(later) = before.filter(|before| *before > value && self.kind(value) == Sender::Idempotent) {
                anomalies.push(Anomaly::Reordered { earlier: value, later, partition: partition.clone() });
            }
        }
        for (value, offsets) in places {
            if offsets.len() > 1 && self.kind(value) != Sender::Retrying {
                anomalies.push(Anomaly::Duplicate { value, partition: partition.clone(), offsets });
            }
        }
    }

    fn kind(&self, value: Value) -> Sender {
        self.senders[&value.sender]
    }

    /// What was acknowledged or read is there, where it was.
    fn check_known(&self, found: &Found, anomalies: &mut Vec<Anomaly>) {
        let at = |partition: &TopicPartition, offset: i64| {
            let records = found.logs.get(partition)?;
            let index = records.binary_search_by_key(&offset, |record| record.offset).ok()?;
            records[index].value
        };
        for (value, (partition, offset)) in &self.acknowledged {
            if at(partition, *offset) != Some(*value) {
                let (value, partition, offset) = (*value, partition.clone(), *offset);
                anomalies.push(Anomaly::Lost { value, partition, offset });
            }
        }
        for (partition, known) in &self.known {
            for (offset, before) in known {
                let now = at(partition, *offset);
                if now != Some(*before) {
                    let (partition, offset, before) = (partition.clone(), *offset, *before);
                    anomalies.push(Anomaly::OffsetReused { partition, offset, before, now });
                }
            }
        }
    }

    fn check_topics(&self, found: &Found, anomalies: &mut Vec<Anomaly>) {
        for (name, topic) in &self.topics {
            let name = name.clone();
            match (topic, found.topics.get(&name)) {
                (Topic::Present(id), there) if there != Some(id) => {
                    anomalies.push(Anomaly::TopicLost { name, id: *id });
                }
                (Topic::Absent, Some(id)) => anomalies.push(Anomaly::TopicUndead { name, id: *id }),
                (_, Some(id)) if self.dead.contains(id) => anomalies.push(Anomaly::TopicUndead { name, id: *id }),
                _ => {}
            }
        }
    }
}

/// Offsets without gaps, epochs that never fall.
fn check_shape(partition: &TopicPartition, records: &[Record], anomalies: &mut Vec<Anomaly>) {
    for (expected, record) in (0..).zip(records) {
        if record.offset != expected {
            anomalies.push(Anomaly::Gap { partition: partition.clone(), expected, found: record.offset });
            break;
        }
    }
    for pair in records.windows(2) {
        let (from, to) = (pair[0].epoch, pair[1].epoch);
        if to < from {
            anomalies.push(Anomaly::EpochFell { partition: partition.clone(), offset: pair[1].offset, from, to });
        }
    }
}

#[cfg(test)]
mod tests;

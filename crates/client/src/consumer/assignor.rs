//! How a group's leader shares out partitions: range, round robin, sticky and cooperative sticky, as Kafka's do.
//!
//! Pure functions of the members' subscriptions and the topics' sizes; the same input always gives the same output.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::TopicPartition;
use crate::config::Assignor;
use crate::consumer_protocol::Subscription;

/// A member as the leader sees it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) member_id: String,
    pub(super) group_instance_id: Option<String>,
    pub(super) subscription: Subscription,
}

impl Member {
    /// Static members come first, by their own name, so that a restart changes nothing (KIP-345).
    fn rank(&self) -> (bool, &str) {
        match &self.group_instance_id {
            Some(instance) => (false, instance),
            None => (true, &self.member_id),
        }
    }

    fn wants(&self, topic: &str) -> bool {
        self.subscription.topics.iter().any(|wanted| wanted == topic)
    }
}

/// Partitions of each member, by member id; every member is in it.
pub(super) type Assignment = BTreeMap<String, Vec<TopicPartition>>;

/// Shares out the partitions of `topics` (name to count).
pub(super) fn assign(assignor: Assignor, mut members: Vec<Member>, topics: &BTreeMap<Arc<str>, i32>) -> Assignment {
    members.sort_by(|a, b| a.rank().cmp(&b.rank()));
    match assignor {
        Assignor::Range => range(&members, topics),
        Assignor::RoundRobin => round_robin(&members, topics),
        Assignor::Sticky => Sticky::new(&members, topics).balanced(),
        Assignor::CooperativeSticky => {
            let sticky = Sticky::new(&members, topics);
            let owners = sticky.owners.clone();
            give_up_first(sticky.balanced(), &owners)
        }
    }
}

fn nothing(members: &[Member]) -> Assignment {
    members.iter().map(|member| (member.member_id.clone(), Vec::new())).collect()
}

/// Topic by topic, a run of neighbours for each member; the first ones get one more where it does not divide.
fn range(members: &[Member], topics: &BTreeMap<Arc<str>, i32>) -> Assignment {
    let mut assignment = nothing(members);
    for (topic, count) in topics {
        let interested: Vec<_> = members.iter().filter(|member| member.wants(topic)).collect();
        let Some(share) = count.checked_div(interested.len() as i32) else { continue };
        let larger = count % interested.len() as i32;
        let mut next = 0;
        for (i, member) in (0..).zip(interested) {
            let size = share + i32::from(i < larger);
            let run = (next..next + size).map(|index| TopicPartition::new(topic.clone(), index));
            assignment.entry(member.member_id.clone()).or_default().extend(run);
            next += size;
        }
    }
    assignment
}

/// All partitions in order, dealt to the members in turn, past those that do not want the topic.
fn round_robin(members: &[Member], topics: &BTreeMap<Arc<str>, i32>) -> Assignment {
    let mut assignment = nothing(members);
    let mut turn = members.iter().cycle();
    for (topic, count) in topics.iter().filter(|(topic, _)| members.iter().any(|member| member.wants(topic))) {
        for index in 0..*count {
            let member = turn.find(|member| member.wants(topic)).expect("somebody wants the topic");
            let partitions = assignment.entry(member.member_id.clone()).or_default();
            partitions.push(TopicPartition::new(topic.clone(), index));
        }
    }
    assignment
}

/// Everybody keeps what they have, the rest goes to whoever has least, then single partitions move until nobody has
/// two more than another who could take one.
struct Sticky<'a> {
    members: &'a [Member],
    /// By member, in the members' order.
    held: Vec<BTreeSet<TopicPartition>>,
    /// Who owns what now, by member id.
    owners: BTreeMap<TopicPartition, String>,
    topics: &'a BTreeMap<Arc<str>, i32>,
}

impl<'a> Sticky<'a> {
    fn new(members: &'a [Member], topics: &'a BTreeMap<Arc<str>, i32>) -> Self {
        let exists = |partition: &TopicPartition| {
            topics.get(&partition.topic).is_some_and(|count| (0..*count).contains(&partition.partition))
        };
        // A claim of a newer generation beats an older one; equal claims cancel each other out (KIP-792).
        let mut claims: BTreeMap<TopicPartition, (i32, Option<usize>)> = BTreeMap::new();
        for (i, member) in members.iter().enumerate() {
            let generation = member.subscription.generation;
            for partition in member.subscription.owned.iter().filter(|one| exists(one) && member.wants(&one.topic)) {
                let claim = claims.entry(partition.clone()).or_insert((generation, Some(i)));
                match generation.cmp(&claim.0) {
                    std::cmp::Ordering::Greater => *claim = (generation, Some(i)),
                    std::cmp::Ordering::Equal if claim.1 != Some(i) => claim.1 = None,
                    _ => {}
                }
            }
        }
        let mut sticky = Self { members, held: vec![BTreeSet::new(); members.len()], owners: BTreeMap::new(), topics };
        for (partition, claim) in claims {
            if let (_, Some(owner)) = claim {
                sticky.owners.insert(partition.clone(), members[owner].member_id.clone());
                sticky.held[owner].insert(partition);
            }
        }
        sticky
    }

    fn balanced(mut self) -> Assignment {
        self.deal_free();
        while self.move_one() {}
        let names = self.members.iter().map(|member| member.member_id.clone());
        names.zip(self.held.into_iter().map(|held| held.into_iter().collect())).collect()
    }

    fn deal_free(&mut self) {
        let held: BTreeSet<_> = self.held.iter().flatten().cloned().collect();
        for (topic, count) in self.topics {
            for index in 0..*count {
                let partition = TopicPartition::new(topic.clone(), index);
                if held.contains(&partition) {
                    continue;
                }
                let takers = (0..self.members.len()).filter(|i| self.members[*i].wants(topic));
                if let Some(least) = takers.min_by_key(|i| self.held[*i].len()) {
                    self.held[least].insert(partition);
                }
            }
        }
    }

    /// Each move lowers the sum of squares, so the moves end.
    fn move_one(&mut self) -> bool {
        let mut by_load: Vec<usize> = (0..self.members.len()).collect();
        by_load.sort_by_key(|i| std::cmp::Reverse(self.held[*i].len()));
        for &from in &by_load {
            for &to in by_load.iter().rev() {
                if self.held[from].len() < self.held[to].len() + 2 {
                    break;
                }
                let movable = self.held[from].iter().rev().find(|one| self.members[to].wants(&one.topic)).cloned();
                if let Some(partition) = movable {
                    self.held[from].remove(&partition);
                    self.held[to].insert(partition);
                    return true;
                }
            }
        }
        false
    }
}

/// A partition that moves is given to nobody in this round: its owner first has to give it up, and then rejoins (KIP-429).
fn give_up_first(mut assignment: Assignment, owners: &BTreeMap<TopicPartition, String>) -> Assignment {
    for (member, partitions) in &mut assignment {
        partitions.retain(|partition| owners.get(partition).is_none_or(|owner| owner == member));
    }
    assignment
}

#[cfg(test)]
mod tests;

//! The consumer's side of rebalances: when to join, what to give up before and after, and when the leader notices that
//! topics have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::membership::{Beat, Join, Joined, topic_sizes};
use super::{Consumer, Event, Mode};
use crate::config::Assignor;
use crate::consumer_protocol::Subscription;
use crate::{Error, TopicPartition};

/// How often the leader looks for topics that are not there yet.
const MISSING_TOPIC_INTERVAL: Duration = Duration::from_secs(1);

/// What the leader's look at the topics gave.
pub(super) struct Checked(Result<BTreeMap<Arc<str>, i32>, Error>);

impl Consumer {
    /// Partitions are kept over a rebalance (KIP-429), which every assignor in the list must allow.
    fn is_cooperative(&self) -> bool {
        self.config.assignors.iter().all(|assignor| *assignor == Assignor::CooperativeSticky)
    }

    pub(super) fn heed_heartbeats(&mut self) -> Result<(), Error> {
        let Some(membership) = &mut self.membership else { return Ok(()) };
        match membership.last_beat() {
            Beat::Fine => {}
            Beat::Rejoin => self.needs_join = true,
            Beat::Lost(reason) => {
                tracing::warn!("group {}: out of the group: {reason}", membership.group);
                membership.lost();
                self.needs_join = true;
                self.set_partitions(BTreeSet::new());
            }
            Beat::Fatal(error) => {
                membership.lost();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Begins a join when one is needed. Unless the group is cooperative, partitions are given up first.
    pub(super) fn start_join(&mut self) {
        let Mode::Subscribed(topics) = &self.mode else { return };
        if !self.needs_join || self.joining.is_some() {
            return;
        }
        let topics = topics.clone();
        let is_cooperative = self.is_cooperative();
        let positions = self.positions();
        let Some(membership) = &mut self.membership else { return };
        self.needs_join = false;
        let is_member = membership.generation >= 0;
        let gives_up = is_member && !positions.is_empty() && self.config.enable_auto_commit;
        let join = Join {
            cluster: self.cluster.clone(),
            config: self.config.clone(),
            group: membership.group.clone(),
            member_id: membership.member_id.clone(),
            subscription: Subscription {
                topics,
                owned: if is_cooperative { self.partitions.keys().cloned().collect() } else { Vec::new() },
                generation: if is_cooperative { membership.generation } else { -1 },
            },
            commit_first: gives_up.then(|| (membership.commit_as(), positions)),
        };
        membership.rest();
        if !is_cooperative {
            self.set_partitions(BTreeSet::new());
        }
        self.shared_out = None;
        self.joins += 1;
        let attempt = self.joins;
        self.joining = Some(attempt);
        self.events.push(async move { Event::Joined { attempt, result: join.run().await } }.boxed());
    }

    pub(super) fn take_joined(&mut self, attempt: u64, result: Result<Joined, Error>) -> Result<(), Error> {
        if self.joining != Some(attempt) {
            return Ok(());
        }
        self.joining = None;
        let is_cooperative = self.is_cooperative();
        let Some(membership) = &mut self.membership else { return Ok(()) };
        let joined = match result {
            Ok(joined) => joined,
            Err(error) => {
                self.needs_join = true;
                return Err(error);
            }
        };
        membership.joined(joined.generation);
        let given: BTreeSet<TopicPartition> = joined.assignment.into_iter().collect();
        tracing::info!("group {}: generation {}: {} partitions", membership.group, joined.generation, given.len());
        // What was given up can go to others only when all say so in another round.
        self.needs_join |= is_cooperative && self.partitions.keys().any(|owned| !given.contains(owned));
        self.set_partitions(given);
        self.shared_out = joined.shared_out;
        Ok(())
    }

    /// The leader looks now and then whether the topics are still what it shared out.
    pub(super) fn start_topic_check(&mut self) {
        let Some(shared_out) = &self.shared_out else { return };
        if self.is_checking_topics {
            return;
        }
        let is_missing = shared_out.values().any(|size| *size == 0);
        let wait = if is_missing {
            MISSING_TOPIC_INTERVAL.min(self.config.client.metadata_max_age)
        } else {
            self.config.client.metadata_max_age
        };
        let (cluster, create) = (self.cluster.clone(), self.config.allow_auto_create_topics);
        let topics: Vec<_> = shared_out.keys().cloned().collect();
        self.is_checking_topics = true;
        self.events.push(
            async move {
                tokio::time::sleep(wait).await;
                Event::TopicsChecked(Checked(topic_sizes(&cluster, topics.iter(), create).await))
            }
            .boxed(),
        );
    }

    pub(super) fn take_topics_checked(&mut self, Checked(sizes): Checked) {
        self.is_checking_topics = false;
        match (sizes, &self.shared_out) {
            (Ok(sizes), Some(shared_out)) => self.needs_join |= sizes != *shared_out,
            (Err(error), _) => tracing::debug!("topics of the group: {error}"),
            (Ok(_), None) => {}
        }
    }
}

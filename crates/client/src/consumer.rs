//! `Consumer`: records of assigned partitions, or of those that a group gives it.
//!
//! One owner, no locks: `poll` and the other `&mut` methods drive everything that is under way (fetches, joins, lookups,
//! commits), which are futures in one set, so a `poll` may be dropped or time out without losing any of it. Only the
//! heartbeats have a task. What a `poll` returns counts as processed when the next one is called; that is what auto
//! commit commits.

mod assignor;
mod fetching;
mod groups;
mod membership;
mod positions;
mod record;
mod sessions;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::admin::{TopicListing, list_topics};
use crate::cluster::Cluster;
use crate::config::{AutoOffsetReset, ConsumerConfig};
use crate::list_offsets::OffsetSpec;
use crate::{ClientConfig, Error, PartitionMetadata, TopicPartition};
use fetching::Fetched;
use groups::Checked;
use membership::{Joined, Membership};
use positions::Located;
pub use record::ConsumerRecord;
use record::FetchedPartition;
use sessions::Sessions;

pub use crate::group_offsets::CommittedOffset;

/// What is known of a partition that this consumer reads.
#[derive(Clone, Debug, Default)]
struct PartitionState {
    /// Offset of the next record to return; `None` until it is looked up.
    position: Option<i64>,
    /// The leader's epoch when the record before the position was written; committed with it (KIP-320).
    epoch: Option<i32>,
    /// Where to look it up, when not at the committed offset.
    reset: Option<OffsetSpec>,
    is_paused: bool,
    /// The end, as the last fetch told.
    end: Option<i64>,
}

/// Where partitions come from.
#[derive(Debug, PartialEq)]
enum Mode {
    Idle,
    Assigned,
    Subscribed(Vec<String>),
}

/// Something that was under way is done.
enum Event {
    Fetched(Fetched),
    Located(Result<Vec<Located>, Error>),
    Joined { attempt: u64, result: Result<Joined, Error> },
    Committed(Result<(), Error>),
    TopicsChecked(Checked),
    LookedUp { topic: Arc<str>, result: Result<(), Error> },
}

#[derive(Debug, Default)]
struct Wake {
    notify: Notify,
    is_set: AtomicBool,
}

/// Interrupts a `poll` from elsewhere.
#[derive(Clone, Debug)]
pub struct WakeHandle(Arc<Wake>);

impl WakeHandle {
    /// Makes the `poll` that runs, or the next one, return `Error::Wakeup`.
    pub fn wake(&self) {
        self.0.is_set.store(true, Ordering::Release);
        self.0.notify.notify_one();
    }
}

/// A consumer. It needs a tokio runtime for its connections and heartbeats.
pub struct Consumer {
    config: Arc<ConsumerConfig>,
    cluster: Arc<Cluster>,
    mode: Mode,
    partitions: BTreeMap<TopicPartition, PartitionState>,
    membership: Option<Membership>,
    /// Number of the join that counts, when one is under way; older ones are ignored.
    joining: Option<u64>,
    joins: u64,
    needs_join: bool,
    /// Sizes that this member, as leader, shared out.
    shared_out: Option<BTreeMap<Arc<str>, i32>>,
    is_checking_topics: bool,
    sessions: Sessions,
    fetching: HashSet<i32>,
    fetched: VecDeque<FetchedPartition>,
    locating: bool,
    locate_failures: u32,
    looking_up: HashSet<Arc<str>>,
    /// Looked up before, so that another lookup is one more try and waits a little.
    looked_up: HashSet<Arc<str>>,
    committing: bool,
    /// The last auto commit failed, which was told.
    commit_fails: bool,
    next_auto_commit: Instant,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
    wake: Arc<Wake>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut f = f.debug_struct("Consumer");
        f.field("mode", &self.mode).field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

impl Consumer {
    /// Reads the configuration; connects when first used.
    pub fn new(config: &ClientConfig) -> Result<Self, Error> {
        let config = Arc::new(config.consumer()?);
        let cluster = Arc::new(Cluster::new(config.client.clone()));
        let group = config.group_id.clone();
        Ok(Self {
            membership: group.map(|group| Membership::new(group, cluster.clone(), config.clone())),
            mode: Mode::Idle,
            partitions: BTreeMap::new(),
            joining: None,
            joins: 0,
            needs_join: false,
            shared_out: None,
            is_checking_topics: false,
            sessions: Sessions::default(),
            fetching: HashSet::new(),
            fetched: VecDeque::new(),
            locating: false,
            locate_failures: 0,
            looking_up: HashSet::new(),
            looked_up: HashSet::new(),
            committing: false,
            commit_fails: false,
            next_auto_commit: Instant::now() + config.auto_commit_interval,
            events: FuturesUnordered::new(),
            wake: Arc::default(),
            config,
            cluster,
        })
    }

    /// Reads these partitions, whatever a group may say; replaces what was read before.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) -> Result<(), Error> {
        if matches!(self.mode, Mode::Subscribed(_)) {
            return Err(Error::IllegalState("Subscription to topics and partitions are mutually exclusive"));
        }
        self.mode = Mode::Assigned;
        self.set_partitions(partitions.into_iter().collect());
        Ok(())
    }

    /// Reads what the group gives this consumer of these topics; replaces an earlier subscription. Needs `group.id`.
    pub fn subscribe(&mut self, topics: &[&str]) -> Result<(), Error> {
        if self.mode == Mode::Assigned {
            return Err(Error::IllegalState("Subscription to topics and partitions are mutually exclusive"));
        }
        if self.membership.is_none() {
            return Err(Error::IllegalState(
                "To use the group management, you must provide a valid group.id in the consumer configuration.",
            ));
        }
        self.mode = Mode::Subscribed(topics.iter().map(|topic| (*topic).to_owned()).collect());
        self.needs_join = true;
        Ok(())
    }

    /// Reads nothing any more and leaves the group.
    pub async fn unsubscribe(&mut self) -> Result<(), Error> {
        self.mode = Mode::Idle;
        self.joining = None;
        self.needs_join = false;
        self.set_partitions(BTreeSet::new());
        match &mut self.membership {
            Some(membership) => membership.leave().await,
            None => Ok(()),
        }
    }

    /// Keeps the state of partitions that stay.
    fn set_partitions(&mut self, wanted: BTreeSet<TopicPartition>) {
        self.partitions.retain(|partition, _| wanted.contains(partition));
        for partition in wanted {
            self.partitions.entry(partition).or_default();
        }
        self.fetched.retain(|fetched| self.partitions.contains_key(&fetched.partition));
    }

    /// The partitions that are read now.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    /// Waits for records, at most `timeout`, and returns at most `max.poll.records`; none when there are none in time.
    /// A zero timeout returns what is there. Dropping the future loses nothing.
    pub async fn poll(&mut self, timeout: Duration) -> Result<Vec<ConsumerRecord>, Error> {
        if self.mode == Mode::Idle {
            return Err(Error::IllegalState("Consumer is not subscribed to any topics or assigned any partitions"));
        }
        let deadline = Instant::now().checked_add(timeout);
        self.heed_wake()?;
        loop {
            self.advance()?;
            let records = self.take_records()?;
            if !records.is_empty() {
                self.start_fetches();
                return Ok(records);
            }
            if !self.wait(deadline).await? {
                return Ok(Vec::new());
            }
        }
    }

    /// Starts everything that can be started.
    fn advance(&mut self) -> Result<(), Error> {
        if let Some(membership) = &self.membership {
            membership.polled();
        }
        self.heed_heartbeats()?;
        self.start_join();
        self.start_topic_check();
        self.start_auto_commit();
        self.start_locating();
        self.start_fetches();
        Ok(())
    }

    fn heed_wake(&self) -> Result<(), Error> {
        if self.wake.is_set.swap(false, Ordering::AcqRel) { Err(Error::Wakeup) } else { Ok(()) }
    }

    /// Waits until something is done; `false` when the time was up first.
    async fn wait(&mut self, deadline: Option<Instant>) -> Result<bool, Error> {
        self.heed_wake()?;
        let beats = self.membership.as_ref().map(Membership::changed);
        let has_beats = beats.is_some();
        let beats = async {
            match beats {
                Some(beats) => beats.await,
                None => std::future::pending().await,
            }
        };
        let timer = self.timer(deadline);
        let time = async {
            match timer {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(event) = self.events.next() => {
                self.handle(event)?;
                Ok(true)
            }
            () = self.wake.notify.notified() => Ok(true),
            () = beats, if has_beats => Ok(true),
            () = time => Ok(deadline.is_none_or(|deadline| Instant::now() < deadline)),
        }
    }

    /// When `wait` has to return though nothing happened.
    fn timer(&self, deadline: Option<Instant>) -> Option<Instant> {
        let commits = self.config.enable_auto_commit && !self.committing && !self.partitions.is_empty();
        let commit = commits.then_some(self.next_auto_commit);
        [deadline, commit].into_iter().flatten().min()
    }

    fn handle(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Fetched(fetched) => self.take_fetched(fetched),
            Event::Located(located) => self.take_located(located),
            Event::Joined { attempt, result } => self.take_joined(attempt, result),
            Event::Committed(result) => {
                self.committing = false;
                let failed_before = std::mem::replace(&mut self.commit_fails, result.is_err());
                match result {
                    Err(error) if failed_before => tracing::debug!("auto commit failed again: {error}"),
                    Err(error) => tracing::warn!("auto commit failed: {error}"),
                    Ok(()) => {}
                }
                Ok(())
            }
            Event::TopicsChecked(checked) => {
                self.take_topics_checked(checked);
                Ok(())
            }
            Event::LookedUp { topic, result } => {
                self.looking_up.remove(&topic);
                match result {
                    Err(error) if !error.is_retriable() => Err(error),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Interrupts this consumer's `poll` from elsewhere.
    pub fn wake_handle(&self) -> WakeHandle {
        WakeHandle(self.wake.clone())
    }

    /// Reads on from an offset.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), Error> {
        self.move_to(partition, Some(offset), None)
    }

    /// Reads on from the first offset, looked up when needed.
    pub fn seek_to_beginning(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        partitions.iter().try_for_each(|partition| self.move_to(partition, None, Some(OffsetSpec::Earliest)))
    }

    /// Reads on from the end, looked up when needed.
    pub fn seek_to_end(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        partitions.iter().try_for_each(|partition| self.move_to(partition, None, Some(OffsetSpec::Latest)))
    }

    fn move_to(
        &mut self,
        partition: &TopicPartition,
        position: Option<i64>,
        reset: Option<OffsetSpec>,
    ) -> Result<(), Error> {
        let state = self.state_mut(partition)?;
        (state.position, state.epoch, state.reset) = (position, None, reset);
        self.fetched.retain(|fetched| fetched.partition != *partition);
        Ok(())
    }

    /// Returns no records of these partitions until `resume`.
    pub fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        partitions.iter().try_for_each(|partition| self.state_mut(partition).map(|state| state.is_paused = true))
    }

    pub fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        partitions.iter().try_for_each(|partition| self.state_mut(partition).map(|state| state.is_paused = false))
    }

    /// The partitions that are paused.
    pub fn paused(&self) -> Vec<TopicPartition> {
        self.partitions.iter().filter(|(_, state)| state.is_paused).map(|(partition, _)| partition.clone()).collect()
    }

    fn state_mut(&mut self, partition: &TopicPartition) -> Result<&mut PartitionState, Error> {
        self.partitions.get_mut(partition).ok_or(Error::IllegalState("No current assignment for partition"))
    }

    /// Partitions of a topic, as last heard.
    pub async fn partitions_for(&mut self, topic: &str) -> Result<Vec<PartitionMetadata>, Error> {
        let image = self.cluster.topic(topic, self.config.allow_auto_create_topics).await?;
        Ok(image.topics.get(topic).map(|topic| topic.partitions.clone()).unwrap_or_default())
    }

    /// All topics, sorted by name.
    pub async fn list_topics(&mut self) -> Result<Vec<TopicListing>, Error> {
        list_topics(&self.cluster).await
    }

    /// Commits positions where that is automatic, and leaves the group.
    pub async fn close(mut self) -> Result<(), Error> {
        let is_member = self.membership.as_ref().is_some_and(|membership| membership.generation >= 0);
        let committed = if self.config.enable_auto_commit && (is_member || self.mode == Mode::Assigned) {
            self.commit().await
        } else {
            Ok(())
        };
        let left = self.unsubscribe().await;
        committed.and(left)
    }

    fn reset_policy(&self) -> Option<OffsetSpec> {
        match self.config.auto_offset_reset {
            AutoOffsetReset::Earliest => Some(OffsetSpec::Earliest),
            AutoOffsetReset::Latest => Some(OffsetSpec::Latest),
            AutoOffsetReset::None => None,
        }
    }
}

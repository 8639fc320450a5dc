//! Consumer groups between the coordinator's state machines and the log: one shard for each partition of
//! `__consumer_offsets` that this process leads, loaded from the log when it is first asked for.
//!
//! A request becomes an event of its shard; the shard's effects are carried out in order under the shard's lock
//! (appends, answers); when an append is durable, the shard hears of it. Lock order: shard → partition.

mod shard;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_coordinator::{
    Answer, DeletedTopic, Event, FetchedTopic, GroupDescription, GroupId, GroupState, ListedGroup, Now, ReplyId,
    SteadyMs, TopicPartitions, partition_for,
};
use millstream_model::{BrokerId, PartitionIndex};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tracing::error;

use self::shard::Shard;
use crate::Broker;
use crate::partitions::{LookupError, TopicRef};

/// The internal topic that groups live in.
pub(crate) const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// Why a group's shard cannot be had here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardError {
    /// `__consumer_offsets` is not there, or cannot be read: ask again.
    NotAvailable,
    /// Another node coordinates the group.
    NotCoordinator,
}

/// All shards of this process.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    shards: Mutex<HashMap<PartitionIndex, Arc<OnceCell<Arc<Shard>>>>>,
    next_reply: AtomicU64,
}

impl Groups {
    /// Which node coordinates a group. Makes `__consumer_offsets` if it is not there yet.
    pub(crate) async fn coordinator_of(&self, broker: &Broker, group_id: &str) -> Result<BrokerId, ShardError> {
        if broker.image().topic(CONSUMER_OFFSETS).is_none() {
            broker.create_consumer_offsets().await.map_err(|error| {
                error!(%error, "{CONSUMER_OFFSETS} cannot be made");
                ShardError::NotAvailable
            })?;
        }
        let image = broker.image();
        let topic = image.topic(CONSUMER_OFFSETS).ok_or(ShardError::NotAvailable)?;
        let index = partition_for(group_id, topic.partitions.len() as i32);
        topic.partition(index).map(|partition| partition.leader).ok_or(ShardError::NotAvailable)
    }

    /// Lets a group's shard handle a request that came to `node`, and waits for its answer.
    pub(crate) async fn call(
        &self,
        broker: &Broker,
        node: BrokerId,
        group_id: &str,
        event: impl FnOnce(ReplyId) -> Event,
    ) -> Result<Answer, ShardError> {
        let shard = self.shard_of(broker, node, group_id).await?;
        let reply = ReplyId(self.next_reply.fetch_add(1, Ordering::Relaxed));
        let answer = shard.call(reply, event(reply));
        answer.await.map_err(|_| ShardError::NotAvailable)
    }

    /// Offsets that a group has committed: of the partitions asked for, or all.
    pub(crate) async fn fetch_offsets(
        &self,
        broker: &Broker,
        node: BrokerId,
        group_id: &str,
        topics: Option<&[TopicPartitions]>,
        require_stable: bool,
    ) -> Result<Vec<FetchedTopic>, ShardError> {
        let shard = self.shard_of(broker, node, group_id).await?;
        Ok(shard.read(|machine| machine.fetch_offsets(&GroupId::from(group_id), topics, require_stable)))
    }

    /// A group as it stands; `None` when it is not there.
    pub(crate) async fn describe(
        &self,
        broker: &Broker,
        node: BrokerId,
        group_id: &str,
    ) -> Result<Option<GroupDescription>, ShardError> {
        let shard = self.shard_of(broker, node, group_id).await?;
        Ok(shard.read(|machine| machine.describe(&GroupId::from(group_id))))
    }

    /// The groups that `node` coordinates, filtered by state and type; no filter means all.
    pub(crate) async fn list(
        &self,
        broker: &Broker,
        node: BrokerId,
        states: &[String],
        types: &[String],
    ) -> Result<Vec<ListedGroup>, ShardError> {
        let count = broker.image().topic(CONSUMER_OFFSETS).map_or(0, |topic| topic.partitions.len() as i32);
        let mut groups = Vec::new();
        for index in (0..count).map(PartitionIndex) {
            match self.shard(broker, node, index).await {
                Ok(shard) => groups.extend(shard.read(|machine| machine.list(states, types))),
                Err(ShardError::NotCoordinator) => {}
                Err(error @ ShardError::NotAvailable) => return Err(error),
            }
        }
        Ok(groups)
    }

    /// How many groups there are in each state, of the shards that have been loaded.
    pub(crate) fn count_by_state(&self) -> [(&'static str, u64); 5] {
        use GroupState::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};
        let states = [Empty, PreparingRebalance, CompletingRebalance, Stable, Dead];
        let mut counts = states.map(|state| (state.name(), 0));
        for group in self.loaded().iter().flat_map(|shard| shard.read(|machine| machine.list(&[], &[]))) {
            counts.iter_mut().filter(|(name, _)| *name == group.state.name()).for_each(|(_, count)| *count += 1);
        }
        counts
    }

    /// Topics are gone: what groups committed for them goes too, and all groups with their own topic.
    pub(crate) fn topics_deleted(&self, topics: &[DeletedTopic]) {
        if topics.iter().any(|deleted| deleted.topic == CONSUMER_OFFSETS) {
            let shards = std::mem::take(&mut *self.shards.lock());
            shards.values().filter_map(|cell| cell.get()).for_each(|shard| shard.retire());
        }
        for shard in self.loaded() {
            shard.tell(Event::TopicsDeleted(topics.to_vec()));
        }
    }

    /// Shards that have been loaded.
    fn loaded(&self) -> Vec<Arc<Shard>> {
        self.shards.lock().values().filter_map(|cell| cell.get().cloned()).collect()
    }

    async fn shard_of(&self, broker: &Broker, node: BrokerId, group_id: &str) -> Result<Arc<Shard>, ShardError> {
        let count = broker.image().topic(CONSUMER_OFFSETS).map(|topic| topic.partitions.len() as i32);
        let index = partition_for(group_id, count.ok_or(ShardError::NotCoordinator)?);
        self.shard(broker, node, index).await
    }

    async fn shard(&self, broker: &Broker, node: BrokerId, index: PartitionIndex) -> Result<Arc<Shard>, ShardError> {
        let hosted = broker.partition(node, &TopicRef::Name(CONSUMER_OFFSETS.into()), index);
        let hosted = hosted.map_err(|error| match error {
            LookupError::NotLeader { .. } => ShardError::NotCoordinator,
            LookupError::UnknownTopic | LookupError::UnknownTopicId | LookupError::UnknownPartition => {
                ShardError::NotAvailable
            }
        })?;
        let cell = Arc::clone(self.shards.lock().entry(index).or_default());
        let loaded = cell.get_or_try_init(|| Shard::load(broker, hosted.log)).await;
        loaded.cloned().map_err(|error| {
            error!(partition = %index, %error, "{CONSUMER_OFFSETS} cannot be read");
            ShardError::NotAvailable
        })
    }
}

/// The moment, for the coordinator: time since the broker started, and the wall clock.
fn moment(broker_monotonic: Duration, wall: millstream_model::TimestampMs) -> Now {
    let steady = SteadyMs(u64::try_from(broker_monotonic.as_millis()).unwrap_or(u64::MAX));
    Now { steady, wall }
}

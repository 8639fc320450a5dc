//! Fetching: one request per leader at a time, for the partitions that have nothing left to return.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures_util::FutureExt;
use millstream_protocol::fetch::{FetchRequest, FetchResponse, PartitionData};

use super::record::{Aborted, FetchedPartition};
use super::{Consumer, ConsumerRecord, Event, PartitionState};
use crate::error::{check, error_code};
use crate::{Error, ErrorCode, TopicPartition};

/// Version 13 names topics by id; names serve every broker.
const FETCH_VERSION_MAX: i16 = 12;

/// The answer of a leader.
pub(super) struct Fetched {
    leader: i32,
    /// Positions as they were asked for.
    asked: BTreeMap<TopicPartition, i64>,
    result: Result<FetchResponse, Error>,
}

impl Consumer {
    /// Sends a fetch to every leader that has no request and whose partitions have nothing left to return.
    pub(super) fn start_fetches(&mut self) {
        let busy: HashSet<i32> = self.fetched.iter().filter(|one| self.returns(one)).map(|one| one.leader).collect();
        let held: HashSet<&TopicPartition> = self.fetched.iter().map(|fetched| &fetched.partition).collect();
        let image = self.cluster.metadata();
        let mut leaders: HashMap<i32, BTreeMap<TopicPartition, i64>> = HashMap::new();
        let mut leaderless = Vec::new();
        for (partition, state) in self.partitions.iter().filter(|(_, state)| !state.is_paused) {
            let Some(position) = state.position else { continue };
            match image.leader(partition) {
                Some((leader, _)) if busy.contains(&leader) || self.fetching.contains(&leader) => {}
                Some(_) if held.contains(partition) => {}
                Some((leader, _)) => {
                    leaders.entry(leader).or_default().insert(partition.clone(), position);
                }
                None => leaderless.push(partition.topic.clone()),
            }
        }
        for topic in leaderless {
            self.look_up(topic);
        }
        for (leader, wanted) in leaders {
            self.fetch(leader, wanted);
        }
    }

    fn returns(&self, fetched: &FetchedPartition) -> bool {
        self.partitions.get(&fetched.partition).is_some_and(|state| !state.is_paused)
    }

    fn fetch(&mut self, leader: i32, asked: BTreeMap<TopicPartition, i64>) {
        let request: FetchRequest = self.sessions.request(leader, &asked, &self.config);
        let cluster = self.cluster.clone();
        let timeout = self.config.client.request_timeout.saturating_add(self.config.fetch_max_wait);
        self.fetching.insert(leader);
        self.events.push(
            async move {
                let result = match cluster.broker(leader).await {
                    Ok(connection) => connection.call_within(&request, FETCH_VERSION_MAX, timeout).await,
                    Err(error) => Err(error),
                };
                Event::Fetched(Fetched { leader, asked, result })
            }
            .boxed(),
        );
    }

    fn look_up(&mut self, topic: Arc<str>) {
        if !self.looking_up.insert(topic.clone()) {
            return;
        }
        let (cluster, create) = (self.cluster.clone(), self.config.allow_auto_create_topics);
        let wait = self.config.client.retry_backoff;
        let is_first = self.looked_up.insert(topic.clone());
        self.events.push(
            async move {
                if !is_first {
                    tokio::time::sleep(wait).await;
                    cluster.forget_topics([&*topic]);
                }
                let result = match cluster.topic(&topic, create).await {
                    // Without permission to make it, the topic is waited for.
                    Err(Error::Kafka { code: ErrorCode::UnknownTopicOrPartition, .. }) => Ok(()),
                    result => result.map(|_| ()),
                };
                Event::LookedUp { topic, result }
            }
            .boxed(),
        );
    }

    pub(super) fn take_fetched(&mut self, Fetched { leader, asked, result }: Fetched) -> Result<(), Error> {
        self.fetching.remove(&leader);
        let answer = match result {
            Ok(answer) => answer,
            Err(error) if error.is_retriable() => {
                tracing::debug!("fetch from broker {leader}: {error}");
                self.sessions.lost(leader, false);
                self.cluster.forget_topics(asked.keys().map(|partition| &*partition.topic));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match error_code(answer.error_code) {
            ErrorCode::None => self.sessions.answered(leader, answer.session_id),
            ErrorCode::FetchSessionIdNotFound => self.sessions.lost(leader, false),
            ErrorCode::InvalidFetchSessionEpoch => self.sessions.lost(leader, true),
            code => {
                self.sessions.lost(leader, false);
                self.cluster.forget_topics(asked.keys().map(|partition| &*partition.topic));
                let error = Error::kafka(code, None);
                return if error.is_retriable() { Ok(()) } else { Err(error) };
            }
        }
        let mut failure = Ok(());
        for topic in answer.responses {
            let name: Arc<str> = topic.topic.into();
            for data in topic.partitions {
                let partition = TopicPartition::new(name.clone(), data.partition_index);
                let taken = asked
                    .get(&partition)
                    .map_or(Ok(()), |position| self.take_partition(partition.clone(), *position, leader, data));
                failure = failure.and(taken);
            }
        }
        failure
    }

    fn take_partition(
        &mut self,
        partition: TopicPartition,
        asked: i64,
        leader: i32,
        data: PartitionData,
    ) -> Result<(), Error> {
        let policy = self.reset_policy();
        let is_committed = self.config.isolation_level == crate::config::IsolationLevel::ReadCommitted;
        let Some(state) = self.partitions.get_mut(&partition) else { return Ok(()) };
        // A seek in the meantime makes the answer worthless.
        if state.position != Some(asked) {
            return Ok(());
        }
        match check(data.error_code, None) {
            Ok(()) => {}
            Err(Error::Kafka { code: ErrorCode::OffsetOutOfRange, .. }) => {
                return out_of_range(partition, state, policy);
            }
            Err(error) if error.is_retriable() || error.is_stale() => {
                tracing::debug!("fetch of {partition}: {error}");
                self.cluster.forget_topics([&*partition.topic]);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        state.end = Some(if is_committed { data.last_stable_offset } else { data.high_watermark });
        let bytes = data.records.map(millstream_protocol::Records::into_contiguous).unwrap_or_default();
        if !bytes.is_empty() {
            let aborted = data.aborted_transactions.unwrap_or_default().into_iter();
            let aborted = aborted.map(|one| Aborted { producer_id: one.producer_id, first_offset: one.first_offset });
            let aborted = if is_committed { aborted.collect() } else { Vec::new() };
            self.fetched.push_back(FetchedPartition::new(partition, leader, asked, bytes, aborted));
        }
        Ok(())
    }

    /// Records that were fetched, of partitions that are not paused; moves their positions.
    pub(super) fn take_records(&mut self) -> Result<Vec<ConsumerRecord>, Error> {
        let mut records = Vec::new();
        let mut paused = std::collections::VecDeque::new();
        while records.len() < self.config.max_poll_records {
            let Some(mut fetched) = self.fetched.pop_front() else { break };
            let Some(state) = self.partitions.get_mut(&fetched.partition) else { continue };
            if state.position != Some(fetched.position) {
                continue;
            }
            if state.is_paused {
                paused.push_back(fetched);
                continue;
            }
            let before = records.len();
            let taken = fetched.take(self.config.max_poll_records - before, &mut records);
            state.position = Some(fetched.position);
            state.epoch = records[before..].last().map_or(state.epoch, |last| last.leader_epoch);
            match taken {
                Ok(true) => self.fetched.push_front(fetched),
                Ok(false) => {}
                // The position stands before the damage, so the next poll meets it again.
                Err(_) if !records.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        self.fetched.append(&mut paused);
        Ok(records)
    }

    /// How far the position is behind the end that the last fetch told; `None` before there was one.
    pub fn current_lag(&self, partition: &TopicPartition) -> Option<i64> {
        let state = self.partitions.get(partition)?;
        Some((state.end? - state.position?).max(0))
    }
}

fn out_of_range(
    partition: TopicPartition,
    state: &mut PartitionState,
    policy: Option<crate::list_offsets::OffsetSpec>,
) -> Result<(), Error> {
    let Some(spec) = policy else { return Err(Error::OffsetOutOfRange(vec![partition])) };
    tracing::info!("{partition}: offset {:?} is out of range, going to {spec:?}", state.position);
    (state.position, state.reset) = (None, Some(spec));
    Ok(())
}

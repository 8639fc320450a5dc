//! The sender's task: batches that are ready become Produce requests, one per leader and round; answers settle them.
//!
//! Everything that takes time (connecting, metadata, the producer id, requests) is a future in one set that this task
//! polls, so that a broker that hangs holds up its own partitions only.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use millstream_model::{ProducerEpoch, ProducerId, TimestampMs};
use millstream_protocol::Records;
use millstream_protocol::init_producer_id::InitProducerIdRequest;
use millstream_protocol::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
};
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::accumulator::{AppendedAt, Readiness, SealedBatch};
use crate::backoff::backoff;
use crate::connection::Connection;
use crate::error::{check, error_code};
use crate::topic_partition::by_topic;
use crate::{Error, ErrorCode, TopicPartition};

/// Version 13 names topics by id; names serve every broker.
const PRODUCE_VERSION_MAX: i16 = 12;
/// Version 6 is for two-phase commit.
const INIT_PRODUCER_ID_VERSION_MAX: i16 = 5;

type Sent = Vec<(TopicPartition, SealedBatch)>;

enum Event {
    Connected { leader: i32, result: Result<(), Error> },
    Metadata { topic: Arc<str>, result: Result<(), Error> },
    Identity(Result<(ProducerId, ProducerEpoch), Error>),
    Produced { leader: i32, sent: Sent, result: Result<Option<ProduceResponse>, Error> },
}

struct Sender {
    shared: Arc<Shared>,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
    /// Requests on their way, by leader.
    in_flight: HashMap<i32, usize>,
    connecting: HashSet<i32>,
    refreshing: HashSet<Arc<str>>,
    identifying: bool,
    identity_failures: u32,
}

/// Runs until the producer is closed or dropped.
pub(super) async fn run(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let sender = Sender {
        shared,
        events: FuturesUnordered::new(),
        in_flight: HashMap::new(),
        connecting: HashSet::new(),
        refreshing: HashSet::new(),
        identifying: false,
        identity_failures: 0,
    };
    tokio::select! {
        () = sender.run() => {}
        () = stop.cancelled() => {}
    }
}

impl Sender {
    async fn run(mut self) {
        loop {
            let next = self.send_ready().await;
            let expiry = self.shared.accumulator.lock().next_expiry(self.shared.config.delivery_timeout);
            let timer = [next, expiry].into_iter().flatten().min();
            let rest = async {
                match timer {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(event) = self.events.next() => self.handle(event),
                () = self.shared.wake.notified() => {}
                () = rest => {}
            }
        }
    }

    /// Sends what can be sent and returns when there will be more.
    async fn send_ready(&mut self) -> Option<Instant> {
        let (ready, next) = {
            let config = &self.shared.config;
            let now = Instant::now();
            let mut accumulator = self.shared.accumulator.lock();
            accumulator.expire(now, config.delivery_timeout);
            accumulator.ready(&Readiness {
                now,
                linger: config.linger,
                starved: self.shared.starved.load(Ordering::Relaxed) > 0,
                max_in_flight: config.max_in_flight,
            })
        };
        if ready.is_empty() || !self.is_identified() {
            return next;
        }
        for (leader, partitions) in self.by_leader(ready) {
            let Some(connection) = self.shared.cluster.open_to(leader) else {
                self.connect(leader);
                continue;
            };
            if self.in_flight.get(&leader).is_none_or(|count| *count < self.shared.config.max_in_flight) {
                self.send_to(leader, connection, &partitions).await;
            }
        }
        // What is left over waits for an event.
        next
    }

    /// Whether batches may be stamped; asks for a producer id when one is needed.
    fn is_identified(&mut self) -> bool {
        if self.shared.accumulator.lock().may_stamp() {
            return true;
        }
        if !self.identifying {
            self.identifying = true;
            let shared = self.shared.clone();
            let wait = self.wait_after(self.identity_failures, 0);
            self.events.push(
                async move {
                    tokio::time::sleep(wait).await;
                    Event::Identity(init_producer_id(&shared).await)
                }
                .boxed(),
            );
        }
        false
    }

    fn wait_after(&self, failures: u32, salt: u64) -> std::time::Duration {
        let client = &self.shared.config.client;
        match failures {
            0 => std::time::Duration::ZERO,
            failures => backoff(client.retry_backoff, client.retry_backoff_max, failures, salt + u64::from(failures)),
        }
    }

    /// Partitions by leader; the topics of those without one are looked up.
    fn by_leader(&mut self, partitions: Vec<TopicPartition>) -> BTreeMap<i32, Vec<TopicPartition>> {
        let image = self.shared.cluster.metadata();
        let mut leaders = BTreeMap::<_, Vec<_>>::new();
        for partition in partitions {
            match image.leader(&partition) {
                Some((leader, _)) => leaders.entry(leader).or_default().push(partition),
                None => self.look_up(&partition.topic),
            }
        }
        leaders
    }

    fn look_up(&mut self, topic: &Arc<str>) {
        if self.refreshing.insert(topic.clone()) {
            let (shared, topic) = (self.shared.clone(), topic.clone());
            self.events.push(
                async move {
                    // A topic whose partition lost its leader is known, so it must be forgotten to be asked for.
                    shared.cluster.forget_topics([&*topic]);
                    let result = shared.cluster.topic(&topic, true).await.map(|_| ());
                    let client = &shared.config.client;
                    if result.is_ok() {
                        tokio::time::sleep(client.retry_backoff).await;
                    }
                    Event::Metadata { topic, result }
                }
                .boxed(),
            );
        }
    }

    fn connect(&mut self, leader: i32) {
        if self.connecting.insert(leader) {
            let cluster = self.shared.cluster.clone();
            self.events.push(
                async move {
                    let result = cluster.broker(leader).await.map(|_| ());
                    Event::Connected { leader, result }
                }
                .boxed(),
            );
        }
    }

    async fn send_to(&mut self, leader: i32, connection: Arc<Connection>, partitions: &[TopicPartition]) {
        let sent = self.take(partitions);
        if sent.is_empty() {
            return;
        }
        let config = &self.shared.config;
        let request = produce_request(&sent, config.acks, config.client.request_timeout.as_millis());
        let deadline = Instant::now() + config.client.request_timeout;
        if config.acks == 0 {
            let result = connection.tell(&request, PRODUCE_VERSION_MAX).await.map(|()| None);
            *self.in_flight.entry(leader).or_default() += 1;
            self.handle(Event::Produced { leader, sent, result });
            return;
        }
        *self.in_flight.entry(leader).or_default() += 1;
        // Started here, one after the other, so that requests stand in the connection in the order of their sequences.
        match connection.start(&request, PRODUCE_VERSION_MAX).await {
            Err(error) => self.handle(Event::Produced { leader, sent, result: Err(error) }),
            Ok(call) => self.events.push(
                async move {
                    let result = call.answer(&connection, deadline).await.map(Some);
                    Event::Produced { leader, sent, result }
                }
                .boxed(),
            ),
        }
    }

    /// One batch of each partition, as many as fit a request.
    fn take(&self, partitions: &[TopicPartition]) -> Sent {
        let mut accumulator = self.shared.accumulator.lock();
        let mut sent = Sent::new();
        let mut bytes = 0;
        for partition in partitions {
            if bytes >= self.shared.config.max_request_bytes {
                self.shared.wake.notify_one();
                break;
            }
            if let Some(batch) = accumulator.take(partition) {
                bytes += batch.batch.bytes().len();
                sent.push((partition.clone(), batch));
            }
        }
        sent
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connected { leader, result } => {
                self.connecting.remove(&leader);
                if result.is_err() {
                    self.forget_led_by(leader);
                }
            }
            Event::Metadata { topic, result } => {
                self.refreshing.remove(&topic);
                if let Err(error) = result {
                    tracing::warn!("metadata of {topic}: {error}");
                }
            }
            Event::Identity(result) => {
                self.identifying = false;
                match result {
                    Ok((producer_id, epoch)) => {
                        self.identity_failures = 0;
                        self.shared.accumulator.lock().set_identity(producer_id, epoch);
                    }
                    Err(error) if error.is_retriable() => {
                        self.identity_failures += 1;
                        tracing::debug!("no producer id yet: {error}");
                    }
                    Err(error) => self.shared.accumulator.lock().fail_waiting(&error),
                }
            }
            Event::Produced { leader, sent, result } => {
                if let Some(count) = self.in_flight.get_mut(&leader) {
                    *count -= 1;
                }
                self.settle(sent, result);
            }
        }
    }

    fn forget_led_by(&self, leader: i32) {
        let image = self.shared.cluster.metadata();
        let led = image.topics.values().filter(|topic| topic.partitions.iter().any(|one| one.leader == leader));
        self.shared.cluster.forget_topics(led.map(|topic| topic.name.as_str()));
    }

    fn settle(&self, sent: Sent, result: Result<Option<ProduceResponse>, Error>) {
        let mut answers = HashMap::new();
        match &result {
            Ok(Some(answer)) => {
                for topic in &answer.responses {
                    for one in &topic.partition_responses {
                        answers.insert((topic.name.as_str(), one.index), one);
                    }
                }
            }
            Ok(None) => {
                let mut accumulator = self.shared.accumulator.lock();
                let unknown = AppendedAt { base_offset: -1, log_append_time: TimestampMs::NONE };
                sent.into_iter().for_each(|(partition, batch)| accumulator.succeed(&partition, batch, unknown));
                return;
            }
            Err(_) => {}
        }
        for (partition, batch) in sent {
            let answer = match (&result, answers.get(&(&*partition.topic, partition.partition))) {
                (Err(error), _) => Err(error.clone()),
                (_, Some(answer)) => read_answer(answer),
                (_, None) => {
                    Err(Error::kafka(ErrorCode::UnknownServerError, Some("the answer left the partition out")))
                }
            };
            self.settle_one(&partition, batch, answer);
        }
    }

    fn settle_one(&self, partition: &TopicPartition, batch: SealedBatch, answer: Result<AppendedAt, Error>) {
        let mut accumulator = self.shared.accumulator.lock();
        let error = match answer {
            Ok(at) => return accumulator.succeed(partition, batch, at),
            Err(error) => error,
        };
        if error.is_stale() {
            self.shared.cluster.forget_topics([&*partition.topic]);
        }
        let loses_place = self.shared.config.enable_idempotence && error.code().is_some_and(is_sequence_error);
        if loses_place && accumulator.is_alone(partition, &batch) {
            accumulator.lose_sequence(partition);
        }
        if (loses_place || error.is_retriable()) && batch.attempts < self.shared.config.retries {
            let due = Instant::now() + self.wait_after(batch.attempts + 1, partition.partition.unsigned_abs().into());
            tracing::debug!("{partition}: {error}; trying again");
            accumulator.retry(partition, batch, due);
        } else {
            accumulator.fail(partition, batch, error);
        }
    }
}

/// Errors that follow from an earlier batch's failure, or say that the broker has forgotten the producer.
fn is_sequence_error(code: ErrorCode) -> bool {
    use ErrorCode::{InvalidProducerEpoch, OutOfOrderSequenceNumber, UnknownProducerId};
    matches!(code, OutOfOrderSequenceNumber | UnknownProducerId | InvalidProducerEpoch)
}

fn read_answer(answer: &PartitionProduceResponse) -> Result<AppendedAt, Error> {
    let at = AppendedAt { base_offset: answer.base_offset, log_append_time: TimestampMs(answer.log_append_time_ms) };
    // A duplicate lies where its original lies.
    if error_code(answer.error_code) == ErrorCode::DuplicateSequenceNumber {
        return Ok(at);
    }
    let message = answer.record_errors.first().and_then(|first| first.batch_index_error_message.as_deref());
    check(answer.error_code, message.or(answer.error_message.as_deref())).map(|()| at)
}

fn produce_request(sent: &Sent, acks: i16, timeout_ms: u128) -> ProduceRequest {
    let data = sent.iter().map(|(partition, batch)| (partition.clone(), batch.batch.bytes().clone()));
    let topics = by_topic(data).into_iter().map(|(topic, partitions)| TopicProduceData {
        name: topic.to_string(),
        partition_data: partitions
            .into_iter()
            .map(|(index, bytes)| PartitionProduceData { index, records: Some(Records::from(bytes)) })
            .collect(),
        ..Default::default()
    });
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
        topic_data: topics.collect(),
    }
}

async fn init_producer_id(shared: &Shared) -> Result<(ProducerId, ProducerEpoch), Error> {
    let request =
        InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: i32::MAX, ..Default::default() };
    let answer = shared.cluster.call_any(&request, INIT_PRODUCER_ID_VERSION_MAX).await?;
    check(answer.error_code, None)?;
    Ok((ProducerId(answer.producer_id), ProducerEpoch(answer.producer_epoch)))
}

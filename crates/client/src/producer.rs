//! `Producer`: records in, batches out, one answer per record.
//!
//! `send` puts a record into its partition's open batch and returns; one task (`sender`) turns batches into requests,
//! keeps each partition's order over retries and answers each record through its `Delivery`. The lock of the
//! accumulator is the only one shared by both; it is never held across an await.

mod accumulator;
mod partitioner;
mod sender;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use millstream_model::TimestampMs;
use millstream_model::batch::{Header, batch_bytes_bound};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::config::ProducerConfig;
use crate::{ClientConfig, ClusterMetadata, Error, ErrorCode, PartitionMetadata, TopicPartition, clock};
use accumulator::{Accumulator, Outcome};
pub use partitioner::partition_of_key;

/// Buffer memory is counted in pieces of this size, because a semaphore counts to 2^29 on small machines.
const MEMORY_UNIT_BYTES: usize = 64;

/// A record to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    pub topic: Arc<str>,
    /// `None` lets the key decide, or chance.
    pub partition: Option<i32>,
    /// `None` for the time of the call.
    pub timestamp: Option<TimestampMs>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    /// In order; a name may come several times.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl ProducerRecord {
    /// A record with a value and nothing else.
    pub fn new(topic: impl Into<Arc<str>>, value: impl Into<Bytes>) -> Self {
        let value = Some(value.into());
        Self { topic: topic.into(), partition: None, timestamp: None, key: None, value, headers: Vec::new() }
    }

    /// A record that deletes its key on a compacted topic.
    pub fn tombstone(topic: impl Into<Arc<str>>, key: impl Into<Bytes>) -> Self {
        Self { value: None, ..Self::new(topic, Bytes::new()) }.with_key(key)
    }

    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    #[must_use]
    pub fn with_partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    #[must_use]
    pub fn with_timestamp(mut self, timestamp: TimestampMs) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }
}

/// Where a record came to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    pub partition: TopicPartition,
    /// -1 with acks=0.
    pub offset: i64,
    /// The record's, or the broker's where the topic says LogAppendTime.
    pub timestamp: TimestampMs,
}

/// The answer to one record, which comes when its batch is acknowledged or given up. Dropping it loses nothing else.
#[derive(Debug)]
pub struct Delivery {
    partition: TopicPartition,
    offset_delta: i32,
    timestamp: TimestampMs,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Delivery {
    /// Waits for the answer.
    pub async fn wait(mut self) -> Result<RecordMetadata, Error> {
        let outcome = self.outcome.wait_for(Option::is_some).await.map_err(|_| Error::Closed)?.clone();
        let appended = outcome.expect("it was waited for")?;
        let (offset, time) = (appended.base_offset, appended.log_append_time);
        Ok(RecordMetadata {
            partition: self.partition,
            offset: if offset < 0 { -1 } else { offset + i64::from(self.offset_delta) },
            timestamp: if time == TimestampMs::NONE { self.timestamp } else { time },
        })
    }
}

/// What callers and the sender's task share.
#[derive(Debug)]
struct Shared {
    config: ProducerConfig,
    cluster: Arc<Cluster>,
    accumulator: Mutex<Accumulator>,
    /// Tells the sender that there may be something to send.
    wake: Notify,
    memory: Arc<Semaphore>,
    /// Callers that wait for memory; while there are any, nothing lingers.
    starved: AtomicUsize,
    stop: CancellationToken,
}

/// A producer. Sends from several tasks may be mixed; those of one task stay in order, partition by partition.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    sender: Mutex<Option<JoinHandle<()>>>,
}

impl Producer {
    /// Reads the configuration and starts the sender's task, so a tokio runtime must be running; connects when needed.
    pub fn new(config: &ClientConfig) -> Result<Self, Error> {
        let config = config.producer()?;
        let shared = Arc::new(Shared {
            cluster: Arc::new(Cluster::new(config.client.clone())),
            accumulator: Mutex::new(Accumulator::new(
                config.batch_bytes,
                config.compression,
                config.enable_idempotence,
            )),
            wake: Notify::new(),
            memory: Arc::new(Semaphore::new(
                (config.buffer_memory_bytes / MEMORY_UNIT_BYTES).min(Semaphore::MAX_PERMITS),
            )),
            starved: AtomicUsize::new(0),
            stop: CancellationToken::new(),
            config,
        });
        let sender = tokio::spawn(sender::run(shared.clone()));
        Ok(Self { shared, sender: Mutex::new(Some(sender)) })
    }

    /// Puts the record into a batch. Waits, at most `max.block.ms`, for the topic's metadata and for buffer memory;
    /// the answer comes through the `Delivery`.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, Error> {
        if self.shared.stop.is_cancelled() {
            return Err(Error::Closed);
        }
        let headers: Vec<_> =
            record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let bytes = batch_bytes_bound(record.key.as_deref(), record.value.as_deref(), &headers);
        self.check_size(bytes)?;
        let image = self.shared.cluster.topic(&record.topic, true).await?;
        let partition = self.choose_partition(&record, &image, bytes)?;
        let memory = self.take_memory(bytes).await?;
        let timestamp = record.timestamp.unwrap_or_else(clock::now);
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let appended = self.shared.accumulator.lock().append(&partition, timestamp, (key, value, &headers), memory)?;
        if appended.wakes {
            self.shared.wake.notify_one();
        }
        Ok(Delivery { partition, offset_delta: appended.offset_delta, timestamp, outcome: appended.outcome })
    }

    fn check_size(&self, bytes: usize) -> Result<(), Error> {
        let config = &self.shared.config;
        for (limit, config) in
            [(config.max_request_bytes, "max.request.size"), (config.buffer_memory_bytes, "buffer.memory")]
        {
            if bytes > limit {
                return Err(Error::RecordTooLarge { bytes, limit, config });
            }
        }
        Ok(())
    }

    fn choose_partition(
        &self,
        record: &ProducerRecord,
        image: &ClusterMetadata,
        bytes: usize,
    ) -> Result<TopicPartition, Error> {
        let partitions = image.topics.get(&*record.topic).map_or(&[][..], |topic| &topic.partitions);
        let count = partitions.len() as i32;
        let index = match (record.partition, &record.key) {
            (Some(index), _) if (0..count).contains(&index) => index,
            (None, Some(key)) if !self.shared.config.ignore_keys && count > 0 => partition_of_key(key, count),
            (None, _) if count > 0 => {
                self.shared.accumulator.lock().choose_sticky(&record.topic, || candidates(partitions), bytes)
            }
            (wanted, _) => {
                // The topic may have grown since.
                self.shared.cluster.forget_topics([&*record.topic]);
                let wanted = wanted.unwrap_or(0);
                let reason = format!(
                    "Partition {wanted} of topic {} with partition count {count} is not present in metadata.",
                    record.topic
                );
                return Err(Error::kafka(ErrorCode::UnknownTopicOrPartition, Some(&reason)));
            }
        };
        Ok(TopicPartition { topic: record.topic.clone(), partition: index })
    }

    async fn take_memory(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let shared = &self.shared;
        let units = bytes.div_ceil(MEMORY_UNIT_BYTES) as u32;
        if let Ok(memory) = shared.memory.clone().try_acquire_many_owned(units) {
            return Ok(memory);
        }
        let _starved = Starved::new(shared);
        shared.wake.notify_one();
        let limit = shared.config.max_block;
        let memory = timeout(limit, shared.memory.clone().acquire_many_owned(units)).await;
        let timed_out = || Error::Timeout { what: "waiting for buffer memory".to_owned(), after: limit };
        memory.map_err(|_| timed_out())?.map_err(|_| Error::Closed)
    }

    /// The partitions of a topic, as last heard.
    pub async fn partitions_for(&self, topic: &str) -> Result<Vec<PartitionMetadata>, Error> {
        let image = self.shared.cluster.topic(topic, true).await?;
        Ok(image.topics.get(topic).map(|topic| topic.partitions.clone()).unwrap_or_default())
    }

    /// Sends what lingers, and waits until every record sent so far has its answer.
    pub async fn flush(&self) {
        let flushing = Flushing(&self.shared);
        let outcomes = flushing.0.accumulator.lock().begin_flush();
        self.shared.wake.notify_one();
        for mut outcome in outcomes {
            let _ = outcome.wait_for(Option::is_some).await; // an error only says that the producer was closed
        }
    }

    /// Flushes for at most this long, gives up what is left, and ends the sender's task.
    pub async fn close(&self, limit: Duration) -> Result<(), Error> {
        let flushed = timeout(limit, self.flush()).await;
        self.shared.stop.cancel();
        let sender = self.sender.lock().take();
        if let Some(sender) = sender {
            let _ = sender.await; // a panic there was printed, and its records' answers are `Closed`
        }
        self.shared.accumulator.lock().abandon();
        flushed.map_err(|_| Error::Timeout { what: "closing the producer".to_owned(), after: limit })
    }
}

impl Drop for Producer {
    /// Records without an answer are given up; `close` waits for them.
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// The partitions that have a leader, or all of them when none has.
fn candidates(partitions: &[PartitionMetadata]) -> Vec<i32> {
    let led: Vec<_> = partitions.iter().filter(|one| one.leader >= 0).map(|one| one.index).collect();
    if led.is_empty() { partitions.iter().map(|one| one.index).collect() } else { led }
}

/// Ends a flush, also when its wait is cancelled: nothing lingers while there is one.
struct Flushing<'a>(&'a Shared);

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.0.accumulator.lock().end_flush();
    }
}

/// Counts a caller that waits for memory, also when its wait is cancelled.
struct Starved<'a>(&'a Shared);

impl<'a> Starved<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.starved.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Starved<'_> {
    fn drop(&mut self) {
        self.0.starved.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;

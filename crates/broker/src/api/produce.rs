//! Produce (0), versions 3–13; advertised from 0, since old librdkafka takes a higher minimum for a broker without
//! Produce (KAFKA-18659), while a request of version 0 to 2 closes the connection, as in Kafka.
//!
//! `begin` validates and appends, in the order of a connection's requests; the answer follows when every batch is as
//! durable as its topic asks. A batch with the number of an earlier one answers that one's offset (KIP-98). Answers
//! name bad records (KIP-467) and a changed leader (KIP-951); topics are named by id from version 13 (KIP-516).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use millstream_model::batch::{Batch, BatchError, validate_records};
use millstream_model::compression::CompressionType;
use millstream_model::wire::Records;
use millstream_model::{PartitionIndex, TimestampMs, TopicId};
use millstream_protocol::ErrorCode;
use millstream_protocol::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData, PartitionProduceResponse,
    ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use millstream_storage::{AppendOrigin, Appended};
use tokio::time::Instant;

use super::errors::{append_error, batch_error, lookup_error, storage_error, validation_error};
use super::{Answer, Call, RequestError, Waiting, encode};
use crate::Broker;
use crate::partitions::{Hosted, TopicRef};

pub(crate) const VERSIONS: RangeInclusive<i16> = 3..=13;
pub(crate) const ADVERTISED: RangeInclusive<i16> = 0..=13;

/// First version that names topics by id.
const TOPIC_ID_FROM: i16 = 13;
/// First version whose records may be compressed with zstd (KIP-110).
const ZSTD_FROM: i16 = 7;
/// First version that tells who leads instead.
const CURRENT_LEADER_FROM: i16 = 10;
/// What a batch may hold decompressed when `compression.type` asks for another codec.
const RECOMPRESSED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The client id of Kafka's tools, which may write to internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// How many copies must hold a batch before it is answered; here one disk is all of them.
mod acks {
    pub(super) const NONE: i16 = 0;
    pub(super) const LEADER: i16 = 1;
    pub(super) const ALL: i16 = -1;
}

/// Why a partition's records were not taken.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: ErrorCode,
    pub(super) message: Option<String>,
    pub(super) records: Vec<BatchIndexAndErrorMessage>,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

/// One partition of the request, begun.
struct Part {
    index: i32,
    outcome: Result<(Hosted, Appended), Refused>,
    /// Told when this node does not lead the partition.
    leader: Option<LeaderIdAndEpoch>,
}

struct Topic {
    name: String,
    topic_id: TopicId,
    parts: Vec<Part>,
}

/// Appends what the request carries; the rest of the way is waiting.
pub(super) fn begin(broker: Arc<Broker>, call: Call, request: ProduceRequest) -> Waiting {
    let (acks, timeout_ms) = (request.acks, request.timeout_ms);
    let topics = append_all(&broker, &call, request);
    if acks == acks::NONE {
        return wait_unanswered(topics).boxed();
    }
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    async move { encode::<ProduceRequest>(&call, &answer(&broker, &call, topics, timeout).await) }.boxed()
}

/// With acks=0 nothing is answered, but the connection goes on no faster than its records are written.
async fn wait_unanswered(topics: Vec<Topic>) -> Result<Answer, RequestError> {
    for part in topics.into_iter().flat_map(|topic| topic.parts) {
        let (_, appended) = part.outcome.map_err(|_| RequestError::UnansweredProduceFailed)?;
        appended.durable().await.map_err(|_| RequestError::UnansweredProduceFailed)?;
    }
    Ok(Answer::None)
}

fn append_all(broker: &Broker, call: &Call, request: ProduceRequest) -> Vec<Topic> {
    let append = Append { broker, call, acks: request.acks, transactional: request.transactional_id.is_some() };
    let topics = request.topic_data.into_iter().map(|data| {
        let topic = if call.version() >= TOPIC_ID_FROM {
            TopicRef::Id(TopicId(data.topic_id))
        } else {
            TopicRef::Name(data.name.as_str().into())
        };
        let parts = data.partition_data.into_iter().map(|data| append.part(&topic, data)).collect();
        Topic { name: data.name, topic_id: TopicId(data.topic_id), parts }
    });
    topics.collect()
}

/// What all partitions of one request have in common.
struct Append<'a> {
    broker: &'a Broker,
    call: &'a Call,
    acks: i16,
    transactional: bool,
}

impl Append<'_> {
    fn part(&self, topic: &TopicRef, data: PartitionProduceData) -> Part {
        let index = data.index;
        match self.broker.partition(self.call.node(), topic, PartitionIndex(index)) {
            Ok(hosted) => {
                let appended = self.append(&hosted, data.records);
                Part { index, outcome: appended.map(|appended| (hosted, appended)), leader: None }
            }
            Err(error) => {
                let leader = error.leader().map(|(leader, epoch)| LeaderIdAndEpoch {
                    leader_id: leader.0,
                    leader_epoch: epoch.0,
                });
                Part { index, outcome: Err(lookup_error(&error).into()), leader }
            }
        }
    }

    fn append(&self, hosted: &Hosted, records: Option<Records>) -> Result<Appended, Refused> {
        let topic = &hosted.topic;
        if !matches!(self.acks, acks::NONE | acks::LEADER | acks::ALL) {
            return Err(ErrorCode::InvalidRequiredAcks.into());
        }
        if topic.is_internal && self.call.client_id() != ADMIN_CLIENT_ID {
            let message = format!("Cannot append to internal topic {}", topic.name);
            return Err(Refused::with_message(ErrorCode::InvalidTopicException, message));
        }
        if self.acks == acks::ALL && topic.min_insync_replicas > topic.replication_factor {
            return Err(ErrorCode::NotEnoughReplicas.into());
        }
        let batch = self.checked_batch(hosted, records)?;
        hosted.log.append([batch], AppendOrigin::Client, self.broker.now()).map_err(|error| append_error(&error))
    }

    /// The one batch of a partition's payload, as it is to be stored.
    fn checked_batch(&self, hosted: &Hosted, records: Option<Records>) -> Result<Batch, Refused> {
        let topic = &hosted.topic;
        let batch = self.only_batch(hosted, records.map(Records::into_contiguous).unwrap_or_default())?;
        // Transactions are not served yet: nobody can have begun one.
        if self.transactional || batch.header().attributes.is_transactional() {
            return Err(ErrorCode::InvalidTxnState.into());
        }
        let validated = validate_records(&batch, &topic.record_rules(self.broker.now()))
            .map_err(|error| validation_error(&error, &hosted.name()))?;
        let batch = match topic.compression {
            Some(compression) if compression.kind() != batch.header().compression() => {
                let recompressed = batch.recompressed(compression, RECOMPRESSED_BYTES_MAX).map_err(|error| {
                    Refused::with_message(ErrorCode::InvalidRecord, error.to_string())
                })?;
                check_size(hosted, &recompressed)?;
                recompressed
            }
            _ => batch,
        };
        let bytes = batch.bytes().len();
        if bytes > topic.log.segment_bytes as usize {
            let message = format!(
                "Message batch size is {bytes} bytes in append to partition {}, which exceeds the maximum configured segment size of {}.",
                hosted.name(),
                topic.log.segment_bytes
            );
            return Err(Refused::with_message(ErrorCode::RecordListTooLarge, message));
        }
        Ok(if batch.header().max_timestamp == validated.max_timestamp {
            batch
        } else {
            batch.with_head(|head| head.set_max_timestamp(validated.max_timestamp))
        })
    }

    /// The batch that a payload consists of. Kafka passes over the beginning of another one behind it, and looks at
    /// the size before the CRC.
    fn only_batch(&self, hosted: &Hosted, bytes: Bytes) -> Result<Batch, Refused> {
        if let Ok(framed) = Batch::framed(&bytes) {
            match Batch::framed(&bytes.slice(framed.bytes().len()..)) {
                Err(BatchError::Truncated { .. }) => {}
                Err(error) => return Err(batch_error(&error)),
                Ok(_) => {
                    let message = "Produce requests must have exactly one record batch per partition".to_owned();
                    return Err(Refused::with_message(ErrorCode::InvalidRecord, message));
                }
            }
            if framed.header().compression() == CompressionType::Zstd && self.call.version() < ZSTD_FROM {
                return Err(ErrorCode::UnsupportedCompressionType.into());
            }
            check_size(hosted, &framed)?;
        }
        Batch::parse(bytes).map(|(batch, _)| batch).map_err(|error| batch_error(&error))
    }
}

/// `max.message.bytes`.
fn check_size(hosted: &Hosted, batch: &Batch) -> Result<(), Refused> {
    let (bytes, bytes_max) = (batch.bytes().len(), hosted.topic.message_bytes_max);
    if bytes <= bytes_max {
        return Ok(());
    }
    let message = format!(
        "The record batch size in the append to {} is {bytes} bytes which exceeds the maximum configured value of {bytes_max}.",
        hosted.name()
    );
    Err(Refused::with_message(ErrorCode::MessageTooLarge, message))
}

impl Refused {
    pub(super) fn with_message(code: ErrorCode, message: String) -> Self {
        Self { code, message: Some(message), records: Vec::new() }
    }
}

async fn answer(broker: &Broker, call: &Call, topics: Vec<Topic>, timeout: Duration) -> ProduceResponse {
    let deadline = Instant::now() + timeout;
    let mut response = ProduceResponse::default();
    let mut leaders = BTreeSet::new();
    for topic in topics {
        let mut partition_responses = Vec::with_capacity(topic.parts.len());
        for part in topic.parts {
            let durable = match part.outcome {
                Ok((hosted, appended)) => durable(&appended, deadline).await.map(|()| (hosted, appended)),
                Err(refused) => Err(refused),
            };
            let leader = part.leader.filter(|_| call.version() >= CURRENT_LEADER_FROM);
            leaders.extend(leader.iter().map(|leader| leader.leader_id));
            partition_responses.push(part_response(part.index, durable, leader));
        }
        let (name, topic_id) = (topic.name, topic.topic_id.0);
        response.responses.push(TopicProduceResponse { name, topic_id, partition_responses });
    }
    let nodes = broker.nodes().leading(&leaders, &call.peer).map(|node| NodeEndpoint {
        node_id: node.id.0,
        host: node.host,
        port: node.port,
        rack: node.rack,
    });
    response.node_endpoints = nodes.collect();
    response
}

/// Waits until the batch is as durable as its topic asks, at most until the request's deadline.
async fn durable(appended: &Appended, deadline: Instant) -> Result<(), Refused> {
    match tokio::time::timeout_at(deadline, appended.durable()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(storage_error(&error).into()),
        Err(_) => Err(ErrorCode::RequestTimedOut.into()),
    }
}

fn part_response(
    index: i32,
    outcome: Result<(Hosted, Appended), Refused>,
    leader: Option<LeaderIdAndEpoch>,
) -> PartitionProduceResponse {
    let current_leader = leader.unwrap_or_default();
    match outcome {
        Ok((hosted, appended)) => PartitionProduceResponse {
            index,
            base_offset: appended.base_offset.0,
            log_append_time_ms: appended.log_append_time.unwrap_or(TimestampMs::NONE).0,
            log_start_offset: hosted.log.offsets().log_start.0,
            ..PartitionProduceResponse::default()
        },
        Err(refused) => PartitionProduceResponse {
            index,
            error_code: refused.code.code(),
            base_offset: -1,
            record_errors: refused.records,
            error_message: refused.message,
            current_leader,
            ..PartitionProduceResponse::default()
        },
    }
}

//! Fetch (1), versions 4–18: records from given offsets on, as they are stored.
//!
//! Answers at once when `min_bytes` are there or something is wrong, otherwise when they are or `max_wait_ms` have
//! passed. The first batch of the first partition that has one is sent whatever the limits (KIP-74). Sessions
//! (KIP-227) let requests and answers name only changes; topics are named by id from version 13 (KIP-516); a changed
//! leader is told (KIP-951).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use millstream_model::wire::Records;
use millstream_model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use millstream_protocol::ErrorCode;
use millstream_protocol::fetch::{
    AbortedTransaction, EpochEndOffset, FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse,
    LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use millstream_storage::{ReadUpto, Watch};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Call;
use super::errors::{lookup_error, read_error};
use crate::Broker;
use crate::fetch::sessions::{FetchKey, FetchPlan, SessionError, SessionRequest, Told, Wanted};
use crate::partitions::{Hosted, LookupError, TopicRef};

pub(crate) const VERSIONS: RangeInclusive<i16> = 4..=18;

/// First version that names topics by id.
const TOPIC_ID_FROM: i16 = 13;
/// First version that tells who leads instead.
const CURRENT_LEADER_FROM: i16 = 12;
/// First version that tells where that node is reached.
const NODE_ENDPOINTS_FROM: i16 = 16;
/// `isolation_level` of a consumer that reads only committed records.
const READ_COMMITTED: i8 = 1;

/// The limits that a request sets for its whole answer.
struct Limits {
    bytes_min: usize,
    bytes_max: usize,
    wait_max: Duration,
    read_up_to: ReadUpto,
}

/// What one pass over the partitions found.
struct Pass {
    read: Vec<(FetchKey, PartitionData)>,
    bytes: usize,
    /// Bytes that further partitions may give; none once a partition's next batch did not fit.
    room: usize,
    /// Something that the client should know at once.
    urgent: bool,
}

pub(crate) async fn handle(broker: &Broker, call: &Call, request: FetchRequest) -> FetchResponse {
    let (limits, session) = split(broker, call.version(), request);
    let plan = match broker.fetch_sessions().plan(session, std::time::Instant::now()) {
        Ok(plan) => plan,
        Err(error) => return FetchResponse { error_code: session_error(error).code(), ..FetchResponse::default() },
    };
    let pass = wait_for_data(broker, call, &plan, &limits).await;
    response(broker, call, &plan, pass)
}

fn split(broker: &Broker, version: i16, request: FetchRequest) -> (Limits, SessionRequest) {
    let read_up_to =
        if request.isolation_level == READ_COMMITTED { ReadUpto::LastStable } else { ReadUpto::HighWatermark };
    let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0).min(broker.settings().fetch_bytes_max);
    // The first batch is sent however little room is left for answers.
    let bytes_max = bytes_max.min(broker.answer_memory().free_bytes().max(1));
    let limits = Limits {
        // More than may be sent cannot be waited for.
        bytes_min: usize::try_from(request.min_bytes).unwrap_or(0).min(bytes_max),
        bytes_max,
        wait_max: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        read_up_to,
    };
    let topic_ref = |name: &str, id| {
        if version >= TOPIC_ID_FROM { TopicRef::Id(TopicId(id)) } else { TopicRef::Name(name.into()) }
    };
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let named = topic_ref(&topic.topic, topic.topic_id);
        wanted.extend(topic.partitions.iter().map(|partition| {
            let key = FetchKey { topic: named.clone(), partition: PartitionIndex(partition.partition) };
            (key, wanted_of(partition))
        }));
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let named = topic_ref(&topic.topic, topic.topic_id);
        let partitions = topic.partitions.iter();
        forgotten.extend(
            partitions.map(|&index| FetchKey { topic: named.clone(), partition: PartitionIndex(index) }),
        );
    }
    (limits, SessionRequest { id: request.session_id, epoch: request.session_epoch, wanted, forgotten })
}

fn wanted_of(partition: &FetchPartition) -> Wanted {
    Wanted {
        offset: Offset(partition.fetch_offset),
        leader_epoch: LeaderEpoch(partition.current_leader_epoch),
        last_fetched_epoch: LeaderEpoch(partition.last_fetched_epoch),
        bytes_max: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
    }
}

/// Reads until there is enough, something urgent, or the time is up.
async fn wait_for_data(broker: &Broker, call: &Call, plan: &FetchPlan, limits: &Limits) -> Pass {
    let deadline = Instant::now() + limits.wait_max;
    let news = Arc::new(Notify::new());
    let mut watches = None;
    loop {
        let pass = read_all(broker, call, plan, limits).await;
        // A full answer is not held back, also when the next batch does not fill it to the byte.
        if pass.urgent || pass.bytes >= limits.bytes_min || pass.room == 0 || Instant::now() >= deadline {
            return pass;
        }
        match &watches {
            // Once watched it is read again, so that an append in between is not missed.
            None => watches = Some(watch_all(broker, call, plan, &news)),
            // Whether news came or the time is up, the next pass answers with what there is.
            Some(_) => drop(tokio::time::timeout_at(deadline, news.notified()).await),
        }
    }
}

fn watch_all(broker: &Broker, call: &Call, plan: &FetchPlan, news: &Arc<Notify>) -> Vec<Watch> {
    let keys = plan.partitions.iter().map(|(key, _)| key);
    let hosted = keys.filter_map(|key| broker.partition(call.node(), &key.topic, key.partition).ok());
    hosted.map(|hosted| hosted.log.watch(news)).collect()
}

async fn read_all(broker: &Broker, call: &Call, plan: &FetchPlan, limits: &Limits) -> Pass {
    let mut pass = Pass {
        read: Vec::with_capacity(plan.partitions.len()),
        bytes: 0,
        room: limits.bytes_max,
        urgent: plan.partitions.is_empty(),
    };
    for (key, wanted) in &plan.partitions {
        let data = match broker.partition(call.node(), &key.topic, key.partition) {
            Ok(hosted) => read_partition(&hosted, wanted, limits, &mut pass).await,
            Err(error) => Err(error.into()),
        };
        let data = data.unwrap_or_else(|failure| {
            pass.urgent = true;
            failed_data(failure)
        });
        pass.urgent |= data.diverging_epoch != EpochEndOffset::default();
        pass.read.push((key.clone(), PartitionData { partition_index: key.partition.0, ..data }));
    }
    pass
}

/// Why a partition is not read.
struct Failure {
    code: ErrorCode,
    leader: Option<LeaderIdAndEpoch>,
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self { code, leader: None }
    }
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Self {
        let leader = error.leader();
        let leader = leader.map(|(leader, epoch)| LeaderIdAndEpoch { leader_id: leader.0, leader_epoch: epoch.0 });
        Self { code: lookup_error(&error), leader }
    }
}

fn failed_data(failure: Failure) -> PartitionData {
    PartitionData {
        error_code: failure.code.code(),
        high_watermark: -1,
        current_leader: failure.leader.unwrap_or_default(),
        records: Some(Records::default()),
        ..PartitionData::default()
    }
}

async fn read_partition(
    hosted: &Hosted,
    wanted: &Wanted,
    limits: &Limits,
    pass: &mut Pass,
) -> Result<PartitionData, Failure> {
    check_leader_epoch(wanted.leader_epoch, hosted.leader_epoch())?;
    if let Some(diverging) = diverging_epoch(hosted, wanted) {
        return Ok(PartitionData { diverging_epoch: diverging, ..described(hosted) });
    }
    let bytes_max = wanted.bytes_max.min(pass.room);
    let slice = hosted
        .log
        .read(wanted.offset, bytes_max, pass.bytes == 0, limits.read_up_to)
        .await
        .map_err(|error| Failure::from(read_error(&error)))?;
    let end = match limits.read_up_to {
        ReadUpto::HighWatermark => slice.offsets.high_watermark,
        ReadUpto::LastStable => slice.offsets.last_stable,
    };
    let cut = slice.records.is_empty() && wanted.offset < end && pass.room < wanted.bytes_max;
    pass.room = if cut { 0 } else { pass.room.saturating_sub(slice.bytes()) };
    pass.bytes += slice.bytes();
    let aborted = slice.aborted.iter().map(|aborted| AbortedTransaction {
        producer_id: aborted.producer_id.0,
        first_offset: aborted.first_offset.0,
    });
    let aborted_transactions =
        (limits.read_up_to == ReadUpto::LastStable).then(|| aborted.collect());
    Ok(PartitionData { aborted_transactions, records: Some(slice.records.into_iter().collect()), ..described(hosted) })
}

/// The offsets that every answer tells of a partition.
fn described(hosted: &Hosted) -> PartitionData {
    let offsets = hosted.log.offsets();
    PartitionData {
        high_watermark: offsets.high_watermark.0,
        last_stable_offset: offsets.last_stable.0,
        log_start_offset: offsets.log_start.0,
        records: Some(Records::default()),
        ..PartitionData::default()
    }
}

/// Whether the epoch that a client believes in is the current one (KIP-320); `NONE` from a client that does not say.
pub(super) fn check_leader_epoch(believed: LeaderEpoch, current: LeaderEpoch) -> Result<(), ErrorCode> {
    if believed == LeaderEpoch::NONE || believed == current {
        return Ok(());
    }
    Err(if believed < current { ErrorCode::FencedLeaderEpoch } else { ErrorCode::UnknownLeaderEpoch })
}

/// Where the log that the client read differs from this one, if it says what it read last (KIP-595).
fn diverging_epoch(hosted: &Hosted, wanted: &Wanted) -> Option<EpochEndOffset> {
    if wanted.last_fetched_epoch == LeaderEpoch::NONE {
        return None;
    }
    let (epoch, end) = hosted.log.end_of_epoch(wanted.last_fetched_epoch);
    (epoch < wanted.last_fetched_epoch || end < wanted.offset)
        .then_some(EpochEndOffset { epoch: epoch.0, end_offset: end.0 })
}

fn response(broker: &Broker, call: &Call, plan: &FetchPlan, pass: Pass) -> FetchResponse {
    let mut response = FetchResponse { session_id: plan.session_id, ..FetchResponse::default() };
    let mut topics: IndexMap<TopicRef, Vec<PartitionData>> = IndexMap::new();
    let mut leaders = BTreeSet::new();
    for (key, mut data) in pass.read {
        if call.version() < CURRENT_LEADER_FROM {
            data.current_leader = LeaderIdAndEpoch::default();
        }
        let told = Told {
            high_watermark: Offset(data.high_watermark),
            log_start: Offset(data.log_start_offset),
            failed: data.error_code != ErrorCode::None.code(),
            has_records: data.records.as_ref().is_some_and(|records| !records.is_empty()),
        };
        leaders.insert(data.current_leader.leader_id);
        if plan.must_tell(&key, told) {
            topics.entry(key.topic).or_default().push(data);
        }
    }
    let topics = topics.into_iter().map(|(topic, partitions)| match topic {
        TopicRef::Id(id) => FetchableTopicResponse { topic_id: id.0, partitions, ..FetchableTopicResponse::default() },
        TopicRef::Name(name) => {
            FetchableTopicResponse { topic: name.to_string(), partitions, ..FetchableTopicResponse::default() }
        }
    });
    response.responses = topics.collect();
    if call.version() >= NODE_ENDPOINTS_FROM {
        let nodes = broker.nodes().leading(&leaders, &call.peer).map(|node| NodeEndpoint {
            node_id: node.id.0,
            host: node.host,
            port: node.port,
            rack: node.rack,
        });
        response.node_endpoints = nodes.collect();
    }
    response
}

fn session_error(error: SessionError) -> ErrorCode {
    match error {
        SessionError::IdNotFound => ErrorCode::FetchSessionIdNotFound,
        SessionError::InvalidEpoch => ErrorCode::InvalidFetchSessionEpoch,
        SessionError::TopicIdMismatch => ErrorCode::FetchSessionTopicIdError,
    }
}

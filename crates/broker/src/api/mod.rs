//! Kafka's requests: one file per API key. Here they are told apart, decoded, handed to their file and the answers
//! encoded. Called by the connection.
//!
//! A handler authorises, asks the owner of the state, and builds the answer; every error has become a Kafka code
//! before it returns. ApiVersions advertises exactly the `VERSIONS` of the files listed here.

mod call;
mod config_changes;
mod config_entries;
mod errors;
mod operations;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use millstream_protocol::{
    ApiKey, Decode, DecodeError, Decoder, Encode, EncodeError, Frame, HeaderError, Request, RequestHeader,
    frame_response,
};

pub(crate) use call::Call;

use crate::Broker;
use crate::server::Peer;

/// Why a request ends its connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("a request's header: {0}")]
    Header(#[from] HeaderError),
    #[error("{api:?} is not served")]
    UnservedApi { api: ApiKey },
    #[error("{api:?} version {version} is not served; {} to {} are", served.start(), served.end())]
    UnsupportedVersion { api: ApiKey, version: i16, served: RangeInclusive<i16> },
    #[error("malformed {api:?} version {version}: {source}")]
    Malformed { api: ApiKey, version: i16, source: DecodeError },
    #[error("the answer to {api:?} version {version} cannot be written: {source}")]
    Unwritable { api: ApiKey, version: i16, source: EncodeError },
    #[error("the broker is stopping")]
    Stopping,
    #[error("a Produce with acks=0 failed, and closing the connection is the only way to say so")]
    UnansweredProduceFailed,
}

/// What goes back to the peer.
#[derive(Debug)]
pub(crate) enum Answer {
    Frame(Frame),
    /// A Produce with acks=0 has no answer.
    None,
}

/// An answer to come.
type Waiting = BoxFuture<'static, Result<Answer, RequestError>>;

/// A request that was begun: answered, or with its answer to come.
pub(crate) enum Begun {
    Answered(Answer),
    Waiting(Waiting),
}

/// Declares the served APIs: their files, what ApiVersions advertises, and the way from key to handler.
macro_rules! served {
    ($($key:ident => $file:ident),* $(,)?) => {
        $(mod $file;)*
        mod produce;

        /// Every served API with its versions, in the order of the keys.
        pub(crate) fn served() -> Vec<(ApiKey, RangeInclusive<i16>)> {
            let mut served = vec![(ApiKey::Produce, produce::ADVERTISED), $((ApiKey::$key, $file::VERSIONS)),*];
            served.sort_by_key(|(key, _)| key.code());
            served
        }

        fn versions_of(api: ApiKey) -> Option<RangeInclusive<i16>> {
            match api {
                ApiKey::Produce => Some(produce::VERSIONS),
                $(ApiKey::$key => Some($file::VERSIONS),)*
                _ => None,
            }
        }

        async fn serve(broker: Arc<Broker>, call: Call, body: Decoder) -> Result<Answer, RequestError> {
            match call.header.api_key {
                $(ApiKey::$key => answer(&call, body, |request| $file::handle(&broker, &call, request)).await,)*
                api => Err(RequestError::UnservedApi { api }),
            }
        }
    };
}

served! {
    Fetch => fetch,
    ListOffsets => list_offsets,
    Metadata => metadata,
    OffsetCommit => offset_commit,
    OffsetFetch => offset_fetch,
    FindCoordinator => find_coordinator,
    JoinGroup => join_group,
    Heartbeat => heartbeat,
    LeaveGroup => leave_group,
    SyncGroup => sync_group,
    DescribeGroups => describe_groups,
    ListGroups => list_groups,
    ApiVersions => api_versions,
    CreateTopics => create_topics,
    DeleteTopics => delete_topics,
    DeleteRecords => delete_records,
    InitProducerId => init_producer_id,
    OffsetForLeaderEpoch => offset_for_leader_epoch,
    DescribeConfigs => describe_configs,
    AlterConfigs => alter_configs,
    DescribeLogDirs => describe_log_dirs,
    CreatePartitions => create_partitions,
    DeleteGroups => delete_groups,
    IncrementalAlterConfigs => incremental_alter_configs,
    ListPartitionReassignments => list_partition_reassignments,
    OffsetDelete => offset_delete,
    DescribeCluster => describe_cluster,
    DescribeTopicPartitions => describe_topic_partitions,
}

/// Whether the request in this frame may be begun while others of its connection wait for their answers.
pub(crate) fn overlaps(frame: &[u8]) -> bool {
    frame.first_chunk().is_some_and(|key| i16::from_be_bytes(*key) == ApiKey::Produce.code())
}

/// Whether a request changes the catalog: it is carried out to the end even if its peer goes away meanwhile, because
/// what follows from a change (logs deleted, configs applied) must follow.
fn changes_catalog(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
    )
}

/// Begins one request: what must happen in order happens before this returns.
pub(crate) fn begin(broker: &Arc<Broker>, peer: &Arc<Peer>, frame: Bytes) -> Result<Begun, RequestError> {
    let bytes = frame.len();
    let mut body = Decoder::new(frame);
    let header = RequestHeader::decode(&mut body)?;
    let (api, version) = (header.api_key, header.api_version);
    let served = versions_of(api).ok_or(RequestError::UnservedApi { api })?;
    let call = Call { header, peer: Arc::clone(peer) };
    if !served.contains(&version) {
        return match api {
            ApiKey::ApiVersions => api_versions::answer_to_unknown_version(&call).map(Begun::Answered),
            _ => Err(RequestError::UnsupportedVersion { api, version, served }),
        };
    }
    broker.metrics().request_begun(api, bytes);
    let answer = if api == ApiKey::Produce {
        let request = decode(&call, body)?;
        produce::begin(Arc::clone(broker), call, request)
    } else if changes_catalog(api) {
        let tasks = broker.tasks().clone();
        let work = serve(Arc::clone(broker), call, body);
        async move { tasks.complete(work).await.unwrap_or(Err(RequestError::Stopping)) }.boxed()
    } else {
        serve(Arc::clone(broker), call, body).boxed()
    };
    let (broker, begun) = (Arc::clone(broker), Instant::now());
    let timed = answer.inspect(move |_| broker.metrics().request_answered(api, begun.elapsed()));
    Ok(Begun::Waiting(timed.boxed()))
}

async fn answer<R, A>(call: &Call, body: Decoder, handle: impl FnOnce(R) -> A) -> Result<Answer, RequestError>
where
    R: Request<Response: Encode> + Decode,
    A: Future<Output = R::Response>,
{
    let request = decode(call, body)?;
    encode::<R>(call, &handle(request).await)
}

fn decode<R: Decode>(call: &Call, mut body: Decoder) -> Result<R, RequestError> {
    let (api, version) = (call.header.api_key, call.version());
    // Bytes behind the request are passed over, as Kafka does.
    R::decode(&mut body, version).map_err(|source| RequestError::Malformed { api, version, source })
}

fn encode<R: Request<Response: Encode>>(call: &Call, response: &R::Response) -> Result<Answer, RequestError> {
    encode_version::<R>(call, response, call.version())
}

fn encode_version<R: Request<Response: Encode>>(
    call: &Call,
    response: &R::Response,
    version: i16,
) -> Result<Answer, RequestError> {
    frame_response::<R>(response, version, call.header.correlation_id)
        .map(Answer::Frame)
        .map_err(|source| RequestError::Unwritable { api: R::API_KEY, version, source })
}

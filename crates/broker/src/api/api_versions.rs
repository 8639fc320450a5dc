//! ApiVersions (18), versions 0–5: what this broker serves, no more and no less. Its answer's header is always of
//! version 0, since the client does not know yet what the broker speaks; a version that is not served is answered in
//! version 0 with error 35, so that the client can ask again (KIP-511). From version 5 a client may say which cluster and
//! node it means to reach; at another it is told to begin again from its bootstrap servers (KIP-1242).

use std::ops::RangeInclusive;

use millstream_protocol::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use millstream_protocol::{ApiKey, ErrorCode};

use super::{Answer, Call, RequestError, encode_version, served};
use crate::Broker;
use crate::server::ClientSoftware;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=5;

/// First version in which the client says what it is.
const SOFTWARE_FROM: i16 = 3;
/// Node id of a client that does not say which node it means.
const ANY_NODE: i32 = -1;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: ApiVersionsRequest) -> ApiVersionsResponse {
    let refused = |error: ErrorCode| ApiVersionsResponse { error_code: error.code(), ..ApiVersionsResponse::default() };
    // Both or neither are given; before version 5 neither.
    if request.cluster_id.is_some() != (request.node_id != ANY_NODE) {
        return refused(ErrorCode::InvalidRequest);
    }
    if call.version() >= SOFTWARE_FROM {
        let (name, version) = (request.client_software_name, request.client_software_version);
        if !is_software_text(&name) || !is_software_text(&version) {
            return refused(ErrorCode::InvalidRequest);
        }
        let _ = call.peer.software.set(ClientSoftware { name, version });
    }
    match request.cluster_id {
        Some(cluster_id) if cluster_id != broker.cluster_id() || request.node_id != call.node().0 => {
            refused(ErrorCode::RebootstrapRequired)
        }
        _ => ApiVersionsResponse { api_keys: api_keys(), ..ApiVersionsResponse::default() },
    }
}

/// The answer, in version 0, to a request in a version that is not served: its body cannot be read. It names this API
/// alone, as Kafka's does.
pub(super) fn answer_to_unknown_version(call: &Call) -> Result<Answer, RequestError> {
    let error_code = ErrorCode::UnsupportedVersion.code();
    let api_keys = vec![advertised(ApiKey::ApiVersions, VERSIONS)];
    let response = ApiVersionsResponse { error_code, api_keys, ..ApiVersionsResponse::default() };
    encode_version::<ApiVersionsRequest>(call, &response, 0)
}

fn api_keys() -> Vec<ApiVersion> {
    served().into_iter().map(|(api, versions)| advertised(api, versions)).collect()
}

fn advertised(api: ApiKey, versions: RangeInclusive<i16>) -> ApiVersion {
    ApiVersion { api_key: api.code(), min_version: *versions.start(), max_version: *versions.end() }
}

/// Letters and digits, with `-` and `.` between them (KIP-511).
fn is_software_text(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
}

//! ApiVersions (18), versions 0–5: what this broker serves, no more and no less. Its answer's header is always of
//! version 0, since the client does not know yet what the broker speaks; a version that is not served is answered in
//! version 0 with error 35, so that the client can ask again (KIP-511).

use std::ops::RangeInclusive;

use millstream_protocol::ErrorCode;
use millstream_protocol::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};

use super::{Answer, Call, RequestError, encode_version, served};
use crate::Broker;
use crate::server::ClientSoftware;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=5;

/// First version in which the client says what it is.
const SOFTWARE_FROM: i16 = 3;

pub(crate) async fn handle(_broker: &Broker, call: &Call, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if call.version() >= SOFTWARE_FROM {
        let (name, version) = (request.client_software_name, request.client_software_version);
        if !is_software_text(&name) || !is_software_text(&version) {
            return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.code(), ..ApiVersionsResponse::default() };
        }
        let _ = call.peer.software.set(ClientSoftware { name, version });
    }
    ApiVersionsResponse { api_keys: api_keys(), ..ApiVersionsResponse::default() }
}

/// The answer, in version 0, to a request in a version that is not served: its body cannot be read.
pub(super) fn answer_to_unknown_version(call: &Call) -> Result<Answer, RequestError> {
    let error_code = ErrorCode::UnsupportedVersion.code();
    let response = ApiVersionsResponse { error_code, api_keys: api_keys(), ..ApiVersionsResponse::default() };
    encode_version::<ApiVersionsRequest>(call, &response, 0)
}

fn api_keys() -> Vec<ApiVersion> {
    let versions = served().into_iter().map(|(api, versions)| ApiVersion {
        api_key: api.code(),
        min_version: *versions.start(),
        max_version: *versions.end(),
    });
    versions.collect()
}

/// Letters and digits, with `-` and `.` between them (KIP-511).
fn is_software_text(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
}

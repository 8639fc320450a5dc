//! kafka-protocol 0.18.0, generated from the definitions of Kafka 4.1.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};

pub(crate) fn rewrite(name: &str, version: i16, bytes: &Bytes) -> Option<Result<Bytes, String>> {
    let is_request = name.ends_with("Request");
    let api = name.strip_suffix(if is_request { "Request" } else { "Response" })?;
    let ours = millstream_protocol::ApiKey::all().find(|key| key.name() == api)?;
    let key = ApiKey::try_from(ours.code()).ok()?;
    let known = key.valid_versions();
    if !(known.min..=known.max).contains(&version) {
        return None;
    }
    Some(if is_request { request(key, version, bytes) } else { response(key, version, bytes) })
}

fn request(key: ApiKey, version: i16, bytes: &Bytes) -> Result<Bytes, String> {
    let mut written = BytesMut::new();
    RequestKind::decode(key, &mut bytes.clone(), version)
        .and_then(|message| message.encode(&mut written, version))
        .map_err(|error| format!("{error:#}"))?;
    Ok(written.freeze())
}

fn response(key: ApiKey, version: i16, bytes: &Bytes) -> Result<Bytes, String> {
    let mut written = BytesMut::new();
    ResponseKind::decode(key, &mut bytes.clone(), version)
        .and_then(|message| message.encode(&mut written, version))
        .map_err(|error| format!("{error:#}"))?;
    Ok(written.freeze())
}

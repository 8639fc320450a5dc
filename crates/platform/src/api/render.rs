//! Answers: objects and lists as JSON or as a Table, whichever the client asked for; `Status` for failures;
//! `Warning` headers (RFC 7234, code 299) for what the writer should hear.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::path::Parameters;
use crate::error::ApiError;
use crate::kinds::Kind;
use crate::table::{IncludeObject, Printer};

/// Warnings sent with one answer, and the length of each.
const WARNINGS_MAX: usize = 16;
const WARNING_BYTES_MAX: usize = 512;

/// Whether and how the client wants a Table.
pub(super) fn wanted_table(accept: &str, parameters: &Parameters) -> Option<IncludeObject> {
    let first = accept.split(',').map(str::trim).find(|entry| entry.starts_with("application/json"))?;
    (first.contains("as=Table") && first.contains("v=v1")).then(|| match parameters.text("includeObject") {
        "None" => IncludeObject::None,
        "Object" => IncludeObject::Object,
        _ => IncludeObject::Metadata,
    })
}

/// `object` as seen at `version` of its kind.
pub(super) fn at_version(object: &Value, kind: &Kind, version: &str) -> Value {
    let mut seen = object.clone();
    seen["apiVersion"] = kind.api_version(version).into();
    seen["kind"] = kind.kind.into();
    seen
}

/// The `List` of `objects`.
pub(super) fn list(objects: Vec<Value>, kind: &Kind, version: &str, resource_version: u64) -> Value {
    json!({
        "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(version),
        "metadata": { "resourceVersion": resource_version.to_string() }, "items": objects,
    })
}

/// One object, as JSON or as a Table of one row.
pub(super) fn one(
    object: &Value,
    kind: &'static Kind,
    version: &str,
    table: Option<IncludeObject>,
    now: jiff::Timestamp,
) -> Value {
    let seen = at_version(object, kind, version);
    match table {
        None => seen,
        Some(include) => {
            let resource_version = crate::object::text(&seen, "/metadata/resourceVersion").to_owned();
            Printer::new(kind, version).table(&[seen], include, &resource_version, now, true)
        }
    }
}

/// An answer with a JSON body.
pub(super) fn json_response(
    code: u16,
    content_type: &'static str,
    body: &Value,
    warnings: &[String],
) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    for warning in warnings.iter().take(WARNINGS_MAX) {
        let printable: String = warning.chars().filter(|symbol| !symbol.is_control()).take(WARNING_BYTES_MAX).collect();
        let quoted = printable.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            headers.append(header::WARNING, value);
        }
    }
    response
}

/// A failure as a `Status`.
pub(super) fn failure(error: &ApiError) -> Response<Body> {
    json_response(error.code, "application/json", &error.to_status(), &[])
}

//! OpenAPI v3, as far as clients need it: kubectl looks there whether a kind's PATCH takes `fieldValidation` (and then
//! leaves validation to the server), and `kubectl explain` reads the schemas of Strimzi's kinds.
//!
//! Built-in kinds are described without `strategic-merge-patch` among the patch formats, although it is served: kubectl
//! would then expect merge keys in the schema, instead of taking those it was built with.

use axum::body::Body;
use http::{HeaderValue, Response, header};
use serde_json::{Map, Value, json};

use crate::kinds::{KINDS, Kind, groups};
use crate::strimzi;

/// `GET /openapi/v2`: kubectl falls back to it, in protobuf only, for kinds that version 3 does not describe, such as `List`.
/// The empty document is valid and says that nothing is described: validation then is the server's.
pub(super) fn empty_version_2() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let content_type = HeaderValue::from_static("application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// `GET /openapi/v3`: where each group version's document is.
pub(super) fn index() -> Value {
    let entry = |path: &str| (path.to_owned(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}") }));
    let mut paths: Map<String, Value> = [entry("api/v1")].into_iter().collect();
    for (group, versions) in groups() {
        paths.extend(versions.iter().map(|version| entry(&format!("apis/{group}/{version}"))));
    }
    json!({ "paths": paths })
}

/// `GET /openapi/v3/api/v1` or `/openapi/v3/apis/GROUP/VERSION`.
pub(super) fn document(group: &str, version: &str) -> Option<Value> {
    let kinds: Vec<&Kind> =
        KINDS.iter().copied().filter(|kind| kind.group == group && kind.versions.contains(&version)).collect();
    if kinds.is_empty() {
        return None;
    }
    let paths: Map<String, Value> = kinds.iter().map(|kind| (path(kind, version), operations(kind, version))).collect();
    let schemas: Map<String, Value> =
        kinds.iter().map(|kind| (schema_name(kind, version), schema(kind, version))).collect();
    Some(json!({
        "openapi": "3.0.0", "info": { "title": "Kubernetes", "version": "v1.33.0" },
        "paths": paths, "components": { "schemas": schemas },
    }))
}

fn path(kind: &Kind, version: &str) -> String {
    let root =
        if kind.group.is_empty() { format!("/api/{version}") } else { format!("/apis/{}/{version}", kind.group) };
    let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    format!("{root}{scope}/{}/{{name}}", kind.plural)
}

fn schema_name(kind: &Kind, version: &str) -> String {
    let group = if kind.group.is_empty() { "core" } else { kind.group };
    format!("{group}.{version}.{}", kind.kind)
}

fn group_version_kind(kind: &Kind, version: &str) -> Value {
    json!({ "group": kind.group, "version": version, "kind": kind.kind })
}

fn operations(kind: &Kind, version: &str) -> Value {
    let reference = json!({ "$ref": format!("#/components/schemas/{}", schema_name(kind, version)) });
    let content = json!({ "application/json": { "schema": reference } });
    let of = |action: &str| {
        json!({
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": group_version_kind(kind, version),
            "responses": { "200": { "description": "OK", "content": content } },
        })
    };
    let mut operations = json!({ "get": of("get") });
    if kind.writable {
        let mut patch = of("patch");
        let body = json!({ "schema": { "type": "object" } });
        patch["requestBody"] = json!({ "required": true, "content": {
            "application/json-patch+json": body, "application/merge-patch+json": body,
        } });
        let parameter =
            |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string", "uniqueItems": true } });
        patch["parameters"] = json!([parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")]);
        operations["patch"] = patch;
        operations["put"] = of("put");
        operations["delete"] = of("delete");
    }
    operations
}

fn schema(kind: &Kind, version: &str) -> Value {
    let mut schema =
        if kind.is_custom() { strimzi::open_api_schema(kind, version) } else { json!({ "type": "object" }) };
    schema["x-kubernetes-group-version-kind"] = json!([group_version_kind(kind, version)]);
    schema
}

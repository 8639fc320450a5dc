//! Requests on collections and objects, other than watches and logs.

use axum::body::Body;
use http::{Method, Response, header};
use serde_json::{Value, json};

use super::path::{Parameters, ResourcePath, Subresource};
use super::{Inner, Received, render};
use crate::error::ApiError;
use crate::kinds::{CUSTOM_RESOURCE_DEFINITION, Kind};
use crate::object::{self, integer, text, text_map};
use crate::resources::{
    DeleteOptions, FieldValidation, Part, PatchKind, Propagation, Removed, Target, WriteOptions, Written,
};
use crate::selector::Selector;
use crate::strimzi;
use crate::table::Printer;

const PATCH_TYPES: &str =
    "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json";

pub(super) fn selector(path: &ResourcePath, parameters: &Parameters) -> Result<Selector, ApiError> {
    Selector::parse(path.kind, parameters.text("labelSelector"), parameters.text("fieldSelector"))
}

fn target(path: &ResourcePath) -> Target {
    Target {
        kind: path.kind,
        version: path.version,
        namespace: path.namespace.clone().unwrap_or_default(),
        name: path.name.clone().unwrap_or_default(),
    }
}

/// GET of a collection or an object; never waits for the disk.
pub(super) fn read(
    inner: &Inner,
    path: &ResourcePath,
    parameters: &Parameters,
    request: &Received,
) -> Result<Response<Body>, ApiError> {
    let table = render::wanted_table(request.header(header::ACCEPT), parameters);
    let now = inner.resources.store.clock().now();
    if path.name.is_none() {
        let (objects, version) = listing(inner, path, &selector(path, parameters)?);
        let body = match table {
            None => render::list(objects, path.kind, path.version, version),
            Some(include) => {
                Printer::new(path.kind, path.version).table(&objects, include, &version.to_string(), now, true)
            }
        };
        return Ok(render::json_response(200, "application/json", &body, &[]));
    }
    let object = if path.kind == &CUSTOM_RESOURCE_DEFINITION {
        let name = path.name.as_deref().unwrap_or_default();
        let found = definitions().into_iter().find(|definition| object::name(definition) == name);
        found.ok_or_else(|| ApiError::not_found(path.kind, name))?
    } else {
        inner.resources.get(&target(path))?.as_ref().clone()
    };
    let body = match path.subresource {
        Some(Subresource::Scale) => scale_of(&object),
        _ => render::one(&object, path.kind, path.version, table, now),
    };
    Ok(render::json_response(200, "application/json", &body, &[]))
}

fn listing(inner: &Inner, path: &ResourcePath, selector: &Selector) -> (Vec<Value>, u64) {
    if path.kind == &CUSTOM_RESOURCE_DEFINITION {
        let definitions = definitions().into_iter().filter(|definition| selector.matches(definition));
        return (definitions.collect(), inner.resources.store.version());
    }
    let listing = inner.resources.store.list(path.kind, path.namespace.as_deref());
    let selected = listing.objects.iter().filter(|(_, object)| selector.matches(object));
    let objects = selected.map(|(_, object)| render::at_version(object, path.kind, path.version)).collect();
    (objects, listing.version)
}

fn definitions() -> Vec<Value> {
    strimzi::DEFINITIONS.iter().map(strimzi::Definition::to_value).collect()
}

/// POST, PUT, PATCH, DELETE; blocks on the disk.
pub(super) fn write(
    inner: &Inner,
    path: &ResourcePath,
    parameters: &Parameters,
    request: &Received,
) -> Result<Response<Body>, ApiError> {
    if !path.kind.writable {
        return Err(ApiError::method_not_allowed());
    }
    let options = write_options(parameters)?;
    match (&request.method, &path.name, path.subresource) {
        (&Method::POST, None, None) => {
            let target = create_target(path)?;
            let written = inner.resources.create(&target, parse_body(request)?, options)?;
            Ok(answer(inner, path, request, parameters, 201, &written))
        }
        (&Method::PUT | &Method::PATCH, Some(_), Some(Subresource::Scale)) => scale(inner, path, request, options),
        (&Method::PUT, Some(_), _) => {
            let part = part(path);
            let written = inner.resources.replace(&target(path), part, parse_body(request)?, options)?;
            Ok(answer(inner, path, request, parameters, 200, &written))
        }
        (&Method::PATCH, Some(_), _) => {
            let kind = patch_kind(request)?;
            let written = inner.resources.patch(&target(path), part(path), kind, &parse_body(request)?, options)?;
            Ok(answer(inner, path, request, parameters, 200, &written))
        }
        (&Method::DELETE, Some(_), None) => delete(inner, path, parameters, request, options),
        (&Method::DELETE, None, None) => delete_collection(inner, path, parameters, request, options),
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn create_target(path: &ResourcePath) -> Result<Target, ApiError> {
    if path.kind.namespaced && path.namespace.is_none() {
        return Err(ApiError::bad_request("an empty namespace may not be set during creation"));
    }
    Ok(target(path))
}

fn part(path: &ResourcePath) -> Part {
    if path.subresource == Some(Subresource::Status) { Part::Status } else { Part::Main }
}

fn write_options(parameters: &Parameters) -> Result<WriteOptions, ApiError> {
    let dry_run = match parameters.text("dryRun") {
        "" => false,
        "All" => true,
        other => return Err(ApiError::bad_request(format!("Invalid value: {other:?}: dryRun is All or not set"))),
    };
    let field_validation = match parameters.text("fieldValidation") {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            let message = format!("invalid value {other:?}: fieldValidation is one of Ignore, Warn, Strict");
            return Err(ApiError::bad_request(message));
        }
    };
    Ok(WriteOptions { dry_run, field_validation })
}

fn parse_body(request: &Received) -> Result<Value, ApiError> {
    let content_type = request.header(header::CONTENT_TYPE);
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    match essence {
        ""
        | "application/json"
        | "application/json-patch+json"
        | "application/merge-patch+json"
        | "application/strategic-merge-patch+json" => serde_json::from_slice(&request.body)
            .map_err(|error| ApiError::bad_request(format!("the body of the request is not JSON: {error}"))),
        _ => Err(ApiError::unsupported_media_type("application/json")),
    }
}

fn patch_kind(request: &Received) -> Result<PatchKind, ApiError> {
    match request.header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => Ok(PatchKind::Json),
        "application/merge-patch+json" => Ok(PatchKind::Merge),
        "application/strategic-merge-patch+json" => Ok(PatchKind::Strategic),
        _ => Err(ApiError::unsupported_media_type(PATCH_TYPES)),
    }
}

fn answer(
    inner: &Inner,
    path: &ResourcePath,
    request: &Received,
    parameters: &Parameters,
    code: u16,
    written: &Written,
) -> Response<Body> {
    let table = render::wanted_table(request.header(header::ACCEPT), parameters);
    let body = render::one(&written.object, path.kind, path.version, table, inner.resources.store.clock().now());
    render::json_response(code, "application/json", &body, &written.warnings)
}

fn delete_options(
    parameters: &Parameters,
    request: &Received,
    options: WriteOptions,
) -> Result<DeleteOptions, ApiError> {
    let body = if request.body.is_empty() { json!({}) } else { parse_body(request)? };
    let policy = match text(&body, "/propagationPolicy") {
        "" => parameters.text("propagationPolicy"),
        policy => policy,
    };
    let propagation = match policy {
        "" | "Background" => Propagation::Background,
        "Foreground" => Propagation::Foreground,
        "Orphan" => Propagation::Orphan,
        other => return Err(ApiError::bad_request(format!("invalid propagationPolicy {other:?}"))),
    };
    let asked = parameters.number("gracePeriodSeconds")?.and_then(|seconds| i64::try_from(seconds).ok());
    let precondition = |pointer| Some(text(&body, pointer)).filter(|found| !found.is_empty()).map(str::to_owned);
    Ok(DeleteOptions {
        grace_seconds: integer(&body, "/gracePeriodSeconds").or(asked),
        propagation,
        uid: precondition("/preconditions/uid"),
        resource_version: precondition("/preconditions/resourceVersion"),
        dry_run: options.dry_run || body.pointer("/dryRun/0").is_some(),
    })
}

fn delete(
    inner: &Inner,
    path: &ResourcePath,
    parameters: &Parameters,
    request: &Received,
    options: WriteOptions,
) -> Result<Response<Body>, ApiError> {
    let options = delete_options(parameters, request, options)?;
    let body = match inner.resources.delete(&target(path), &options)? {
        Removed::Marked(object) => render::at_version(&object, path.kind, path.version),
        Removed::Gone(object) => json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details(path.kind, &object),
        }),
    };
    Ok(render::json_response(200, "application/json", &body, &[]))
}

fn details(kind: &Kind, object: &Value) -> Value {
    let mut details = json!({ "name": object::name(object), "kind": kind.plural, "uid": object::uid(object) });
    if !kind.group.is_empty() {
        details["group"] = kind.group.into();
    }
    details
}

fn delete_collection(
    inner: &Inner,
    path: &ResourcePath,
    parameters: &Parameters,
    request: &Received,
    options: WriteOptions,
) -> Result<Response<Body>, ApiError> {
    let options = delete_options(parameters, request, options)?;
    let (objects, version) = listing(inner, path, &selector(path, parameters)?);
    for object in &objects {
        let target = Target {
            namespace: object::namespace(object).to_owned(),
            name: object::name(object).to_owned(),
            ..target(path)
        };
        match inner.resources.delete(&target, &options) {
            Err(error) if error.code != 404 => return Err(error),
            _ => {}
        }
    }
    let body = render::list(objects, path.kind, path.version, version);
    Ok(render::json_response(200, "application/json", &body, &[]))
}

/// The `Scale` view of a replicated object.
fn scale_of(object: &Value) -> Value {
    let selector =
        object.pointer("/spec/selector/matchLabels").map_or("/spec/selector", |_| "/spec/selector/matchLabels");
    let selector: Vec<String> =
        text_map(object, selector).iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut metadata = json!({});
    for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata[name] = object["metadata"][name].clone();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": { "replicas": integer(object, "/spec/replicas").unwrap_or(0) },
        "status": {
            "replicas": integer(object, "/status/replicas").unwrap_or(0), "selector": selector.join(","),
        },
    })
}

fn scale(
    inner: &Inner,
    path: &ResourcePath,
    request: &Received,
    options: WriteOptions,
) -> Result<Response<Body>, ApiError> {
    let body = parse_body(request)?;
    let wanted = if request.method == Method::PATCH && patch_kind(request)? == PatchKind::Json {
        let current = scale_of(&inner.resources.get(&target(path))?.as_ref().clone());
        crate::patch::json(current, &body).map_err(ApiError::bad_request)?
    } else {
        body
    };
    let Some(replicas) = integer(&wanted, "/spec/replicas") else {
        return Err(ApiError::bad_request(
            "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas is needed",
        ));
    };
    let mut patch = json!({ "spec": { "replicas": replicas } });
    let version = text(&wanted, "/metadata/resourceVersion");
    if !version.is_empty() {
        patch["metadata"] = json!({ "resourceVersion": version });
    }
    let written = inner.resources.patch(&target(path), Part::Main, PatchKind::Merge, &patch, options)?;
    Ok(render::json_response(200, "application/json", &scale_of(&written.object), &written.warnings))
}

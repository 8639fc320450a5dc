//! From a body off the wire to an object that may be stored: identity, schema, defaults, the rules of its kind.

use serde_json::{Value, json};

use super::{FieldValidation, Target, metadata, network, workloads};
use crate::error::{ApiError, Cause};
use crate::kinds::Kind;
use crate::object::{self, field_mut, metadata_mut, text};
use crate::schema::{self, Findings};
use crate::unserved;

/// Characters of a generated name's end; those that cannot form words.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Checks that `object` is what the path says, and completes namespace and name.
pub(super) fn check_identity(target: &Target, object: &mut Value) -> Result<(), ApiError> {
    if !object.is_object() {
        return Err(ApiError::bad_request("the body of the request is not a JSON object"));
    }
    let (api_version, kind) = (text(object, "/apiVersion").to_owned(), text(object, "/kind").to_owned());
    let expected = target.kind.api_version(target.version);
    if api_version.is_empty() && kind.is_empty() {
        object["apiVersion"] = expected.into();
        object["kind"] = target.kind.kind.into();
    } else if api_version != expected || kind != target.kind.kind {
        return Err(ApiError::bad_request(format!(
            "{kind} in version {api_version:?} cannot be handled as a {}: expected apiVersion {expected:?}",
            target.kind.kind
        )));
    }
    if object.get("metadata").is_some_and(|metadata| !metadata.is_object() && !metadata.is_null()) {
        return Err(decode_error(target.kind, target.version, "metadata: expected an object"));
    }
    let said = text(object, "/metadata/namespace").to_owned();
    if target.kind.namespaced {
        if said.is_empty() {
            metadata_mut(object).insert("namespace".to_owned(), target.namespace.clone().into());
        } else if said != target.namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    } else {
        metadata_mut(object).shift_remove("namespace");
    }
    complete_name(target, object)
}

fn complete_name(target: &Target, object: &mut Value) -> Result<(), ApiError> {
    let name = object::name(object).to_owned();
    if !target.name.is_empty() && !name.is_empty() && name != target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    if !name.is_empty() {
        return Ok(());
    }
    let prefix = text(object, "/metadata/generateName").to_owned();
    let completed = if !target.name.is_empty() {
        target.name.clone()
    } else if !prefix.is_empty() {
        format!("{prefix}{}", random_suffix())
    } else {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(ApiError::invalid(target.kind, "", &[cause]));
    };
    metadata_mut(object).insert("name".to_owned(), completed.into());
    Ok(())
}

/// Five characters as Kubernetes appends them to `generateName`.
fn random_suffix() -> String {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    let pick = |byte: &u8| char::from(SUFFIX_ALPHABET[usize::from(*byte) % SUFFIX_ALPHABET.len()]);
    bytes[..5].iter().map(pick).collect()
}

/// Prunes, defaults and validates `object`; `current` is what it replaces. Returns warnings for the writer.
pub(super) fn admit(
    target: &Target,
    object: &mut Value,
    current: Option<&Value>,
    field_validation: FieldValidation,
) -> Result<Vec<String>, ApiError> {
    let kind = target.kind;
    let mut findings = Findings::default();
    let given_status = object.get("status").cloned();
    schema::of(kind, target.version).admit(object, "", &mut findings);
    if given_status.is_some() && current.is_none() && kind.has_status {
        // The status of a new object is the server's; what a manifest says there is dropped, mistakes included.
        findings.causes.retain(|cause| !cause.field.starts_with("status"));
        findings.unknown.retain(|path| !path.starts_with("status"));
    }
    refuse_wrong_types(target, &findings.causes)?;
    let mut warnings = unknown_fields(target, findings.unknown, field_validation)?;
    let mut causes = findings.causes;
    metadata::check(kind, object, &mut causes);
    if current.is_none() && kind.has_status {
        object.as_object_mut().map(|fields| fields.shift_remove("status"));
    }
    if causes.is_empty() {
        complete(kind, object, current, &mut causes);
    }
    warnings.extend(unserved::of_object(kind, object));
    if causes.is_empty() { Ok(warnings) } else { Err(ApiError::invalid(kind, object::name(object), &causes)) }
}

/// Defaults and rules that a schema cannot state.
fn complete(kind: &Kind, object: &mut Value, current: Option<&Value>, causes: &mut Vec<Cause>) {
    match kind.kind {
        "Pod" => workloads::admit_pod(object, current, causes),
        "Deployment" | "ReplicaSet" => workloads::admit_replicated(object, current, causes),
        "DeploymentConfig" => workloads::complete_template(object),
        "Service" => network::admit_service(object, current, causes),
        "Route" => network::admit_route(object, causes),
        "Namespace" if current.is_none() => {
            let name = object::name(object).to_owned();
            let labels = metadata_mut(object).entry("labels").or_insert_with(|| json!({}));
            labels["kubernetes.io/metadata.name"] = name.into();
            field_mut(object, "spec").insert("finalizers".to_owned(), json!(["kubernetes"]));
            object["status"] = json!({ "phase": "Active" });
        }
        "Secret" => encode_string_data(object, causes),
        "PersistentVolumeClaim" if current.is_none() => object["status"] = json!({ "phase": "Pending" }),
        _ => {}
    }
}

/// `stringData` is the writable view of a Secret's `data`.
fn encode_string_data(secret: &mut Value, causes: &mut Vec<Cause>) {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    for (key, value) in object::text_map(secret, "/data") {
        if engine.decode(value).is_err() {
            causes.push(Cause::invalid(&format!("data[{key}]"), &Value::from("<hidden>"), "must be base64"));
        }
    }
    let Some(Value::Object(plain)) = secret.as_object_mut().and_then(|fields| fields.shift_remove("stringData")) else {
        return;
    };
    let data = field_mut(secret, "data");
    for (key, value) in plain {
        data.insert(key, engine.encode(value.as_str().unwrap_or_default()).into());
    }
}

/// A built-in kind with a field of the wrong type cannot even be decoded; a custom one is decoded and invalid.
fn refuse_wrong_types(target: &Target, causes: &[Cause]) -> Result<(), ApiError> {
    if target.kind.is_custom() {
        return Ok(());
    }
    let wrong = causes.iter().find(|cause| cause.reason == "FieldValueTypeInvalid");
    wrong.map_or(Ok(()), |cause| {
        let why = cause.message.split("must be ").nth(1).unwrap_or(&cause.message).replace("\"", "");
        let (expected, found) = why.split_once(": ").unwrap_or((&why, "something else"));
        let text = format!("{}: expected a value {expected}, found {found}", cause.field);
        Err(decode_error(target.kind, target.version, &text))
    })
}

fn unknown_fields(
    target: &Target,
    unknown: Vec<String>,
    field_validation: FieldValidation,
) -> Result<Vec<String>, ApiError> {
    let lines: Vec<String> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    match field_validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(lines),
        FieldValidation::Strict if lines.is_empty() => Ok(lines),
        FieldValidation::Strict => {
            let text = format!("strict decoding error: {}", lines.join(", "));
            Err(decode_error(target.kind, target.version, &text))
        }
    }
}

fn decode_error(kind: &Kind, version: &str, why: &str) -> ApiError {
    ApiError::bad_request(format!("{0} in version \"{version}\" cannot be handled as a {0}: {why}", kind.kind))
}

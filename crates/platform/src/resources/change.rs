//! Replacing and patching objects: optimistic concurrency, what a writer may touch, generation, and completion of a deletion
//! that waited for its last finalizer.

use std::sync::Arc;

use serde_json::Value;

use super::{FieldValidation, Resources, Target, WriteOptions, Written, admission, removal};
use crate::error::ApiError;
use crate::object::{self, metadata_mut, text};
use crate::patch;
use crate::schema;
use crate::store::Transaction;

/// Which part of an object a write goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but the status, where the status is a subresource.
    Main,
    /// The status alone.
    Status,
}

/// The patch formats that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own; built-in kinds only.
    Strategic,
}

/// Metadata that only the server writes.
const SERVER_METADATA: &[&str] =
    &["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];

impl Resources {
    /// Replaces `part` of the object with that of `body`. A resource version in `body` must be the present one.
    pub(crate) fn replace(
        &self,
        target: &Target,
        part: Part,
        body: Value,
        options: WriteOptions,
    ) -> Result<Written, ApiError> {
        let mut next = body;
        admission::check_identity(target, &mut next)?;
        self.run(options, |tx| {
            let current = tx.get(&target.key()).ok_or_else(|| ApiError::not_found(target.kind, &target.name))?;
            store_change(tx, target, part, &current, next, options.field_validation)
        })
    }

    /// Applies a patch to `part` of the object, whatever its version is by then, unless the patch names one.
    pub(crate) fn patch(
        &self,
        target: &Target,
        part: Part,
        kind: PatchKind,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Written, ApiError> {
        if kind == PatchKind::Strategic && target.kind.is_custom() {
            let served = "application/json-patch+json, application/merge-patch+json";
            return Err(ApiError::unsupported_media_type(served));
        }
        self.run(options, |tx| {
            let current = tx.get(&target.key()).ok_or_else(|| ApiError::not_found(target.kind, &target.name))?;
            let mut seen = current.as_ref().clone();
            seen["apiVersion"] = target.kind.api_version(target.version).into();
            let mut next = match kind {
                PatchKind::Json => patch::json(seen, body),
                PatchKind::Merge => Ok(patch::merge(seen, body)),
                PatchKind::Strategic => patch::strategic(seen, body, &schema::of(target.kind, target.version)),
            }
            .map_err(|reason| ApiError::invalid_patch(target.kind, &target.name, &reason))?;
            admission::check_identity(target, &mut next)?;
            store_change(tx, target, part, &current, next, options.field_validation)
        })
    }

    /// Changes the object at `target` by `edit`, which sees it as it is; for the platform's own bookkeeping.
    pub(crate) fn edit(
        &self,
        target: &Target,
        part: Part,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Arc<Value>, ApiError> {
        self.store.write(|tx| {
            let current = tx.get(&target.key()).ok_or_else(|| ApiError::not_found(target.kind, &target.name))?;
            let mut next = current.as_ref().clone();
            edit(&mut next);
            store_change(tx, target, part, &current, next, FieldValidation::Ignore).map(|written| written.object)
        })
    }
}

fn store_change(
    tx: &mut Transaction<'_>,
    target: &Target,
    part: Part,
    current: &Arc<Value>,
    mut next: Value,
    field_validation: FieldValidation,
) -> Result<Written, ApiError> {
    check_preconditions(target, current, &next)?;
    let warnings = match part {
        Part::Status => {
            let mut whole = next.clone();
            let warnings = admission::admit(target, &mut whole, Some(current), field_validation)?;
            next = current.as_ref().clone();
            set_or_remove(&mut next, "status", whole.get("status").cloned());
            warnings
        }
        Part::Main => {
            if target.kind.has_status {
                set_or_remove(&mut next, "status", current.get("status").cloned());
            }
            keep_server_metadata(&mut next, current);
            admit_main(target, current, &mut next, field_validation)?
        }
    };
    metadata_mut(&mut next).insert("resourceVersion".to_owned(), text(current, "/metadata/resourceVersion").into());
    if next == **current {
        return Ok(Written { object: Arc::clone(current), warnings });
    }
    if part == Part::Main && target.kind.has_generation() && specification(&next) != specification(current) {
        let generation = object::integer(current, "/metadata/generation").unwrap_or(0) + 1;
        metadata_mut(&mut next).insert("generation".to_owned(), generation.into());
    }
    let stored = tx.put(target.key(), next);
    if removal::is_ready(&stored) {
        removal::complete(tx, &target.key());
    }
    Ok(Written { object: stored, warnings })
}

/// Admits a change of all but the status. Where only metadata differs, the specification stays exactly as stored: a client
/// of another version, whose schema lacks some stored fields, may label an object without cutting it.
fn admit_main(
    target: &Target,
    current: &Value,
    next: &mut Value,
    field_validation: FieldValidation,
) -> Result<Vec<String>, ApiError> {
    if specification(next) != specification(current) {
        return admission::admit(target, next, Some(current), field_validation);
    }
    let mut whole = next.clone();
    let warnings = admission::admit(target, &mut whole, Some(current), field_validation);
    next["metadata"] = whole["metadata"].take();
    next["apiVersion"] = current["apiVersion"].clone();
    // What was stored has been admitted before: only its metadata can be wrong now.
    match warnings {
        Err(error) if error.message.contains("metadata.") => Err(error),
        _ => Ok(Vec::new()),
    }
}

fn check_preconditions(target: &Target, current: &Value, next: &Value) -> Result<(), ApiError> {
    let (version, uid) = (text(next, "/metadata/resourceVersion"), object::uid(next));
    if !uid.is_empty() && uid != object::uid(current) {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", object::uid(current));
        return Err(ApiError::conflict(target.kind, &target.name, &why));
    }
    if !version.is_empty() && version != text(current, "/metadata/resourceVersion") {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(ApiError::conflict(target.kind, &target.name, why));
    }
    Ok(())
}

fn keep_server_metadata(next: &mut Value, current: &Value) {
    for name in SERVER_METADATA {
        let kept = current.pointer(&format!("/metadata/{name}")).cloned();
        let metadata = metadata_mut(next);
        match kept {
            Some(value) => drop(metadata.insert((*name).to_owned(), value)),
            None => drop(metadata.shift_remove(*name)),
        }
    }
    metadata_mut(next).shift_remove("managedFields");
}

fn set_or_remove(object: &mut Value, name: &str, value: Option<Value>) {
    let fields = object.as_object_mut().expect("an API object is a JSON object, checked at the edge");
    match value {
        Some(value) => drop(fields.insert(name.to_owned(), value)),
        None => drop(fields.shift_remove(name)),
    }
}

/// All but metadata, status and the version it is seen at.
fn specification(object: &Value) -> Vec<(&String, &Value)> {
    const OTHER: &[&str] = &["apiVersion", "kind", "metadata", "status"];
    let fields = object.as_object().into_iter().flatten();
    let mut fields: Vec<_> = fields.filter(|(name, _)| !OTHER.contains(&name.as_str())).collect();
    fields.sort_by_key(|(name, _)| name.as_str());
    fields
}

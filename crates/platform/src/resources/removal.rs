//! Deleting: graceful for pods that run, deferred by finalizers, and carried on to dependents through owner references.
//! The cascade happens in the transaction of the deletion, so no moment exists in which an owner is gone and its
//! dependents are not at least marked.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Resources, Target, kind_of};
use crate::clock::to_text;
use crate::error::ApiError;
use crate::kinds::{NAMESPACE, POD};
use crate::object::{self, list, metadata_mut, text};
use crate::store::{Key, Transaction};

const FOREGROUND: &str = "foregroundDeletion";
/// Longest grace period that is honoured: a year.
const GRACE_SECONDS_MAX: i64 = 366 * 24 * 3600;

/// What becomes of dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Propagation {
    /// The object goes at once, its dependents after it.
    #[default]
    Background,
    /// The dependents go first.
    Foreground,
    /// The dependents stay, without owner.
    Orphan,
}

/// The body of a delete request.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    /// Replaces the pod's own grace period; 0 removes at once.
    pub(crate) grace_seconds: Option<i64>,
    pub(crate) propagation: Propagation,
    /// The object must have this uid.
    pub(crate) uid: Option<String>,
    /// The object must have this resource version.
    pub(crate) resource_version: Option<String>,
    pub(crate) dry_run: bool,
}

/// How a deletion ended.
#[derive(Debug)]
pub(crate) enum Removed {
    /// It is gone; this is its last state.
    Gone(Arc<Value>),
    /// It is marked, and goes when its grace period or its finalizers end.
    Marked(Arc<Value>),
}

impl Resources {
    /// Deletes the object `target`.
    pub(crate) fn delete(&self, target: &Target, options: &DeleteOptions) -> Result<Removed, ApiError> {
        let delete = |tx: &mut Transaction<'_>| {
            let current = tx.get(&target.key()).ok_or_else(|| ApiError::not_found(target.kind, &target.name))?;
            check_preconditions(target, &current, options)?;
            Ok(remove(tx, &target.key(), options.propagation, options.grace_seconds))
        };
        let removed = if options.dry_run { self.store.preview(delete) } else { self.store.write(delete) }?;
        removed.ok_or_else(|| ApiError::not_found(target.kind, &target.name))
    }
}

fn check_preconditions(target: &Target, current: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    let versions = [
        ("UID", options.uid.as_deref(), object::uid(current)),
        ("ResourceVersion", options.resource_version.as_deref(), text(current, "/metadata/resourceVersion")),
    ];
    for (what, wanted, found) in versions {
        if let Some(wanted) = wanted
            && wanted != found
        {
            let why = format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}");
            return Err(ApiError::conflict(target.kind, &target.name, &why));
        }
    }
    Ok(())
}

/// Removes or marks the object at `key`. Returns `None` when there is none.
fn remove(tx: &mut Transaction<'_>, key: &Key, propagation: Propagation, grace: Option<i64>) -> Option<Removed> {
    let current = tx.get(key)?;
    if propagation == Propagation::Orphan {
        release_dependents(tx, &current);
    }
    let mut next = current.as_ref().clone();
    mark(tx, key, &mut next, propagation, grace);
    if is_ready(&next) {
        return complete(tx, key).map(Removed::Gone);
    }
    let marked = if next == *current { current } else { tx.put(key.clone(), next) };
    if propagation == Propagation::Foreground {
        remove_dependents(tx, &marked, Propagation::Foreground);
        if tx.get(key).is_none() {
            return Some(Removed::Gone(marked));
        }
    }
    if key.kind() == &NAMESPACE {
        empty_namespace(tx, &key.name);
        if tx.get(key).is_none() {
            return Some(Removed::Gone(marked));
        }
    }
    Some(Removed::Marked(marked))
}

/// Sets what a deletion sets: timestamp, grace period, the foreground finalizer.
fn mark(tx: &Transaction<'_>, key: &Key, object: &mut Value, propagation: Propagation, grace: Option<i64>) {
    let grace = if key.kind() == &POD { grace_seconds(object, grace) } else { 0 };
    let has_dependents = propagation == Propagation::Foreground && !dependents(tx, object).is_empty();
    let was = object::integer(object, "/metadata/deletionGracePeriodSeconds");
    if !object::is_deleting(object) || was.is_some_and(|was| grace < was) {
        let at = to_text(tx.clock().now() + SignedDuration::from_secs(grace));
        let has_generation = key.kind().has_generation();
        let metadata = metadata_mut(object);
        metadata.insert("deletionTimestamp".to_owned(), at.into());
        metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
        let generation = metadata.get("generation").and_then(Value::as_i64);
        if let Some(generation) = generation.filter(|_| has_generation && was.is_none()) {
            metadata.insert("generation".to_owned(), (generation + 1).into());
        }
    }
    if has_dependents && !list(object, "/metadata/finalizers").iter().any(|finalizer| finalizer == FOREGROUND) {
        let finalizers = metadata_mut(object).entry("finalizers").or_insert_with(|| json!([]));
        finalizers.as_array_mut().into_iter().for_each(|finalizers| finalizers.push(FOREGROUND.into()));
    }
    if key.kind() == &NAMESPACE {
        object["status"] = json!({ "phase": "Terminating" });
    }
}

/// A pod that no process stands behind needs no grace.
fn grace_seconds(pod: &Value, asked: Option<i64>) -> i64 {
    let is_idle =
        text(pod, "/spec/nodeName").is_empty() || ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
    if is_idle {
        return 0;
    }
    let own = || object::integer(pod, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
    asked.unwrap_or_else(own).clamp(0, GRACE_SECONDS_MAX)
}

/// Whether a marked object may go now: no finalizer, no grace period running, and for a namespace nothing in it (its own
/// finalizer stands in `spec`).
pub(super) fn is_ready(object: &Value) -> bool {
    object::is_deleting(object)
        && list(object, "/metadata/finalizers").is_empty()
        && object::integer(object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0) == 0
        && (text(object, "/kind") != "Namespace" || list(object, "/spec/finalizers").is_empty())
}

/// Takes the object out, then deletes its dependents and completes what waited for it. Returns its last state.
pub(super) fn complete(tx: &mut Transaction<'_>, key: &Key) -> Option<Arc<Value>> {
    let last = tx.remove(key.clone())?;
    remove_dependents(tx, &last, Propagation::Background);
    complete_owners(tx, &last);
    complete_namespace(tx, &key.namespace);
    Some(last)
}

fn dependents(tx: &Transaction<'_>, owner: &Value) -> Vec<(Key, Arc<Value>)> {
    let (uid, namespace) = (object::uid(owner), object::namespace(owner));
    if uid.is_empty() {
        return Vec::new();
    }
    tx.find(|key, object| key.namespace == namespace && owner_uids(object).any(|owner| owner == uid))
}

fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    list(object, "/metadata/ownerReferences").iter().map(|reference| text(reference, "/uid"))
}

/// Deletes what has no other living owner; the rest only loses its reference.
fn remove_dependents(tx: &mut Transaction<'_>, owner: &Value, propagation: Propagation) {
    for (key, dependent) in dependents(tx, owner) {
        if has_other_owner(tx, &dependent, object::uid(owner)) {
            drop_reference(tx, &key, &dependent, object::uid(owner));
        } else if !object::is_deleting(&dependent) {
            remove(tx, &key, propagation, None);
        }
    }
}

fn release_dependents(tx: &mut Transaction<'_>, owner: &Value) {
    for (key, dependent) in dependents(tx, owner) {
        drop_reference(tx, &key, &dependent, object::uid(owner));
    }
}

fn has_other_owner(tx: &Transaction<'_>, dependent: &Value, uid: &str) -> bool {
    list(dependent, "/metadata/ownerReferences")
        .iter()
        .filter(|reference| text(reference, "/uid") != uid)
        .any(|reference| find_owner(tx, dependent, reference).is_some())
}

fn find_owner(tx: &Transaction<'_>, dependent: &Value, reference: &Value) -> Option<(Key, Arc<Value>)> {
    let kind = kind_of(text(reference, "/apiVersion"), text(reference, "/kind"))?;
    let namespace = if kind.namespaced { object::namespace(dependent) } else { "" };
    let key = Key::new(kind, namespace, text(reference, "/name"));
    let owner = tx.get(&key).filter(|owner| object::uid(owner) == text(reference, "/uid"))?;
    Some((key, owner))
}

fn drop_reference(tx: &mut Transaction<'_>, key: &Key, dependent: &Value, uid: &str) {
    let mut next = dependent.clone();
    let metadata = metadata_mut(&mut next);
    if let Some(references) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
        references.retain(|reference| text(reference, "/uid") != uid);
    }
    tx.put(key.clone(), next);
}

/// Owners that wait in the foreground for `gone` and have no other dependent left go too.
fn complete_owners(tx: &mut Transaction<'_>, gone: &Value) {
    for reference in list(gone, "/metadata/ownerReferences") {
        let Some((key, owner)) = find_owner(tx, gone, reference) else { continue };
        let waits = list(&owner, "/metadata/finalizers").iter().any(|finalizer| finalizer == FOREGROUND);
        if !waits || !dependents(tx, &owner).is_empty() {
            continue;
        }
        let mut next = owner.as_ref().clone();
        if let Some(finalizers) = metadata_mut(&mut next).get_mut("finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|finalizer| finalizer != FOREGROUND);
        }
        let next = tx.put(key.clone(), next);
        if is_ready(&next) {
            complete(tx, &key);
        }
    }
}

/// Deletes a new object whose owners are all gone already: its controller acted on an old state.
pub(super) fn collect_if_orphaned(tx: &mut Transaction<'_>, key: &Key, object: &Value) {
    let references = list(object, "/metadata/ownerReferences");
    let known = |reference: &&Value| kind_of(text(reference, "/apiVersion"), text(reference, "/kind")).is_some();
    if references.is_empty() || !references.iter().all(|reference| known(&reference)) {
        return;
    }
    if !references.iter().any(|reference| find_owner(tx, object, reference).is_some()) {
        remove(tx, key, Propagation::Background, Some(0));
    }
}

fn empty_namespace(tx: &mut Transaction<'_>, namespace: &str) {
    for (key, _) in tx.find(|key, object| key.namespace == namespace && !object::is_deleting(object)) {
        remove(tx, &key, Propagation::Background, None);
    }
    complete_namespace(tx, namespace);
}

fn complete_namespace(tx: &mut Transaction<'_>, namespace: &str) {
    let key = Key::new(&NAMESPACE, "", namespace);
    let Some(object) = tx.get(&key).filter(|object| object::is_deleting(object)) else { return };
    if !tx.find(|key, _| key.namespace == namespace && !namespace.is_empty()).is_empty() {
        return;
    }
    let mut next = object.as_ref().clone();
    next["spec"] = json!({});
    if is_ready(&next) {
        complete(tx, &key);
    }
}

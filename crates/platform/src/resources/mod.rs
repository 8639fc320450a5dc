//! What can be done with API objects: create, replace, patch, delete, each one transaction of the store, with the
//! admission of its kind. Called by the HTTP API and, in process, by the runner. Everything here blocks on the disk.

mod admission;
mod change;
mod earlier_life;
mod metadata;
mod network;
mod removal;
mod workloads;

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value, json};

pub(crate) use change::{Part, PatchKind};
pub(crate) use removal::{DeleteOptions, Propagation, Removed};

use crate::error::ApiError;
use crate::kinds::{KINDS, Kind, NAMESPACE};
use crate::object::{self, metadata_mut};
use crate::store::{Key, Store, Transaction};

/// How unknown fields are treated: the `fieldValidation` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// Parameters that every write takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) field_validation: FieldValidation,
}

/// Which object, seen at which version of its kind.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) kind: &'static Kind,
    pub(crate) version: &'static str,
    /// Empty for cluster-scoped kinds.
    pub(crate) namespace: String,
    /// Empty when a new object names itself.
    pub(crate) name: String,
}

impl Target {
    pub(crate) fn key(&self) -> Key {
        Key::new(self.kind, &self.namespace, &self.name)
    }
}

/// An object as it was stored, and what the writer should hear.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) object: Arc<Value>,
    /// For `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

/// Where the platform's own settings reach admission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    /// First address of the range of Services' addresses (a /16).
    pub(crate) service_network: Ipv4Addr,
}

/// The objects and the rules that hold for them.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    pub(crate) store: Store,
    pub(crate) defaults: Defaults,
}

impl Resources {
    pub(crate) fn new(store: Store, defaults: Defaults) -> Result<Self, ApiError> {
        let resources = Self { store, defaults };
        resources.ensure_namespace("default")?;
        let now = resources.store.clock().now_text();
        resources.store.write(|tx| {
            earlier_life::forget_readiness(tx, &now);
            network::move_services(tx, &resources.defaults)
        })?;
        Ok(resources)
    }

    fn ensure_namespace(&self, name: &str) -> Result<(), ApiError> {
        let target = Target { kind: &NAMESPACE, version: "v1", namespace: String::new(), name: name.to_owned() };
        if self.store.get(&target.key()).is_some() {
            return Ok(());
        }
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        self.create(&target, body, WriteOptions::default()).map(drop)
    }

    /// The object `target`.
    pub(crate) fn get(&self, target: &Target) -> Result<Arc<Value>, ApiError> {
        self.store.get(&target.key()).ok_or_else(|| ApiError::not_found(target.kind, &target.name))
    }

    /// Creates the object in `body`; `target.name` is not looked at.
    pub(crate) fn create(&self, target: &Target, body: Value, options: WriteOptions) -> Result<Written, ApiError> {
        let mut object = body;
        admission::check_identity(target, &mut object)?;
        if !object::text(&object, "/metadata/resourceVersion").is_empty() {
            return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
        }
        let warnings = admission::admit(target, &mut object, None, options.field_validation)?;
        self.stamp(target.kind, &mut object);
        let target = Target { name: object::name(&object).to_owned(), ..target.clone() };
        let object = self.run(options, |tx| self.insert(tx, &target, object))?;
        Ok(Written { object, warnings })
    }

    fn insert(&self, tx: &mut Transaction<'_>, target: &Target, mut object: Value) -> Result<Arc<Value>, ApiError> {
        let key = target.key();
        if target.kind.namespaced {
            check_namespace(tx, target)?;
        }
        if tx.get(&key).is_some() {
            return Err(ApiError::already_exists(target.kind, &target.name));
        }
        network::allocate(tx, &self.defaults, target, &mut object)?;
        let stored = tx.put(key.clone(), object);
        removal::collect_if_orphaned(tx, &key, &stored);
        Ok(stored)
    }

    /// What the server alone may say about a new object.
    fn stamp(&self, kind: &Kind, object: &mut Value) {
        let now = self.store.clock().now_text();
        let metadata = metadata_mut(object);
        for field in ["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"] {
            metadata.shift_remove(field);
        }
        metadata.insert("uid".to_owned(), uuid::Uuid::new_v4().to_string().into());
        metadata.insert("creationTimestamp".to_owned(), now.into());
        if kind.has_generation() {
            metadata.insert("generation".to_owned(), 1.into());
        }
    }

    fn run<T>(
        &self,
        options: WriteOptions,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        if options.dry_run { self.store.preview(change) } else { self.store.write(change) }
    }

    /// Objects of any kind that are older than their kind may get: events after an hour.
    pub(crate) fn expire_events(&self) -> Result<(), ApiError> {
        const EVENT_AGE_MAX: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
        let now = self.store.clock().now();
        let is_old = |event: &Value| {
            let times = ["/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
            let last = times.iter().map(|pointer| object::text(event, pointer)).find(|text| !text.is_empty());
            last.is_some_and(|last| crate::clock::age(last, now) > EVENT_AGE_MAX)
        };
        self.store.write(|tx| {
            for (key, event) in tx.list(&crate::kinds::EVENT, None) {
                if is_old(&event) {
                    tx.remove(key);
                }
            }
            Ok(())
        })
    }
}

fn check_namespace(tx: &Transaction<'_>, target: &Target) -> Result<(), ApiError> {
    let key = Key::new(&NAMESPACE, "", &target.namespace);
    let Some(namespace) = tx.get(&key) else { return Err(ApiError::not_found(&NAMESPACE, &target.namespace)) };
    if object::is_deleting(&namespace) {
        let why =
            format!("unable to create new content in namespace {} because it is being terminated", target.namespace);
        return Err(ApiError::forbidden(target.kind, &target.name, &why));
    }
    Ok(())
}

/// The kind that an owner reference or an event names.
pub(crate) fn kind_of(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    KINDS.iter().copied().find(|known| known.group == group && known.kind == kind)
}

#[cfg(test)]
mod tests;

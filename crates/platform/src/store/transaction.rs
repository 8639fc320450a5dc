//! One all-or-nothing change of the store: reads see the store with this transaction's own writes on top.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Change, ChangeKind, Key, State, Store, range};
use crate::clock::Clock;
use crate::kinds::Kind;
use crate::object::{self, metadata_mut};

/// Made by [`Store::write`], which holds the writer's lock, so nothing else changes meanwhile.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    state: parking_lot::RwLockReadGuard<'a, State>,
    clock: &'a Clock,
    /// What this transaction left at each key it touched.
    touched: BTreeMap<Key, Option<Arc<Value>>>,
    changes: Vec<Change>,
    version: u64,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        let state = store.0.state.read();
        let version = state.version;
        Self { state, clock: &store.0.clock, touched: BTreeMap::new(), changes: Vec::new(), version }
    }

    pub(super) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.clock
    }

    /// The object at `key`.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        match self.touched.get(key) {
            Some(left) => left.clone(),
            None => self.state.objects.get(key).cloned(),
        }
    }

    /// The objects of `kind`, in one namespace or in all.
    pub(crate) fn list(&self, kind: &Kind, namespace: Option<&str>) -> Vec<(Key, Arc<Value>)> {
        let mut found: BTreeMap<Key, Arc<Value>> =
            range(&self.state.objects, kind, namespace).map(|(key, value)| (key.clone(), Arc::clone(value))).collect();
        for (key, left) in &self.touched {
            if key.kind() != kind || namespace.is_some_and(|namespace| key.namespace != namespace) {
                continue;
            }
            match left {
                Some(object) => drop(found.insert(key.clone(), Arc::clone(object))),
                None => drop(found.remove(key)),
            }
        }
        found.into_iter().collect()
    }

    /// Every object for which `wanted` holds, of all kinds.
    pub(crate) fn find(&self, wanted: impl Fn(&Key, &Value) -> bool) -> Vec<(Key, Arc<Value>)> {
        let stored = self.state.objects.iter().filter(|(key, _)| !self.touched.contains_key(key));
        let own = self.touched.iter().filter_map(|(key, left)| Some((key, left.as_ref()?)));
        let found = stored.chain(own).filter(|(key, object)| wanted(key, object));
        found.map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
    }

    /// Writes `object` at `key` under a new resource version, and returns it as stored.
    pub(crate) fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        let previous = self.get(&key);
        let kind = if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        let version = self.next_version();
        metadata_mut(&mut object).insert("resourceVersion".to_owned(), version.to_string().into());
        let object = Arc::new(object);
        self.touched.insert(key.clone(), Some(Arc::clone(&object)));
        self.changes.push(Change { version, kind, key, object: Arc::clone(&object), previous });
        object
    }

    /// Removes the object at `key`, and returns its last state under the version of the removal.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Arc<Value>> {
        let previous = self.get(&key)?;
        let version = self.next_version();
        let mut last = previous.as_ref().clone();
        debug_assert!(object::resource_version(&last) < version, "versions only grow");
        metadata_mut(&mut last).insert("resourceVersion".to_owned(), version.to_string().into());
        let last = Arc::new(last);
        self.touched.insert(key.clone(), None);
        let change =
            Change { version, kind: ChangeKind::Deleted, key, object: Arc::clone(&last), previous: Some(previous) };
        self.changes.push(change);
        Some(last)
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }
}

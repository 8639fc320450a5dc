//! The store in memory: for tests, simulation and brokers that keep nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::history::{History, Watch};
use super::{
    BoxFuture, Change, Entry, Lease, LeaseId, Listing, MetadataStore, Revision, StoreError, Write, WriteError,
};

/// A map that lives as long as its last handle; clones share it.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    history: Arc<History>,
}

#[derive(Debug, Default)]
struct State {
    revision: Revision,
    entries: BTreeMap<String, Stored>,
    leases: BTreeSet<LeaseId>,
    last_lease: u64,
}

#[derive(Debug)]
struct Stored {
    value: Bytes,
    revision: Revision,
    lease: Option<LeaseId>,
}

impl Stored {
    fn entry(&self, key: &str) -> Entry {
        Entry { key: key.to_owned(), value: self.value.clone(), revision: self.revision }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Arc::default(), history: Arc::new(History::starting_at(Revision(0))) }
    }

    fn end_lease(&self, lease: LeaseId) {
        let mut state = self.state.lock();
        state.leases.remove(&lease);
        let mut write = Write::default();
        for (key, _) in state.entries.iter().filter(|(_, stored)| stored.lease == Some(lease)) {
            write.delete(key.clone());
        }
        state.apply(write, &self.history).expect("a write without expectations has nothing to conflict with");
    }
}

impl State {
    fn apply(&mut self, write: Write, history: &History) -> Result<Revision, WriteError> {
        self.check(&write)?;
        if write.is_empty() {
            return Ok(self.revision);
        }
        self.revision.0 += 1;
        for change in &write.changes {
            match change {
                Change::Put { key, value, lease } => {
                    let stored = Stored { value: value.clone(), revision: self.revision, lease: *lease };
                    self.entries.insert(key.clone(), stored);
                }
                Change::Delete { key } => {
                    self.entries.remove(key);
                }
            }
        }
        history.record(self.revision, write.changes);
        Ok(self.revision)
    }

    fn check(&self, write: &Write) -> Result<(), WriteError> {
        for expected in &write.expected {
            let actual = self.entries.get(&expected.key).map(|stored| stored.revision);
            if actual != expected.revision {
                let (key, expected) = (expected.key.clone(), expected.revision);
                return Err(WriteError::Conflict { key, expected, actual });
            }
        }
        for change in &write.changes {
            if let Change::Put { lease: Some(lease), .. } = change
                && !self.leases.contains(lease)
            {
                return Err(WriteError::LeaseEnded(*lease));
            }
        }
        Ok(())
    }
}

impl MetadataStore for MemoryStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        Box::pin(async move { Ok(self.state.lock().entries.get(key).map(|stored| stored.entry(key))) })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing, StoreError>> {
        Box::pin(async move {
            let state = self.state.lock();
            let under = state.entries.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
            let entries = under.map(|(key, stored)| stored.entry(key)).collect();
            Ok(Listing { revision: state.revision, entries })
        })
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Revision, WriteError>> {
        Box::pin(async move { self.state.lock().apply(write, &self.history) })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        self.history.watch(prefix, after)
    }

    fn lease(&self, _time_to_live: Duration) -> BoxFuture<'_, Result<Lease, StoreError>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            state.last_lease += 1;
            let id = LeaseId(state.last_lease);
            state.leases.insert(id);
            let store = self.clone();
            Ok(Lease::new(id, move || store.end_lease(id)))
        })
    }
}

//! The seam to where cluster state is kept: a versioned key-value map with guarded writes, watches and leases.
//!
//! The words and promises are etcd's, so that an etcd cluster can stand behind it: one revision counts all writes, an
//! entry knows the revision that wrote it, a write happens whole or not at all, a watch delivers every write once and
//! in order. The catalog is the only caller. `contract` holds the tests that every implementation passes.

mod embedded;
mod history;
mod memory;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

pub use embedded::{EmbeddedStore, OpenStoreError};
pub use history::{Watch, WatchError};
pub use memory::MemoryStore;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Number of a write: the first is 1, each later one is higher by one; 0 stands for "before every write".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of a lease, never reused in one store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LeaseId(pub u64);

/// A key as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub key: String,
    pub value: Bytes,
    /// The write that gave the key this value.
    pub revision: Revision,
}

/// Entries under a prefix, in key order, all as of one revision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    pub revision: Revision,
    pub entries: Vec<Entry>,
}

/// What a write finds before it is applied, or is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expectation {
    pub key: String,
    /// The write that gave the key its value; `None` when there must be no such key.
    pub revision: Option<Revision>,
}

/// One change of one key. A write names each key once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// With a lease, the key goes when the lease ends.
    Put {
        key: String,
        value: Bytes,
        lease: Option<LeaseId>,
    },
    Delete {
        key: String,
    },
}

impl Change {
    /// The key that changes.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// All of `changes`, when all of `expected` hold; otherwise nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Write {
    pub expected: Vec<Expectation>,
    pub changes: Vec<Change>,
}

impl Write {
    /// Also requires that `key` was last written by `revision`, or is absent.
    pub fn expect(&mut self, key: impl Into<String>, revision: Option<Revision>) {
        self.expected.push(Expectation { key: key.into(), revision });
    }

    /// Also gives `key` a value that stays until it is changed.
    pub fn put(&mut self, key: impl Into<String>, value: impl Into<Bytes>) {
        self.changes.push(Change::Put { key: key.into(), value: value.into(), lease: None });
    }

    /// Also removes `key`; nothing happens when there is none.
    pub fn delete(&mut self, key: impl Into<String>) {
        self.changes.push(Change::Delete { key: key.into() });
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// One write as a watch tells it: the changes under the watched prefix, in the order they were given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub revision: Revision,
    pub changes: Vec<Change>,
}

/// The store could not be reached, read or written. A write that failed so may have happened or not.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the metadata store failed: {0}; what was being written may or may not be stored")]
    Failed(String),
    #[error("the metadata store is closed")]
    Closed,
}

/// Why a write was not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else changed the key; nothing was written.
    #[error("the key {key} was expected at revision {expected:?} and is at {actual:?}")]
    Conflict { key: String, expected: Option<Revision>, actual: Option<Revision> },
    #[error("the lease {0:?} has ended; nothing was written")]
    LeaseEnded(LeaseId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Holds a lease: its keys stay while this lives, and go once it is dropped or its process is gone (at the latest
/// after the lease's time to live).
pub struct Lease {
    id: LeaseId,
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Lease {
    /// A lease whose end is announced by calling `end`, which must not block.
    pub(crate) fn new(id: LeaseId, end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { id, end: Some(Box::new(end)) }
    }

    /// Names the lease in `Change::Put`.
    #[must_use]
    pub fn id(&self) -> LeaseId {
        self.id
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.id).finish()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

/// A versioned map from short text keys to small values; keys sort by their bytes.
pub trait MetadataStore: Send + Sync + fmt::Debug {
    /// The entry under `key`, with every acknowledged write in it.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StoreError>>;

    /// All entries whose key starts with `prefix`.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing, StoreError>>;

    /// Applies `write` whole or not at all, and answers its revision once it is durable. An empty write answers the
    /// current revision.
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Revision, WriteError>>;

    /// Every write after `after` that touches `prefix`, in order. Fails, now or later, when the store no longer knows
    /// the writes asked for: then list again and watch from there.
    fn watch(&self, prefix: &str, after: Revision) -> Watch;

    /// A new lease. `time_to_live` bounds how long its keys outlive a process that ended without a word, where
    /// other processes share the store.
    fn lease(&self, time_to_live: Duration) -> BoxFuture<'_, Result<Lease, StoreError>>;
}

#[cfg(test)]
mod contract;

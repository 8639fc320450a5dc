//! The last writes of a store, kept in memory for its watches.
//!
//! A store records each write here after it is durable; a watch reads from its own position, so a slow watch costs
//! nothing and one that falls behind `KEPT_WRITES` is told so instead of missing a write.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Change, Event, Revision};

/// Writes that a watch may lag behind. Filled by every write to the store.
const KEPT_WRITES: usize = 4096;

/// Owned by a store; its end tells the watches that the store is closed.
#[derive(Debug)]
pub(super) struct History {
    kept: Kept,
    tip: watch::Sender<Revision>,
}

/// Shared by a store and its watches. The lock is held for a push or for taking one event.
type Kept = Arc<Mutex<VecDeque<Arc<Event>>>>;

impl History {
    /// A history that knows no writes up to and including `tip`.
    pub(super) fn starting_at(tip: Revision) -> Self {
        Self { kept: Kept::default(), tip: watch::Sender::new(tip) }
    }

    /// Adds a durable write. Revisions must come without a gap.
    pub(super) fn record(&self, revision: Revision, changes: Vec<Change>) {
        let mut kept = self.kept.lock();
        debug_assert_eq!(revision.0, self.tip.borrow().0 + 1, "writes are recorded in order");
        if kept.len() == KEPT_WRITES {
            kept.pop_front();
        }
        kept.push_back(Arc::new(Event { revision, changes }));
        self.tip.send_replace(revision);
    }

    /// Forgets everything: after a failure nobody knows which writes led to `tip`.
    pub(super) fn restart_at(&self, tip: Revision) {
        let mut kept = self.kept.lock();
        kept.clear();
        self.tip.send_replace(tip);
    }

    pub(super) fn watch(&self, prefix: &str, after: Revision) -> Watch {
        Watch { kept: Arc::clone(&self.kept), tip: self.tip.subscribe(), prefix: prefix.to_owned(), seen: after }
    }
}

/// Why a watch ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// List again, and watch from the listing's revision.
    #[error("the writes after revision {after} are no longer known")]
    Compacted { after: Revision },
    #[error("the metadata store is closed")]
    Closed,
}

/// The writes to one prefix, one after the other.
#[derive(Debug)]
pub struct Watch {
    kept: Kept,
    tip: watch::Receiver<Revision>,
    prefix: String,
    seen: Revision,
}

impl Watch {
    /// Waits for the next write that touches the prefix. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Event, WatchError> {
        loop {
            self.tip.borrow_and_update();
            while let Some(event) = self.first_unseen()? {
                self.seen = event.revision;
                let changes: Vec<Change> =
                    event.changes.iter().filter(|change| change.key().starts_with(&self.prefix)).cloned().collect();
                if !changes.is_empty() {
                    return Ok(Event { revision: event.revision, changes });
                }
            }
            self.tip.changed().await.map_err(|_| WatchError::Closed)?;
        }
    }

    /// The write after `seen`; `None` when there is none yet.
    fn first_unseen(&self) -> Result<Option<Arc<Event>>, WatchError> {
        let kept = self.kept.lock();
        if self.seen >= *self.tip.borrow() {
            return Ok(None);
        }
        let oldest = kept.front().map(|event| event.revision);
        let position = oldest.and_then(|oldest| (self.seen.0 + 1).checked_sub(oldest.0));
        let event = position.and_then(|position| kept.get(usize::try_from(position).ok()?));
        event.cloned().map(Some).ok_or(WatchError::Compacted { after: self.seen })
    }
}

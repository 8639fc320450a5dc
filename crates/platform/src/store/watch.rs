//! Following the change log from a version on. A watch holds a position, not a queue: one that lags behind the bounded log
//! is told so (410 Gone) and lists again, whatever its speed.

use serde_json::Value;

use super::{Change, Store};
use crate::error::ApiError;

/// Changes handed out at once.
const BATCH_MAX: usize = 256;

/// A position in the change log.
#[derive(Debug)]
pub(crate) struct Watch {
    store: Store,
    published: tokio::sync::watch::Receiver<u64>,
    /// Version of the last change handed out.
    position: u64,
}

/// What a watch says next.
#[derive(Debug)]
pub(crate) enum WatchNext {
    /// Changes after the position, oldest first; never empty.
    Changes(Vec<Change>),
    /// The log no longer reaches back to the position.
    Expired(ApiError),
}

impl Store {
    /// A watch of the changes after `version`.
    pub(crate) fn watch(&self, version: u64) -> Watch {
        Watch { store: self.clone(), published: self.0.published.subscribe(), position: version }
    }

    /// Version of the last published change.
    pub(crate) fn version(&self) -> u64 {
        self.0.state.read().version
    }
}

impl Watch {
    /// Waits for the next changes. Cancel-safe.
    pub(crate) async fn next(&mut self) -> WatchNext {
        loop {
            self.published.borrow_and_update();
            if let Some(next) = self.take() {
                return next;
            }
            // The sender lives in the store, which `self` holds: this cannot fail.
            let _ = self.published.changed().await;
        }
    }

    /// Version of the last change handed out: what a bookmark carries.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    fn take(&mut self) -> Option<WatchNext> {
        let state = self.store.0.state.read();
        if self.position < state.compacted {
            return Some(WatchNext::Expired(ApiError::expired(self.position, state.compacted)));
        }
        let start = state.log.partition_point(|change| change.version <= self.position);
        let changes: Vec<Change> = state.log.range(start..).take(BATCH_MAX).cloned().collect();
        self.position = changes.last()?.version;
        Some(WatchNext::Changes(changes))
    }
}

impl Change {
    /// Whether the object before the change satisfied `wanted`.
    pub(crate) fn was(&self, wanted: impl Fn(&Value) -> bool) -> bool {
        self.previous.as_ref().is_some_and(|previous| wanted(previous))
    }
}

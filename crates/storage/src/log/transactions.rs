//! Transactions as one partition sees them: which are open, which were aborted, and so how far a reader of committed
//! records may go (the last stable offset).

use std::collections::BTreeMap;

use millstream_model::{Offset, ProducerId};

/// A transaction that was aborted: a reader of committed records skips this producer's records between the offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// Offset of the abort marker.
    pub last_offset: Offset,
    /// The last stable offset when the marker was written.
    pub last_stable: Offset,
}

/// Open transactions, and completed ones that a crash could still undo.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transactions {
    open: BTreeMap<Offset, ProducerId>,
    /// Completed, by first offset, with their marker's offset: they hold the last stable offset back until the marker
    /// is below the high watermark.
    completed: BTreeMap<Offset, Offset>,
}

impl Transactions {
    pub(crate) fn opened(&mut self, first: Offset, producer: ProducerId) {
        self.open.insert(first, producer);
    }

    /// A marker at `marker` ended the transaction that began at `first`.
    pub(crate) fn ended(&mut self, first: Offset, marker: Offset) {
        self.open.remove(&first);
        self.completed.insert(first, marker);
    }

    /// Forgets completed transactions whose marker is below the high watermark.
    pub(crate) fn settle(&mut self, high_watermark: Offset) {
        self.completed.retain(|_, marker| *marker >= high_watermark);
    }

    /// First offset of the oldest transaction that is not settled.
    pub(crate) fn first_unstable(&self) -> Option<Offset> {
        let open = self.open.first_key_value().map(|(first, _)| *first);
        let completed = self.completed.first_key_value().map(|(first, _)| *first);
        open.into_iter().chain(completed).min()
    }

    /// First offset of the oldest open transaction other than the one that begins at `except`, as it stands when that
    /// one's marker is written.
    pub(crate) fn first_open_besides(&self, except: Offset) -> Option<Offset> {
        self.open.keys().find(|first| **first != except).copied()
    }
}

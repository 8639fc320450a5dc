//! When partitions under `millstream.durability=os` are to be synced because `flush.ms` says so: each as part of a
//! checkpoint of its own, since the others need none yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::lane::slot::PartitionKey;

/// Partitions with records that are not synced, and when they must be, on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    due: BTreeMap<PartitionKey, Duration>,
}

impl Flushes {
    /// The partition must be synced then, or before.
    pub(super) fn add(&mut self, key: PartitionKey, due: Duration) {
        let known = self.due.entry(key).or_insert(due);
        *known = due.min(*known);
    }

    /// How long until the next is due; none when none will be.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        self.due.values().min().map(|due| due.saturating_sub(now))
    }

    /// Takes those that are due.
    pub(super) fn take_due(&mut self, now: Duration) -> BTreeSet<PartitionKey> {
        self.due.extract_if(.., |_, due| *due <= now).map(|(key, _)| key).collect()
    }

    pub(super) fn forget(&mut self, key: PartitionKey) {
        self.due.remove(&key);
    }

    /// A checkpoint covers all.
    pub(super) fn clear(&mut self) {
        self.due.clear();
    }
}

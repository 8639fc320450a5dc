//! The task for direct writes: those that are synced, and of the others what nobody waits for or what would hold a reactor
//! up. And what it shares with those who append.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::lane::slot::PartitionKey;
use crate::lane::ticket::SlotFate;
use crate::partition::{Partition, WaitsForSpace};
use crate::room::NO_SPACE_RETRY;
use crate::shared::{Phase, Shared};

/// Partitions that are written at a time.
const WRITES_TOGETHER: usize = 4;
/// A write on a reactor's thread that takes longer than this sends those of the next while to the storage's own thread.
const SLOW_WRITE: Duration = Duration::from_millis(5);
const SLOW_FOR: Duration = Duration::from_secs(1);

/// Direct writes to be done.
#[derive(Debug, Default)]
pub(crate) struct DirectWork {
    partitions: Mutex<BTreeSet<PartitionKey>>,
    /// Those that met a full disk.
    stalled: Mutex<Vec<PartitionKey>>,
    changed: Notify,
    /// Bytes that wait to be written.
    bytes: AtomicUsize,
    /// Until when, in nanoseconds of the monotonic clock, no reactor writes itself.
    slow_until: AtomicU64,
}

impl DirectWork {
    /// The task is to write what waits of this partition.
    pub(crate) fn add(&self, key: PartitionKey) {
        self.partitions.lock().insert(key);
        self.changed.notify_one();
    }

    fn is_stalled(&self) -> bool {
        !self.stalled.lock().is_empty()
    }

    fn try_again(&self) {
        let stalled = std::mem::take(&mut *self.stalled.lock());
        self.partitions.lock().extend(stalled);
    }

    /// There may be more to do, or an end to come to.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn appended(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn written(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether a reactor's thread may write at this time.
    pub(crate) fn may_write_here(&self, now: Duration) -> bool {
        nanoseconds(now) >= self.slow_until.load(Ordering::Relaxed)
    }

    /// Such a write took from `began` to `now`.
    pub(crate) fn wrote_here(&self, began: Duration, now: Duration) {
        if now.saturating_sub(began) > SLOW_WRITE {
            self.slow_until.store(nanoseconds(now + SLOW_FOR), Ordering::Relaxed);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Runs until, in phase `Draining`, nothing waits any more, or the storage has failed.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut writes = FuturesUnordered::new();
    loop {
        let draining = *shared.phase.borrow() >= Phase::Draining;
        if draining {
            let all: Vec<PartitionKey> = shared.partitions.read().keys().copied().collect();
            shared.direct.partitions.lock().extend(all);
        }
        while writes.len() < WRITES_TOGETHER {
            let Some(key) = shared.direct.partitions.lock().pop_first() else { break };
            let Some(partition) = shared.partition(key) else { continue };
            if let Some((round, run)) = partition.begin_direct() {
                writes.push(async move { (key, partition.write_apart(round, run).await) });
            }
        }
        if shared.is_halted() {
            return forget(&shared);
        }
        if draining && writes.is_empty() && is_drained(&shared) {
            return;
        }
        tokio::select! {
            biased;
            Some((key, written)) = writes.next() => match written {
                // More may have come meanwhile.
                Ok(()) => shared.direct.add(key),
                Err(WaitsForSpace) => shared.direct.stalled.lock().push(key),
            },
            () = shared.direct.changed.notified() => {}
            () = shared.clock.sleep(NO_SPACE_RETRY), if shared.direct.is_stalled() => shared.direct.try_again(),
        }
    }
}

/// Tells who still waits that nobody will write.
fn forget(shared: &Shared) {
    let all: Vec<Arc<Partition>> = shared.partitions.read().values().cloned().collect();
    for partition in all {
        let waiting = partition.with_log(|log| log.direct.clear());
        waiting.fates().for_each(SlotFate::halted);
    }
}

/// Whether everything that was appended to segments directly is written; nothing is appended any more.
fn is_drained(shared: &Shared) -> bool {
    let all: Vec<Arc<Partition>> = shared.partitions.read().values().cloned().collect();
    all.iter().all(|partition| partition.with_log(|log| log.fault.is_some() || log.direct.is_quiet()))
}

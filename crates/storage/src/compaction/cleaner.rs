//! The cleaner's task: cleans the log that needs it most, again and again, and rests when none does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tracing::{debug, error, info};

use super::pass::{Pass, PassError};
use super::plan::{Log, Plan};
use super::{CleanerSettings, milliseconds};
use crate::lane::slot::PartitionKey;
use crate::log::config::Compaction;
use crate::partition::Partition;
use crate::shared::{Phase, Shared};

/// A log that is due.
#[derive(Debug)]
struct Due {
    partition: Arc<Partition>,
    compaction: Compaction,
    plan: Plan,
}

/// State of the task.
#[derive(Debug)]
struct Cleaner {
    shared: Arc<Shared>,
    /// What changes while it looks or cleans must not be missed: marked as seen before a look.
    settings: watch::Receiver<CleanerSettings>,
    /// Partitions that could not be cleaned, which are not tried again.
    uncleanable: BTreeMap<PartitionKey, Arc<Partition>>,
    /// Partitions that were not cleaned this time: the others have their turn first.
    passed_over: BTreeSet<PartitionKey>,
}

/// Runs until the storage stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    let settings = shared.cleaning.settings.subscribe();
    let mut cleaner = Cleaner { shared, settings, uncleanable: BTreeMap::new(), passed_over: BTreeSet::new() };
    while cleaner.is_running() {
        let enabled = cleaner.settings.borrow_and_update().enabled;
        if !(enabled && cleaner.clean_filthiest().await) {
            cleaner.rest().await;
        }
    }
}

impl Cleaner {
    fn is_running(&self) -> bool {
        *self.shared.phase.borrow() <= Phase::Running && !self.shared.is_halted()
    }

    /// Whether a partition was not deleted.
    fn is_known(&self, partition: &Arc<Partition>) -> bool {
        self.shared.partition(partition.key()).is_some_and(|known| Arc::ptr_eq(&known, partition))
    }

    /// Waits for its pause to be over, or for new settings, or the end.
    async fn rest(&mut self) {
        self.passed_over.clear();
        let mut phase = self.shared.phase.subscribe();
        let mut failure = self.shared.failure.subscribe();
        let now = *self.settings.borrow();
        let is_running = *phase.borrow_and_update() <= Phase::Running && failure.borrow_and_update().is_none();
        if !is_running {
            return;
        }
        tokio::select! {
            _ = self.settings.changed() => {}
            _ = phase.changed() => {}
            _ = failure.changed() => {}
            () = self.shared.clock.sleep(now.backoff), if now.enabled => {}
        }
    }

    /// Cleans the log with the largest dirty share of those that are due; says whether there was one.
    async fn clean_filthiest(&mut self) -> bool {
        let Some(due) = self.filthiest().await else { return false };
        let (partition, began) = (Arc::clone(&due.partition), self.shared.clock.monotonic());
        let pass = Pass::new(&self.shared, Arc::clone(&partition));
        let (topic, index) = (partition.topic(), partition.index());
        match pass.run(&due.plan, due.compaction).await {
            Ok(()) => {
                let took = milliseconds(self.shared.clock.monotonic().saturating_sub(began));
                self.shared.cleaning.runs.add(1);
                self.shared.cleaning.last_run_ms.store(took, Ordering::Relaxed);
                debug!(%topic, %index, took, from = %due.plan.first_dirty, upto = %due.plan.upto, "cleaned");
                true
            }
            Err(PassError::Stopped) => false,
            // Its directory went under the cleaner's hands.
            Err(_) if !self.is_known(&partition) => true,
            Err(PassError::GaveUp(reason)) => {
                info!(%topic, %index, reason, "a log was not cleaned this time");
                self.passed_over.insert(partition.key());
                true
            }
            Err(error) => {
                error!(%topic, %index, %error, "the log cannot be cleaned, and is not until the next start");
                self.uncleanable.insert(partition.key(), partition);
                true
            }
        }
    }

    async fn filthiest(&mut self) -> Option<Due> {
        self.shared.cleaning.seen(self.shared.clock.monotonic());
        let partitions: Vec<Arc<Partition>> = self.shared.partitions.read().values().cloned().collect();
        let mut filthiest: Option<Due> = None;
        let mut dirtiest_ppm = 0;
        for (number, partition) in partitions.into_iter().enumerate() {
            if number % 64 == 63 {
                tokio::task::yield_now().await;
            }
            let Some((compaction, plan)) = self.plan(&partition) else { continue };
            dirtiest_ppm = dirtiest_ppm.max(if plan.dirty_bytes > 0 { plan.dirty_share_ppm() } else { 0 });
            let is_filthier =
                filthiest.as_ref().is_none_or(|known| plan.dirty_share_ppm() > known.plan.dirty_share_ppm());
            if plan.is_due(compaction) && is_filthier {
                filthiest = Some(Due { partition, compaction, plan });
            }
        }
        let cleaning = &self.shared.cleaning;
        cleaning.dirty_percent_max.store(dirtiest_ppm / 10_000, Ordering::Relaxed);
        let mut uncleanable = std::mem::take(&mut self.uncleanable);
        uncleanable.retain(|_, one| self.is_known(one) && one.with_log(|log| log.config.compaction.is_some()));
        self.uncleanable = uncleanable;
        cleaning.uncleanable_partitions.store(self.uncleanable.len() as u64, Ordering::Relaxed);
        filthiest
    }

    /// What there is to clean in a compacted log that can be.
    fn plan(&self, partition: &Partition) -> Option<(Compaction, Plan)> {
        let key = partition.key();
        let (compaction, offsets) = partition.with_log(|log| {
            let compaction = log.config.compaction.filter(|_| log.fault.is_none())?;
            Some((compaction, log.offsets()))
        })?;
        if self.uncleanable.contains_key(&key) || self.passed_over.contains(&key) {
            return None;
        }
        let segments = self.shared.segments.segments(key);
        let log = Log {
            segments: &segments,
            log_start: offsets.log_start,
            last_stable: offsets.last_stable,
            compacted_upto: self.shared.segments.compacted_upto(key),
            config: compaction,
            now: self.shared.clock.now(),
        };
        Some((compaction, Plan::of(log)))
    }
}

#[cfg(test)]
mod tests;

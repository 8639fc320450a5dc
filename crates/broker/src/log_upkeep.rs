//! What the broker does to its logs now and then, unasked: old segments go, and silent producers are forgotten. Compacted
//! logs are cleaned by the storage, which is told here how.
//!
//! Each is a task that ends when the broker stops. A log that nobody has touched since the start takes part too: the
//! storage opens all that exist.

use std::sync::{Arc, Weak};
use std::time::Duration;

use millstream_model::{PartitionIndex, TimestampMs};
use millstream_storage::Partition;
use tracing::warn;

use crate::Broker;
use crate::settings::{cleaner_settings, producer_expiration_ms};

/// Starts the tasks.
pub(crate) fn begin(broker: &Arc<Broker>) {
    let settings = broker.settings();
    let silent = every(Arc::downgrade(broker), settings.producer_expiration_check, forget_silent_producers);
    let old = every(Arc::downgrade(broker), settings.retention_check, apply_retention);
    broker.apply_cleaner_configs();
    broker.tasks().spawn(silent);
    broker.tasks().spawn(old);
}

impl Broker {
    /// Lets the cleaner follow the configs, after they may have changed. It serves all nodes of the process: those of the
    /// first one hold.
    pub(crate) fn apply_cleaner_configs(&self) {
        let image = self.image();
        let first = image.brokers().first().copied().unwrap_or_default();
        self.storage().set_cleaner(cleaner_settings(image.broker_layers(first)));
    }
}

async fn every(broker: Weak<Broker>, interval: Duration, chore: fn(&Broker, &Partition)) {
    loop {
        let Some(strong) = broker.upgrade() else { return };
        let rest = strong.clock().sleep(interval);
        drop(strong);
        rest.await;
        let Some(strong) = broker.upgrade() else { return };
        for topic in strong.image().topics() {
            for index in (0..topic.partitions.len() as i32).map(PartitionIndex) {
                if let Some(log) = strong.storage().partition(topic.id, index) {
                    chore(&strong, &log);
                }
            }
            // Many topics are looked at in many small steps, so that others have their turn.
            tokio::task::yield_now().await;
        }
    }
}

/// Forgets what idempotent producers last wrote that have been silent for long (KIP-854).
fn forget_silent_producers(broker: &Broker, log: &Partition) {
    let image = broker.image();
    let first = image.brokers().first().copied().unwrap_or_default();
    let expiration_ms = producer_expiration_ms(image.broker_layers(first));
    log.expire_producers(TimestampMs(broker.now().0.saturating_sub(expiration_ms)));
}

/// Removes what has outlived `retention.ms` and `retention.bytes`, as `cleanup.policy=delete` says.
fn apply_retention(broker: &Broker, log: &Partition) {
    if let Err(error) = log.apply_retention(broker.now()) {
        warn!(topic = %log.topic(), index = %log.index(), %error, "old segments were not removed");
    }
}

//! Backups: when one is wanted, all that was acknowledged before is carried to the segments and covered by a checkpoint; then
//! the files are linked while nobody changes which there are.

use std::sync::Arc;

use super::Materialiser;
use crate::StorageError;
use crate::backup::take;
use crate::lane::slot::PartitionKey;
use crate::segments::SegmentError;
use crate::shared::BackupOrder;

impl Materialiser {
    /// Makes the folder of a backup, and answers what is in it. Only a failure of the checkpoint is one of the storage.
    pub(super) async fn back_up(&mut self, order: BackupOrder) -> Result<(), SegmentError> {
        self.settle_acknowledged().await?;
        // A write that passed the lane by may be acknowledged before it is told here.
        let partitions = self.shared.partitions.read().clone();
        let changed = partitions.iter().filter(|(_, partition)| partition.with_log(|log| log.changed));
        let changed: Vec<PartitionKey> = changed.map(|(key, _)| *key).collect();
        changed.into_iter().for_each(|key| self.mark_dirty(key));
        self.checkpoint().await?;
        let taken = match &self.disk {
            None => Err(StorageError::Failed("a storage in memory has no files".to_owned())),
            Some(disk) => {
                let topic_of = |key| self.shared.partition(key).map(|partition| Arc::clone(partition.topic()));
                take(disk.as_ref(), order.session, topic_of).map_err(|error| StorageError::Failed(error.to_string()))
            }
        };
        // Who wanted it may have gone.
        let _ = order.done.send(taken);
        Ok(())
    }

    /// Carries every slot to the segments that is acknowledged by now: one may be before it is told here.
    async fn settle_acknowledged(&mut self) -> Result<(), SegmentError> {
        let upto = self.shared.lane.lock().acked_upto();
        while self.settled_upto < upto && !self.shared.is_halted() {
            let slots = {
                let mut queue = self.shared.queue.lock();
                queue.bytes = 0;
                std::mem::take(&mut queue.slots)
            };
            if slots.is_empty() {
                self.shared.settle_work.notified().await;
            }
            self.settle(slots.into()).await?;
        }
        Ok(())
    }
}

//! The typed catalog of a cluster: what there is (`Image`), and the operations that change it.
//!
//! Readers take `image()`, which never waits. An operation checks against the newest image, writes to the store under
//! the condition that what it read still stands, and shows the new image once the write is durable. One operation runs
//! at a time in a process; where several processes share a store, the loser of a race looks again and tries again.

mod alter_configs;
mod copy;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod image;
mod open;
mod placement;
mod producer_ids;
mod record;
mod security;
mod topic_name;
mod transfer;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

pub use alter_configs::{AlterConfigsError, ConfigChange, ConfigOperation, ConfigResource};
pub use copy::CopyCatalogError;
pub use create_partitions::{CreatePartitionsError, NewPartitions};
pub use create_topics::{CreateTopicError, CreatedTopic, NewTopic};
pub use delete_topics::{DeleteTopicError, TopicSelector};
pub use image::{Image, Partition, Topic};
pub use open::{OpenCatalogError, Settings};
pub use placement::AssignmentError;
pub use producer_ids::ProducerIdBlock;
pub use topic_name::{InvalidTopicNameError, validate_topic_name};
pub use transfer::{DescribeError, Described, adopt, describe};

use crate::store::{Lease, MetadataStore, Revision, StoreError, WatchError, Write, WriteError};

/// Partitions that one request may make, over all its topics. Kafka's limit.
const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// Attempts to write against other processes before an operation gives up.
const ATTEMPTS: usize = 16;

/// Makes the random ids of topics and clusters: the seam through which a simulation has its own.
pub type NewUuid = Box<dyn FnMut() -> Uuid + Send>;

/// The cluster's state. Share it by `Arc`.
pub struct Catalog {
    store: Arc<dyn MetadataStore>,
    image: ArcSwap<Image>,
    changes: watch::Sender<Revision>,
    /// Held by the operation that runs; owns what only operations use.
    operation: Mutex<Operation>,
    /// Keeps the brokers of this process registered.
    _registration: Lease,
}

struct Operation {
    new_uuid: NewUuid,
    /// The store may hold what the image does not show: look at it before the next operation.
    stale: bool,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("store", &self.store).field("revision", &self.image.load().revision()).finish()
    }
}

impl Catalog {
    /// The cluster as of the newest durable change. Does not wait; keep it for one request, not for long.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        self.image.load_full()
    }

    /// Wakes on every new image; `image()` then has it. Changes in between may be seen as one.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Revision> {
        self.changes.subscribe()
    }

    /// Takes over what the image does not show yet, until the store is closed: what other processes write, and what an
    /// operation wrote whose caller went away before the answer. Every process runs one, for as long as it has the
    /// catalog.
    pub async fn follow(&self) -> Result<(), StoreError> {
        loop {
            let mut watch = self.store.watch("", self.image().revision());
            loop {
                match watch.next().await {
                    Ok(event) => {
                        let _operation = self.operation.lock().await;
                        let image = self.image();
                        if event.revision > image.revision() {
                            self.show(image.after(event.revision, &event.changes));
                        }
                    }
                    Err(WatchError::Compacted { .. }) => break,
                    Err(WatchError::Closed) => return Ok(()),
                }
            }
            self.catch_up().await?;
        }
    }

    /// Shows what is in the store now.
    async fn catch_up(&self) -> Result<(), StoreError> {
        let _operation = self.operation.lock().await;
        self.reload().await.map(|_| ())
    }

    /// Plans against the newest image, writes the plan, and shows the image after it. A plan whose write is empty
    /// changes nothing.
    async fn change<T>(
        &self,
        mut plan: impl FnMut(&Image, &mut NewUuid) -> (Write, T),
    ) -> Result<(T, Arc<Image>), StoreError> {
        let mut operation = self.operation.lock().await;
        if operation.stale {
            self.reload().await?;
            operation.stale = false;
        }
        for _ in 0..ATTEMPTS {
            let image = self.image();
            let (write, outcome) = plan(&image, &mut operation.new_uuid);
            if write.is_empty() {
                return Ok((outcome, image));
            }
            let changes = write.changes.clone();
            // Until the image is shown again: the write may be there whatever happens, also when the caller goes away.
            operation.stale = true;
            let shown = match self.store.write(write).await {
                Ok(revision) if revision.0 == image.revision().0 + 1 => self.show(image.after(revision, &changes)),
                // Others wrote in between.
                Ok(_) => self.reload().await?,
                Err(WriteError::Conflict { .. }) => {
                    self.reload().await?;
                    continue;
                }
                Err(error @ WriteError::LeaseEnded(_)) => return Err(StoreError::Failed(error.to_string())),
                Err(WriteError::Store(error)) => return Err(error),
            };
            operation.stale = false;
            return Ok((outcome, shown));
        }
        Err(StoreError::Failed(format!("other brokers changed the same keys {ATTEMPTS} times in a row")))
    }

    /// Reads everything anew. The caller holds `operation`.
    async fn reload(&self) -> Result<Arc<Image>, StoreError> {
        let listing = self.store.list("").await?;
        // A value that cannot be read is left out, and the log says so; only at the start it is refused.
        let (image, _) = self.image().replaced_by(&listing);
        Ok(self.show(image))
    }

    fn show(&self, image: Image) -> Arc<Image> {
        let (revision, image) = (image.revision(), Arc::new(image));
        self.image.store(Arc::clone(&image));
        self.changes.send_replace(revision);
        image
    }
}

/// A random id in Kafka's manner: no text form that begins with a dash, which a command line would take for an option.
fn random_id(new_uuid: &mut NewUuid) -> millstream_model::TopicId {
    loop {
        let id = millstream_model::TopicId(new_uuid());
        if id != millstream_model::TopicId::ZERO && !id.to_string().starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests;

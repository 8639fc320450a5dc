//! Copies the cluster's state to another store, for a backup: all of it but the registrations of brokers, which end with
//! their process.

use super::{Catalog, record};
use crate::store::{MetadataStore, StoreError, Write, WriteError};

/// Why the state was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyCatalogError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Catalog {
    /// Writes the state as of one moment after the call to `target`, which is empty, in one write.
    pub async fn copy_to(&self, target: &dyn MetadataStore) -> Result<(), CopyCatalogError> {
        let mut write = Write::default();
        let listing = self.store.list("").await?;
        for entry in listing.entries.into_iter().filter(|entry| !entry.key.starts_with(record::BROKERS)) {
            write.put(entry.key, entry.value);
        }
        target.write(write).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::catalog::{Catalog, Settings};
    use crate::store::{MemoryStore, MetadataStore as _};

    #[tokio::test]
    async fn a_copy_has_everything_but_the_registrations_and_opens_as_the_same_cluster() {
        let (store, target) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let catalog = Catalog::open(store.clone(), Settings::default()).await.unwrap();
        catalog.copy_to(&*target).await.unwrap();
        let all = store.list("").await.unwrap().entries;
        let kept: Vec<_> = all.iter().filter(|entry| !entry.key.starts_with("brokers/")).collect();
        assert!(kept.len() < all.len());
        let copied = target.list("").await.unwrap().entries;
        assert!(
            copied
                .iter()
                .map(|entry| (&entry.key, &entry.value))
                .eq(kept.iter().map(|entry| (&entry.key, &entry.value)))
        );
        let again = Catalog::open(target, Settings::default()).await.unwrap();
        assert_eq!(again.image().cluster_id(), catalog.image().cluster_id());
    }
}

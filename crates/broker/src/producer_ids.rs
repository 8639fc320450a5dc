//! Producer ids, handed out one by one from the block that the catalog gave last. Owned by the broker.

use std::ops::Range;

use millstream_metadata::catalog::Catalog;
use millstream_metadata::store::StoreError;
use millstream_model::ProducerId;
use tokio::sync::Mutex;

/// The block in use. The lock is held across the catalog's write: whoever comes meanwhile waits for the new block.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// A producer id that nobody has had.
    pub(crate) async fn next(&self, catalog: &Catalog) -> Result<ProducerId, StoreError> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let next = catalog.allocate_producer_ids().await?;
            *block = next.first.0..next.first.0 + next.count;
        }
        let id = block.start;
        block.start += 1;
        Ok(ProducerId(id))
    }
}

//! Producer ids, handed out in blocks so that most producers cost no write.

use millstream_model::ProducerId;

use super::Catalog;
use super::record::{self, ProducerIdsRecord};
use crate::store::{StoreError, Write};

/// Ids of one block. Kafka's number.
const BLOCK: i64 = 1000;

/// Ids that nobody else has or will have, from `first` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerIdBlock {
    pub first: ProducerId,
    pub count: i64,
}

impl Catalog {
    /// A new block for the caller. What it does not use is lost, which 2^63 ids can bear.
    pub async fn allocate_producer_ids(&self) -> Result<ProducerIdBlock, StoreError> {
        let (first, _) = self
            .change(|image, _| {
                let first = image.next_producer_id();
                let next = first.checked_add(BLOCK).expect("2^63 producer ids are not used up");
                let mut write = Write::default();
                write.expect(record::PRODUCER_IDS, image.producer_ids_revision());
                write.put(record::PRODUCER_IDS, record::encode(&ProducerIdsRecord { next }));
                (write, first)
            })
            .await?;
        Ok(ProducerIdBlock { first: ProducerId(first), count: BLOCK })
    }
}

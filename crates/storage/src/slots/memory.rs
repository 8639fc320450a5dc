//! Slots in memory: for tests and for a broker that keeps nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;

use super::{PresentSlot, Put, SlotId, SlotLimits, SlotSpace, SlotStore};
use crate::disk::DiskError;
use crate::lane::slot::{SlotKind, decode_header};

/// A `SlotStore` that lasts as long as it is held.
#[derive(Debug, Default)]
pub struct MemorySlots {
    slots: Mutex<BTreeMap<SlotId, Bytes>>,
}

impl SlotStore for MemorySlots {
    fn put(&self, id: SlotId, bytes: Bytes) -> BoxFuture<'_, Result<Put, DiskError>> {
        let mut slots = self.slots.lock();
        let put = match slots.get(&id) {
            None => {
                slots.insert(id, bytes);
                Put::Stored
            }
            Some(present) if *present == bytes => Put::Stored,
            Some(present) if decode_header(present).is_ok_and(|header| header.kind == SlotKind::Fence) => Put::Fenced,
            Some(_) => Put::Foreign,
        };
        ready(Ok(put)).boxed()
    }

    fn get(&self, id: SlotId) -> BoxFuture<'_, Result<Option<Bytes>, DiskError>> {
        ready(Ok(self.slots.lock().get(&id).cloned())).boxed()
    }

    fn present(&self, from: SlotId) -> BoxFuture<'_, Result<Vec<PresentSlot>, DiskError>> {
        let slots = self.slots.lock();
        let present = slots.range(from..).map(|(id, bytes)| PresentSlot { id: *id, bytes: bytes.len() as u64 });
        ready(Ok(present.collect())).boxed()
    }

    fn release(&self, below: SlotId) -> BoxFuture<'_, Result<(), DiskError>> {
        let mut slots = self.slots.lock();
        *slots = slots.split_off(&below);
        ready(Ok(())).boxed()
    }

    fn limits(&self) -> SlotLimits {
        SlotLimits { in_flight_max: 1, slot_bytes_max: 4 << 20 }
    }

    fn space(&self) -> SlotSpace {
        let bytes = self.slots.lock().values().map(|slot| slot.len() as u64).sum();
        SlotSpace { files: 0, bytes, used_bytes: bytes }
    }
}

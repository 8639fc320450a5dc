//! The `SlotStore` seam: where a lane's slots are kept. A ring of files on a disk, objects in a store, or memory.
//!
//! What every implementation must do stands in `contract.rs`, one suite run against all.

pub mod memory;
pub mod ring;

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::disk::DiskError;
use crate::lane::LaneId;

/// Name of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    pub lane: LaneId,
    pub sequence: u64,
}

/// Answer to a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The slot is durable with exactly these bytes.
    Stored,
    /// Another owner has ended the lane at this slot.
    Fenced,
    /// The slot exists with other bytes that are no fence: two writers share a lane.
    Foreign,
}

/// What a store takes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLimits {
    /// Slots that may be put at the same time.
    pub in_flight_max: usize,
    /// Bytes that a slot should not exceed; a single larger batch is still taken.
    pub slot_bytes_max: usize,
}

/// A slot found in the store; its bytes may be damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentSlot {
    pub id: SlotId,
    pub bytes: u64,
}

/// What a store takes of its medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotSpace {
    /// Files or objects,
    pub files: u64,
    /// their bytes,
    pub bytes: u64,
    /// and those of them that are slots which are not released.
    pub used_bytes: u64,
}

/// Where slots are kept. Puts of different slots may overlap; slots of a lane are put in sequence order.
pub trait SlotStore: fmt::Debug + Send + Sync {
    /// Makes a slot durable. `bytes` are an encoded slot. Putting the same bytes again is harmless.
    ///
    /// # Errors
    /// `NoSpace`: nothing was stored, try again later. Anything else: nobody knows.
    fn put(&self, id: SlotId, bytes: Bytes) -> BoxFuture<'_, Result<Put, DiskError>>;

    /// A slot's bytes as they are on the device, damaged or not; none when it is not there.
    fn get(&self, id: SlotId) -> BoxFuture<'_, Result<Option<Bytes>, DiskError>>;

    /// The slots of all lanes at or above `from`, by lane and sequence. A slot with a damaged header is not among them.
    fn present(&self, from: SlotId) -> BoxFuture<'_, Result<Vec<PresentSlot>, DiskError>>;

    /// Slots below `below`, of its lane and of all earlier ones, may be forgotten.
    fn release(&self, below: SlotId) -> BoxFuture<'_, Result<(), DiskError>>;

    /// What the store takes at a time.
    fn limits(&self) -> SlotLimits;

    /// What the store takes of its medium now.
    fn space(&self) -> SlotSpace;
}

#[cfg(test)]
mod contract;

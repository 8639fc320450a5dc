//! The lane's rules without I/O: what goes into which slot, when a slot is sealed, in which order slots are acknowledged.
//!
//! Events come in (`append`, `put_done`, `settled`, `checkpointed`), effects go out (`seal`, acknowledged slots, `StepDown`).
//! Slots are acknowledged in their order only: a slot is durable when it and all before it are stored.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use millstream_model::Offset;

use super::slot::{LaneEntry, LaneEntryBody, LaneId, PartitionKey, Seal, Slot, SlotKind};
use super::ticket::{SlotFate, Ticket};
use crate::planted::{self, Bug};
use crate::slots::SlotId;

/// Bounds of a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneLimits {
    pub(crate) slot_bytes_max: usize,
    pub(crate) in_flight_max: usize,
    pub(crate) waiting_bytes_max: usize,
    pub(crate) unsettled_bytes_max: usize,
}

/// Entries that share a slot, and so a fate.
#[derive(Debug, Default)]
pub(crate) struct OpenSlot {
    pub(crate) entries: Vec<LaneEntry>,
    pub(crate) fate: Arc<SlotFate>,
    bytes: usize,
}

impl OpenSlot {
    fn push(&mut self, entry: LaneEntry) -> Ticket {
        self.bytes += entry.slot_bytes();
        self.entries.push(entry);
        Ticket::of(&self.fate)
    }
}

/// A slot whose put was started.
#[derive(Debug)]
pub(crate) struct SealedSlot {
    pub(crate) seal: Seal,
    pub(crate) entries: Vec<LaneEntry>,
    pub(crate) fate: Arc<SlotFate>,
}

/// A slot that may be acknowledged.
#[derive(Debug)]
pub(crate) struct DurableSlot {
    pub(crate) slot: Slot,
    pub(crate) fate: Arc<SlotFate>,
}

#[derive(Debug)]
struct InFlight {
    low_water: u64,
    done: Option<DurableSlot>,
}

/// What an answer of the slot store means for the lane.
#[derive(Debug)]
pub(crate) enum LaneEffect {
    /// These slots are durable, in this order; readers may see them.
    Acknowledge(Vec<DurableSlot>),
    /// Another owner ended the lane: nothing that waits may be acknowledged.
    StepDown,
}

/// State of a lane.
#[derive(Debug)]
pub(crate) struct LaneCore {
    lane: LaneId,
    nonce: u64,
    limits: LaneLimits,
    next_sequence: u64,
    acked_upto: u64,
    /// Slots below are not needed for recovery any more,
    low_water: u64,
    /// and a durable slot says so.
    published_low_water: u64,
    /// Whether an acknowledged data slot is not yet covered by a later slot's `acked_upto`.
    uncovered: bool,
    waiting: VecDeque<OpenSlot>,
    waiting_bytes: usize,
    /// What segments hold without the lane; it rides in the next slot, nobody waits for it.
    reached: BTreeMap<PartitionKey, Offset>,
    in_flight: BTreeMap<u64, InFlight>,
    unsettled_bytes: usize,
    halted: bool,
}

impl LaneCore {
    pub(crate) fn new(lane: LaneId, nonce: u64, limits: LaneLimits) -> Self {
        Self {
            lane,
            nonce,
            limits,
            next_sequence: 0,
            acked_upto: 0,
            low_water: 0,
            published_low_water: 0,
            uncovered: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            reached: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            unsettled_bytes: 0,
            halted: false,
        }
    }

    /// Whether entries may be appended now.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting_bytes < self.limits.waiting_bytes_max
    }

    /// Puts an entry into the newest slot that is not sealed yet.
    pub(crate) fn append(&mut self, entry: LaneEntry) -> Ticket {
        let bytes = entry.slot_bytes();
        self.waiting_bytes += bytes;
        if self.waiting.back().is_none_or(|slot| slot.bytes + bytes > self.limits.slot_bytes_max) {
            self.waiting.push_back(OpenSlot::default());
        }
        self.waiting.back_mut().expect("one was pushed").push(entry)
    }

    /// A partition's segments hold durably what lies below `end`, without the lane.
    pub(crate) fn reached(&mut self, key: PartitionKey, end: Offset) {
        self.reached.insert(key, end);
    }

    /// A topic's partition is gone.
    pub(crate) fn forget(&mut self, key: PartitionKey) {
        self.reached.remove(&key);
    }

    /// Seals the next slot when it may be written now: a full one while others are in flight, else whatever there is
    /// when none is, so that one slot carries all that arrived while the last was written.
    pub(crate) fn seal(&mut self) -> Option<SealedSlot> {
        let full = self.waiting.len() > 1;
        let free = self.in_flight.is_empty() || (full && self.in_flight.len() < self.limits.in_flight_max);
        if self.halted || !free || self.unsettled_bytes >= self.limits.unsettled_bytes_max {
            return None;
        }
        let open = self.waiting.pop_front()?;
        self.waiting_bytes -= open.bytes;
        Some(self.seal_data(open))
    }

    fn seal_data(&mut self, mut open: OpenSlot) -> SealedSlot {
        for (key, end) in std::mem::take(&mut self.reached) {
            open.push(LaneEntry { key, body: LaneEntryBody::Reached(end) });
        }
        self.unsettled_bytes += open.bytes;
        let seal = self.next_seal(SlotKind::Data);
        SealedSlot { seal, entries: open.entries, fate: open.fate }
    }

    /// Whether the lane is idle and a later slot is needed to say that the last is durable, or that slots can be released.
    pub(crate) fn needs_mark(&self) -> bool {
        let needed = self.uncovered || self.published_low_water < self.low_water || !self.reached.is_empty();
        needed && self.is_idle() && !self.halted
    }

    /// Seals a slot that nobody waits for when one is needed.
    pub(crate) fn seal_mark(&mut self) -> Option<SealedSlot> {
        let needed = self.needs_mark();
        needed.then(|| if self.reached.is_empty() { self.seal_empty() } else { self.seal_data(OpenSlot::default()) })
    }

    /// Seals the session's last slot, which covers all before it; they must be acknowledged and settled.
    pub(crate) fn seal_last(&mut self) -> SealedSlot {
        assert!(self.is_idle(), "a lane is closed when it is drained");
        self.seal_empty()
    }

    fn seal_empty(&mut self) -> SealedSlot {
        SealedSlot { seal: self.next_seal(SlotKind::Mark), entries: Vec::new(), fate: Arc::default() }
    }

    fn next_seal(&mut self, kind: SlotKind) -> Seal {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.in_flight.insert(sequence, InFlight { low_water: self.low_water, done: None });
        let (lane, nonce, acked_upto, low_water) = (self.lane, self.nonce, self.acked_upto, self.low_water);
        Seal { kind, lane, sequence, nonce, acked_upto, low_water }
    }

    /// Whether nothing waits and nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// A put was answered with Stored: the slots that may be acknowledged now.
    pub(crate) fn put_done(&mut self, slot: Slot, fate: Arc<SlotFate>) -> LaneEffect {
        let sequence = slot.header.sequence;
        let put = self.in_flight.get_mut(&sequence).expect("only a slot in flight is answered");
        assert!(put.done.is_none(), "slot {sequence} was answered twice");
        if planted::has(Bug::AnswersOutOfSlotOrder) {
            fate.durable();
        }
        put.done = Some(DurableSlot { slot, fate });
        let mut acknowledged = Vec::new();
        while let Some(first) = self.in_flight.first_entry() {
            if first.get().done.is_none() {
                break;
            }
            let put = first.remove();
            let durable = put.done.expect("it was looked at above");
            self.acked_upto = durable.slot.header.sequence + 1;
            self.published_low_water = put.low_water;
            self.uncovered = durable.slot.header.kind == SlotKind::Data;
            acknowledged.push(durable);
        }
        LaneEffect::Acknowledge(acknowledged)
    }

    /// A put was answered with Fenced or Foreign, or failed for good: nothing is acknowledged any more.
    pub(crate) fn step_down(&mut self) -> LaneEffect {
        self.halted = true;
        for slot in self.waiting.drain(..) {
            slot.fate.halted();
        }
        for put in self.in_flight.values().filter_map(|put| put.done.as_ref()) {
            put.fate.halted();
        }
        self.waiting_bytes = 0;
        LaneEffect::StepDown
    }

    /// Tells who waits for a slot that the disk is full; what is in flight is told by its writer.
    pub(crate) fn no_space(&self) {
        for slot in &self.waiting {
            slot.fate.no_space();
        }
    }

    /// `bytes` of acknowledged slots have reached their segments.
    pub(crate) fn settled(&mut self, bytes: usize) {
        self.unsettled_bytes = self.unsettled_bytes.saturating_sub(bytes);
    }

    /// A checkpoint covers all slots below `sequence`.
    /// All slots below are acknowledged.
    pub(crate) fn acked_upto(&self) -> u64 {
        self.acked_upto
    }

    pub(crate) fn checkpointed(&mut self, sequence: u64) {
        assert!(sequence <= self.acked_upto, "only acknowledged slots settle");
        self.low_water = self.low_water.max(sequence);
    }

    /// Slots below are not needed, and every later recovery will know: their place may be used again.
    pub(crate) fn releasable_below(&self) -> SlotId {
        SlotId { lane: self.lane, sequence: self.published_low_water }
    }

    /// Bytes of slots, durable or about to be, that are not yet in their segments.
    pub(crate) fn unsettled_bytes(&self) -> usize {
        self.unsettled_bytes
    }

    /// Bytes that were appended and are not yet in their segments.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.waiting_bytes + self.unsettled_bytes
    }
}

#[cfg(test)]
mod tests;

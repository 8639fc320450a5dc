//! The lane's task: seals slots, puts them into the slot store, and makes known in slot order what is durable.
//!
//! One per storage. It ends when the lane is drained at shutdown, or when the storage has failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::core::{LaneEffect, SealedSlot};
use super::slot::{PartitionKey, Slot, SlotEntryBody, encode};
use super::ticket::SlotFate;
use crate::disk::DiskError;
use crate::room::{NO_SPACE_RETRY, Writer};
use crate::shared::{Phase, Shared};
use crate::slots::{Put, SlotId, SlotStore};

/// How long the lane is idle before a mark slot covers its last data slot.
const MARK_AFTER: Duration = Duration::from_millis(100);

/// Outcome of one slot's put.
struct Answered {
    slot: Slot,
    fate: Arc<SlotFate>,
    answer: Result<Put, DiskError>,
}

/// Runs until the lane is drained in phase `Draining`.
pub(crate) async fn run(shared: Arc<Shared>, slots: Arc<dyn SlotStore>) {
    let mut puts = FuturesUnordered::new();
    let mut released = 0;
    loop {
        while let Some(sealed) = seal(&shared) {
            puts.push(store(&shared, slots.as_ref(), sealed));
        }
        if puts.is_empty() && (shared.is_halted() || is_drained(&shared)) {
            return;
        }
        let idle = puts.is_empty() && shared.lane.lock().needs_mark();
        tokio::select! {
            biased;
            Some(answered) = puts.next() => handle(&shared, answered),
            () = shared.lane_work.notified() => {}
            () = shared.clock.sleep(MARK_AFTER), if idle => {
                let mark = shared.lane.lock().seal_mark();
                puts.extend(mark.map(|sealed| store(&shared, slots.as_ref(), sealed)));
            }
        }
        let below = shared.lane.lock().releasable_below();
        if below.sequence > released {
            released = below.sequence;
            if let Err(error) = slots.release(below).await {
                shared.halt(&error.to_string());
            }
        }
    }
}

fn seal(shared: &Shared) -> Option<SealedSlot> {
    shared.lane.lock().seal()
}

fn is_drained(shared: &Shared) -> bool {
    *shared.phase.borrow() >= Phase::Draining && shared.lane.lock().is_idle()
}

/// Puts one slot, again and again while the disk is full: its offsets are given out, so these bytes are written or none.
async fn store(shared: &Shared, slots: &dyn SlotStore, sealed: SealedSlot) -> Answered {
    let SealedSlot { seal, entries, fate } = sealed;
    let (slot, bytes) = encode(seal, &entries);
    drop(entries);
    let id = SlotId { lane: seal.lane, sequence: seal.sequence };
    loop {
        let began = shared.clock.monotonic();
        let answer = slots.put(id, bytes.clone()).await;
        match &answer {
            Err(error) if shared.waits_for_space(error) => {
                shared.room.set_refused(Writer::Lane, true);
                fate.no_space();
                shared.lane.lock().no_space();
                shared.clock.sleep(NO_SPACE_RETRY).await;
            }
            _ => {
                if answer.is_ok() {
                    shared.room.set_refused(Writer::Lane, false);
                }
                let counters = &shared.counters;
                counters.slots_written.add(1);
                counters.slot_bytes_written.add(bytes.len() as u64);
                counters.slot_times.observe(shared.clock.monotonic().saturating_sub(began));
                return Answered { slot, fate, answer };
            }
        }
    }
}

fn handle(shared: &Shared, answered: Answered) {
    let Answered { slot, fate, answer } = answered;
    let reason = match answer {
        Ok(Put::Stored) if !shared.is_halted() => {
            let effect = shared.lane.lock().put_done(slot, fate);
            if let LaneEffect::Acknowledge(durable) = effect {
                let now = shared.clock.monotonic();
                for slot in durable {
                    acknowledge(shared, &slot.slot);
                    slot.fate.durable();
                    if shared.queue.lock().push(slot.slot, now, shared.limits.settle_bytes) {
                        shared.settle_work.notify_one();
                    }
                }
            }
            return;
        }
        Ok(Put::Stored) => "the storage has failed before".to_owned(),
        Ok(Put::Fenced) => "another broker has ended this lane".to_owned(),
        Ok(Put::Foreign) => "another process writes to this lane".to_owned(),
        Err(error) => error.to_string(),
    };
    fate.halted();
    shared.halt(&reason);
}

/// Raises the high watermarks that a durable slot raises.
fn acknowledge(shared: &Shared, slot: &Slot) {
    let mut by_partition: BTreeMap<PartitionKey, Vec<&SlotEntryBody>> = BTreeMap::new();
    for entry in &slot.entries {
        by_partition.entry(entry.key).or_default().push(&entry.body);
    }
    for (key, entries) in by_partition {
        if let Some(partition) = shared.partition(key) {
            partition.acknowledge(entries.into_iter());
        }
    }
}

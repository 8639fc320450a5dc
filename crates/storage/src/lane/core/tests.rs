//! The lane's rules: what is sealed when, and that slots are acknowledged in their order only.

use millstream_model::{Offset, PartitionIndex, TopicId};
use proptest::prelude::*;

use super::*;
use crate::lane::slot::{LaneEntryBody, PartitionKey, encode};

const LIMITS: LaneLimits =
    LaneLimits { slot_bytes_max: 200, in_flight_max: 3, waiting_bytes_max: 1000, unsettled_bytes_max: 600 };

fn entry() -> LaneEntry {
    let key = PartitionKey { topic_id: TopicId::ZERO, index: PartitionIndex(0) };
    LaneEntry { key, body: LaneEntryBody::LogStart(Offset(1)) }
}

fn lane() -> LaneCore {
    LaneCore::new(LaneId(1), 2, LIMITS)
}

fn done(lane: &mut LaneCore, sealed: SealedSlot) -> Vec<u64> {
    let (slot, _) = encode(sealed.seal, &sealed.entries);
    let LaneEffect::Acknowledge(durable) = lane.put_done(slot, sealed.fate) else { panic!("it was stored") };
    durable.iter().map(|slot| slot.slot.header.sequence).collect()
}

#[test]
fn one_slot_carries_what_arrived_while_the_last_was_written() {
    let mut lane = lane();
    lane.append(entry());
    let first = lane.seal().unwrap();
    assert_eq!(first.entries.len(), 1);
    lane.append(entry());
    lane.append(entry());
    assert!(lane.seal().is_none(), "a slot that is not full waits for the one in flight");
    done(&mut lane, first);
    assert_eq!(lane.seal().unwrap().entries.len(), 2);
}

#[test]
fn full_slots_go_while_others_are_in_flight_up_to_the_limit() {
    let mut lane = lane();
    for _ in 0..3 * 5 {
        lane.append(entry());
    }
    let sealed: Vec<SealedSlot> = std::iter::from_fn(|| lane.seal()).collect();
    assert_eq!(sealed.iter().map(|slot| slot.entries.len()).collect::<Vec<_>>(), [3, 3, 3]);
}

#[test]
fn slots_wait_while_segments_are_behind() {
    let mut lane = lane();
    let mut unsettled = 0;
    loop {
        lane.append(entry());
        let Some(sealed) = lane.seal() else { break };
        unsettled += sealed.entries[0].slot_bytes();
        done(&mut lane, sealed);
    }
    assert!(unsettled >= LIMITS.unsettled_bytes_max);
    lane.settled(unsettled);
    assert!(lane.seal().is_some());
}

#[test]
fn a_mark_covers_the_last_slot_and_publishes_the_low_water() {
    let mut lane = lane();
    assert!(!lane.needs_mark(), "an idle lane needs none");
    lane.append(entry());
    let data = lane.seal().unwrap();
    assert!(!lane.needs_mark(), "nothing is idle yet");
    done(&mut lane, data);
    let mark = lane.seal_mark().unwrap();
    assert_eq!((mark.seal.sequence, mark.seal.acked_upto), (1, 1));
    done(&mut lane, mark);
    assert!(!lane.needs_mark());
    lane.checkpointed(1);
    assert_eq!(lane.releasable_below().sequence, 0, "no durable slot says so yet");
    let mark = lane.seal_mark().unwrap();
    assert_eq!(mark.seal.low_water, 1);
    done(&mut lane, mark);
    assert_eq!(lane.releasable_below().sequence, 1);
}

#[test]
fn nothing_is_acknowledged_after_a_step_down() {
    let mut lane = lane();
    let waiting = lane.append(entry());
    lane.step_down();
    assert!(lane.seal().is_none());
    let verdict = futures_util::FutureExt::now_or_never(waiting.durable());
    assert_eq!(verdict, Some(Err(crate::StorageError::Halted)));
}

proptest! {
    #[test]
    fn slots_are_acknowledged_in_order_and_none_is_forgotten(order: Vec<u8>) {
        let mut lane = lane();
        let (mut in_flight, mut acknowledged, mut appended) = (Vec::new(), Vec::new(), 0);
        for step in order {
            if step % 2 == 0 {
                for _ in 0..step % 8 {
                    lane.append(entry());
                    appended += 1;
                }
                in_flight.extend(std::iter::from_fn(|| lane.seal()));
            } else if !in_flight.is_empty() {
                let sealed: SealedSlot = in_flight.swap_remove(usize::from(step) % in_flight.len());
                let bytes = sealed.entries.iter().map(LaneEntry::slot_bytes).sum();
                acknowledged.extend(done(&mut lane, sealed));
                lane.settled(bytes);
            }
        }
        while let Some(sealed) = in_flight.pop().or_else(|| lane.seal()) {
            let bytes = sealed.entries.iter().map(LaneEntry::slot_bytes).sum();
            acknowledged.extend(done(&mut lane, sealed));
            lane.settled(bytes);
        }
        prop_assert!(lane.is_idle());
        prop_assert_eq!(&acknowledged, &(0..acknowledged.len() as u64).collect::<Vec<_>>());
        prop_assert!(appended == 0 || !acknowledged.is_empty());
    }
}

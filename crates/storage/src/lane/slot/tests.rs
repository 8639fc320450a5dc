//! The slot's bytes, and what is told of damaged ones.

use millstream_model::LeaderEpoch;
use proptest::prelude::*;

use super::*;
use crate::tests::{batch_of, plain, stamp};

fn key(number: u8) -> PartitionKey {
    PartitionKey { topic_id: TopicId(Uuid::from_bytes([number; 16])), index: PartitionIndex(i32::from(number)) }
}

fn seal(kind: SlotKind) -> Seal {
    Seal { kind, lane: LaneId(2), sequence: 3, nonce: 4, acked_upto: 5, low_water: 6 }
}

fn entry(number: u8, batch: &Batch, base: i64) -> LaneEntry {
    let stamped = StampedBatch::new(batch, Offset(base), LeaderEpoch(0), None);
    LaneEntry { key: key(number), body: LaneEntryBody::Batch(stamped) }
}

fn entries() -> Vec<LaneEntry> {
    vec![
        entry(1, &plain(&["a", "b"], 10), 7),
        LaneEntry { key: key(2), body: LaneEntryBody::LogStart(Offset(9)) },
        entry(3, &batch_of(&["c"], 11, stamp(4, 5, 6)), 0),
    ]
}

#[test]
fn an_empty_slot_is_these_bytes() {
    let (_, bytes) = encode(seal(SlotKind::Mark), &[]);
    assert_eq!(bytes.len(), BLOCK_BYTES);
    assert_eq!(&bytes[0..12], b"MILLSLOT\0\x02\0\x01");
    let numbers: Vec<u64> = bytes[16..56].chunks(8).map(|long| u64::from_be_bytes(array(long))).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6]);
    let numbers: Vec<u32> = bytes[56..76].chunks(4).map(|int| u32::from_be_bytes(array(int))).collect();
    assert_eq!(numbers, [4096, 96, 0, 0, 0]);
    assert!(bytes[76..].iter().all(|byte| *byte == 0));
    let covered = [&bytes[8..12], &bytes[16..96]].concat();
    assert_eq!(bytes[12..16], crc32c(&covered).to_be_bytes());
}

#[test]
fn an_index_entry_is_these_bytes() {
    let (slot, bytes) = encode(seal(SlotKind::Data), &entries());
    let SlotEntryBody::Batch(batch) = &slot.entries[2].body else { panic!("a batch was put there") };
    let first = plain(&["a", "b"], 10).bytes().len();
    let index = &bytes[slot.header.index_at as usize + 2 * INDEX_ENTRY_BYTES..][..INDEX_ENTRY_BYTES];
    let mut golden = vec![3; 16];
    golden.extend([0, 0, 0, 3, 1, 0, 0, 0]);
    golden.extend([0; 16]);
    golden.extend(((HEADER_BYTES + first) as u32).to_be_bytes());
    golden.extend((batch.bytes().len() as u32).to_be_bytes());
    golden.extend([0, 0, 0, 0, 0, 0, 0, 4, 0, 5, 0, 0, 0, 0, 0, 6]);
    assert_eq!(index, golden);
}

#[test]
fn a_slot_decodes_to_what_was_encoded() {
    for kind in [SlotKind::Data, SlotKind::Mark, SlotKind::Fence] {
        let entries = if kind == SlotKind::Data { entries() } else { Vec::new() };
        let (slot, bytes) = encode(seal(kind), &entries);
        assert_eq!(decode(&bytes), Ok(slot));
    }
}

#[test]
fn a_slot_of_a_later_version_is_named() {
    let (_, bytes) = encode(seal(SlotKind::Mark), &[]);
    let mut later = bytes.to_vec();
    later[9] = 3;
    let crc = header_crc(&later);
    later[12..16].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(decode(&later.into()), Err(SlotError::Newer(3)));
}

#[test]
fn a_damaged_body_costs_only_the_batch_that_is_hit() {
    let (_, bytes) = encode(seal(SlotKind::Data), &entries());
    let mut damaged = bytes.to_vec();
    damaged[HEADER_BYTES + 65] ^= 1;
    let Err(SlotError::DamagedBody { slot, lost }) = decode(&damaged.into()) else { panic!("the body is damaged") };
    assert_eq!(lost, [key(1)]);
    assert_eq!(slot.entries.iter().map(|entry| entry.key).collect::<Vec<_>>(), [key(2), key(3)]);
}

#[test]
fn no_turned_bit_goes_unnoticed() {
    let (slot, bytes) = encode(seal(SlotKind::Data), &entries());
    let used = slot.header.index_at as usize + slot.entries.len() * INDEX_ENTRY_BYTES;
    let mut damaged = bytes.to_vec();
    for bit in 0..used * 8 {
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&Bytes::copy_from_slice(&damaged)).is_err(), "bit {bit}");
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    damaged[used..].fill(1);
    assert_eq!(decode(&damaged.into()), Ok(slot), "the padding means nothing");
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes: Vec<u8>, head: bool) {
        let (_, good) = encode(seal(SlotKind::Data), &entries());
        let mut all = if head { good[..HEADER_BYTES].to_vec() } else { Vec::new() };
        all.extend(bytes);
        let _ = decode(&all.into());
    }
}

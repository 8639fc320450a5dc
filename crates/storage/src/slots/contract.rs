//! The contract of `SlotStore`, run against the ring (simulated and on the file system) and memory.

use std::sync::Arc;

use bytes::Bytes;
use millstream_model::LeaderEpoch;

use super::memory::MemorySlots;
use super::ring::FileRing;
use super::*;
use crate::disk::simulated::SimulatedDisk;
use crate::disk::{Disk, FileDisk};
use crate::lane::session::Session;
use crate::lane::slot::{Seal, SlotKind, encode};

const LIMITS: SlotLimits = SlotLimits { in_flight_max: 4, slot_bytes_max: 16 << 10 };
const FILE_BYTES: u64 = 16 << 10;
/// Whose slots `slot` makes.
const SESSION: Session = Session { lane: LaneId(1), nonce: 1, generation: LeaderEpoch(0), closed: false, rounds: 0 };

fn slot(lane: u64, sequence: u64) -> (SlotId, Bytes) {
    let seal = Seal { kind: SlotKind::Mark, lane: LaneId(lane), sequence, nonce: 1, acked_upto: 0, low_water: 0 };
    let id = SlotId { lane: LaneId(lane), sequence };
    (id, encode(seal, &[]).1)
}

async fn contract(store: &dyn SlotStore) {
    for sequence in 0..10 {
        let (id, bytes) = slot(1, sequence);
        assert_eq!(store.put(id, bytes.clone()).await.unwrap(), Put::Stored);
        assert_eq!(store.put(id, bytes).await.unwrap(), Put::Stored, "the same bytes again are harmless");
    }
    let (id, bytes) = slot(2, 0);
    store.put(id, bytes).await.unwrap();
    let (id, bytes) = slot(1, 3);
    assert_eq!(store.get(id).await.unwrap(), Some(bytes));
    assert_eq!(store.get(slot(1, 99).0).await.unwrap(), None);
    store.release(slot(1, 5).0).await.unwrap();
    let present = store.present(SlotId { lane: LaneId(0), sequence: 0 }).await.unwrap();
    let expected: Vec<SlotId> = (5..10).map(|sequence| slot(1, sequence).0).chain([slot(2, 0).0]).collect();
    assert_eq!(present.iter().map(|slot| slot.id).collect::<Vec<_>>(), expected);
    for sequence in 10..40 {
        let (id, bytes) = slot(1, sequence);
        store.put(id, bytes).await.unwrap();
        store.release(id).await.unwrap();
    }
    let (id, bytes) = slot(1, 39);
    let space = store.space();
    // The slot of lane 2 is left too.
    assert_eq!(space.used_bytes, 2 * bytes.len() as u64);
    assert!(space.bytes >= space.used_bytes, "{space:?}");
    assert_eq!(store.get(id).await.unwrap(), Some(bytes));
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract(&MemorySlots::default()).await;
}

#[tokio::test]
async fn the_ring_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir.path(), 2).unwrap());
    contract(&FileRing::open(disk, FILE_BYTES, LIMITS, Some(SESSION)).await.unwrap()).await;
    for seed in 0..20 {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(seed));
        contract(&FileRing::open(disk, FILE_BYTES, LIMITS, Some(SESSION)).await.unwrap()).await;
    }
}

#[tokio::test]
async fn memory_tells_a_fence_from_a_foreign_slot() {
    let store = MemorySlots::default();
    let (id, bytes) = slot(1, 0);
    let seal = Seal { kind: SlotKind::Fence, lane: id.lane, sequence: 0, nonce: 2, acked_upto: 0, low_water: 0 };
    store.put(id, encode(seal, &[]).1).await.unwrap();
    assert_eq!(store.put(id, bytes.clone()).await.unwrap(), Put::Fenced);
    let (other, _) = slot(1, 1);
    let seal = Seal { kind: SlotKind::Mark, sequence: 1, ..seal };
    store.put(other, encode(seal, &[]).1).await.unwrap();
    assert_eq!(store.put(other, slot(1, 1).1).await.unwrap(), Put::Foreign);
}

#[tokio::test]
async fn the_ring_finds_its_slots_after_a_crash_and_uses_files_again() {
    for seed in 0..50 {
        let simulated = SimulatedDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
        let ring = FileRing::open(Arc::clone(&disk), FILE_BYTES, LIMITS, Some(SESSION)).await.unwrap();
        for sequence in 0..30 {
            let (id, bytes) = slot(1, sequence);
            ring.put(id, bytes).await.unwrap();
            if sequence > 5 {
                ring.release(slot(1, sequence - 5).0).await.unwrap();
            }
        }
        simulated.power_cycle();
        let ring = FileRing::open(Arc::clone(&disk), FILE_BYTES, LIMITS, Some(SESSION)).await.unwrap();
        for sequence in 24..30 {
            let (id, bytes) = slot(1, sequence);
            assert_eq!(ring.get(id).await.unwrap(), Some(bytes), "seed {seed}, slot {sequence}");
        }
        let files = disk.list(ring::RING_DIR.into()).await.unwrap().len();
        assert!(files <= 5, "thirty slots of a quarter file each lie in {files} files");
    }
}

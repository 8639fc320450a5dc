//! What a doctor says and does: damaged directories are served again, what is lost is said, and nothing is deleted. A crash
//! at any moment leaves the old state or the new.

use std::sync::Arc;

use crate::disk::simulated::{Faults, SimulatedDisk};
use crate::inspect::plan::diagnose;
use crate::inspect::verify::Verification;
use crate::open::tests::{all, append, open, open_lagging, partition, simulated};
use crate::segments::kafka::checkpoint::{ALIGN_BYTES, whole_round};
use crate::storage::Storage;

use super::*;

const RECORDS: i64 = 20;
const LOG: &str = "kafka/a-0/00000000000000000000.log";

fn examine(disk: &Arc<dyn Disk>) -> Diagnosis {
    diagnose(disk.as_ref(), &mut |_, _| {}).unwrap()
}

fn is_good(disk: &Arc<dyn Disk>) -> bool {
    Verification::begin(disk.as_ref()).unwrap().run(&mut |_, _| {}).unwrap().is_good()
}

fn value(number: i64) -> String {
    format!("value {number:0300}")
}

async fn fill(storage: &Storage) {
    for number in 0..RECORDS {
        append(&partition(storage, "a"), &[&value(number)]).await;
    }
    append(&partition(storage, "b"), &["x"]).await;
}

/// A directory after a clean end.
async fn closed(seed: u64) -> (SimulatedDisk, Arc<dyn Disk>) {
    let (simulated, disk) = simulated(seed);
    let (storage, _) = open(&disk, 1, &["a", "b"]).await;
    fill(&storage).await;
    storage.close().await.unwrap();
    (simulated, disk)
}

/// Bytes of one of the batches of `a`, which are all of the same size.
fn batch_bytes(simulated: &SimulatedDisk) -> u64 {
    simulated.content(Path::new(LOG)).unwrap().len() as u64 / RECORDS as u64
}

/// The records but for those from one offset to before another.
fn values(lost: &[(i64, i64)]) -> Vec<String> {
    let is_lost = |number: i64| lost.iter().any(|(start, end)| (*start..*end).contains(&number));
    (0..RECORDS).filter(|number| !is_lost(*number)).map(value).collect()
}

/// Opens, reads `a`, appends to it at the offset that nobody has had, and closes.
async fn is_served(disk: &Arc<dyn Disk>, nonce: u64, expected: &[String], end: i64) {
    let (storage, report) = open(disk, nonce, &["a", "b"]).await;
    assert!(report.offline.is_empty() && report.clean, "{report:?}");
    let a = partition(&storage, "a");
    assert_eq!(all(&a).await, expected);
    assert_eq!(append(&a, &["next"]).await.base_offset, Offset(end));
    assert_eq!(all(&partition(&storage, "b")).await, ["x"]);
    storage.close().await.unwrap();
    assert!(is_good(disk));
}

fn lost_of(diagnosis: &Diagnosis) -> Vec<(i64, i64)> {
    let [partition] = &diagnosis.partitions[..] else { panic!("{diagnosis:?}") };
    partition.lost.iter().map(|range| (range.start.0, range.end.0)).collect()
}

/// Diagnoses, heals and starts; the offsets that are said to be lost are the ones that are not there.
async fn heals(disk: &Arc<dyn Disk>, lost: &[(i64, i64)]) {
    let diagnosis = examine(disk);
    assert_eq!(lost_of(&diagnosis), lost, "{diagnosis:?}");
    let repaired = diagnosis.repair(disk.as_ref()).unwrap();
    assert_eq!(repaired.healed.len(), 1);
    assert!(is_good(disk), "{:?}", Verification::begin(disk.as_ref()).unwrap().run(&mut |_, _| {}));
    assert!(examine(disk).partitions.is_empty());
    is_served(disk, 9, &values(lost), RECORDS).await;
}

#[tokio::test]
async fn a_sound_directory_needs_no_doctor() {
    let (_, disk) = closed(1).await;
    let diagnosis = examine(&disk);
    assert!(diagnosis.partitions.is_empty() && diagnosis.findings.is_empty(), "{diagnosis:?}");
    assert_eq!((diagnosis.sound, diagnosis.refusal), (2, None));
}

#[tokio::test]
async fn a_damaged_batch_is_left_out_and_kept_aside() {
    for number in [0, 7, RECORDS - 1] {
        let (simulated, disk) = closed(2).await;
        let bytes = batch_bytes(&simulated);
        simulated.flip_bit(Path::new(LOG), bytes * number as u64 + 100);
        let before = simulated.content(Path::new(LOG)).unwrap();
        heals(&disk, &[(number, number + 1)]).await;
        let kept = simulated.content(Path::new("aside/doctor-0/a-0/00000000000000000000.log"));
        assert_eq!(kept, Some(before), "batch {number}");
    }
}

#[tokio::test]
async fn what_follows_a_batch_whose_length_is_damaged_is_found_again() {
    let (simulated, disk) = closed(3).await;
    let bytes = batch_bytes(&simulated);
    simulated.flip_bit(Path::new(LOG), bytes * 4 + 9);
    simulated.flip_bit(Path::new(LOG), bytes * 9 + 16);
    heals(&disk, &[(4, 5), (9, 10)]).await;
}

#[tokio::test]
async fn a_log_that_lost_its_end_or_all_of_it_is_served_with_what_is_left() {
    let (simulated, disk) = closed(4).await;
    let length = batch_bytes(&simulated) * 12 + 50;
    disk.perform_now(DiskOp::SetLength { file: LOG.into(), length }).unwrap();
    heals(&disk, &[(12, RECORDS)]).await;
    let (_, disk) = closed(5).await;
    disk.perform_now(DiskOp::RemoveFile(LOG.into())).unwrap();
    heals(&disk, &[(0, RECORDS)]).await;
    let (_, disk) = closed(6).await;
    disk.perform_now(DiskOp::RemoveDir("kafka/a-0".into())).unwrap();
    heals(&disk, &[(0, RECORDS)]).await;
}

#[tokio::test]
async fn a_lying_index_is_built_anew_and_nothing_is_lost() {
    let (simulated, disk) = closed(7).await;
    simulated.flip_bit(Path::new("kafka/a-0/00000000000000000000.index"), 7);
    heals(&disk, &[]).await;
}

/// Turns a bit in each round that has records and is not the last one.
fn rot_rounds_before_the_last(simulated: &SimulatedDisk) {
    let content = Bytes::from(simulated.content(Path::new(CHECKPOINT_FILE)).unwrap());
    let starts = (0..content.len()).step_by(ALIGN_BYTES);
    let rounds: Vec<usize> = starts.filter(|at| whole_round(&content.slice(*at..)).is_some()).collect();
    let (_, before) = rounds.split_last().unwrap();
    assert!(!before.is_empty());
    for at in before {
        simulated.flip_bit(Path::new(CHECKPOINT_FILE), *at as u64 + 13);
    }
}

#[tokio::test]
async fn partitions_whose_checkpoint_is_damaged_are_known_from_their_files() {
    for missing in [true, false] {
        let (simulated, disk) = closed(8).await;
        if missing {
            disk.perform_now(DiskOp::RemoveFile(CHECKPOINT_FILE.into())).unwrap();
        } else {
            // A round of `b` alone hides the damage of what is before.
            let (storage, _) = open(&disk, 2, &["a", "b"]).await;
            append(&partition(&storage, "b"), &["y"]).await;
            storage.close().await.unwrap();
            rot_rounds_before_the_last(&simulated);
        }
        let diagnosis = examine(&disk);
        assert!(diagnosis.partitions.iter().all(|partition| partition.lost.is_empty()), "{diagnosis:?}");
        let healed = diagnosis.repair(disk.as_ref()).unwrap().healed;
        assert!(!healed.is_empty());
        let (storage, report) = open(&disk, 9, &["a", "b"]).await;
        assert!(report.offline.is_empty() && report.clean, "{report:?}");
        assert_eq!(all(&partition(&storage, "a")).await, values(&[]));
        assert_eq!(append(&partition(&storage, "a"), &["next"]).await.base_offset, Offset(RECORDS));
        storage.close().await.unwrap();
        assert!(is_good(&disk));
    }
}

/// A slot of the lane is damaged: the partition went offline at a start, and the lane aside.
#[tokio::test]
async fn a_partition_that_a_damaged_lane_took_offline_goes_on_behind_what_was_acknowledged() {
    let (simulated, disk) = simulated(9);
    let (storage, _) = open_lagging(&disk, 1, &["a", "b"]).await;
    fill(&storage).await;
    storage.abort().await;
    simulated.flip_bit(Path::new("lane/00000000.slots"), 4096 * 5 + 200);
    let refused = examine(&disk).refusal.unwrap();
    assert!(refused.contains("start it"), "{refused}");
    let (storage, report) = open(&disk, 2, &["a", "b"]).await;
    assert_eq!(report.offline.len(), 1, "{report:?}");
    storage.close().await.unwrap();
    heals(&disk, &[(5, RECORDS)]).await;
}

#[tokio::test]
async fn a_crash_at_any_moment_leaves_the_old_state_or_the_new() {
    let mut crash_at = 0;
    loop {
        let (simulated, disk) = closed(10).await;
        let bytes = batch_bytes(&simulated);
        simulated.flip_bit(Path::new(LOG), bytes * 7 + 100);
        disk.perform_now(DiskOp::SyncDir("kafka".into())).unwrap();
        let diagnosis = examine(&disk);
        simulated.set_faults(Faults { crash_at: Some(crash_at), ..Faults::default() });
        let done = diagnosis.repair(disk.as_ref()).is_ok();
        simulated.power_cycle();
        let again = examine(&disk);
        if !again.partitions.is_empty() {
            assert_eq!(lost_of(&again), [(7, 8)], "crash at {crash_at}");
            again.repair(disk.as_ref()).unwrap();
        }
        assert!(is_good(&disk), "crash at {crash_at}");
        is_served(&disk, 9, &values(&[(7, 8)]), RECORDS).await;
        if done {
            assert!(crash_at > 10, "{crash_at}");
            return;
        }
        crash_at += 1;
    }
}

/// The same, but a broker starts first: it serves the old state or the new.
#[tokio::test]
async fn a_start_after_a_crash_serves_what_is_whole() {
    let mut crash_at = 0;
    loop {
        let (simulated, disk) = closed(11).await;
        disk.perform_now(DiskOp::SetLength { file: LOG.into(), length: batch_bytes(&simulated) * 12 }).unwrap();
        disk.perform_now(DiskOp::SyncFile(LOG.into())).unwrap();
        let diagnosis = examine(&disk);
        simulated.set_faults(Faults { crash_at: Some(crash_at), ..Faults::default() });
        let done = diagnosis.repair(disk.as_ref()).is_ok();
        simulated.power_cycle();
        let (storage, report) = open(&disk, 3, &["a", "b"]).await;
        if report.offline.is_empty() {
            assert_eq!(all(&partition(&storage, "a")).await, values(&[(12, RECORDS)]), "crash at {crash_at}");
        } else {
            assert!(!done, "{report:?}");
        }
        storage.close().await.unwrap();
        if done {
            return;
        }
        crash_at += 1;
    }
}

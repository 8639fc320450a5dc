//! What a verification says of whole directories, and of damaged ones.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::disk::simulated::SimulatedDisk;
use crate::open::tests::{append, open, partition, simulated};
use crate::segments::kafka::checkpoint::{ALIGN_BYTES, CHECKPOINT_FILE, whole_round};
use crate::storage::Storage;

fn verify(disk: &Arc<dyn Disk>) -> Verified {
    let verification = Verification::begin(disk.as_ref()).unwrap();
    let bytes = verification.bytes().unwrap();
    let mut read = 0;
    let verified = verification.run(&mut |_, bytes| read += bytes).unwrap();
    assert!(read == bytes || !verified.is_good(), "progress reaches its end: {read} of {bytes}");
    verified
}

fn findings(verified: &Verified) -> Vec<String> {
    let of_partitions = verified.partitions.iter().flat_map(|partition| &partition.findings);
    verified.findings.iter().chain(of_partitions).map(ToString::to_string).collect()
}

async fn filled(disk: &Arc<dyn Disk>) -> Storage {
    let (storage, _) = open(disk, 1, &["a", "b"]).await;
    for number in 0..40 {
        append(&partition(&storage, "a"), &[&format!("value {number:0500}")]).await;
    }
    append(&partition(&storage, "b"), &["x"]).await;
    storage
}

/// A directory after a clean end.
async fn closed(seed: u64) -> (SimulatedDisk, Arc<dyn Disk>) {
    let (simulated, disk) = simulated(seed);
    filled(&disk).await.close().await.unwrap();
    (simulated, disk)
}

#[tokio::test]
async fn a_directory_after_a_clean_end_is_good() {
    let (_, disk) = closed(1).await;
    let verified = verify(&disk);
    assert!(verified.is_good(), "{verified:?}");
    let said: Vec<_> = verified.partitions.iter().map(|one| (one.name.as_str(), one.log_end, one.batches)).collect();
    assert_eq!(said, [("a-0", Offset(40), 40), ("b-0", Offset(1), 1)]);
}

#[tokio::test]
async fn a_directory_after_an_unclean_end_is_good_and_said_to_be_recovered() {
    let (_, disk) = simulated(2);
    filled(&disk).await.abort().await;
    let verified = verify(&disk);
    assert!(verified.is_good(), "{verified:?}");
    assert!(verified.notes.iter().any(|note| note.contains("its next start recovers")), "{verified:?}");
}

/// Whether a byte of the checkpoint file is not only there to fill up a block.
fn is_covered(content: &Bytes, at: u64) -> bool {
    let at = usize::try_from(at).unwrap();
    let start = (0..=at / ALIGN_BYTES).rev().map(|block| block * ALIGN_BYTES);
    let round = start.filter_map(|start| whole_round(&content.slice(start..)).map(|round| (start, round))).next();
    round.is_some_and(|(start, round)| at < start + 32 + round.payload.len())
}

/// Every byte of every file that a checksum covers, and those that only their neighbours know.
#[tokio::test]
async fn every_flipped_bit_that_counts_is_found_and_its_file_named() {
    let log = "kafka/a-0/00000000000000000000.log";
    let (index, time_index) = (log.replace(".log", ".index"), log.replace(".log", ".timeindex"));
    for file in [log, &index, &time_index, CHECKPOINT_FILE, "lane/session"] {
        let (simulated, disk) = closed(3).await;
        let content = Bytes::from(simulated.content(Path::new(file)).unwrap());
        assert!(!content.is_empty(), "{file}");
        let step = if file == log { 17 } else { 1 };
        for at in
            (0..content.len() as u64).step_by(step).filter(|at| file != CHECKPOINT_FILE || is_covered(&content, *at))
        {
            simulated.flip_bit(Path::new(file), at);
            let found = findings(&verify(&disk));
            let place = found.iter().any(|finding| finding.starts_with(file));
            assert!(place, "byte {at} of {file}: {found:?}");
            simulated.flip_bit(Path::new(file), at);
        }
        assert!(verify(&disk).is_good());
    }
}

#[tokio::test]
async fn damage_is_told_with_its_place_and_its_partition() {
    let (simulated, disk) = closed(4).await;
    let log = "kafka/a-0/00000000000000000000.log";
    let batch = simulated.content(Path::new(log)).unwrap().len() as u64;
    simulated.flip_bit(Path::new(log), batch - 1);
    let verified = verify(&disk);
    let named: Vec<&str> =
        verified.partitions.iter().filter(|one| !one.findings.is_empty()).map(|one| one.name.as_str()).collect();
    assert_eq!(named, ["a-0"]);
    let finding = &verified.partitions[0].findings[0];
    assert!(finding.position.is_some() && finding.reason.contains("offset 39"), "{finding}");
}

#[tokio::test]
async fn what_is_shorter_or_missing_is_found() {
    let remove = |file: &str| crate::disk::DiskOp::RemoveFile(file.into());
    let cut = |file: &str| crate::disk::DiskOp::SetLength { file: file.into(), length: 100 };
    let log = "kafka/a-0/00000000000000000000.log";
    let check = async |op: crate::disk::DiskOp, expected: &str| {
        let (_, disk) = closed(5).await;
        disk.perform_now(op).unwrap();
        let found = findings(&verify(&disk));
        assert!(found.iter().any(|finding| finding.contains(expected)), "{expected:?} is not in {found:?}");
    };
    check(remove(log), "00000000000000000000.log, position 0: it is missing").await;
    check(cut(log), "it ends here").await;
    check(remove("lane/session"), "lane/session: it is missing").await;
    check(remove(crate::segments::kafka::checkpoint::CHECKPOINT_FILE), "rounds are missing").await;
    check(crate::disk::DiskOp::RemoveDir("kafka/a-0".into()), "it has no directory").await;
    check(remove("kafka/a-0/partition.metadata"), "partition.metadata").await;
}

/// A process was killed between making a directory and writing what lies in it.
#[tokio::test]
async fn a_directory_that_was_only_just_made_is_no_damage_after_an_unclean_end() {
    for clean in [true, false] {
        let (_, disk) = simulated(7);
        let storage = filled(&disk).await;
        if clean {
            storage.close().await.unwrap();
        } else {
            storage.abort().await;
        }
        disk.perform_now(crate::disk::DiskOp::CreateDir("kafka/new-0".into())).unwrap();
        assert_eq!(verify(&disk).is_good(), !clean);
    }
}

/// The lane of a session that did not end: flips in what is needed.
#[tokio::test]
async fn every_flip_in_a_slot_of_an_unclean_end_is_told() {
    let (simulated, disk) = simulated(6);
    let storage = filled(&disk).await;
    storage.abort().await;
    let before = verify(&disk);
    let file = Path::new("lane/00000000.slots");
    for at in (0..160_u64).chain(4096..4096 + 200) {
        simulated.flip_bit(file, at);
        let after = verify(&disk);
        assert!((findings(&after), &after.notes) != (findings(&before), &before.notes), "byte {at}: {after:?}");
        simulated.flip_bit(file, at);
    }
}

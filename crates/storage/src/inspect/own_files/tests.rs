//! What is told of each of our files, whole and damaged.

use millstream_model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use uuid::Uuid;

use super::*;
use crate::lane::LaneId;
use crate::lane::slot::{LaneEntry, LaneEntryBody, PartitionKey, Seal, encode};
use crate::log::state::LogState;
use crate::segments::kafka::checkpoint::{encode_record, encode_round};
use crate::segments::kafka::plan::Segment;

const TOPIC: &str = "BwcHBwcHBwcHBwcHBwcHBw";

fn key() -> PartitionKey {
    PartitionKey { topic_id: TopicId(Uuid::from_bytes([7; 16])), index: PartitionIndex(3) }
}

fn told(content: &[u8], deep: bool) -> (Vec<String>, Result<(), Damage>) {
    let mut lines = Vec::new();
    let kind = OwnFile::of(content).expect("its first bytes tell");
    let done = kind.tell(&Bytes::copy_from_slice(content), deep, &mut |line| lines.push(line));
    (lines, done)
}

fn slot(sequence: u64) -> Vec<u8> {
    let seal =
        Seal { kind: SlotKind::Data, lane: LaneId(2), sequence, nonce: 0xab, acked_upto: sequence, low_water: 1 };
    let entries = [
        LaneEntry { key: key(), body: LaneEntryBody::LogStart(Offset(5)) },
        LaneEntry { key: key(), body: LaneEntryBody::Reached(Offset(9)) },
    ];
    encode(seal, &entries).1.to_vec()
}

fn checkpoints() -> Vec<u8> {
    let state = LogState { log_start: Offset(1), log_end: Offset(9), ..LogState::default() };
    let mut segment = Segment::new(Offset(1));
    segment.log_bytes = 700;
    let segments = vec![segment];
    let record = CheckpointRecord {
        key: key(),
        volatile: false,
        offline: true,
        swapped: false,
        state,
        segments,
        txn_indexes_vouched: true,
    };
    [encode_round(4, [encode_record(&record)].into_iter()), encode_round(5, std::iter::empty())].concat()
}

#[test]
fn a_session_is_one_line() {
    let session = Session { lane: LaneId(3), nonce: 0x0102, generation: LeaderEpoch(7), closed: true, rounds: 5 };
    let line = "lane: 3 nonce: 0000000000000102 generation: 7 closed: true rounds: 5".to_owned();
    assert_eq!(told(&session.encode(), false), (vec![line], Ok(())));
    let mut damaged = session.encode().to_vec();
    damaged[20] ^= 1;
    assert_eq!(told(&damaged, false).1.map_err(|damage| damage.position), Err(0));
}

#[test]
fn slots_are_told_with_their_places_and_entries() {
    let zeros = vec![0; BLOCK_BYTES];
    let (lines, done) = told(&[slot(3), zeros, slot(4)].concat(), true);
    assert_eq!(done, Ok(()));
    let head = |sequence, position| {
        format!(
            "lane: 2 sequence: {sequence} position: {position} size: 4096 kind: data nonce: 00000000000000ab \
             ackedUpto: {sequence} lowWater: 1 entries: 2 isvalid: true"
        )
    };
    let entries =
        [format!("| topicId: {TOPIC} partition: 3 logStart: 5"), format!("| topicId: {TOPIC} partition: 3 reached: 9")];
    let expected = [&[head(3, 0)][..], &entries, &[head(4, 8192)], &entries].concat();
    assert_eq!(lines, expected);
}

#[test]
fn every_flip_in_a_slot_that_a_checksum_covers_is_told_with_its_place() {
    for at in 8..96 + 2 * 64 {
        let mut content = [slot(3), slot(4)].concat();
        content[4096 + at] ^= 1;
        let (lines, done) = told(&content, true);
        let good = lines.iter().filter(|line| line.contains("isvalid: true")).count();
        // A damaged head is no slot any more: what a longer slot of before has left looks the same.
        assert!(good == 1 || done.is_ok() && at == 4096, "byte {at}: {lines:?}");
        if at >= 96 {
            assert_eq!(done.map_err(|damage| damage.position), Err(4096), "byte {at}");
        }
    }
}

#[test]
fn checkpoints_are_told_round_by_round() {
    let (lines, done) = told(&checkpoints(), true);
    assert_eq!(done, Ok(()));
    let expected = [
        "round: 4 position: 0 size: 512 records: 1".to_owned(),
        format!(
            "| topicId: {TOPIC} partition: 3 logStart: 1 logEnd: 9 volatile: false offline: true swapped: false \
             segments: 1 producers: 0 maxTimestamp: none"
        ),
        "|   segment: 1 nextOffset: 1 log: 700 index: 0 timeindex: 0 txnindex: 0 maxTimestamp: -1".to_owned(),
        "round: 5 position: 512 size: 512 records: 0".to_owned(),
    ];
    assert_eq!(lines, expected);
    let mut damaged = [checkpoints(), checkpoints()].concat();
    damaged[1024 + 40] ^= 1;
    let (lines, done) = told(&damaged, false);
    assert_eq!(done.map_err(|damage| damage.position), Err(1024));
    assert_eq!(lines.last(), Some(&"round: 5 position: 1536 size: 512 records: 0".to_owned()), "{lines:?}");
}

#[test]
fn what_a_later_version_wrote_is_said_to_be_newer() {
    let mut later = slot(3);
    later[9] = 3;
    let mut crc = millstream_model::crc32c::Crc32c::new();
    crc.update(&later[8..12]);
    crc.update(&later[16..96]);
    later[12..16].copy_from_slice(&crc.value().to_be_bytes());
    let reason = told(&later, false).1.unwrap_err().reason;
    assert!(reason.contains("newer"), "{reason}");
}

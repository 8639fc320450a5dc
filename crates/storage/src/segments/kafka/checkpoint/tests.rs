//! The checkpoint file's bytes, and what becomes of damaged ones.

use uuid::Uuid;

use super::*;

fn record() -> CheckpointRecord {
    let mut state = LogState { log_start: Offset(1), log_end: Offset(9), ..LogState::default() };
    state.max_timestamp = Some(TimestampAt { timestamp: TimestampMs(5), base_offset: Offset(2) });
    state.epochs = EpochStarts::from_entries([(LeaderEpoch(0), Offset(1)), (LeaderEpoch(3), Offset(4))]);
    let batch = ProducerBatch {
        last_sequence: Sequence(6),
        last_offset: Offset(8),
        offset_delta: 1,
        timestamp: TimestampMs(5),
        ticket: Ticket::default(),
    };
    let entry = ProducerEntry {
        epoch: ProducerEpoch(2),
        coordinator_epoch: -1,
        last_timestamp: TimestampMs(5),
        batches: VecDeque::from([batch]),
        transaction_start: Some(Offset(7)),
    };
    state.producers.restore(ProducerId(4), entry);
    state.transactions.opened(Offset(7), ProducerId(4));
    let mut segment = Segment::new(Offset(1));
    segment.next = Offset(9);
    segment.log_bytes = 700;
    segment.txn_index_bytes = 34;
    segment.txn_index_crc = 0x0a0b_0c0d;
    let key = PartitionKey { topic_id: TopicId(Uuid::from_bytes([7; 16])), index: PartitionIndex(3) };
    CheckpointRecord {
        key,
        volatile: true,
        offline: true,
        swapped: true,
        state,
        segments: vec![segment],
        txn_indexes_vouched: true,
    }
}

#[test]
fn a_record_is_these_bytes() {
    let bytes = encode_record(&record());
    let mut golden = vec![7; 16];
    golden.extend([0, 0, 0, 3, 11]);
    for long in [1_i64, 9, 2, 5] {
        golden.extend(long.to_be_bytes());
    }
    golden.extend([0, 0, 0, 2, 0, 0, 0, 0]);
    golden.extend(1_i64.to_be_bytes());
    golden.extend([0, 0, 0, 3]);
    golden.extend(4_i64.to_be_bytes());
    golden.extend([0, 0, 0, 1]);
    golden.extend(4_i64.to_be_bytes());
    golden.extend([0, 2, 255, 255, 255, 255]);
    golden.extend(5_i64.to_be_bytes());
    golden.extend(7_i64.to_be_bytes());
    golden.extend([0, 0, 0, 1, 0, 0, 0, 6]);
    golden.extend(8_i64.to_be_bytes());
    golden.extend([0, 0, 0, 1]);
    golden.extend(5_i64.to_be_bytes());
    golden.extend([0, 0, 0, 1]);
    for long in [1_i64, 9, 700, 0, 0, 34, 0, -1, -1, 1, -1] {
        golden.extend(long.to_be_bytes());
    }
    let of_version_1 = golden.clone();
    golden.extend([0, 0, 0, 1, 10, 11, 12, 13]);
    assert_eq!(&bytes[..], golden);
    assert_eq!(decode_record(bytes).unwrap(), record());
    let old = decode_record(of_version_1.into()).unwrap();
    assert!(!old.txn_indexes_vouched && old.state == record().state);
}

#[test]
fn a_deleted_partition_is_these_bytes_and_ends_its_earlier_records() {
    let deleted = encode_deleted(record().key);
    assert_eq!(&deleted[..], [&[7; 16][..], &[0, 0, 0, 3, 4]].concat());
    let kept = CheckpointRecord { key: PartitionKey { index: PartitionIndex(4), ..record().key }, ..record() };
    let rounds = [
        encode_round(0, [encode_record(&record()), encode_record(&kept)].into_iter()),
        encode_round(1, [deleted].into_iter()),
    ];
    let (loaded, position) = read_rounds(&rounds.concat().into()).unwrap();
    assert_eq!((loaded.records.keys().copied().collect::<Vec<_>>(), position.round), (vec![kept.key], 2));
}

#[test]
fn a_round_is_whole_or_not_there() {
    let one = encode_record(&record());
    let round = encode_round(5, [one.clone()].into_iter());
    assert_eq!(round.len() % ALIGN_BYTES, 0);
    assert_eq!(&round[0..8], b"MILLCKPT");
    assert_eq!(
        &round[12..32],
        [&[0, 2, 0, 0][..], &5_u64.to_be_bytes(), &(one.len() as u32 + 4).to_be_bytes(), &[0, 0, 0, 1]].concat()
    );
    let (loaded, position) = read_rounds(&round).unwrap();
    assert_eq!((loaded.records.len(), position.end, position.round), (1, round.len() as u64, 6));
    for at in (0..32 + 4 + one.len()).filter(|at| !(14..16).contains(at)) {
        let mut damaged = round.to_vec();
        damaged[at] ^= 1;
        let (loaded, position) = read_rounds(&damaged.into()).unwrap();
        assert_eq!((loaded.records.len(), loaded.damaged, position.end), (0, false, 0), "byte {at}");
    }
}

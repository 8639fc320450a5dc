//! The checker finds each planted anomaly, and nothing where there is none.

use uuid::Uuid;

use super::*;

const IDEMPOTENT: u32 = 1;
const ONCE: u32 = 2;
const RETRYING: u32 = 3;

fn value(sender: u32, number: u64) -> Value {
    Value { sender, number }
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn id(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(number))
}

/// Three records, each acknowledged at its place, a committed offset and a topic; and a broker that holds just that.
fn sound() -> (History, Found) {
    let mut history = History::default();
    let mut found = Found::default();
    for (sender, kind) in [(IDEMPOTENT, Sender::Idempotent), (ONCE, Sender::Once), (RETRYING, Sender::Retrying)] {
        history.add_sender(sender, kind);
    }
    let values = [value(IDEMPOTENT, 0), value(IDEMPOTENT, 1), value(ONCE, 0), value(RETRYING, 0)];
    for (offset, value) in (0..).zip(values) {
        history.sending(value, &partition());
        history.acknowledged(value, &partition(), offset);
        history.read(&partition(), offset, Some(value));
        found.logs.entry(partition()).or_default().push(Record { offset, epoch: 0, value: Some(value) });
    }
    history.committing("g", &partition(), 2);
    history.committed("g", &partition(), 2);
    history.topic_is("t", Topic::Present(id(1)));
    found.topics.insert("t".to_owned(), id(1));
    (history, found)
}

/// Plants something and expects the anomalies that `is_it` knows, and none that it does not.
fn check(plant: impl FnOnce(&mut History, &mut Vec<Record>, &mut Found), is_it: impl Fn(&Anomaly) -> bool) {
    let (mut history, mut found) = sound();
    let mut records = found.logs.remove(&partition()).unwrap();
    plant(&mut history, &mut records, &mut found);
    found.logs.insert(partition(), records);
    let anomalies = history.check(&found);
    assert!(!anomalies.is_empty(), "nothing was found");
    assert!(anomalies.iter().all(is_it), "{anomalies:?}");
}

#[test]
fn a_sound_log_has_no_anomaly() {
    let (history, found) = sound();
    assert_eq!(history.check(&found), []);
}

#[test]
fn a_lost_record_is_found() {
    let lost = |anomaly: &Anomaly| matches!(anomaly, Anomaly::Lost { .. } | Anomaly::OffsetReused { now: None, .. });
    check(|_, records, _| records.truncate(3), lost);
    check(|_, records, _| records.clear(), lost);
}

#[test]
fn an_acknowledged_record_at_another_offset_is_found() {
    let moved = |history: &mut History, records: &mut Vec<Record>, _: &mut Found| {
        let unacknowledged = value(RETRYING, 9);
        history.sending(unacknowledged, &partition());
        records.insert(3, Record { offset: 3, epoch: 0, value: Some(unacknowledged) });
        records[4].offset = 4;
    };
    check(moved, |anomaly| {
        matches!(anomaly, Anomaly::Lost { offset: 3, .. } | Anomaly::OffsetReused { offset: 3, .. })
    });
}

#[test]
fn a_duplicate_is_found_where_the_sender_is_promised_none() {
    for number in [1, 2] {
        let again = |_: &mut History, records: &mut Vec<Record>, _: &mut Found| {
            records.push(Record { offset: 4, ..records[number] });
        };
        check(again, |anomaly| matches!(anomaly, Anomaly::Duplicate { .. }));
    }
    let (history, mut found) = sound();
    let records = found.logs.get_mut(&partition()).unwrap();
    records.push(Record { offset: 4, ..records[3] });
    assert_eq!(history.check(&found), [], "whoever retries without idempotence may find a record twice");
}

#[test]
fn records_out_of_order_are_found() {
    let reordered = |history: &mut History, records: &mut Vec<Record>, _: &mut Found| {
        for (offset, number) in [(4, 3), (5, 2)] {
            history.sending(value(IDEMPOTENT, number), &partition());
            records.push(Record { offset, epoch: 0, value: Some(value(IDEMPOTENT, number)) });
        }
    };
    check(reordered, |anomaly| matches!(anomaly, Anomaly::Reordered { .. }));
}

#[test]
fn an_offset_that_was_read_and_holds_something_else_is_found() {
    let reused = |history: &mut History, records: &mut Vec<Record>, _: &mut Found| {
        for number in [8, 9] {
            history.sending(value(ONCE, number), &partition());
        }
        history.read(&partition(), 4, Some(value(ONCE, 8)));
        records.push(Record { offset: 4, epoch: 0, value: Some(value(ONCE, 9)) });
    };
    check(reused, |anomaly| matches!(anomaly, Anomaly::OffsetReused { offset: 4, .. }));
}

#[test]
fn two_readings_of_an_offset_that_differ_are_found_though_the_last_agrees() {
    let (mut history, found) = sound();
    history.read(&partition(), 0, Some(value(ONCE, 7)));
    assert!(matches!(history.check(&found)[..], [Anomaly::OffsetReused { offset: 0, .. }]));
}

#[test]
fn a_record_that_nobody_sent_and_a_gap_are_found() {
    let phantom = |_: &mut History, records: &mut Vec<Record>, _: &mut Found| {
        records.push(Record { offset: 4, epoch: 0, value: Some(value(ONCE, 77)) });
    };
    check(phantom, |anomaly| matches!(anomaly, Anomaly::Phantom { offset: 4, .. }));
    let gap = |history: &mut History, records: &mut Vec<Record>, _: &mut Found| {
        history.sending(value(ONCE, 5), &partition());
        records.push(Record { offset: 6, epoch: 0, value: Some(value(ONCE, 5)) });
    };
    check(gap, |anomaly| matches!(anomaly, Anomaly::Gap { expected: 4, found: 6, .. }));
}

#[test]
fn an_epoch_that_falls_or_stays_is_found() {
    check(|_, records, _| records[0].epoch = 1, |anomaly| matches!(anomaly, Anomaly::EpochFell { .. }));
    check(|history, _, _| history.epoch_after_kill(4, 4), |anomaly| matches!(anomaly, Anomaly::EpochNotRaised { .. }));
}

#[test]
fn a_commit_that_is_lost_or_falls_back_or_was_never_made_is_found() {
    let fetched = |found: Option<i64>| {
        let (mut history, _) = sound();
        let floor = history.commit_floor("g", &partition());
        history.fetched_commit("g", &partition(), floor, found);
        history.anomalies
    };
    assert_eq!(fetched(Some(2)), []);
    assert!(matches!(fetched(None)[..], [Anomaly::CommitLost { floor: 2, found: None, .. }]));
    assert!(matches!(fetched(Some(1))[..], [Anomaly::CommitLost { floor: 2, found: Some(1), .. }]));
    assert!(matches!(fetched(Some(3))[..], [Anomaly::CommitInvented { found: 3, .. }]));
}

#[test]
fn a_topic_that_is_lost_or_back_from_the_dead_is_found() {
    check(|_, _, found| found.topics.clear(), |anomaly| matches!(anomaly, Anomaly::TopicLost { .. }));
    let other = |_: &mut History, _: &mut Vec<Record>, found: &mut Found| {
        found.topics.insert("t".to_owned(), id(2));
    };
    check(other, |anomaly| matches!(anomaly, Anomaly::TopicLost { .. }));
    let undead = |history: &mut History, records: &mut Vec<Record>, _: &mut Found| {
        history.topic_doomed("t");
        history.topic_gone("t", Some(id(1)));
        records.clear();
    };
    check(undead, |anomaly| matches!(anomaly, Anomaly::TopicUndead { .. }));
}

#[test]
fn a_value_is_read_back_whole_or_not_at_all() {
    let one = value(7, 12);
    assert_eq!(Value::of(&one.bytes(100)), Some(one));
    assert_eq!(Value::of(&one.bytes(0)), Some(one));
    assert_eq!(Value::of(&one.bytes(100)[..99]), None);
    assert_eq!(Value::of(b"something else"), None);
}

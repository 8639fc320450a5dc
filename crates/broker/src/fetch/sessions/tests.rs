use std::sync::atomic::{AtomicU32, Ordering};

use millstream_model::TopicId;

use super::*;

fn counter() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(2);
    NEXT.fetch_add(2, Ordering::Relaxed)
}

fn key(name: &str, partition: i32) -> FetchKey {
    FetchKey { topic: TopicRef::Name(name.into()), partition: PartitionIndex(partition) }
}

fn wanted(offset: i64) -> Wanted {
    Wanted {
        offset: Offset(offset),
        leader_epoch: LeaderEpoch::NONE,
        last_fetched_epoch: LeaderEpoch::NONE,
        bytes_max: 1 << 20,
    }
}

fn request(id: i32, epoch: i32, partitions: &[(&str, i32, i64)]) -> SessionRequest {
    let wanted = partitions.iter().map(|&(name, partition, offset)| (key(name, partition), wanted(offset))).collect();
    SessionRequest { id, epoch, wanted, forgotten: Vec::new() }
}

fn told(high_watermark: i64, has_records: bool) -> Told {
    Told { high_watermark: Offset(high_watermark), log_start: Offset::ZERO, failed: false, has_records }
}

#[test]
fn an_incremental_request_reads_all_partitions_of_the_session() {
    let sessions = FetchSessions::new(10, counter);
    let now = Instant::now();
    let first = sessions.plan(request(0, 0, &[("a", 0, 5), ("b", 0, 0)]), now).unwrap();
    assert_ne!(first.session_id, 0);
    let mut second = request(first.session_id, 1, &[("a", 0, 9)]);
    second.forgotten = vec![key("b", 0)];
    let second = sessions.plan(second, now).unwrap();
    assert_eq!(second.partitions, [(key("a", 0), wanted(9))]);
}

#[test]
fn an_incremental_answer_names_only_news() {
    let sessions = FetchSessions::new(10, counter);
    let now = Instant::now();
    let first = sessions.plan(request(0, 0, &[("a", 0, 5)]), now).unwrap();
    assert!(first.must_tell(&key("a", 0), told(5, false)));
    let second = sessions.plan(request(first.session_id, 1, &[]), now).unwrap();
    assert!(!second.must_tell(&key("a", 0), told(5, false)));
    assert!(second.must_tell(&key("a", 0), told(6, false)));
    assert!(second.must_tell(&key("a", 0), Told { failed: true, ..told(6, false) }));
    assert!(second.must_tell(&key("a", 0), told(6, false)), "after an error all is news");
}

#[test]
fn a_wrong_epoch_or_id_is_refused() {
    let sessions = FetchSessions::new(10, counter);
    let now = Instant::now();
    let first = sessions.plan(request(0, 0, &[("a", 0, 5)]), now).unwrap();
    let wrong_epoch = sessions.plan(request(first.session_id, 2, &[]), now);
    assert_eq!(wrong_epoch.unwrap_err(), SessionError::InvalidEpoch);
    let wrong_id = sessions.plan(request(first.session_id + 1, 1, &[]), now);
    assert_eq!(wrong_id.unwrap_err(), SessionError::IdNotFound);
    let mut by_id = request(first.session_id, 1, &[]);
    by_id.forgotten = vec![FetchKey { topic: TopicRef::Id(TopicId::ZERO), partition: PartitionIndex(0) }];
    assert_eq!(sessions.plan(by_id, now).unwrap_err(), SessionError::TopicIdMismatch);
}

#[test]
fn partitions_with_records_move_behind_the_others() {
    let sessions = FetchSessions::new(10, counter);
    let now = Instant::now();
    let first = sessions.plan(request(0, 0, &[("a", 0, 0), ("a", 1, 0), ("a", 2, 0)]), now).unwrap();
    assert!(first.must_tell(&key("a", 0), told(5, true)));
    let second = sessions.plan(request(first.session_id, 1, &[]), now).unwrap();
    let order: Vec<i32> = second.partitions.iter().map(|(key, _)| key.partition.0).collect();
    assert_eq!(order, [1, 2, 0]);
}

#[test]
fn a_full_table_evicts_only_what_is_long_unused() {
    let sessions = FetchSessions::new(1, counter);
    let now = Instant::now();
    let first = sessions.plan(request(0, 0, &[("a", 0, 0)]), now).unwrap();
    let second = sessions.plan(request(0, 0, &[("b", 0, 0)]), now + EVICTABLE_AFTER / 2).unwrap();
    assert_eq!(second.session_id, 0);
    let third = sessions.plan(request(0, 0, &[("c", 0, 0)]), now + EVICTABLE_AFTER).unwrap();
    assert_ne!(third.session_id, 0);
    assert_ne!(third.session_id, first.session_id);
    assert_eq!(sessions.len(), 1);
}

#[test]
fn the_final_epoch_ends_the_session() {
    let sessions = FetchSessions::new(10, counter);
    let now = Instant::now();
    let first = sessions.plan(request(0, 0, &[("a", 0, 0)]), now).unwrap();
    let last = sessions.plan(request(first.session_id, -1, &[("a", 0, 0)]), now).unwrap();
    assert_eq!((last.session_id, last.partitions.len()), (0, 1));
    assert_eq!(sessions.len(), 0);
}

//! DeleteGroups, deleted topics, expiry (KIP-211).

use super::*;
use crate::event::DeletedTopic;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const CHECK_MS: i64 = 600_000;

#[test]
fn a_deleted_group_is_gone_with_its_offsets_when_the_log_says_so() {
    let mut bench = Bench::new();
    let member = bench.stable_group_of(vec![join_request("")]).remove(0).member_id;
    bench.commit(commit_request(member.as_str(), 1, "orders", 1));
    bench.leave(vec![leaving(member.as_str(), None)]);
    bench.settle();
    let reply = bench.delete_groups(&[GROUP, "nobody"]);
    assert!(bench.is_waiting(reply));
    assert_eq!(bench.state(), GroupState::Dead);
    let joining = bench.join(join_request(""));
    assert_eq!(bench.refused(joining).error, GroupError::CoordinatorNotAvailable);
    let commit = bench.commit(commit_request("", -1, "orders", 2));
    assert_eq!(bench.committed(commit), Err(GroupError::CoordinatorNotAvailable));
    bench.settle();
    assert_eq!(bench.deleted(reply), [Ok(()), Err(GroupError::GroupIdNotFound)]);
    assert_eq!(bench.shard.describe(&GROUP.into()), None);
    let reloaded = bench.reloaded();
    assert_eq!(reloaded.shard.describe(&GROUP.into()), None);
    assert_eq!(reloaded.offset("orders"), None);
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let mut bench = Bench::new();
    bench.stable_group_of(vec![join_request("")]);
    let reply = bench.delete_groups(&[GROUP]);
    assert_eq!(bench.deleted(reply), [Err(GroupError::NonEmptyGroup)]);
}

#[test]
fn a_deletion_that_failed_leaves_the_group_as_it_was() {
    let mut bench = Bench::new();
    bench.commit(commit_request("", -1, "orders", 1));
    bench.settle();
    let reply = bench.delete_groups(&[GROUP]);
    bench.finish_append(Err(AppendError::Unavailable));
    assert_eq!(bench.deleted(reply), [Err(GroupError::CoordinatorNotAvailable)]);
    assert_eq!(bench.state(), GroupState::Empty);
    assert_eq!(bench.offset("orders").unwrap().offset, Offset(1));
    let reply = bench.delete_groups(&[GROUP]);
    bench.settle();
    assert_eq!(bench.deleted(reply), [Ok(())]);
}

#[test]
fn deleting_a_group_deletes_the_commit_that_is_on_its_way() {
    let mut bench = Bench::new();
    let commit = bench.commit(commit_request("", -1, "orders", 1));
    let reply = bench.delete_groups(&[GROUP]);
    bench.settle();
    assert!(bench.committed(commit).is_ok());
    assert_eq!(bench.deleted(reply), [Ok(())]);
    assert_eq!(bench.reloaded().offset("orders"), None);
}

#[test]
fn naming_a_group_twice_deletes_it_once() {
    let mut bench = Bench::new();
    bench.commit(commit_request("", -1, "orders", 1));
    bench.settle();
    let reply = bench.delete_groups(&[GROUP, GROUP]);
    bench.settle();
    assert_eq!(bench.deleted(reply), [Ok(()), Err(GroupError::GroupIdNotFound)]);
}

#[test]
fn offsets_of_a_deleted_topic_go_but_not_those_of_its_successor() {
    let mut bench = Bench::new();
    let id = |number| TopicId(Uuid::from_u128(number));
    for (topic, topic_id) in [("gone", id(1)), ("made-anew", id(3)), ("kept", id(4)), ("old", TopicId::ZERO)] {
        let mut request = commit_request("", -1, topic, 1);
        request.topics[0].topic_id = topic_id;
        bench.commit(request);
    }
    bench.settle();
    let deleted = [("gone", id(1)), ("made-anew", id(2)), ("old", id(5))];
    let deleted = deleted.map(|(topic, topic_id)| DeletedTopic { topic: topic.to_owned(), topic_id });
    bench.handle(Event::TopicsDeleted(deleted.to_vec()));
    bench.settle();
    assert_eq!(bench.offset("gone"), None);
    assert_eq!(bench.offset("old"), None, "an old commit does not say which topic it meant");
    assert!(bench.offset("made-anew").is_some());
    assert!(bench.offset("kept").is_some());
}

#[test]
fn a_group_without_offsets_left_is_forgotten() {
    let mut bench = Bench::new();
    bench.commit(commit_request("", -1, "gone", 1));
    bench.settle();
    bench.handle(Event::TopicsDeleted(vec![DeletedTopic { topic: "gone".to_owned(), topic_id: TopicId::ZERO }]));
    bench.settle();
    assert_eq!(bench.shard.describe(&GROUP.into()), None);
}

#[test]
fn offsets_of_a_client_without_a_group_expire_after_their_commit() {
    let mut bench = Bench::new();
    bench.commit(commit_request("", -1, "orders", 1));
    bench.settle();
    bench.pass(3 * DAY_MS);
    bench.commit(commit_request("", -1, "payments", 1));
    bench.settle();
    bench.pass(4 * DAY_MS - 1);
    bench.settle();
    assert!(bench.offset("orders").is_some());
    bench.pass(CHECK_MS);
    bench.settle();
    assert_eq!(bench.offset("orders"), None);
    assert!(bench.offset("payments").is_some());
    bench.pass(3 * DAY_MS + CHECK_MS);
    bench.settle();
    assert_eq!(bench.shard.describe(&GROUP.into()), None, "the group goes with its last offset");
    assert_eq!(bench.reloaded().shard.describe(&GROUP.into()), None);
}

#[test]
fn offsets_of_an_empty_group_expire_after_it_became_empty() {
    let mut bench = Bench::new();
    let member =
        bench.stable_group_of(vec![JoinRequest { session_timeout_ms: 1_000_000, ..join_request("") }]).remove(0);
    bench.commit(commit_request(member.member_id.as_str(), 1, "orders", 1));
    for _ in 0..1_000 {
        bench.pass(999_000);
        assert_eq!(bench.heartbeat(&member.member_id, 1), Ok(()));
    }
    bench.settle();
    bench.leave(vec![leaving(member.member_id.as_str(), None)]);
    bench.settle();
    bench.pass(7 * DAY_MS - 1);
    bench.settle();
    assert!(bench.offset("orders").is_some(), "committed long ago, but its member left only now");
    let mut reloaded = bench.reloaded();
    for bench in [&mut bench, &mut reloaded] {
        bench.pass(CHECK_MS);
        bench.settle();
        assert_eq!(bench.shard.describe(&GROUP.into()), None);
    }
}

#[test]
fn of_a_stable_group_only_offsets_of_topics_it_does_not_read_expire() {
    let mut bench = Bench::new();
    let request = JoinRequest { session_timeout_ms: 1_000_000, ..join_request("") };
    let member = bench.stable_group_of(vec![request]).remove(0).member_id;
    bench.commit(commit_request(member.as_str(), 1, "orders", 1));
    bench.commit(commit_request(member.as_str(), 1, "former", 1));
    bench.settle();
    for _ in 0..700 {
        bench.pass(900_000);
        assert_eq!(bench.heartbeat(&member, 1), Ok(()));
    }
    bench.settle();
    assert!(bench.offset("orders").is_some());
    assert_eq!(bench.offset("former"), None);
}

#[test]
fn a_commit_with_a_retention_of_its_own_expires_by_that() {
    let mut bench = Bench::new();
    bench.commit(CommitRequest { retention_ms: Some(DAY_MS), ..commit_request("", -1, "orders", 1) });
    bench.settle();
    assert_eq!(bench.reloaded().offset("orders").unwrap().expires_at, Some(TimestampMs(EPOCH_MS + DAY_MS)));
    bench.pass(DAY_MS - 1);
    bench.settle();
    assert!(bench.offset("orders").is_some());
    bench.pass(CHECK_MS);
    bench.settle();
    assert_eq!(bench.offset("orders"), None);
}

#[test]
fn a_large_group_expires_in_several_appends() {
    let mut bench = Bench::new();
    let mut request = commit_request("", -1, "orders", 1);
    let commit = request.topics[0].partitions[0].clone();
    request.topics[0].partitions = (0..2_500)
        .map(|partition| PartitionCommit { partition: PartitionIndex(partition), ..commit.clone() })
        .collect();
    bench.commit(request);
    bench.settle();
    bench.pass(7 * DAY_MS);
    let sizes: Vec<usize> = bench.appends.iter().map(|(_, records)| records.len()).collect();
    assert_eq!(sizes, [1_000, 1_000, 500]);
    bench.settle();
    assert_eq!(bench.shard.describe(&GROUP.into()), None);
}

#[test]
fn a_deletion_does_not_rest_on_tombstones_that_may_still_fail() {
    let mut bench = Bench::new();
    bench.commit(commit_request("", -1, "orders", 1));
    bench.settle();
    bench.handle(Event::TopicsDeleted(vec![DeletedTopic { topic: "orders".to_owned(), topic_id: TopicId::ZERO }]));
    let offsets = bench.delete_offsets(vec![topic_partition("orders")]);
    let group = bench.delete_groups(&[GROUP]);
    bench.finish_append(Err(AppendError::Unavailable));
    bench.finish_append(Err(AppendError::Unavailable));
    assert_eq!(bench.committed(offsets), Err(GroupError::CoordinatorNotAvailable));
    bench.settle();
    assert_eq!(bench.deleted(group), [Ok(())]);
    assert_eq!(bench.reloaded().offset("orders"), None);
}

//! OffsetCommit, OffsetFetch, OffsetDelete.

use super::*;

#[test]
fn a_commit_is_answered_and_shown_only_when_it_is_durable() {
    let mut bench = Bench::new();
    let member = bench.stable_group_of(vec![join_request("")]).remove(0).member_id;
    let reply = bench.commit(commit_request(member.as_str(), 1, "orders", 42));
    assert!(bench.is_waiting(reply));
    assert_eq!(bench.offset("orders"), None);
    bench.settle();
    let outcome = TopicOutcome { topic: "orders".to_owned(), partitions: vec![(PartitionIndex(0), Ok(()))] };
    assert_eq!(bench.committed(reply), Ok(vec![outcome]));
    let offset = bench.offset("orders").unwrap();
    assert_eq!((offset.offset, offset.leader_epoch, offset.metadata.as_str()), (Offset(42), LeaderEpoch(3), ""));
    assert_eq!(offset.committed_at, TimestampMs(EPOCH_MS));
}

#[test]
fn a_stable_read_is_refused_while_a_commit_is_on_its_way() {
    let mut bench = Bench::new();
    bench.commit(commit_request("", -1, "orders", 1));
    bench.settle();
    bench.commit(commit_request("", -1, "orders", 2));
    let stable = |bench: &Bench| {
        let fetched = bench.shard.fetch_offsets(&GROUP.into(), Some(&[topic_partition("orders")]), true);
        fetched[0].partitions[0].committed.clone()
    };
    assert_eq!(stable(&bench), Err(UnstableOffset));
    assert_eq!(bench.offset("orders").unwrap().offset, Offset(1));
    bench.settle();
    assert_eq!(stable(&bench).unwrap().unwrap().offset, Offset(2));
}

#[test]
fn a_commit_that_failed_is_never_shown() {
    for (failure, error) in [
        (AppendError::Unavailable, GroupError::CoordinatorNotAvailable),
        (AppendError::NotLeader, GroupError::NotCoordinator),
        (AppendError::TooLarge, GroupError::InvalidCommitOffsetSize),
    ] {
        let mut bench = Bench::new();
        let reply = bench.commit(commit_request("", -1, "orders", 1));
        bench.finish_append(Err(failure));
        assert_eq!(bench.committed(reply), Err(error));
        assert_eq!(bench.offset("orders"), None);
        assert_eq!(bench.shard.describe(&GROUP.into()), None, "and its group is not there");
    }
}

#[test]
fn outcomes_are_taken_in_the_order_of_the_log() {
    let mut bench = Bench::new();
    let first = bench.commit(commit_request("", -1, "orders", 1));
    let second = bench.commit(commit_request("", -1, "orders", 2));
    let later = bench.appends.pop_back().unwrap();
    bench.handle(Event::AppendDone { append: later.0, outcome: Ok(()) });
    assert!(bench.is_waiting(second), "the first append may still change the same offset");
    bench.finish_append(Ok(()));
    assert!(bench.committed(first).is_ok() && bench.committed(second).is_ok());
    assert_eq!(bench.offset("orders").unwrap().offset, Offset(2));
}

#[test]
#[should_panic(expected = "is not under way")]
fn an_append_cannot_be_done_twice() {
    let mut bench = Bench::new();
    bench.commit(commit_request("", -1, "orders", 1));
    bench.finish_append(Ok(()));
    bench.handle(Event::AppendDone { append: AppendId(0), outcome: Ok(()) });
}

#[test]
fn a_client_without_a_group_keeps_its_offsets_in_a_group_without_members() {
    let mut bench = Bench::new();
    let reply = bench.commit(commit_request("", -1, "orders", 7));
    bench.settle();
    assert!(bench.committed(reply).is_ok());
    let group = bench.shard.describe(&GROUP.into()).unwrap();
    assert_eq!((group.state, group.protocol_type.as_str()), (GroupState::Empty, ""));
    assert_eq!(bench.reloaded().offset("orders"), bench.offset("orders"));
}

#[test]
fn commits_are_checked_for_group_member_and_generation() {
    let mut bench = Bench::new();
    let check = |bench: &mut Bench, request: CommitRequest, error: GroupError| {
        let reply = bench.commit(request);
        assert_eq!(bench.committed(reply), Err(error));
    };
    check(&mut bench, commit_request("m", 1, "orders", 1), GroupError::GroupIdNotFound);
    let before_version_9 = CommitRequest { knows_group_id_not_found: false, ..commit_request("m", 1, "orders", 1) };
    check(&mut bench, before_version_9, GroupError::IllegalGeneration);

    let member = bench.stable_group_of(vec![join_request("")]).remove(0).member_id;
    check(&mut bench, commit_request("", -1, "orders", 1), GroupError::UnknownMemberId);
    check(&mut bench, commit_request("m", 1, "orders", 1), GroupError::UnknownMemberId);
    check(&mut bench, commit_request(member.as_str(), 2, "orders", 1), GroupError::IllegalGeneration);
    check(&mut bench, commit_request(member.as_str(), -1, "orders", 1), GroupError::IllegalGeneration);
    assert!(bench.appends.is_empty());
}

#[test]
fn a_member_may_commit_while_others_gather_but_not_while_the_assignment_is_awaited() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![join_request("")]);
    let other = bench.join(join_request(""));
    let reply = bench.commit(commit_request(joined[0].member_id.as_str(), 1, "orders", 1));
    bench.settle();
    assert!(bench.committed(reply).is_ok());
    let rejoin = bench.join(join_request(joined[0].member_id.as_str()));
    bench.joined(rejoin);
    bench.joined(other);
    let reply = bench.commit(commit_request(joined[0].member_id.as_str(), 2, "orders", 1));
    assert_eq!(bench.committed(reply), Err(GroupError::RebalanceInProgress));
}

#[test]
fn a_commit_keeps_the_session() {
    let mut bench = Bench::new();
    let member = bench.stable_group_of(vec![join_request("")]).remove(0).member_id;
    for offset in 0..4 {
        bench.pass(i64::from(SESSION_MS) - 1);
        bench.commit(commit_request(member.as_str(), 1, "orders", offset));
    }
    assert_eq!(bench.state(), GroupState::Stable);
}

#[test]
fn metadata_beyond_the_limit_is_refused_for_its_partition_only() {
    let mut bench = Bench::with(GroupSettings { offset_metadata_max: 4, ..settings() });
    let mut request = commit_request("", -1, "orders", 1);
    let with = |partition: i32, metadata: &str| PartitionCommit {
        partition: PartitionIndex(partition),
        offset: Offset(1),
        leader_epoch: LeaderEpoch::NONE,
        metadata: Some(metadata.to_owned()),
    };
    // Kafka counts UTF-16 units: the face takes two.
    request.topics[0].partitions = vec![with(0, "1234"), with(1, "12345"), with(2, "12😀"), with(3, "123😀")];
    let reply = bench.commit(request);
    bench.settle();
    let outcomes = bench.committed(reply).unwrap().remove(0).partitions;
    let too_large = Err(GroupError::OffsetMetadataTooLarge);
    let expected = [Ok(()), too_large, Ok(()), too_large];
    assert_eq!(outcomes.into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>(), expected);
    assert_eq!(bench.offset("orders").unwrap().metadata, "1234");
}

#[test]
fn a_topic_name_that_no_record_can_hold_is_refused() {
    let mut bench = Bench::new();
    let reply = bench.commit(commit_request("", -1, &"t".repeat(32_768), 1));
    assert_eq!(bench.committed(reply).unwrap()[0].partitions[0].1, Err(GroupError::InvalidRequest));
}

#[test]
fn a_commit_of_nothing_is_answered_at_once_and_leaves_no_group() {
    let mut bench = Bench::new();
    let reply = bench.commit(CommitRequest { topics: Vec::new(), ..commit_request("", -1, "", 0) });
    assert_eq!(bench.committed(reply), Ok(Vec::new()));
    assert_eq!(bench.shard.describe(&GROUP.into()), None);
}

#[test]
fn all_offsets_of_a_group_are_fetched_by_topic() {
    let mut bench = Bench::new();
    bench.commit(commit_request("", -1, "payments", 1));
    bench.commit(commit_request("", -1, "orders", 2));
    bench.settle();
    bench.commit(commit_request("", -1, "unsettled", 3));
    let fetched = bench.shard.fetch_offsets(&GROUP.into(), None, false);
    let topics: Vec<&str> = fetched.iter().map(|topic| topic.topic.as_str()).collect();
    assert_eq!(topics, ["orders", "payments"]);
    assert!(bench.shard.fetch_offsets(&"other".into(), None, false).is_empty());
}

#[test]
fn an_offset_of_an_earlier_topic_of_the_same_name_is_not_shown() {
    let mut bench = Bench::new();
    let id = |number| TopicId(Uuid::from_u128(number));
    let mut request = commit_request("", -1, "orders", 9);
    request.topics[0].topic_id = id(1);
    bench.commit(request);
    bench.settle();
    let shown = |asked| {
        let asked = TopicPartitions { topic_id: asked, ..topic_partition("orders") };
        bench.shard.fetch_offsets(&GROUP.into(), Some(&[asked]), false)[0].partitions[0].committed.clone().unwrap()
    };
    assert!(shown(id(1)).is_some());
    assert!(shown(TopicId::ZERO).is_some());
    assert!(shown(id(2)).is_none());
    assert_eq!(bench.reloaded().offset("orders").unwrap().topic_id, id(1), "the log keeps the id");
}

#[test]
fn offsets_of_topics_that_members_read_cannot_be_deleted() {
    let mut bench = Bench::new();
    let member = bench.stable_group_of(vec![join_request("")]).remove(0).member_id;
    bench.commit(commit_request(member.as_str(), 1, "orders", 1));
    bench.commit(commit_request(member.as_str(), 1, "payments", 1));
    bench.settle();
    let reply = bench.delete_offsets(vec![topic_partition("orders"), topic_partition("payments")]);
    bench.settle();
    let outcomes = bench.committed(reply).unwrap();
    assert_eq!(outcomes[0].partitions[0].1, Err(GroupError::GroupSubscribedToTopic));
    assert_eq!(outcomes[1].partitions[0].1, Ok(()));
    assert!(bench.offset("orders").is_some());
    assert_eq!(bench.offset("payments"), None);
}

#[test]
fn offsets_of_an_active_group_that_is_no_consumer_group_cannot_be_deleted() {
    let mut bench = Bench::new();
    bench.generation_of(vec![JoinRequest { protocol_type: "connect".to_owned(), ..join_request("") }]);
    let reply = bench.delete_offsets(vec![topic_partition("orders")]);
    assert_eq!(bench.committed(reply), Err(GroupError::NonEmptyGroup));
}

#[test]
fn subscriptions_that_cannot_be_read_protect_every_topic() {
    let mut bench = Bench::new();
    let garbled = JoinProtocol { name: "range".to_owned(), metadata: Bytes::from_static(b"\0\0\x7f\xff\xff\xff") };
    bench.stable_group_of(vec![JoinRequest { protocols: vec![garbled], ..join_request("") }]);
    let reply = bench.delete_offsets(vec![topic_partition("anything")]);
    assert_eq!(bench.committed(reply).unwrap()[0].partitions[0].1, Err(GroupError::GroupSubscribedToTopic));
}

#[test]
fn deleting_an_offset_that_is_on_its_way_deletes_it() {
    let mut bench = Bench::new();
    bench.commit(commit_request("", -1, "orders", 1));
    let reply = bench.delete_offsets(vec![topic_partition("orders")]);
    assert!(bench.is_waiting(reply));
    bench.settle();
    assert!(bench.committed(reply).is_ok());
    assert_eq!(bench.offset("orders"), None);
    assert_eq!(bench.reloaded().offset("orders"), None);
}

#[test]
fn offsets_of_a_missing_group_cannot_be_deleted() {
    let mut bench = Bench::new();
    let reply = bench.delete_offsets(vec![topic_partition("orders")]);
    assert_eq!(bench.committed(reply), Err(GroupError::GroupIdNotFound));
}

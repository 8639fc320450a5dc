//! SyncGroup: assignments, their durability, the deadline for asking.

use super::*;

#[test]
fn the_assignment_is_answered_only_when_it_is_durable() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![join_request(""), join_request("")]);
    let follower = bench.sync(&joined[1].member_id, 1, &[]);
    let leader = bench.sync(&joined[0].member_id, 1, &[(&joined[0].member_id, "p0"), (&joined[1].member_id, "p1")]);
    assert!(bench.is_waiting(follower) && bench.is_waiting(leader));
    assert_eq!(bench.state(), GroupState::CompletingRebalance);
    bench.finish_append(Ok(()));
    assert_eq!(bench.synced(leader).unwrap().assignment, "p0");
    let share = bench.synced(follower).unwrap();
    assert_eq!((share.assignment, share.protocol_name.as_deref()), ("p1".into(), Some("range")));
    assert_eq!(bench.state(), GroupState::Stable);
    let late = bench.sync(&joined[1].member_id, 1, &[]);
    assert_eq!(bench.synced(late).unwrap().assignment, "p1", "a stable group answers at once");
}

#[test]
fn who_the_leader_forgot_has_an_empty_assignment() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![join_request(""), join_request("")]);
    let leader = bench.sync(&joined[0].member_id, 1, &[(&"stranger".into(), "x")]);
    let follower = bench.sync(&joined[1].member_id, 1, &[]);
    bench.settle();
    assert_eq!(bench.synced(leader).unwrap().assignment, "");
    assert_eq!(bench.synced(follower).unwrap().assignment, "");
}

#[test]
fn an_assignment_that_was_not_stored_begins_a_rebalance() {
    for (failure, error) in [
        (AppendError::Unavailable, GroupError::CoordinatorNotAvailable),
        (AppendError::NotLeader, GroupError::NotCoordinator),
        (AppendError::TooLarge, GroupError::GroupMetadataTooLarge),
    ] {
        let mut bench = Bench::new();
        let joined = bench.generation_of(vec![join_request(""), join_request("")]);
        let follower = bench.sync(&joined[1].member_id, 1, &[]);
        let leader = bench.sync(&joined[0].member_id, 1, &[]);
        bench.finish_append(Err(failure));
        assert_eq!(bench.synced(leader), Err(error));
        assert_eq!(bench.synced(follower), Err(error));
        assert_eq!(bench.state(), GroupState::PreparingRebalance);
    }
}

#[test]
fn a_join_while_the_assignment_is_on_its_way_voids_it() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![join_request("")]);
    let leader = bench.sync(&joined[0].member_id, 1, &[(&joined[0].member_id, "p0")]);
    let second = bench.join(join_request(""));
    assert_eq!(bench.synced(leader), Err(GroupError::RebalanceInProgress));
    bench.settle();
    assert_eq!(bench.state(), GroupState::PreparingRebalance);
    let rejoin = bench.join(join_request(joined[0].member_id.as_str()));
    assert_eq!(bench.joined(rejoin).generation, 2);
    assert_eq!(bench.joined(second).generation, 2);
}

#[test]
fn a_second_assignment_of_the_leader_does_not_replace_the_first() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![join_request("")]);
    let first = bench.sync(&joined[0].member_id, 1, &[(&joined[0].member_id, "one")]);
    let second = bench.sync(&joined[0].member_id, 1, &[(&joined[0].member_id, "two")]);
    assert_eq!(bench.synced(first), Err(GroupError::RebalanceInProgress));
    bench.settle();
    assert_eq!(bench.synced(second).unwrap().assignment, "one");
    assert_eq!(bench.reloaded().shard.describe(&GROUP.into()), bench.shard.describe(&GROUP.into()));
}

#[test]
fn syncs_are_checked_for_member_generation_and_protocol() {
    let mut bench = Bench::new();
    let unknown_group = bench.sync(&"m".into(), 1, &[]);
    assert_eq!(bench.synced(unknown_group), Err(GroupError::UnknownMemberId));
    let joined = bench.stable_group_of(vec![join_request("")]);
    let member_id = joined[0].member_id.clone();
    let stranger = bench.sync(&"m".into(), 1, &[]);
    assert_eq!(bench.synced(stranger), Err(GroupError::UnknownMemberId));
    for generation in [0, 2, -1] {
        let reply = bench.sync(&member_id, generation, &[]);
        assert_eq!(bench.synced(reply), Err(GroupError::IllegalGeneration));
    }
    let request = SyncRequest {
        group_id: GROUP.into(),
        generation: 1,
        member_id: member_id.clone(),
        group_instance_id: None,
        protocol_type: None,
        protocol_name: Some("sticky".to_owned()),
        assignments: Vec::new(),
    };
    let reply = bench.reply_id();
    bench.handle(Event::Sync { reply, request });
    assert_eq!(bench.synced(reply), Err(GroupError::InconsistentGroupProtocol));
    bench.join(join_request(""));
    let reply = bench.sync(&member_id, 1, &[]);
    assert_eq!(bench.synced(reply), Err(GroupError::RebalanceInProgress));
}

#[test]
fn members_that_do_not_sync_within_the_rebalance_timeout_are_out() {
    let mut bench = Bench::new();
    let patient = JoinRequest { session_timeout_ms: 600_000, ..join_request("") };
    let joined = bench.generation_of(vec![patient.clone(), patient]);
    let leader = bench.sync(&joined[0].member_id, 1, &[]);
    bench.settle();
    bench.synced(leader).unwrap();
    bench.pass(i64::from(REBALANCE_MS) - 1);
    assert_eq!(bench.state(), GroupState::Stable);
    bench.pass(1);
    assert_eq!(bench.state(), GroupState::PreparingRebalance);
    assert_eq!(bench.heartbeat(&joined[1].member_id, 1), Err(GroupError::UnknownMemberId));
    let rejoin = bench.join(join_request(joined[0].member_id.as_str()));
    assert_eq!(bench.joined(rejoin).members.len(), 1);
}

#[test]
fn a_leader_that_never_assigns_is_out_and_its_followers_are_told_to_rejoin() {
    let mut bench = Bench::new();
    let patient = JoinRequest { session_timeout_ms: 600_000, ..join_request("") };
    let joined = bench.generation_of(vec![patient.clone(), patient]);
    let follower = bench.sync(&joined[1].member_id, 1, &[]);
    bench.pass(i64::from(REBALANCE_MS));
    assert_eq!(bench.synced(follower), Err(GroupError::RebalanceInProgress));
    let rejoin = bench.join(join_request(joined[1].member_id.as_str()));
    let rejoined = bench.joined(rejoin);
    assert_eq!(rejoined.leader, joined[1].member_id);
}

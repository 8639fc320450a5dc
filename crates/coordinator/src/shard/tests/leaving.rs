//! Heartbeats, sessions, LeaveGroup.

use super::*;

#[test]
fn heartbeats_keep_the_session() {
    let mut bench = Bench::new();
    let member = bench.stable_group_of(vec![join_request("")]).remove(0).member_id;
    for _ in 0..5 {
        bench.pass(i64::from(SESSION_MS) - 1);
        assert_eq!(bench.heartbeat(&member, 1), Ok(()));
    }
    bench.pass(i64::from(SESSION_MS));
    assert_eq!(bench.heartbeat(&member, 1), Err(GroupError::UnknownMemberId));
    assert_eq!(bench.state(), GroupState::Empty);
}

#[test]
fn heartbeats_are_checked() {
    let mut bench = Bench::new();
    assert_eq!(bench.heartbeat(&"m".into(), 1), Err(GroupError::UnknownMemberId));
    let member = bench.stable_group_of(vec![join_request("")]).remove(0).member_id;
    assert_eq!(bench.heartbeat(&"m".into(), 1), Err(GroupError::UnknownMemberId));
    assert_eq!(bench.heartbeat(&member, 2), Err(GroupError::IllegalGeneration));
    assert_eq!(bench.heartbeat(&member, 1), Ok(()));
}

#[test]
fn heartbeats_count_while_the_assignment_is_awaited() {
    let mut bench = Bench::new();
    let member = bench.generation_of(vec![join_request("")]).remove(0).member_id;
    bench.pass(i64::from(SESSION_MS) - 1);
    assert_eq!(bench.heartbeat(&member, 1), Ok(()));
    bench.pass(i64::from(SESSION_MS) - 1);
    assert_eq!(bench.state(), GroupState::CompletingRebalance);
}

#[test]
fn the_end_of_a_session_begins_a_rebalance_for_the_others() {
    let mut bench = Bench::new();
    let lively = JoinRequest { session_timeout_ms: 60_000, ..join_request("") };
    let joined = bench.stable_group_of(vec![join_request(""), lively]);
    bench.pass(i64::from(SESSION_MS));
    assert_eq!(bench.state(), GroupState::PreparingRebalance);
    assert_eq!(bench.heartbeat(&joined[1].member_id, 1), Err(GroupError::RebalanceInProgress));
    let rejoin = bench.join(join_request(joined[1].member_id.as_str()));
    let rejoined = bench.joined(rejoin);
    assert_eq!((rejoined.generation, rejoined.leader), (2, joined[1].member_id.clone()));
}

#[test]
fn the_last_to_leave_leaves_an_empty_group_behind() {
    let mut bench = Bench::new();
    let member = bench.stable_group_of(vec![join_request("")]).remove(0).member_id;
    assert_eq!(bench.leave(vec![leaving(member.as_str(), None)]), [Ok(())]);
    assert_eq!(bench.state(), GroupState::Empty);
    bench.settle();
    let reloaded = bench.reloaded();
    assert_eq!(reloaded.shard.describe(&GROUP.into()), bench.shard.describe(&GROUP.into()));
    let again = bench.generation_of(vec![join_request("")]);
    assert_eq!(again[0].generation, 3, "generations go on");
}

#[test]
fn leaving_answers_what_the_member_waits_for() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![join_request(""), join_request("")]);
    let sync = bench.sync(&joined[1].member_id, 1, &[]);
    bench.leave(vec![leaving(joined[1].member_id.as_str(), None)]);
    assert_eq!(bench.synced(sync), Err(GroupError::UnknownMemberId));
    let rejoin = bench.join(join_request(joined[0].member_id.as_str()));
    assert_eq!(bench.joined(rejoin).generation, 2);
}

#[test]
fn several_members_leave_at_once_with_one_rebalance() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![join_request(""), static_join("i"), join_request("")]);
    let outcomes = bench.leave(vec![
        leaving(joined[0].member_id.as_str(), None),
        leaving("", Some("i")),
        leaving("stranger", None),
        leaving("", Some("nobody")),
        leaving("", None),
        leaving(joined[2].member_id.as_str(), Some("i")),
    ]);
    let unknown = Err(GroupError::UnknownMemberId);
    assert_eq!(outcomes, [Ok(()), Ok(()), unknown, unknown, unknown, unknown]);
    let rejoin = bench.join(join_request(joined[2].member_id.as_str()));
    assert_eq!(bench.joined(rejoin).generation, 2);
}

#[test]
fn a_pending_id_can_leave_and_holds_nobody_up_any_more() {
    let mut bench = Bench::new();
    let first = bench.stable_group_of(vec![join_request("")]).remove(0);
    let reply = bench.join(JoinRequest { requires_known_member_id: true, ..join_request("") });
    let pending = bench.refused(reply).member_id;
    let rejoin = bench.join(join_request(first.member_id.as_str()));
    assert!(bench.is_waiting(rejoin));
    assert_eq!(bench.leave(vec![leaving(pending.as_str(), None)]), [Ok(())]);
    assert_eq!(bench.joined(rejoin).generation, 2);
}

#[test]
fn nobody_can_leave_a_group_that_is_not_there() {
    let mut bench = Bench::new();
    assert_eq!(bench.leave(vec![leaving("m", None)]), [Err(GroupError::UnknownMemberId)]);
}

#[test]
fn a_member_that_leaves_while_the_first_generation_gathers_gets_its_join_back() {
    let mut bench = Bench::with(GroupSettings { initial_rebalance_delay_ms: 3_000, ..GroupSettings::default() });
    let request = JoinRequest { requires_known_member_id: true, ..join_request("") };
    let reply = bench.join(request.clone());
    let member_id = bench.refused(reply).member_id;
    let join = bench.join(JoinRequest { member_id: member_id.clone(), ..request });
    bench.leave(vec![leaving(member_id.as_str(), None)]);
    assert_eq!(bench.refused(join).error, GroupError::UnknownMemberId);
    bench.pass(3_000);
    assert_eq!(bench.state(), GroupState::Empty);
}

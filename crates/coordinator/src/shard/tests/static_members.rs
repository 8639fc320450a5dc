//! Static membership (KIP-345): an instance id keeps its place over restarts.

use super::*;

fn sync_as(bench: &mut Bench, member: &MemberId, instance: &str, generation: i32) -> Result<Synced, GroupError> {
    let request = SyncRequest {
        group_id: GROUP.into(),
        generation,
        member_id: member.clone(),
        group_instance_id: Some(instance.into()),
        protocol_type: None,
        protocol_name: None,
        assignments: Vec::new(),
    };
    let reply = bench.reply_id();
    bench.handle(Event::Sync { reply, request });
    bench.synced(reply)
}

#[test]
fn a_static_member_needs_no_second_join_for_its_id() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![JoinRequest { requires_known_member_id: true, ..static_join("i") }]);
    assert_eq!(joined[0].member_id.as_str(), "i-00000000-0000-0000-0000-000000000001");
    assert_eq!(joined[0].members[0].group_instance_id, Some("i".into()));
}

#[test]
fn a_restarted_follower_takes_its_assignment_over_without_a_rebalance() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![join_request(""), static_join("i")]);
    let reply = bench.join(static_join("i"));
    assert!(bench.is_waiting(reply), "not before the log knows the new id");
    bench.settle();
    let back = bench.joined(reply);
    assert_ne!(back.member_id, joined[1].member_id);
    assert_eq!((back.generation, &back.leader, back.skip_assignment), (1, &joined[0].member_id, false));
    assert_eq!(bench.state(), GroupState::Stable);
    let share = sync_as(&mut bench, &back.member_id, "i", 1).unwrap();
    assert_eq!(share.assignment, joined[1].member_id.as_str().as_bytes());
    assert_eq!(bench.reloaded().shard.describe(&GROUP.into()), bench.shard.describe(&GROUP.into()));
}

#[test]
fn the_replaced_id_is_fenced() {
    let mut bench = Bench::new();
    let old = bench.stable_group_of(vec![static_join("i")]).remove(0).member_id;
    bench.join(static_join("i"));
    bench.settle();
    assert_eq!(sync_as(&mut bench, &old, "i", 1), Err(GroupError::FencedInstanceId));
    assert_eq!(bench.leave(vec![leaving(old.as_str(), Some("i"))]), [Err(GroupError::FencedInstanceId)]);
    let request = CommitRequest { group_instance_id: Some("i".into()), ..commit_request(old.as_str(), 1, "orders", 5) };
    let reply = bench.commit(request);
    assert_eq!(bench.committed(reply), Err(GroupError::FencedInstanceId));
    let reply = bench.join(JoinRequest { member_id: old.clone(), ..static_join("i") });
    assert_eq!(bench.refused(reply), JoinRefused { member_id: old.clone(), error: GroupError::FencedInstanceId });
    assert_eq!(bench.heartbeat(&old, 1), Err(GroupError::UnknownMemberId), "without its instance id nobody knows it");
}

#[test]
fn an_instance_nobody_bears_is_unknown() {
    let mut bench = Bench::new();
    let member = bench.stable_group_of(vec![static_join("i")]).remove(0).member_id;
    assert_eq!(sync_as(&mut bench, &member, "other", 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_restarted_leader_is_told_to_keep_the_assignment() {
    let mut bench = Bench::new();
    bench.stable_group_of(vec![static_join("i"), join_request("")]);
    let reply = bench.join(static_join("i"));
    bench.settle();
    let back = bench.joined(reply);
    assert_eq!(back.leader, back.member_id);
    assert!(back.skip_assignment);
    assert_eq!(back.members.len(), 2);
}

#[test]
fn a_restarted_leader_of_an_older_client_is_told_that_its_old_id_leads() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![static_join("i"), join_request("")]);
    let reply = bench.join(JoinRequest { supports_skipping_assignment: false, ..static_join("i") });
    bench.settle();
    let back = bench.joined(reply);
    assert_eq!(back.leader, joined[0].member_id);
    assert!(!back.skip_assignment && back.members.is_empty());
}

#[test]
fn a_restart_that_changes_the_elected_protocol_begins_a_rebalance() {
    let mut bench = Bench::new();
    let both = vec![protocol("range"), protocol("sticky")];
    bench.stable_group_of(vec![JoinRequest { protocols: both, ..static_join("i") }]);
    let reply = bench.join(JoinRequest { protocols: vec![protocol("sticky")], ..static_join("i") });
    let back = bench.joined(reply);
    assert_eq!((back.generation, back.protocol_name.as_deref()), (2, Some("sticky")));
}

#[test]
fn a_restart_while_the_assignment_is_awaited_begins_a_rebalance() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![join_request(""), static_join("i")]);
    let waiting = bench.sync(&joined[1].member_id, 1, &[]);
    let reply = bench.join(static_join("i"));
    assert_eq!(bench.synced(waiting), Err(GroupError::FencedInstanceId));
    let rejoin = bench.join(join_request(joined[0].member_id.as_str()));
    assert_eq!(bench.joined(reply).generation, 2);
    assert_eq!(bench.joined(rejoin).members.len(), 2);
}

#[test]
fn a_restart_while_members_gather_fences_the_join_that_waits() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![join_request(""), static_join("i")]);
    bench.join(join_request(""));
    let first = bench.join(JoinRequest { member_id: joined[1].member_id.clone(), ..static_join("i") });
    let second = bench.join(static_join("i"));
    let refused = bench.refused(first);
    assert_eq!(refused, JoinRefused { member_id: joined[1].member_id.clone(), error: GroupError::FencedInstanceId });
    assert!(bench.is_waiting(second));
}

#[test]
fn a_new_id_that_was_not_stored_gives_the_place_back_to_the_old_one() {
    let mut bench = Bench::new();
    let old = bench.stable_group_of(vec![static_join("i")]).remove(0).member_id;
    let reply = bench.join(static_join("i"));
    bench.finish_append(Err(AppendError::Unavailable));
    let refused = bench.refused(reply);
    assert_eq!(refused, JoinRefused { member_id: "".into(), error: GroupError::CoordinatorNotAvailable });
    assert_eq!(sync_as(&mut bench, &old, "i", 1).unwrap().assignment, old.as_str().as_bytes());
}

#[test]
fn a_rebalance_takes_over_the_restarted_member_whose_id_is_not_stored_yet() {
    for outcome in [Ok(()), Err(AppendError::Unavailable)] {
        let mut bench = Bench::new();
        bench.stable_group_of(vec![static_join("i")]);
        let back = bench.join(static_join("i"));
        let other = bench.join(join_request(""));
        bench.finish_append(outcome);
        assert_eq!(bench.joined(back).generation, 2);
        assert_eq!(bench.joined(other).generation, 2);
    }
}

#[test]
fn static_members_that_do_not_rejoin_stay_until_their_session_ends() {
    let mut bench = Bench::new();
    let patient = JoinRequest { session_timeout_ms: 70_000, ..static_join("i") };
    let joined = bench.stable_group_of(vec![patient, join_request("")]);
    let rejoin = bench.join(JoinRequest {
        protocols: vec![JoinProtocol { metadata: subscription(&["other"]), ..protocol("range") }],
        ..join_request(joined[1].member_id.as_str())
    });
    bench.pass(i64::from(REBALANCE_MS));
    let rejoined = bench.joined(rejoin);
    assert_eq!(rejoined.members.len(), 2, "the static one is still of the group");
    assert_eq!(rejoined.leader, joined[1].member_id, "but somebody who is there leads");
}

#[test]
fn a_group_whose_static_members_are_all_away_waits_for_their_sessions() {
    let mut bench = Bench::new();
    let patient = |instance| JoinRequest { session_timeout_ms: 200_000, ..static_join(instance) };
    let joined = bench.stable_group_of(vec![patient("i"), patient("j")]);
    assert_eq!(bench.leave(vec![leaving(joined[0].member_id.as_str(), Some("i"))]), [Ok(())]);
    bench.pass(i64::from(REBALANCE_MS) * 2);
    assert_eq!(bench.state(), GroupState::PreparingRebalance);
    bench.pass(200_000);
    assert_eq!(bench.state(), GroupState::Empty);
}

//! JoinGroup and the forming of generations.

use super::*;

#[test]
fn a_new_member_is_sent_back_once_for_its_id() {
    let mut bench = Bench::new();
    let request = JoinRequest { requires_known_member_id: true, ..join_request("") };
    let reply = bench.join(request.clone());
    let refused = bench.refused(reply);
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    assert_eq!(refused.member_id.as_str(), "client-00000000-0000-0000-0000-000000000001");

    let joined = bench.generation_of(vec![JoinRequest { member_id: refused.member_id.clone(), ..request }]);
    assert_eq!(joined[0].member_id, refused.member_id);
    assert_eq!(joined[0].leader, refused.member_id);
    assert_eq!(joined[0].generation, 1);
}

#[test]
fn before_version_4_a_new_member_joins_at_once() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![join_request("")]);
    assert_eq!(joined[0].protocol_name.as_deref(), Some("range"));
    assert_eq!(joined[0].members.len(), 1);
}

#[test]
fn an_id_that_is_not_used_within_the_session_is_forgotten_with_its_group() {
    let mut bench = Bench::new();
    let request = JoinRequest { requires_known_member_id: true, ..join_request("") };
    let reply = bench.join(request.clone());
    let member_id = bench.refused(reply).member_id;
    assert_eq!(bench.state(), GroupState::Empty);
    bench.pass(i64::from(SESSION_MS));
    assert_eq!(bench.shard.describe(&GROUP.into()), None);
    let reply = bench.join(JoinRequest { member_id, ..request });
    assert_eq!(bench.refused(reply).error, GroupError::UnknownMemberId);
}

#[test]
fn a_member_id_nobody_gave_out_is_unknown() {
    let mut bench = Bench::new();
    let reply = bench.join(join_request("made-up"));
    assert_eq!(bench.refused(reply), JoinRefused { member_id: "made-up".into(), error: GroupError::UnknownMemberId });
    assert_eq!(bench.shard.describe(&GROUP.into()), None, "no group comes of it");
    bench.stable_group_of(vec![join_request("")]);
    let reply = bench.join(join_request("made-up"));
    assert_eq!(bench.refused(reply).error, GroupError::UnknownMemberId);
}

#[test]
fn session_timeouts_outside_the_brokers_bounds_are_refused() {
    let mut bench = Bench::new();
    for session_timeout_ms in [5_999, 1_800_001, -1] {
        let reply = bench.join(JoinRequest { session_timeout_ms, ..join_request("") });
        assert_eq!(bench.refused(reply).error, GroupError::InvalidSessionTimeout);
    }
    for session_timeout_ms in [6_000, 1_800_000] {
        let reply = bench.join(JoinRequest { session_timeout_ms, ..join_request("") });
        assert!(bench.is_waiting(reply));
    }
}

#[test]
fn an_empty_group_id_is_invalid_everywhere_a_member_acts() {
    let mut bench = Bench::new();
    let reply = bench.join(JoinRequest { group_id: "".into(), ..join_request("") });
    assert_eq!(bench.refused(reply).error, GroupError::InvalidGroupId);
    let request =
        HeartbeatRequest { group_id: "".into(), generation: 1, member_id: "m".into(), group_instance_id: None };
    let reply = bench.reply_id();
    bench.handle(Event::Heartbeat { reply, request });
    assert_eq!(bench.answer(reply), Answer::Heartbeat(Err(GroupError::InvalidGroupId)));
    let reply = bench.reply_id();
    bench.handle(Event::Leave { reply, request: LeaveRequest { group_id: "".into(), members: Vec::new() } });
    assert_eq!(bench.answer(reply), Answer::Leave(Err(GroupError::InvalidGroupId)));
}

#[test]
fn texts_that_no_record_can_hold_are_refused() {
    let mut bench = Bench::new();
    let reply = bench.join(JoinRequest { client_id: "c".repeat(32_767), ..join_request("") });
    assert_eq!(bench.refused(reply).error, GroupError::InvalidRequest);
    let reply = bench.join(JoinRequest { group_id: "g".repeat(32_768).into(), ..join_request("") });
    assert_eq!(bench.refused(reply).error, GroupError::InvalidGroupId);
    let joined = bench.stable_group_of(vec![JoinRequest { client_id: "c".repeat(32_767 - 37), ..join_request("") }]);
    assert_eq!(joined[0].member_id.as_str().len(), 32_767);
}

#[test]
fn an_empty_group_waits_for_more_members_and_longer_while_they_come() {
    let delay = GroupSettings { initial_rebalance_delay_ms: 3_000, ..GroupSettings::default() };
    let mut bench = Bench::with(delay);
    let first = bench.join(join_request(""));
    bench.pass(2_999);
    let second = bench.join(join_request(""));
    bench.pass(1);
    assert!(bench.is_waiting(first), "the second member extends the delay");
    bench.pass(2_999);
    assert!(bench.is_waiting(second));
    bench.pass(1);
    let (first, second) = (bench.joined(first), bench.joined(second));
    assert_eq!((first.generation, second.generation), (1, 1));
    assert_eq!(first.leader, first.member_id);
    assert_eq!(second.leader, first.member_id);
    assert_eq!(first.members.len(), 2);
    assert!(second.members.is_empty(), "only the leader is told of the members");
}

#[test]
fn the_initial_delay_is_not_extended_beyond_the_rebalance_timeout() {
    let mut bench = Bench::with(GroupSettings { initial_rebalance_delay_ms: 3_000, ..GroupSettings::default() });
    let request = JoinRequest { rebalance_timeout_ms: 7_000, ..join_request("") };
    let first = bench.join(request.clone());
    for _ in 0..6 {
        bench.pass(1_000);
        bench.join(request.clone());
    }
    bench.pass(999);
    assert!(bench.is_waiting(first));
    bench.pass(1);
    assert_eq!(bench.joined(first).members.len(), 7);
}

#[test]
fn the_protocol_is_voted_among_those_that_all_support() {
    let with = |names: &[&str]| JoinRequest {
        protocols: names.iter().map(|name| protocol(name)).collect(),
        ..join_request("")
    };
    let check = |members: &[&[&str]], elected: &str| {
        let mut bench = Bench::new();
        let joined = bench.generation_of(members.iter().map(|names| with(names)).collect());
        for member in joined {
            assert_eq!(member.protocol_name.as_deref(), Some(elected), "{members:?}");
        }
    };
    check(&[&["range"], &["sticky", "range"]], "range");
    check(&[&["a", "b"], &["b", "a"], &["b", "a"]], "b");
    check(&[&["a", "b", "x"], &["b", "a", "y"]], "a");
    check(&[&["x", "a"], &["y", "a"], &["z", "a"]], "a");
    check(&[&["a", "a", "b"], &["b", "a"]], "a");
}

#[test]
fn a_member_without_a_common_protocol_is_refused() {
    let mut bench = Bench::new();
    let reply = bench.join(JoinRequest { protocols: Vec::new(), ..join_request("") });
    assert_eq!(bench.refused(reply).error, GroupError::InconsistentGroupProtocol);
    let reply = bench.join(JoinRequest { protocol_type: String::new(), ..join_request("") });
    assert_eq!(bench.refused(reply).error, GroupError::InconsistentGroupProtocol);
    bench.stable_group_of(vec![join_request("")]);
    for request in [
        JoinRequest { protocols: vec![protocol("sticky")], ..join_request("") },
        JoinRequest { protocol_type: "connect".to_owned(), ..join_request("") },
    ] {
        let reply = bench.join(request);
        assert_eq!(bench.refused(reply).error, GroupError::InconsistentGroupProtocol);
    }
}

#[test]
fn a_new_member_begins_a_rebalance_and_the_others_have_the_rebalance_timeout_to_rejoin() {
    let mut bench = Bench::new();
    let first = bench.stable_group_of(vec![join_request("")]).remove(0);
    let second = bench.join(join_request(""));
    assert_eq!(bench.state(), GroupState::PreparingRebalance);
    assert_eq!(bench.heartbeat(&first.member_id, 1), Err(GroupError::RebalanceInProgress));
    let rejoin = bench.join(join_request(first.member_id.as_str()));
    let (first, second) = (bench.joined(rejoin), bench.joined(second));
    assert_eq!((first.generation, second.generation), (2, 2));
    assert_eq!(first.leader, first.member_id, "the leader stays");
}

#[test]
fn who_does_not_rejoin_in_time_is_out_and_another_leads() {
    let mut bench = Bench::new();
    let first = bench.stable_group_of(vec![JoinRequest { session_timeout_ms: 120_000, ..join_request("") }]).remove(0);
    let second = bench.join(join_request(""));
    bench.pass(i64::from(REBALANCE_MS) - 1);
    assert!(bench.is_waiting(second));
    bench.pass(1);
    let second = bench.joined(second);
    assert_eq!(second.leader, second.member_id);
    assert_eq!(second.members.len(), 1);
    assert_eq!(bench.heartbeat(&first.member_id, 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_pending_id_holds_the_generation_up_until_its_session_ends() {
    let mut bench = Bench::new();
    let first = bench.stable_group_of(vec![join_request("")]).remove(0);
    bench.join(JoinRequest { requires_known_member_id: true, ..join_request("") });
    let second = bench.join(join_request(""));
    let rejoin = bench.join(join_request(first.member_id.as_str()));
    bench.pass(i64::from(SESSION_MS) - 1);
    assert!(bench.is_waiting(second));
    bench.pass(1);
    assert_eq!(bench.joined(rejoin).generation, 2);
    assert_eq!(bench.joined(second).generation, 2);
}

#[test]
fn a_follower_that_rejoins_unchanged_is_told_the_generation_again() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![join_request(""), join_request("")]);
    let reply = bench.join(join_request(joined[1].member_id.as_str()));
    assert_eq!(bench.joined(reply), joined[1]);
    assert_eq!(bench.state(), GroupState::Stable);
}

#[test]
fn a_leader_that_rejoins_unchanged_begins_a_rebalance() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![join_request(""), join_request("")]);
    let reply = bench.join(join_request(joined[0].member_id.as_str()));
    assert!(bench.is_waiting(reply));
    assert_eq!(bench.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_follower_with_other_metadata_begins_a_rebalance() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![join_request(""), join_request("")]);
    let changed = JoinProtocol { metadata: subscription(&["orders", "payments"]), ..protocol("range") };
    let reply = bench.join(JoinRequest { protocols: vec![changed], ..join_request(joined[1].member_id.as_str()) });
    assert!(bench.is_waiting(reply));
    assert_eq!(bench.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_member_that_missed_its_answer_is_told_again_while_the_assignment_is_awaited() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![join_request(""), join_request("")]);
    for member in &joined {
        let reply = bench.join(join_request(member.member_id.as_str()));
        assert_eq!(&bench.joined(reply), member);
    }
    assert_eq!(bench.state(), GroupState::CompletingRebalance);
}

#[test]
fn a_second_join_of_a_member_supersedes_the_first() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![join_request(""), join_request("")]);
    let first = bench.join(join_request(joined[0].member_id.as_str()));
    let second = bench.join(join_request(joined[0].member_id.as_str()));
    assert_eq!(bench.refused(first).error, GroupError::RebalanceInProgress);
    assert!(bench.is_waiting(second));
    let other = bench.join(join_request(joined[1].member_id.as_str()));
    assert_eq!(bench.joined(second).generation, 2);
    assert_eq!(bench.joined(other).generation, 2);
}

#[test]
fn a_full_group_turns_new_members_away() {
    let mut bench = Bench::with(GroupSettings { group_size_max: 2, ..settings() });
    let joined = bench.stable_group_of(vec![join_request(""), join_request("")]);
    let reply = bench.join(join_request(""));
    assert_eq!(bench.refused(reply), JoinRefused { member_id: "".into(), error: GroupError::GroupMaxSizeReached });
    assert_eq!(bench.state(), GroupState::Stable);
    let reply = bench.join(join_request(joined[0].member_id.as_str()));
    assert!(bench.is_waiting(reply), "a member may rejoin");
}

#[test]
fn the_last_to_rejoin_are_turned_away_when_the_size_was_lowered() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![join_request(""), join_request(""), join_request("")]);
    bench.shard.set_settings(GroupSettings { group_size_max: 2, ..settings() });
    let replies: Vec<ReplyId> =
        joined.iter().map(|member| bench.join(join_request(member.member_id.as_str()))).collect();
    assert_eq!(bench.refused(replies[2]).error, GroupError::GroupMaxSizeReached);
    assert_eq!(bench.joined(replies[0]).members.len(), 2);
    assert_eq!(bench.joined(replies[1]).generation, 2);
}

#[test]
fn a_new_member_that_waits_longer_than_its_client_would_is_dropped() {
    let mut bench = Bench::new();
    let request = JoinRequest { rebalance_timeout_ms: 1_000_000, session_timeout_ms: 1_000_000, ..join_request("") };
    bench.stable_group_of(vec![request.clone()]);
    let second = bench.join(request);
    bench.pass(299_999);
    assert!(bench.is_waiting(second));
    bench.pass(1);
    assert_eq!(bench.refused(second), JoinRefused { member_id: "".into(), error: GroupError::UnknownMemberId });
}

#[test]
fn a_member_whose_join_waits_outlives_its_session() {
    let mut bench = Bench::new();
    let slow = JoinRequest { session_timeout_ms: 50_000, ..join_request("") };
    let joined = bench.stable_group_of(vec![join_request(""), slow]);
    let rejoin = bench.join(join_request(joined[0].member_id.as_str()));
    bench.pass(i64::from(SESSION_MS) * 2);
    assert!(bench.is_waiting(rejoin));
    bench.pass(30_000);
    assert_eq!(bench.joined(rejoin).generation, 2, "the other's session has ended");
}

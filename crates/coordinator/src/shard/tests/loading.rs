//! Replaying the log, resigning, the record formats.

use super::*;
use crate::record::{ReplayError, Replayed};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_commit_is_written_as_kafka_writes_it() {
    let mut bench = Bench::new();
    bench.commit(commit_request("", -1, "orders", 42));
    bench.settle();
    let record = &bench.log[0];
    assert_eq!(hex(&record.key), "0001".to_owned() + "0007" + &hex(b"readers") + "0006" + &hex(b"orders") + "00000000");
    let value = "0004000000000000002a0000000301".to_owned() + &format!("{EPOCH_MS:016x}") + "00";
    assert_eq!(hex(record.value.as_ref().unwrap()), value);
}

#[test]
fn loaded_members_have_a_fresh_session() {
    let mut bench = Bench::new();
    let joined = bench.stable_group_of(vec![join_request(""), static_join("i")]);
    bench.pass(5_000);
    let mut reloaded = bench.reloaded();
    assert_eq!(reloaded.shard.describe(&GROUP.into()), bench.shard.describe(&GROUP.into()));
    reloaded.pass(i64::from(SESSION_MS) - 1);
    assert_eq!(reloaded.heartbeat(&joined[0].member_id, 1), Ok(()));
    reloaded.pass(1);
    assert_eq!(reloaded.state(), GroupState::PreparingRebalance, "the other has not shown itself");
}

#[test]
fn a_loaded_group_that_is_too_large_rebalances() {
    let mut bench = Bench::new();
    bench.stable_group_of(vec![join_request(""), join_request("")]);
    bench.shard.set_settings(GroupSettings { group_size_max: 1, ..settings() });
    assert_eq!(bench.reloaded().state(), GroupState::PreparingRebalance);
}

#[test]
fn records_of_other_coordinators_are_passed_over() {
    let mut bench = Bench::new();
    let key = Bytes::from_static(&[0, 3, 0, 1, b'g']);
    let replayed = bench.shard.replay(&key, Some(&Bytes::new()), bench.now);
    assert_eq!(replayed, Ok(Replayed::Ignored { record_type: 3 }));
}

#[test]
fn malformed_records_are_errors_and_change_nothing() {
    let mut bench = Bench::new();
    bench.stable_group_of(vec![static_join("i"), static_join("j")]);
    let record = bench.log[0].clone();
    let value = record.value.clone().unwrap();
    let mut fresh = Bench::new();
    for end in 0..value.len() {
        let replayed = fresh.shard.replay(&record.key, Some(&value.slice(..end)), fresh.now);
        assert!(matches!(replayed, Err(ReplayError::Value { .. })), "{replayed:?}");
    }
    for end in 0..record.key.len() {
        let replayed = fresh.shard.replay(&record.key.slice(..end), Some(&value), fresh.now);
        assert!(matches!(replayed, Err(ReplayError::Key(_))), "{replayed:?}");
    }
    let unknown_version = Bytes::from_static(&[0, 9, 0, 0]);
    assert!(fresh.shard.replay(&record.key, Some(&unknown_version), fresh.now).is_err());
    assert!(fresh.shard.list(&[], &[]).is_empty());
}

#[test]
fn a_group_that_names_an_instance_twice_is_refused() {
    let mut bench = Bench::new();
    bench.stable_group_of(vec![static_join("i"), static_join("j")]);
    let record = bench.log[0].clone();
    let twice: Vec<u8> = record.value.unwrap().iter().map(|byte| if *byte == b'j' { b'i' } else { *byte }).collect();
    let replayed = bench.shard.replay(&record.key, Some(&twice.into()), bench.now);
    assert!(matches!(replayed, Err(ReplayError::Inconsistent { .. })), "{replayed:?}");
}

#[test]
fn who_resigns_answers_everybody() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![join_request(""), join_request("")]);
    let syncs = [bench.sync(&joined[0].member_id, 1, &[]), bench.sync(&joined[1].member_id, 1, &[])];
    let request = JoinRequest { group_id: "others".into(), ..join_request("") };
    let join = bench.join(request);
    let commit = bench.commit(CommitRequest { group_id: "offsets".into(), ..commit_request("", -1, "orders", 1) });
    bench.commit(CommitRequest { group_id: "doomed".into(), ..commit_request("", -1, "orders", 1) });
    let delete = bench.delete_groups(&["doomed"]);
    let (shard, now) = (std::mem::replace(&mut bench.shard, GroupShard::new(settings())), bench.now);
    let effects = shard.resign(now);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Append { .. })));
    bench.carry_out(effects);
    for sync in syncs {
        assert_eq!(bench.synced(sync), Err(GroupError::NotCoordinator));
    }
    assert_eq!(bench.refused(join).error, GroupError::NotCoordinator);
    assert_eq!(bench.committed(commit), Err(GroupError::NotCoordinator));
    assert_eq!(bench.deleted(delete), [Err(GroupError::NotCoordinator)]);
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut bench = Bench::new();
    bench.stable_group_of(vec![join_request("")]);
    bench.commit(CommitRequest { group_id: "offsets".into(), ..commit_request("", -1, "orders", 1) });
    bench.settle();
    let check = |states: &[&str], types: &[&str], expected: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut listed: Vec<String> = bench
            .shard
            .list(&owned(states), &owned(types))
            .into_iter()
            .map(|group| group.group_id.to_string())
            .collect();
        listed.sort();
        assert_eq!(listed, expected, "{states:?} {types:?}");
    };
    check(&[], &[], &["offsets", GROUP]);
    check(&["stable"], &[], &[GROUP]);
    check(&[" Empty "], &["Classic"], &["offsets"]);
    check(&["STABLE", "Empty"], &[], &["offsets", GROUP]);
    check(&["Dead"], &[], &[]);
    check(&[], &["consumer"], &[]);
}

#[test]
fn only_a_stable_group_is_described_with_its_assignments() {
    let mut bench = Bench::new();
    let joined = bench.generation_of(vec![join_request("")]);
    let group = bench.shard.describe(&GROUP.into()).unwrap();
    assert_eq!((group.protocol.as_str(), group.members[0].metadata.len()), ("", 0));
    bench.assign(&joined);
    let group = bench.shard.describe(&GROUP.into()).unwrap();
    assert_eq!(group.protocol, "range");
    assert_eq!(group.members[0].metadata, subscription(&["orders"]));
    assert_eq!(group.members[0].assignment, joined[0].member_id.as_str().as_bytes());
    assert_eq!(group.members[0].client_host, "/127.0.0.1");
}

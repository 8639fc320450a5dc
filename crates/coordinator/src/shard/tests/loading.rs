//! Replaying the log, resigning, the record formats.

use super::*;
use crate::record::{ReplayError, Replayed};

/// Records that Kafka's own classes wrote (tests/golden/ConsumerOffsetsGolden.java): name, key, value.
fn golden() -> Vec<(&'static str, Bytes, Option<Bytes>)> {
    let text = include_str!("../../../tests/golden/consumer_offsets.txt");
    let bytes = |hex: &str| -> Bytes {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let line = |line: &'static str| {
        let mut fields = line.split(' ');
        let (name, key, value) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
        (name, bytes(key), (value != "-").then(|| bytes(value)))
    };
    text.lines().map(line).collect()
}

/// What kafka wrote under `name`.
fn golden_record(name: &str) -> GroupRecord {
    let (_, key, value) = golden().into_iter().find(|(found, _, _)| *found == name).unwrap();
    GroupRecord { key, value }
}

#[test]
fn commits_of_every_version_that_kafka_wrote_are_read() {
    let written: Vec<_> = golden().into_iter().filter(|(name, _, _)| name.starts_with("offset-v")).collect();
    assert_eq!(written.len(), 7);
    for (name, key, value) in written {
        let mut bench = Bench::new();
        bench.shard.replay(&key, value.as_ref(), bench.now).unwrap();
        let version: i32 = name["offset-v".len()..][..1].parse().unwrap();
        let expected = CommittedOffset {
            offset: Offset(42),
            leader_epoch: LeaderEpoch(if version >= 3 { 3 } else { -1 }),
            metadata: "héllo".to_owned(),
            committed_at: TimestampMs(EPOCH_MS),
            expires_at: name.ends_with("expiry").then_some(TimestampMs(EPOCH_MS + 86_400)),
            topic_id: TopicId(Uuid::from_u128(if name.ends_with("id") { (1 << 64) + 2 } else { 0 })),
        };
        let fetched = bench.shard.fetch_offsets(&GROUP.into(), None, false).remove(0);
        assert_eq!((fetched.topic.as_str(), fetched.partitions[0].partition), ("orders", PartitionIndex(7)));
        assert_eq!(fetched.partitions[0].committed, Ok(Some(expected)), "{name}");

        let tombstone = golden_record("offset-tombstone");
        bench.shard.replay(&tombstone.key, None, bench.now).unwrap();
        assert!(bench.shard.list(&[], &[]).is_empty(), "the group goes with its last offset");
    }
}

#[test]
fn commits_are_written_as_kafka_writes_them() {
    let offset = CommittedOffset {
        offset: Offset(42),
        leader_epoch: LeaderEpoch(3),
        metadata: "héllo".to_owned(),
        committed_at: TimestampMs(EPOCH_MS),
        expires_at: None,
        topic_id: TopicId::ZERO,
    };
    let check = |name, offset: Option<&CommittedOffset>| {
        let record = GroupRecord::of_offset(&GROUP.into(), "orders", PartitionIndex(7), offset);
        assert_eq!(record, golden_record(name), "{name}");
    };
    check("offset-v4", Some(&offset));
    check(
        "offset-v4-topic-id",
        Some(&CommittedOffset { topic_id: TopicId(Uuid::from_u128((1 << 64) + 2)), ..offset.clone() }),
    );
    check("offset-v1-expiry", Some(&CommittedOffset { expires_at: Some(TimestampMs(EPOCH_MS + 86_400)), ..offset }));
    check("offset-tombstone", None);
}

#[test]
fn groups_of_every_version_that_kafka_wrote_are_read_and_written_in_its_latest() {
    for (name, key, value) in
        golden().into_iter().filter(|(name, _, _)| name.starts_with("group-") && name.contains("-v"))
    {
        let mut bench = Bench::new();
        bench.shard.replay(&key, value.as_ref(), bench.now).unwrap();
        let group = &bench.shard.groups[GROUP].group;
        let version: i32 = name.rsplit_once('v').unwrap().1.parse().unwrap();
        let stable = name.contains("stable");
        assert_eq!(group.state, if stable { GroupState::Stable } else { GroupState::Empty }, "{name}");
        assert_eq!(group.generation, if stable { 6 } else { 5 });
        assert_eq!(group.state_since, TimestampMs(if version >= 2 { EPOCH_MS } else { -1 }), "{name}");
        if stable {
            let member = &group.members["i-1"];
            assert_eq!(member.rebalance_timeout_ms, if version >= 1 { 60_000 } else { 10_000 });
            assert_eq!(member.instance_id, (version >= 3).then(|| "i".into()));
            assert_eq!(group.leader, Some("i-1".into()));
        }
        if version >= 3 {
            let latest = golden_record(if stable { "group-stable-v3" } else { "group-empty-v3" });
            assert_eq!(GroupRecord::of_group(group, |member| member.assignment.clone()), latest, "{name}");
        }
        assert_eq!(GroupRecord::group_tombstone(&GROUP.into()), golden_record("group-tombstone"));
    }
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

proptest::proptest! {
    /// What a disk hands back may be anything: it is refused or followed, and a group that came of it lives on.
    #[test]
    fn damaged_records_are_refused_or_followed_but_never_break_the_shard(
        line in 0_usize..18,
        damage in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 1..6),
        cut in proptest::prelude::any::<proptest::sample::Index>(),
        in_key in proptest::prelude::any::<bool>(),
    ) {
        let (_, key, value) = golden().swap_remove(line);
        let mut record = if in_key { key.to_vec() } else { value.clone().unwrap_or_default().to_vec() };
        for (place, byte) in damage {
            if !record.is_empty() {
                let place = place.index(record.len());
                record[place] = byte;
            }
        }
        record.truncate(cut.index(record.len() * 3 + 1));
        let record = Bytes::from(record);
        let mut bench = Bench::new();
        let (key, value) = if in_key { (record, value) } else { (key, Some(record)) };
        let _ = bench.shard.replay(&key, value.as_ref(), bench.now);
        let effects = bench.shard.loaded(bench.now);
        bench.carry_out(effects);
        for entry in bench.shard.groups.values() {
            entry.group.assert_invariants();
        }
        let joining = bench.join(join_request(""));
        bench.pass(120_000);
        proptest::prop_assert!(!bench.is_waiting(joining));
    }
}

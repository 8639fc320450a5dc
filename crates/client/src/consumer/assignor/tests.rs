//! Examples of Kafka's documentation, and the laws that every assignor keeps.

use proptest::prelude::*;

use super::*;

const ALL: [Assignor; 4] = [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky, Assignor::CooperativeSticky];

fn member(name: &str, topics: &[&str], owned: &[TopicPartition]) -> Member {
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    Member {
        member_id: name.to_owned(),
        group_instance_id: None,
        subscription: Subscription { topics, owned: owned.to_vec(), generation: 1 },
    }
}

fn sizes(topics: &[(&str, i32)]) -> BTreeMap<Arc<str>, i32> {
    topics.iter().map(|(topic, count)| (Arc::from(*topic), *count)).collect()
}

fn text(assignment: &Assignment, member: &str) -> String {
    let names: Vec<_> = assignment[member].iter().map(ToString::to_string).collect();
    names.join(" ")
}

#[test]
fn range_gives_neighbours_topic_by_topic() {
    let members = vec![member("C1", &["t0", "t1"], &[]), member("C0", &["t0", "t1"], &[])];
    let assignment = assign(Assignor::Range, members, &sizes(&[("t0", 3), ("t1", 3)]));
    assert_eq!(text(&assignment, "C0"), "t0-0 t0-1 t1-0 t1-1");
    assert_eq!(text(&assignment, "C1"), "t0-2 t1-2");
}

#[test]
fn round_robin_deals_past_those_who_do_not_want_the_topic() {
    let members =
        vec![member("C0", &["t0"], &[]), member("C1", &["t0", "t1"], &[]), member("C2", &["t0", "t1", "t2"], &[])];
    let assignment = assign(Assignor::RoundRobin, members, &sizes(&[("t0", 1), ("t1", 2), ("t2", 3)]));
    assert_eq!(text(&assignment, "C0"), "t0-0");
    assert_eq!(text(&assignment, "C1"), "t1-0");
    assert_eq!(text(&assignment, "C2"), "t1-1 t2-0 t2-1 t2-2");
}

#[test]
fn static_members_come_first_whatever_their_member_id() {
    let mut with_name = member("zzz", &["t"], &[]);
    with_name.group_instance_id = Some("one".to_owned());
    let assignment = assign(Assignor::Range, vec![member("aaa", &["t"], &[]), with_name], &sizes(&[("t", 3)]));
    assert_eq!(text(&assignment, "zzz"), "t-0 t-1");
}

#[test]
fn a_partition_moves_in_two_rounds_when_cooperative() {
    let all: Vec<_> = (0..4).map(|index| TopicPartition::new("t", index)).collect();
    let topics = sizes(&[("t", 4)]);
    let first = vec![member("a", &["t"], &all), member("b", &["t"], &[])];
    let round = assign(Assignor::CooperativeSticky, first, &topics);
    assert_eq!((text(&round, "a").as_str(), text(&round, "b").as_str()), ("t-0 t-1", ""));
    let second = vec![member("a", &["t"], &round["a"]), member("b", &["t"], &[])];
    let round = assign(Assignor::CooperativeSticky, second, &topics);
    assert_eq!((text(&round, "a").as_str(), text(&round, "b").as_str()), ("t-0 t-1", "t-2 t-3"));
}

#[test]
fn the_newer_claim_counts_and_equal_ones_cancel_out() {
    let partition = TopicPartition::new("t", 0);
    let mut old = member("a", &["t"], std::slice::from_ref(&partition));
    old.subscription.generation = 0;
    let new = member("b", &["t"], std::slice::from_ref(&partition));
    let assignment = assign(Assignor::CooperativeSticky, vec![old, new.clone()], &sizes(&[("t", 1)]));
    assert_eq!((text(&assignment, "a").as_str(), text(&assignment, "b").as_str()), ("", "t-0"));
    let twin = member("a", &["t"], &[partition]);
    let assignment = assign(Assignor::CooperativeSticky, vec![twin, new], &sizes(&[("t", 1)]));
    assert_eq!(assignment.values().flatten().count(), 1);
}

/// Topics wanted, partitions owned, and in which generation.
type Wishes = (Vec<usize>, Vec<(usize, i32)>, i32);

fn groups() -> impl Strategy<Value = (Vec<Member>, BTreeMap<Arc<str>, i32>)> {
    let member =
        (proptest::collection::vec(0..4_usize, 0..4), proptest::collection::vec((0..4_usize, 0..6), 0..9), -1..3);
    let members = proptest::collection::vec(member, 1..6);
    (members, proptest::collection::vec(0..6, 4)).prop_map(|(members, counts): (Vec<Wishes>, Vec<i32>)| {
        let topic = |i: usize| format!("t{i}");
        let build = |(i, (topics, owned, generation)): (usize, Wishes)| Member {
            member_id: format!("m{i}"),
            group_instance_id: None,
            subscription: Subscription {
                topics: topics.into_iter().map(topic).collect(),
                owned: owned.into_iter().map(|(i, index)| TopicPartition::new(topic(i), index)).collect(),
                generation,
            },
        };
        let sizes = counts.into_iter().enumerate().map(|(i, count)| (topic(i).into(), count)).collect();
        (members.into_iter().enumerate().map(build).collect(), sizes)
    })
}

proptest! {
    #[test]
    fn every_wanted_partition_has_one_taker_who_wants_it((members, topics) in groups()) {
        for assignor in ALL {
            let assignment = assign(assignor, members.clone(), &topics);
            prop_assert_eq!(assignment.len(), members.len());
            let mut taken = BTreeSet::new();
            for member in &members {
                for partition in &assignment[&member.member_id] {
                    prop_assert!(member.wants(&partition.topic));
                    prop_assert!(partition.partition < topics[&partition.topic]);
                    prop_assert!(taken.insert(partition.clone()), "{assignor:?}: {partition} twice");
                }
            }
            let wanted: i32 = topics
                .iter()
                .filter(|(topic, _)| members.iter().any(|member| member.wants(topic)))
                .map(|(_, count)| *count)
                .sum();
            if assignor != Assignor::CooperativeSticky {
                prop_assert_eq!(taken.len() as i32, wanted);
            }
        }
    }

    #[test]
    fn cooperative_rounds_settle_in_balance((mut members, topics) in groups()) {
        for _ in 0..3 {
            let round = assign(Assignor::CooperativeSticky, members.clone(), &topics);
            for member in &mut members {
                member.subscription.owned = round[&member.member_id].clone();
                member.subscription.generation = 7;
            }
        }
        let settled = assign(Assignor::CooperativeSticky, members.clone(), &topics);
        for member in &members {
            prop_assert_eq!(&settled[&member.member_id], &member.subscription.owned);
            for other in &members {
                let (many, few) = (&settled[&member.member_id], &settled[&other.member_id]);
                let could_take = many.iter().any(|partition| other.wants(&partition.topic));
                prop_assert!(!could_take || many.len() < few.len() + 2);
            }
        }
    }
}

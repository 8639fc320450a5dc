//! Random orders of requests, appends and deadlines, by clients that behave, restart, give up or lie.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::event::DeletedTopic;

const CLIENTS: usize = 5;
/// The first clients are static members.
const STATIC_CLIENTS: usize = 2;
const TOPICS: [&str; 3] = ["orders", "payments", "former"];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A client takes its next step in the protocol.
    Act(usize),
    /// A client joins again with other metadata, whatever it waits for.
    Rejoin(usize, u8),
    Leave(usize),
    /// A client forgets everything but its instance id.
    Restart(usize),
    Commit(usize, usize, i64),
    Pass(i64),
    /// The append at this place in the queue becomes durable or fails; its place may be out of order.
    Finish(usize, bool),
    DeleteGroup,
    DeleteOffsets(usize),
    DeleteTopic(usize),
    /// Somebody commits without being a member.
    CommitAsNobody(usize, i64),
    /// Requests with a member id or a generation out of thin air.
    Lie(usize, i32),
}

fn steps(failures: bool) -> impl Strategy<Value = Vec<Step>> {
    let client = 0..CLIENTS;
    let topic = 0..TOPICS.len();
    let step = prop_oneof![
        12 => client.clone().prop_map(Step::Act),
        1 => (client.clone(), any::<u8>()).prop_map(|(client, metadata)| Step::Rejoin(client, metadata)),
        1 => client.clone().prop_map(Step::Leave),
        1 => client.clone().prop_map(Step::Restart),
        2 => (client.clone(), topic.clone(), 0..1_000_i64).prop_map(|(client, topic, offset)| Step::Commit(client, topic, offset)),
        3 => prop_oneof![Just(0), 1..2_000_i64, Just(9_000), Just(61_000)].prop_map(Step::Pass),
        6 => (0..3_usize, 0..6_u8).prop_map(move |(place, luck)| Step::Finish(place, !failures || luck > 0)),
        1 => Just(Step::DeleteGroup),
        1 => topic.clone().prop_map(Step::DeleteOffsets),
        1 => topic.clone().prop_map(Step::DeleteTopic),
        1 => (topic, 0..1_000_i64).prop_map(|(topic, offset)| Step::CommitAsNobody(topic, offset)),
        1 => (client, -1..5_i32).prop_map(|(client, generation)| Step::Lie(client, generation)),
    ];
    proptest::collection::vec(step, 1..160)
}

/// A client as it sees itself.
#[derive(Clone, Debug, Default)]
struct Client {
    instance: Option<InstanceId>,
    member_id: Option<MemberId>,
    metadata: u8,
    generation: i32,
    /// Told to assign to these.
    leads: Vec<MemberId>,
    join: Option<ReplyId>,
    sync: Option<ReplyId>,
    /// Has its assignment.
    is_stable: bool,
}

struct World {
    bench: Bench,
    clients: Vec<Client>,
    asked: Vec<ReplyId>,
    /// Answers that have been looked at.
    seen: BTreeSet<ReplyId>,
    /// Highest generation seen since the group came to be.
    generation: i32,
    /// Who was told to assign, by generation.
    assigners: BTreeMap<i32, MemberId>,
}

impl World {
    fn new() -> Self {
        let client = |index| Client {
            instance: (index < STATIC_CLIENTS).then(|| InstanceId::from(format!("instance-{index}"))),
            ..Client::default()
        };
        Self {
            bench: Bench::new(),
            clients: (0..CLIENTS).map(client).collect(),
            asked: Vec::new(),
            seen: BTreeSet::new(),
            generation: 0,
            assigners: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Act(client) => self.act(client),
            Step::Rejoin(client, metadata) => {
                self.clients[client].metadata = metadata;
                self.join(client);
            }
            Step::Leave(client) => self.leave(client),
            Step::Restart(client) => {
                let instance = self.clients[client].instance.clone();
                self.clients[client] = Client { instance, ..Client::default() };
            }
            Step::Commit(client, topic, offset) => {
                let Client { member_id, generation, instance, .. } = self.clients[client].clone();
                let member_id = member_id.unwrap_or_else(|| "".into());
                let request = commit_request(member_id.as_str(), generation, TOPICS[topic], offset);
                let reply = self.bench.commit(CommitRequest { group_instance_id: instance, ..request });
                self.asked.push(reply);
            }
            Step::Pass(milliseconds) => self.bench.pass(milliseconds),
            Step::Finish(place, durable) => self.finish(place, durable),
            Step::DeleteGroup => {
                let reply = self.bench.delete_groups(&[GROUP]);
                self.asked.push(reply);
            }
            Step::DeleteOffsets(topic) => {
                let reply = self.bench.delete_offsets(vec![topic_partition(TOPICS[topic])]);
                self.asked.push(reply);
            }
            Step::DeleteTopic(topic) => {
                let deleted = DeletedTopic { topic: TOPICS[topic].to_owned(), topic_id: TopicId::ZERO };
                self.bench.handle(Event::TopicsDeleted(vec![deleted]));
            }
            Step::CommitAsNobody(topic, offset) => {
                let reply = self.bench.commit(commit_request("", -1, TOPICS[topic], offset));
                self.asked.push(reply);
            }
            Step::Lie(client, generation) => {
                let member_id = self.clients[client].member_id.clone().unwrap_or_else(|| "nobody".into());
                let _ = self.bench.heartbeat(&member_id, generation);
                // Never the member's own: as a leader it would really assign nothing.
                let reply = self.bench.sync(&member_id, generation - 1_000, &[(&"nobody".into(), "nothing")]);
                self.asked.push(reply);
                let mut request = join_request("nobody");
                request.group_instance_id = self.clients[client].instance.clone();
                let reply = self.bench.join(request);
                self.asked.push(reply);
            }
        }
        self.check();
    }

    /// The next append in this place is reported. Records go to the log in order, whatever the order of the reports.
    fn finish(&mut self, place: usize, durable: bool) {
        let Some(index) = (!self.bench.appends.is_empty()).then(|| place % self.bench.appends.len()) else { return };
        let (append, records) = self.bench.appends.remove(index).expect("it is in the queue");
        let outcome = if durable { Ok(()) } else { Err(AppendError::Unavailable) };
        self.bench.durable_out_of_order(append, records, outcome);
        self.bench.handle(Event::AppendDone { append, outcome });
    }

    fn join(&mut self, index: usize) {
        let client = &self.clients[index];
        let protocols = vec![JoinProtocol {
            name: "range".to_owned(),
            metadata: subscription(&TOPICS[..1 + usize::from(client.metadata) % 2]),
        }];
        let request = JoinRequest {
            member_id: client.member_id.clone().unwrap_or_else(|| "".into()),
            group_instance_id: client.instance.clone(),
            requires_known_member_id: true,
            protocols,
            ..join_request("")
        };
        let reply = self.bench.join(request);
        self.asked.push(reply);
        let client = &mut self.clients[index];
        (client.join, client.sync, client.is_stable) = (Some(reply), None, false);
    }

    fn leave(&mut self, index: usize) {
        let client = std::mem::take(&mut self.clients[index]);
        if let Some(member_id) = client.member_id {
            let member = leaving(member_id.as_str(), client.instance.as_ref().map(InstanceId::as_str));
            let reply = self.bench.reply_id();
            let request = LeaveRequest { group_id: GROUP.into(), members: vec![member] };
            self.bench.handle(Event::Leave { reply, request });
            self.asked.push(reply);
        }
        self.clients[index].instance = client.instance;
    }

    fn act(&mut self, index: usize) {
        let client = self.clients[index].clone();
        if let Some(reply) = client.join {
            if let Some(Answer::Join(answer)) = self.bench.answers.get(&reply).cloned() {
                self.take_join(index, answer);
            }
        } else if let Some(reply) = client.sync {
            if let Some(Answer::Sync(answer)) = self.bench.answers.get(&reply).cloned() {
                self.take_sync(index, answer);
            }
        } else if client.is_stable {
            let member_id = client.member_id.expect("a stable client has an id");
            if let Err(error) = self.bench.heartbeat(&member_id, client.generation) {
                self.take_error(index, error);
            }
        } else if client.member_id.is_some() && client.generation > 0 {
            self.sync(index);
        } else {
            self.join(index);
        }
    }

    fn take_join(&mut self, index: usize, answer: Result<Joined, JoinRefused>) {
        self.clients[index].join = None;
        match answer {
            Ok(joined) => {
                let client = &mut self.clients[index];
                client.member_id = Some(joined.member_id);
                client.generation = joined.generation;
                let told_to_assign = !joined.skip_assignment;
                client.leads = if told_to_assign {
                    joined.members.into_iter().map(|member| member.member_id).collect()
                } else {
                    Vec::new()
                };
            }
            Err(JoinRefused { member_id, error: GroupError::MemberIdRequired }) => {
                self.clients[index].member_id = Some(member_id);
            }
            Err(refused) => self.take_error(index, refused.error),
        }
    }

    fn sync(&mut self, index: usize) {
        let Client { member_id, generation, leads, instance, .. } = self.clients[index].clone();
        let share = |member_id: MemberId| {
            let share = Bytes::from(format!("{member_id}@{generation}"));
            (member_id, share)
        };
        let request = SyncRequest {
            group_id: GROUP.into(),
            generation,
            member_id: member_id.expect("it has joined"),
            group_instance_id: instance,
            protocol_type: None,
            protocol_name: None,
            assignments: leads.into_iter().map(share).collect(),
        };
        let reply = self.bench.reply_id();
        self.bench.handle(Event::Sync { reply, request });
        self.asked.push(reply);
        self.clients[index].sync = Some(reply);
    }

    fn take_sync(&mut self, index: usize, answer: Result<Synced, GroupError>) {
        self.clients[index].sync = None;
        match answer {
            Ok(synced) => {
                let client = &mut self.clients[index];
                client.is_stable = true;
                let share = String::from_utf8(synced.assignment.to_vec()).unwrap();
                let (owner, generation) = share.rsplit_once('@').expect("everybody in a generation is assigned to");
                assert_eq!(generation, client.generation.to_string(), "an assignment of another generation");
                if client.instance.is_none() {
                    assert_eq!(Some(owner), client.member_id.as_ref().map(MemberId::as_str));
                }
            }
            Err(error) => self.take_error(index, error),
        }
    }

    fn take_error(&mut self, index: usize, error: GroupError) {
        let client = &mut self.clients[index];
        (client.is_stable, client.generation) = (false, 0);
        if matches!(error, GroupError::UnknownMemberId | GroupError::FencedInstanceId) {
            client.member_id = None;
        }
    }

    /// What must be true between any two events.
    fn check(&mut self) {
        let shard = &self.bench.shard;
        for (group_id, entry) in &shard.groups {
            entry.group.assert_invariants();
            if let Some(wake) = entry.group.wake {
                assert!(entry.armed.is_some_and(|armed| armed <= wake));
            }
            assert!(entry.armed.is_none_or(|armed| shard.wakes.contains(&(armed, group_id.clone()))));
        }
        assert_eq!(shard.wakes.len(), shard.groups.values().filter(|entry| entry.armed.is_some()).count());
        match shard.groups.get(GROUP) {
            Some(entry) => {
                assert!(entry.group.generation >= self.generation, "generations only grow");
                self.generation = entry.group.generation;
            }
            None => {
                self.generation = 0;
                self.assigners.clear();
            }
        }
        self.check_assigners();
    }

    /// In no generation have two members been told to assign.
    fn check_assigners(&mut self) {
        for (reply, answer) in &self.bench.answers {
            let Answer::Join(Ok(joined)) = answer else { continue };
            if !self.seen.insert(*reply) || joined.members.is_empty() || joined.skip_assignment {
                continue;
            }
            let assigner = self.assigners.entry(joined.generation).or_insert_with(|| joined.member_id.clone());
            assert_eq!(assigner, &joined.member_id, "two leaders in generation {}", joined.generation);
        }
    }

    /// Everything under way becomes durable, then everybody is silent until nothing is left to happen.
    fn wind_down(&mut self) {
        while !self.bench.appends.is_empty() {
            self.finish(0, true);
        }
        self.bench.pass(400_000);
        while !self.bench.appends.is_empty() {
            self.finish(0, true);
        }
        self.check();
        for reply in &self.asked {
            assert!(self.bench.answers.contains_key(reply), "{reply:?} was never answered");
        }
        assert!(matches!(self.bench.state(), GroupState::Empty | GroupState::Dead), "silent members are out");
    }

    /// The groups, as far as the log can know them.
    fn image(bench: &Bench, with_groups: bool) -> Vec<String> {
        let mut image = Vec::new();
        for (group_id, entry) in &bench.shard.groups {
            for (topic, partition, offset) in entry.offsets.all_latest() {
                image.push(format!("{group_id} {topic}-{partition} {offset:?}"));
            }
            let group = &entry.group;
            if with_groups && group.stored {
                image.push(format!("{group_id} {} {:?}", group.generation, bench.shard.describe(group_id)));
            }
        }
        image.sort();
        image
    }
}

impl Bench {
    /// Notes an append in the log at its place, whatever the order in which appends are done.
    fn durable_out_of_order(&mut self, append: AppendId, records: Vec<GroupRecord>, outcome: Result<(), AppendError>) {
        if outcome.is_ok() {
            self.unordered.insert(append, records);
        }
        self.log = self.unordered.values().flatten().cloned().collect();
    }
}

fn is_settled(bench: &Bench) -> bool {
    let stable = |entry: &GroupEntry| matches!(entry.group.state, GroupState::Stable | GroupState::Empty);
    bench.appends.is_empty() && bench.shard.groups.values().all(stable)
}

proptest! {
    #[test]
    fn every_request_is_answered_once_and_the_log_tells_the_same_story(steps in steps(false)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            if is_settled(&world.bench) {
                assert_eq!(World::image(&world.bench.reloaded(), true), World::image(&world.bench, true));
            }
        }
        world.wind_down();
        assert_eq!(World::image(&world.bench.reloaded(), true), World::image(&world.bench, true));
    }

    #[test]
    fn failing_appends_lose_no_answer_and_show_no_offset_that_is_not_in_the_log(steps in steps(true)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.wind_down();
        assert_eq!(World::image(&world.bench.reloaded(), false), World::image(&world.bench, false));
    }
}

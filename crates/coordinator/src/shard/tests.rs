//! A shard with a log behind it, and the rules of groups as claims about it.

mod committing;
mod deleting;
mod joining;
mod leaving;
mod loading;
mod random;
mod static_members;
mod syncing;

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use millstream_model::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId};
use uuid::Uuid;

use super::*;
use crate::answer::{Joined, Synced, TopicOutcome};
use crate::classic::GroupState;
use crate::event::{
    CommitRequest, DeleteOffsetsRequest, JoinProtocol, LeavingMember, PartitionCommit, TopicCommit, TopicPartitions,
};
use crate::ids::{InstanceId, MemberId};
use crate::offsets::CommittedOffset;
use crate::record::GroupRecord;

const GROUP: &str = "readers";
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;
/// When the tests begin, on the wall.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// A shard, the log it appends to, and the answers it gave.
struct Bench {
    shard: GroupShard,
    now: Now,
    replies: u64,
    uuids: u128,
    answers: HashMap<ReplyId, Answer>,
    /// Appends under way.
    appends: VecDeque<(AppendId, Vec<GroupRecord>)>,
    log: Vec<GroupRecord>,
    /// What the log holds, by append, where appends are done out of order.
    unordered: BTreeMap<AppendId, Vec<GroupRecord>>,
}

fn settings() -> GroupSettings {
    GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() }
}

/// The metadata of a `consumer` member that subscribes to `topics`.
fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend([0xff; 4]);
    bytes.into()
}

fn protocol(name: &str) -> JoinProtocol {
    JoinProtocol { name: name.to_owned(), metadata: subscription(&["orders"]) }
}

fn join_request(member_id: &str) -> JoinRequest {
    JoinRequest {
        group_id: GROUP.into(),
        member_id: member_id.into(),
        group_instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        uuid: Uuid::nil(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range")],
        requires_known_member_id: false,
        supports_skipping_assignment: true,
        reason: None,
    }
}

fn static_join(instance_id: &str) -> JoinRequest {
    JoinRequest { group_instance_id: Some(instance_id.into()), ..join_request("") }
}

fn commit_request(member_id: &str, generation: i32, topic: &str, offset: i64) -> CommitRequest {
    let partition = PartitionCommit {
        partition: PartitionIndex(0),
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(3),
        metadata: None,
    };
    CommitRequest {
        group_id: GROUP.into(),
        generation,
        member_id: member_id.into(),
        group_instance_id: None,
        retention_ms: None,
        knows_group_id_not_found: true,
        topics: vec![TopicCommit { topic: topic.to_owned(), topic_id: TopicId::ZERO, partitions: vec![partition] }],
    }
}

fn topic_partition(topic: &str) -> TopicPartitions {
    TopicPartitions { topic: topic.to_owned(), topic_id: TopicId::ZERO, partitions: vec![PartitionIndex(0)] }
}

fn leaving(member_id: &str, instance_id: Option<&str>) -> LeavingMember {
    let group_instance_id = instance_id.map(InstanceId::from);
    LeavingMember { member_id: member_id.into(), group_instance_id, reason: None }
}

impl Bench {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: GroupSettings) -> Self {
        let mut bench = Self {
            shard: GroupShard::new(settings),
            now: Now { steady: SteadyMs(0), wall: TimestampMs(EPOCH_MS) },
            replies: 0,
            uuids: 0,
            answers: HashMap::new(),
            appends: VecDeque::new(),
            log: Vec::new(),
            unordered: BTreeMap::new(),
        };
        let effects = bench.shard.loaded(bench.now);
        bench.carry_out(effects);
        bench
    }

    /// A shard that has followed this one's log.
    fn reloaded(&self) -> Self {
        let mut bench = Self::with(self.shard.settings.clone());
        bench.now = self.now;
        for record in &self.log {
            bench.shard.replay(&record.key, record.value.as_ref(), bench.now).unwrap();
        }
        bench.log = self.log.clone();
        let effects = bench.shard.loaded(bench.now);
        bench.carry_out(effects);
        bench
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { reply, answer } => {
                    let earlier = self.answers.insert(reply, answer);
                    assert_eq!(earlier, None, "{reply:?} is answered twice");
                }
                Effect::Append { append, records } => {
                    assert!(!records.is_empty());
                    self.appends.push_back((append, records));
                }
                Effect::Notice(notice) => assert!(!notice.to_string().is_empty()),
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let effects = self.shard.handle(self.now, event);
        self.carry_out(effects);
    }

    fn reply_id(&mut self) -> ReplyId {
        self.replies += 1;
        ReplyId(self.replies)
    }

    fn join(&mut self, mut request: JoinRequest) -> ReplyId {
        self.uuids += 1;
        request.uuid = Uuid::from_u128(self.uuids);
        let reply = self.reply_id();
        self.handle(Event::Join { reply, request });
        reply
    }

    fn sync(&mut self, member_id: &MemberId, generation: i32, assignments: &[(&MemberId, &str)]) -> ReplyId {
        let share =
            |(member_id, share): &(&MemberId, &str)| ((*member_id).clone(), Bytes::copy_from_slice(share.as_bytes()));
        let request = SyncRequest {
            group_id: GROUP.into(),
            generation,
            member_id: member_id.clone(),
            group_instance_id: None,
            protocol_type: Some("consumer".to_owned()),
            protocol_name: None,
            assignments: assignments.iter().map(share).collect(),
        };
        let reply = self.reply_id();
        self.handle(Event::Sync { reply, request });
        reply
    }

    fn heartbeat(&mut self, member_id: &MemberId, generation: i32) -> Result<(), GroupError> {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation,
            member_id: member_id.clone(),
            group_instance_id: None,
        };
        let reply = self.reply_id();
        self.handle(Event::Heartbeat { reply, request });
        match self.answer(reply) {
            Answer::Heartbeat(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, members: Vec<LeavingMember>) -> Vec<Result<(), GroupError>> {
        let reply = self.reply_id();
        self.handle(Event::Leave { reply, request: LeaveRequest { group_id: GROUP.into(), members } });
        match self.answer(reply) {
            Answer::Leave(left) => left.unwrap().into_iter().map(|member| member.outcome).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, request: CommitRequest) -> ReplyId {
        let reply = self.reply_id();
        self.handle(Event::CommitOffsets { reply, request });
        reply
    }

    fn delete_offsets(&mut self, topics: Vec<TopicPartitions>) -> ReplyId {
        let reply = self.reply_id();
        let request = DeleteOffsetsRequest { group_id: GROUP.into(), topics };
        self.handle(Event::DeleteOffsets { reply, request });
        reply
    }

    fn delete_groups(&mut self, groups: &[&str]) -> ReplyId {
        let reply = self.reply_id();
        let groups = groups.iter().map(|group| GroupId::from(*group)).collect();
        self.handle(Event::DeleteGroups { reply, groups });
        reply
    }

    /// The oldest append under way becomes durable, or fails.
    fn finish_append(&mut self, outcome: Result<(), AppendError>) {
        let (append, records) = self.appends.pop_front().expect("an append is under way");
        if outcome.is_ok() {
            self.log.extend(records);
        }
        self.handle(Event::AppendDone { append, outcome });
    }

    /// Everything under way becomes durable.
    fn settle(&mut self) {
        while !self.appends.is_empty() {
            self.finish_append(Ok(()));
        }
    }

    /// Lets time pass, with a tick at each deadline on the way.
    fn pass(&mut self, milliseconds: i64) {
        let end = self.now.steady.after(milliseconds);
        while let Some(at) = self.shard.next_deadline().filter(|at| *at <= end) {
            self.turn_clock_to(at.max(self.now.steady));
            self.handle(Event::Tick);
        }
        self.turn_clock_to(end);
    }

    fn turn_clock_to(&mut self, at: SteadyMs) {
        self.now = Now { steady: at, wall: TimestampMs(EPOCH_MS + at.0 as i64) };
    }

    fn is_waiting(&self, reply: ReplyId) -> bool {
        !self.answers.contains_key(&reply)
    }

    fn answer(&mut self, reply: ReplyId) -> Answer {
        self.answers.remove(&reply).expect("it has been answered")
    }

    fn joined(&mut self, reply: ReplyId) -> Joined {
        match self.answer(reply) {
            Answer::Join(Ok(joined)) => joined,
            other => panic!("{other:?}"),
        }
    }

    fn refused(&mut self, reply: ReplyId) -> JoinRefused {
        match self.answer(reply) {
            Answer::Join(Err(refused)) => refused,
            other => panic!("{other:?}"),
        }
    }

    fn synced(&mut self, reply: ReplyId) -> Result<Synced, GroupError> {
        match self.answer(reply) {
            Answer::Sync(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn committed(&mut self, reply: ReplyId) -> Result<Vec<TopicOutcome>, GroupError> {
        match self.answer(reply) {
            Answer::CommitOffsets(outcome) | Answer::DeleteOffsets(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn deleted(&mut self, reply: ReplyId) -> Vec<Result<(), GroupError>> {
        match self.answer(reply) {
            Answer::DeleteGroups(outcomes) => outcomes.into_iter().map(|(_, outcome)| outcome).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn state(&self) -> GroupState {
        self.shard.describe(&GROUP.into()).map_or(GroupState::Dead, |group| group.state)
    }

    fn offset(&self, topic: &str) -> Option<CommittedOffset> {
        let fetched = self.shard.fetch_offsets(&GROUP.into(), Some(&[topic_partition(topic)]), false);
        fetched[0].partitions[0].committed.clone().unwrap()
    }

    /// A generation of `requests`, told but not synced.
    fn generation_of(&mut self, requests: Vec<JoinRequest>) -> Vec<Joined> {
        let replies: Vec<ReplyId> = requests.into_iter().map(|request| self.join(request)).collect();
        self.pass(0);
        replies.into_iter().map(|reply| self.joined(reply)).collect()
    }

    /// A stable group of `requests`; each member's assignment is its own id.
    fn stable_group_of(&mut self, requests: Vec<JoinRequest>) -> Vec<Joined> {
        let joined = self.generation_of(requests);
        self.assign(&joined);
        joined
    }

    /// Everybody syncs, the leader with each member's id for its assignment.
    fn assign(&mut self, joined: &[Joined]) {
        let shares: Vec<(&MemberId, &str)> =
            joined.iter().map(|member| (&member.member_id, member.member_id.as_str())).collect();
        let replies: Vec<ReplyId> = joined
            .iter()
            .map(|member| {
                let assignments = if member.member_id == member.leader { shares.as_slice() } else { &[] };
                self.sync(&member.member_id, member.generation, assignments)
            })
            .collect();
        self.settle();
        for (member, reply) in joined.iter().zip(replies) {
            assert_eq!(self.synced(reply).unwrap().assignment, member.member_id.as_str().as_bytes());
        }
        assert_eq!(self.state(), GroupState::Stable);
    }
}

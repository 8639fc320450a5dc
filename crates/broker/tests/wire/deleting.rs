//! Topics that are deleted while others use them: nobody waits for what will not come, and a topic that is made again
//! under the same name has nothing of the old one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millstream_protocol::create_topics::{CreatableTopic, CreateTopicsRequest};
use millstream_protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use millstream_protocol::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millstream_protocol::find_coordinator::FindCoordinatorRequest;
use millstream_protocol::heartbeat::HeartbeatRequest;
use millstream_protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millstream_protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use millstream_protocol::metadata::{MetadataRequest, MetadataRequestTopic};
use millstream_protocol::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use millstream_protocol::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use millstream_protocol::{ErrorCode, Records};
use uuid::Uuid;

use crate::server::{Peer, Server};
use crate::topic::{TOPIC, batch, create, fetch, produce, produce_request, records_of};

/// Versions that name topics by name and by id.
const BY_NAME: i16 = 12;
const BY_ID: i16 = 13;

fn deletion(names: &[&str]) -> DeleteTopicsRequest {
    let state = |name: &&str| DeleteTopicState { name: Some((*name).to_owned()), ..DeleteTopicState::default() };
    let topics = names.iter().map(state).collect();
    DeleteTopicsRequest { topics, timeout_ms: 30_000, ..DeleteTopicsRequest::default() }
}

fn delete(peer: &mut Peer, name: &str) {
    assert_eq!(peer.ask(&deletion(&[name]), 6).unwrap().responses[0].error_code, 0);
}

fn topic_id(peer: &mut Peer) -> Uuid {
    ask_for_topic(peer, false)
}

/// The id that the topic has now; none when it is not there.
fn ask_for_topic(peer: &mut Peer, allow_auto_topic_creation: bool) -> Uuid {
    let topics = vec![MetadataRequestTopic { name: Some(TOPIC.to_owned()), ..MetadataRequestTopic::default() }];
    let request = MetadataRequest { topics: Some(topics), allow_auto_topic_creation, ..MetadataRequest::default() };
    peer.ask(&request, 12).unwrap().topics[0].topic_id
}

/// A fetch that waits for a record at `offset` as long as it may.
fn long_poll(topic_id: Uuid, fetch_offset: i64) -> FetchRequest {
    let partition = FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topics = vec![FetchTopic { topic: TOPIC.to_owned(), topic_id, partitions: vec![partition] }];
    FetchRequest { max_wait_ms: i32::MAX, min_bytes: 1, topics, ..FetchRequest::default() }
}

#[test]
fn a_long_poll_ends_when_its_topic_is_deleted() {
    for (version, code) in [(BY_NAME, ErrorCode::UnknownTopicOrPartition), (BY_ID, ErrorCode::UnknownTopicId)] {
        let server = Server::start(&[]);
        let mut peer = server.peer();
        create(&mut peer, &[]);
        produce(&mut peer, batch(&["a"]));
        let poll = long_poll(topic_id(&mut peer), 1);
        let mut poller = server.peer();
        poller.send(&poll, version);
        // Deleted before or after the poll waits: it must end either way.
        delete(&mut peer, TOPIC);
        let answer = poller.receive::<FetchRequest>(version).unwrap();
        assert_eq!(answer.responses[0].partitions[0].error_code, code.code(), "version {version}");
    }
}

#[test]
fn a_fetch_session_tells_that_its_topic_is_gone_until_it_is_forgotten() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    let first = FetchRequest { max_wait_ms: 0, session_epoch: 0, ..long_poll(topic_id(&mut peer), 0) };
    let session_id = peer.ask(&first, BY_ID).unwrap().session_id;
    assert_ne!(session_id, 0);
    delete(&mut peer, TOPIC);
    create(&mut peer, &[]);
    produce(&mut peer, batch(&["another topic's"]));
    for session_epoch in 1..3 {
        let next = FetchRequest { topics: Vec::new(), session_id, session_epoch, ..first.clone() };
        let answer = peer.ask(&next, BY_ID).unwrap();
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.error_code, ErrorCode::UnknownTopicId.code());
        assert_eq!(partition.records.as_ref().map_or(0, Records::len), 0);
    }
}

#[test]
fn a_topic_that_is_made_again_has_nothing_of_the_old() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[("retention.ms", "1234567")]);
    produce(&mut peer, batch(&["old", "older"]));
    let old = topic_id(&mut peer);
    commit(&mut peer, 2);
    assert_eq!(committed(&mut peer), 2);
    delete(&mut peer, TOPIC);
    create(&mut peer, &[]);
    assert_ne!(topic_id(&mut peer), old);
    assert_eq!(records_of(fetch(&mut peer, 0, 0, 1 << 20)), []);
    assert_eq!(committed(&mut peer), -1);
    assert_eq!(produce(&mut peer, batch(&["new"])).base_offset, 0);
    drop(peer);
    let server = Server::start_in(server.stop(), &[]);
    assert_eq!(records_of(fetch(&mut server.peer(), 0, 0, 1 << 20)), [(0, "new".to_owned())]);
    assert_eq!(committed(&mut server.peer()), -1);
}

/// Tells threads to end, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn produces_and_fetches_under_way_are_answered_while_their_topic_comes_and_goes() {
    for durability in ["fsync", "os"] {
        let server = Server::start(&[("millstream.durability", durability)]);
        come_and_go_under_load(&server);
        server.stop();
    }
}

fn come_and_go_under_load(server: &Server) {
    create(&mut server.peer(), &[]);
    let over = &AtomicBool::new(false);
    let address = server.address();
    let tolerated = [ErrorCode::None, ErrorCode::UnknownTopicOrPartition, ErrorCode::UnknownTopicId];
    let check = move |code: i16| {
        let code = ErrorCode::from_code(code).unwrap();
        assert!(tolerated.contains(&code), "{code:?}");
    };
    thread::scope(|scope| {
        for version in [9, BY_ID] {
            scope.spawn(move || {
                let mut peer = Peer::connect(address);
                while !over.load(Ordering::Relaxed) {
                    let mut request = produce_request(batch(&["a", "b"]));
                    request.topic_data[0].topic_id = topic_id(&mut peer);
                    let answer = peer.ask(&request, version).unwrap();
                    check(answer.responses[0].partition_responses[0].error_code);
                }
            });
            scope.spawn(move || {
                let mut peer = Peer::connect(address);
                while !over.load(Ordering::Relaxed) {
                    let request = FetchRequest { max_wait_ms: 20, ..long_poll(topic_id(&mut peer), 0) };
                    let answer = peer.ask(&request, version.max(BY_NAME)).unwrap();
                    check(answer.responses[0].partitions[0].error_code);
                }
            });
        }
        let _over = Over(over);
        let mut peer = server.peer();
        for _ in 0..50 {
            delete(&mut peer, TOPIC);
            create(&mut peer, &[]);
            assert_eq!(produce(&mut peer, batch(&["mine"])).error_code, 0);
        }
    });
}

/// Topics that are deleted together with the one that is made again, so that its turn comes late.
const CROWD: [&str; 24] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w",
    "x",
];

/// A topic that stays.
const BYSTANDER: &str = "bystander";

/// How often a topic is deleted and made again.
const ROUNDS: usize = 12;

#[test]
fn what_a_topic_acknowledges_that_is_made_again_at_once_stays() {
    let server = Server::start(&[]);
    let mut values = Vec::new();
    create(&mut server.peer(), &[]);
    for round in 0..ROUNDS {
        values = made_again_at_once(&server, round);
    }
    assert_eq!(records_of(fetch(&mut server.peer(), 0, 0, 1 << 20)), values);
    let server = Server::start_in(server.stop(), &[]);
    assert_eq!(records_of(fetch(&mut server.peer(), 0, 0, 1 << 20)), values);
    server.stop();
}

/// Deletes the topic among others, makes it again as soon as its name is free, and gives what was acknowledged since.
fn made_again_at_once(server: &Server, round: usize) -> Vec<(i64, String)> {
    let mut peer = server.peer();
    let others = [&CROWD[..], &[BYSTANDER]].concat();
    let topics = others.into_iter().map(creatable).collect();
    peer.ask(&CreateTopicsRequest { topics, ..CreateTopicsRequest::default() }, 7).unwrap();
    for name in [&CROWD[..], &[TOPIC]].concat() {
        let mut request = produce_request(batch(&["old"]));
        name.clone_into(&mut request.topic_data[0].name);
        assert_eq!(peer.ask(&request, 9).unwrap().responses[0].partition_responses[0].error_code, 0);
    }
    let old = topic_id(&mut peer);
    let mut deleting = server.peer();
    deleting.send(&deletion(&[&CROWD[..], &[TOPIC]].concat()), 6);
    // By a client that asks for a topic that is not there, or by one that makes topics.
    let mut again = || {
        if round.is_multiple_of(2) {
            return ask_for_topic(&mut peer, true);
        }
        try_create(&mut peer);
        topic_id(&mut peer)
    };
    while [old, Uuid::nil()].contains(&again()) {}
    let values = (0..20).map(|number| format!("{round}:{number}"));
    let mut acknowledged = Vec::new();
    for value in values {
        let answer = produce(&mut peer, batch(&[&value]));
        assert_eq!(answer.error_code, 0, "{value}");
        acknowledged.push((answer.base_offset, value));
        force_checkpoint(&mut peer, acknowledged.len());
    }
    assert!(deleting.receive::<DeleteTopicsRequest>(6).unwrap().responses.iter().all(|topic| topic.error_code == 0));
    acknowledged
}

fn creatable(name: &str) -> CreatableTopic {
    CreatableTopic { name: name.to_owned(), num_partitions: 1, replication_factor: 1, ..CreatableTopic::default() }
}

fn try_create(peer: &mut Peer) {
    let request = CreateTopicsRequest { topics: vec![creatable(TOPIC)], ..CreateTopicsRequest::default() };
    let code = peer.ask(&request, 7).unwrap().topics[0].error_code;
    assert!([ErrorCode::None, ErrorCode::TopicAlreadyExists].map(ErrorCode::code).contains(&code), "{code}");
}

/// A topic's durability changes with a checkpoint.
fn force_checkpoint(peer: &mut Peer, turn: usize) {
    let config = AlterableConfig {
        name: "millstream.durability".to_owned(),
        config_operation: 0,
        value: Some(["fsync", "os"][turn % 2].to_owned()),
    };
    let resource =
        AlterConfigsResource { resource_type: 2, resource_name: BYSTANDER.to_owned(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(peer.ask(&request, 1).unwrap().responses[0].error_code, 0);
}

const GROUP: &str = "readers";

fn find_coordinator(peer: &mut Peer) {
    let request =
        FindCoordinatorRequest { coordinator_keys: vec![GROUP.to_owned()], ..FindCoordinatorRequest::default() };
    assert_eq!(peer.ask(&request, 4).unwrap().coordinators[0].error_code, 0);
}

fn commit(peer: &mut Peer, committed_offset: i64) {
    find_coordinator(peer);
    let partition = OffsetCommitRequestPartition { committed_offset, ..OffsetCommitRequestPartition::default() };
    let topic = OffsetCommitRequestTopic {
        name: TOPIC.to_owned(),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request =
        OffsetCommitRequest { group_id: GROUP.to_owned(), topics: vec![topic], ..OffsetCommitRequest::default() };
    assert_eq!(peer.ask(&request, 8).unwrap().topics[0].partitions[0].error_code, 0);
}

fn committed(peer: &mut Peer) -> i64 {
    let topic = OffsetFetchRequestTopics {
        name: TOPIC.to_owned(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    peer.ask(&request, 8).unwrap().groups[0].topics[0].partitions[0].committed_offset
}

/// A new member, which waits for others.
fn joining() -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "another".to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: i32::MAX,
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".to_owned(), ..JoinGroupRequestProtocol::default() }],
        ..JoinGroupRequest::default()
    }
}

#[test]
fn groups_begin_anew_after_their_own_topic_was_deleted() {
    let server = Server::start(&[("group.initial.rebalance.delay.ms", "1000000000")]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    commit(&mut peer, 1);
    let mut member = server.peer();
    member.send(&joining(), 3);
    delete(&mut peer, "__consumer_offsets");
    let refused = [ErrorCode::CoordinatorNotAvailable, ErrorCode::NotCoordinator].map(ErrorCode::code);
    let joined = member.receive::<JoinGroupRequest>(3).unwrap().error_code;
    assert!(refused.contains(&joined), "{joined}");
    let heartbeat = HeartbeatRequest { group_id: GROUP.to_owned(), ..HeartbeatRequest::default() };
    let code = peer.ask(&heartbeat, 4).unwrap().error_code;
    assert_eq!(code, ErrorCode::NotCoordinator.code());
    find_coordinator(&mut peer);
    assert_eq!(committed(&mut peer), -1);
    commit(&mut peer, 2);
    assert_eq!(committed(&mut peer), 2);
}

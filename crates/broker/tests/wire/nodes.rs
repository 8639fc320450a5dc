//! One process that is several nodes (`--nodes`): each leads and coordinates its share, and says who does where it does
//! not.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use millstream_model::TimestampMs;
use millstream_model::batch::BatchBuilder;
use millstream_model::compression::Compression;
use millstream_protocol::api_versions::ApiVersionsRequest;
use millstream_protocol::create_topics::{CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest};
use millstream_protocol::delete_groups::DeleteGroupsRequest;
use millstream_protocol::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use millstream_protocol::describe_cluster::DescribeClusterRequest;
use millstream_protocol::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use millstream_protocol::describe_groups::DescribeGroupsRequest;
use millstream_protocol::describe_log_dirs::DescribeLogDirsRequest;
use millstream_protocol::describe_topic_partitions::{DescribeTopicPartitionsRequest, TopicRequest};
use millstream_protocol::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millstream_protocol::find_coordinator::{Coordinator, FindCoordinatorRequest};
use millstream_protocol::heartbeat::HeartbeatRequest;
use millstream_protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use millstream_protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use millstream_protocol::list_groups::ListGroupsRequest;
use millstream_protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millstream_protocol::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};
use millstream_protocol::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use millstream_protocol::offset_delete::OffsetDeleteRequest;
use millstream_protocol::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use millstream_protocol::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use millstream_protocol::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millstream_protocol::sync_group::SyncGroupRequest;
use millstream_protocol::{ErrorCode, Message as _, Records, Request};

use crate::server::{Peer, Server};

const TOPIC: &str = "spread";

/// Peers of all nodes, by id.
fn peers(server: &Server) -> BTreeMap<i32, Peer> {
    let metadata = metadata(&mut server.peer(), TOPIC);
    let nodes = metadata.brokers.into_iter().map(|node| {
        let address = format!("{}:{}", node.host, node.port).parse().unwrap();
        (node.node_id, Peer::connect(address))
    });
    nodes.collect()
}

fn metadata(peer: &mut Peer, topic: &str) -> MetadataResponse {
    let topics = vec![MetadataRequestTopic { name: Some(topic.to_owned()), ..MetadataRequestTopic::default() }];
    let request = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
    peer.ask(&request, 12).unwrap()
}

fn topic_of(peer: &mut Peer, topic: &str) -> MetadataResponseTopic {
    metadata(peer, topic).topics.remove(0)
}

fn leaders(topic: &MetadataResponseTopic) -> Vec<i32> {
    topic.partitions.iter().map(|partition| partition.leader_id).collect()
}

fn new_topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { name: name.to_owned(), num_partitions, replication_factor, ..CreatableTopic::default() }
}

/// Code and message of the answer.
fn create(peer: &mut Peer, topic: CreatableTopic) -> (i16, Option<String>) {
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let result = peer.ask(&request, 7).unwrap().topics.remove(0);
    (result.error_code, result.error_message)
}

fn record(value: &str) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(TimestampMs(1_700_000_000_000), None, Some(value.as_bytes()), &[]).unwrap();
    builder.build().into_bytes()
}

/// Names the topic by id and by name; each version writes what it has.
fn produce_request(topic: &MetadataResponseTopic, index: i32) -> ProduceRequest {
    let records = Some(Records::from(record("a")));
    let partition_data = vec![PartitionProduceData { index, records }];
    let data = TopicProduceData { name: TOPIC.to_owned(), topic_id: topic.topic_id, partition_data };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![data], ..ProduceRequest::default() }
}

fn fetch_request(topic: &MetadataResponseTopic, partition: i32) -> FetchRequest {
    let partition = FetchPartition { partition, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let (name, topic_id) = (TOPIC.to_owned(), topic.topic_id);
    let topics = vec![FetchTopic { topic: name, topic_id, partitions: vec![partition] }];
    FetchRequest { topics, ..FetchRequest::default() }
}

#[test]
fn every_node_tells_the_same_of_partitions_that_are_spread_over_all() {
    let server = Server::start_nodes(3, &[]);
    assert_eq!(create(&mut server.peer(), new_topic(TOPIC, 6, 2)).0, 0);
    let mut told = BTreeSet::new();
    for (id, peer) in &mut peers(&server) {
        let metadata = metadata(peer, TOPIC);
        let nodes: Vec<i32> = metadata.brokers.iter().map(|node| node.node_id).collect();
        assert_eq!((nodes, metadata.controller_id), (vec![0, 1, 2], 0), "node {id}");
        let topic = &metadata.topics[0];
        for partition in &topic.partitions {
            let MetadataResponsePartition { leader_id, replica_nodes, isr_nodes, offline_replicas, .. } = partition;
            assert_eq!(replica_nodes[..], [*leader_id, (leader_id + 1) % 3]);
            assert_eq!((isr_nodes, &offline_replicas[..]), (replica_nodes, &[][..]));
        }
        told.insert(leaders(topic));
        let asked = DescribeTopicPartitionsRequest {
            topics: vec![TopicRequest { name: TOPIC.to_owned() }],
            response_partition_limit: 100,
            ..DescribeTopicPartitionsRequest::default()
        };
        let described = peer.ask(&asked, 0).unwrap().topics.remove(0);
        told.insert(described.partitions.iter().map(|partition| partition.leader_id).collect());
        let request = DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() };
        let cluster = peer.ask(&request, 1).unwrap();
        assert_eq!(cluster.brokers.iter().map(|node| node.broker_id).collect::<Vec<_>>(), [0, 1, 2]);
    }
    assert_eq!(told.len(), 1, "all say the same: {told:?}");
    let mut shares = told.pop_first().unwrap();
    shares.sort_unstable();
    assert_eq!(shares, [0, 0, 1, 1, 2, 2]);
}

#[test]
fn a_node_that_does_not_lead_says_so_in_every_version() {
    let server = Server::start_nodes(2, &[]);
    assert_eq!(create(&mut server.peer(), new_topic(TOPIC, 1, 1)).0, 0);
    let topic = topic_of(&mut server.peer(), TOPIC);
    let leader = leaders(&topic)[0];
    let mut peers = peers(&server);
    let accepted = peers.get_mut(&leader).unwrap().ask(&produce_request(&topic, 0), 13).unwrap();
    assert_eq!(accepted.responses[0].partition_responses[0].error_code, 0);
    let peer = peers.get_mut(&(1 - leader)).unwrap();
    let not_leader = ErrorCode::NotLeaderOrFollower.code();
    for version in ProduceRequest::VERSIONS {
        let response = peer.ask(&produce_request(&topic, 0), version).unwrap();
        let refused = &response.responses[0].partition_responses[0];
        assert_eq!(refused.error_code, not_leader, "Produce {version}");
        let told = if version >= 10 { vec![leader] } else { vec![] };
        assert_eq!(response.node_endpoints.iter().map(|node| node.node_id).collect::<Vec<_>>(), told);
    }
    for version in FetchRequest::VERSIONS {
        let response = peer.ask(&fetch_request(&topic, 0), version).unwrap();
        let refused = &response.responses[0].partitions[0];
        assert_eq!(refused.error_code, not_leader, "Fetch {version}");
        assert_eq!(refused.current_leader.leader_id, if version >= 12 { leader } else { -1 }, "Fetch {version}");
        assert_eq!(response.node_endpoints.len(), usize::from(version >= 16), "Fetch {version}");
    }
    for version in ListOffsetsRequest::VERSIONS {
        let partition = ListOffsetsPartition { timestamp: -1, ..ListOffsetsPartition::default() };
        let topics = vec![ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![partition] }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
        let refused = peer.ask(&request, version).unwrap().topics.remove(0).partitions.remove(0);
        assert_eq!((refused.error_code, refused.offset), (not_leader, -1), "ListOffsets {version}");
    }
    for version in OffsetForLeaderEpochRequest::VERSIONS {
        let partitions = vec![OffsetForLeaderPartition::default()];
        let topics = vec![OffsetForLeaderTopic { topic: TOPIC.to_owned(), partitions }];
        let request = OffsetForLeaderEpochRequest { replica_id: -1, topics };
        let refused = peer.ask(&request, version).unwrap().topics.remove(0).partitions.remove(0);
        assert_eq!(refused.error_code, not_leader, "OffsetForLeaderEpoch {version}");
    }
    for version in DeleteRecordsRequest::VERSIONS {
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: 0 }];
        let topics = vec![DeleteRecordsTopic { name: TOPIC.to_owned(), partitions }];
        let request = DeleteRecordsRequest { topics, timeout_ms: 30_000 };
        let refused = peer.ask(&request, version).unwrap().topics.remove(0).partitions.remove(0);
        assert_eq!(refused.error_code, not_leader, "DeleteRecords {version}");
    }
}

/// Where a node says that a group is coordinated.
fn coordinator(peer: &mut Peer, group: &str) -> Coordinator {
    let request = FindCoordinatorRequest { coordinator_keys: vec![group.to_owned()], ..Default::default() };
    let found = peer.ask(&request, 4).unwrap().coordinators.remove(0);
    assert_eq!(found.error_code, 0, "{:?}", found.error_message);
    found
}

fn join_request(group: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".to_owned(), metadata: Bytes::from_static(b"m") }],
        ..JoinGroupRequest::default()
    }
}

#[test]
fn groups_are_coordinated_by_all_nodes_and_every_node_says_by_which() {
    let server = Server::start_nodes(3, &[]);
    let mut peers = peers(&server);
    let groups: Vec<String> = (0..30).map(|n| format!("group-{n}")).collect();
    let mut by_node: BTreeMap<i32, BTreeSet<&str>> = BTreeMap::new();
    for group in &groups {
        let told: Vec<Coordinator> = peers.values_mut().map(|peer| coordinator(peer, group)).collect();
        assert!(told.iter().all(|found| *found == told[0]), "{told:?}");
        let peer = peers.get_mut(&told[0].node_id).unwrap();
        // Up to version 3 a member need not ask for its id first.
        let joined = peer.ask(&join_request(group), 3).unwrap();
        assert_eq!(joined.error_code, 0);
        by_node.entry(told[0].node_id).or_default().insert(group);
    }
    assert_eq!(by_node.len(), 3, "{by_node:?}");
    for (id, peer) in &mut peers {
        let listed = peer.ask(&ListGroupsRequest::default(), 4).unwrap();
        let listed: BTreeSet<&str> = listed.groups.iter().map(|group| group.group_id.as_str()).collect();
        assert_eq!(listed, by_node[id], "each lists those that it coordinates");
    }
}

/// Asks one group API in every version; the codes that `code_of` finds in the answers.
fn codes<R>(peer: &mut Peer, request: &R, code_of: impl Fn(R::Response) -> i16) -> Vec<(i16, i16)>
where
    R: Request + millstream_protocol::Encode,
    R::Response: millstream_protocol::Decode,
{
    R::VERSIONS.map(|version| (version, code_of(peer.ask(request, version).unwrap()))).collect()
}

#[test]
fn a_node_that_does_not_coordinate_a_group_says_so_in_every_version() {
    let server = Server::start_nodes(2, &[]);
    let mut peers = peers(&server);
    let found = coordinator(peers.get_mut(&0).unwrap(), "g");
    let peer = peers.get_mut(&(1 - found.node_id)).unwrap();
    let group_id = "g".to_owned();
    let check = |api: &str, codes: Vec<(i16, i16)>| {
        for (version, code) in codes {
            assert_eq!(code, ErrorCode::NotCoordinator.code(), "{api} {version}");
        }
    };
    check("JoinGroup", codes(peer, &join_request("g"), |answer| answer.error_code));
    let member_id = "m".to_owned();
    let sync = SyncGroupRequest { group_id: group_id.clone(), member_id: member_id.clone(), ..Default::default() };
    let sync = SyncGroupRequest {
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        ..sync
    };
    check("SyncGroup", codes(peer, &sync, |answer| answer.error_code));
    let heartbeat =
        HeartbeatRequest { group_id: group_id.clone(), member_id: member_id.clone(), ..HeartbeatRequest::default() };
    check("Heartbeat", codes(peer, &heartbeat, |answer| answer.error_code));
    for version in LeaveGroupRequest::VERSIONS {
        let (member_id, members) = if version < 3 {
            (member_id.clone(), Vec::new())
        } else {
            (String::new(), vec![MemberIdentity { member_id: member_id.clone(), ..MemberIdentity::default() }])
        };
        let leave = LeaveGroupRequest { group_id: group_id.clone(), member_id, members };
        check("LeaveGroup", vec![(version, peer.ask(&leave, version).unwrap().error_code)]);
    }
    let describe = DescribeGroupsRequest { groups: vec![group_id.clone()], ..DescribeGroupsRequest::default() };
    check("DescribeGroups", codes(peer, &describe, |answer| answer.groups[0].error_code));
    let delete = DeleteGroupsRequest { groups_names: vec![group_id.clone()] };
    check("DeleteGroups", codes(peer, &delete, |answer| answer.results[0].error_code));
    let offset_delete = OffsetDeleteRequest { group_id: group_id.clone(), topics: Vec::new() };
    check("OffsetDelete", codes(peer, &offset_delete, |answer| answer.error_code));
}

#[test]
fn offsets_are_committed_and_fetched_only_where_the_group_is_coordinated() {
    let server = Server::start_nodes(2, &[]);
    assert_eq!(create(&mut server.peer(), new_topic(TOPIC, 1, 1)).0, 0);
    let topic = topic_of(&mut server.peer(), TOPIC);
    let mut peers = peers(&server);
    let found = coordinator(peers.get_mut(&0).unwrap(), "g");
    let here = found.node_id;
    for (id, expected) in [(here, ErrorCode::None), (1 - here, ErrorCode::NotCoordinator)] {
        let peer = peers.get_mut(&id).unwrap();
        for version in OffsetCommitRequest::VERSIONS {
            let partition = OffsetCommitRequestPartition { committed_offset: 0, ..Default::default() };
            let (name, topic_id) = (TOPIC.to_owned(), topic.topic_id);
            let topics = vec![OffsetCommitRequestTopic { name, topic_id, partitions: vec![partition] }];
            let request = OffsetCommitRequest { group_id: "g".to_owned(), topics, ..OffsetCommitRequest::default() };
            let answer = peer.ask(&request, version).unwrap().topics.remove(0).partitions.remove(0);
            assert_eq!(answer.error_code, expected.code(), "OffsetCommit {version}");
        }
        for version in OffsetFetchRequest::VERSIONS {
            let answer = peer.ask(&offset_fetch(version, &topic), version).unwrap();
            let code = match version {
                ..2 => answer.topics[0].partitions[0].error_code,
                2..8 => answer.error_code,
                _ => answer.groups[0].error_code,
            };
            assert_eq!(code, expected.code(), "OffsetFetch {version}");
        }
    }
}

/// The committed offset of partition 0, in the form of the version.
fn offset_fetch(version: i16, topic: &MetadataResponseTopic) -> OffsetFetchRequest {
    let (group_id, name, partition_indexes) = ("g".to_owned(), TOPIC.to_owned(), vec![0]);
    if version < 8 {
        let topics = Some(vec![OffsetFetchRequestTopic { name, partition_indexes }]);
        return OffsetFetchRequest { group_id, topics, ..OffsetFetchRequest::default() };
    }
    let topics = Some(vec![OffsetFetchRequestTopics { name, topic_id: topic.topic_id, partition_indexes }]);
    let group = OffsetFetchRequestGroup { group_id, topics, ..OffsetFetchRequestGroup::default() };
    OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() }
}

#[test]
fn replicas_up_to_the_number_of_nodes_are_taken_and_more_are_refused() {
    let server = Server::start_nodes(3, &[]);
    let mut peer = server.peer();
    assert_eq!(create(&mut peer, new_topic("three", 1, 3)), (0, None));
    let (code, message) = create(&mut peer, new_topic("four", 1, 4));
    assert_eq!(code, ErrorCode::InvalidReplicationFactor.code());
    let message = message.unwrap();
    let kafkas = "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached \
                  because only 3 broker(s) are registered";
    assert!(message.starts_with(kafkas), "{message}");
    let assignments = vec![CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![2, 3] }];
    let (code, message) = create(&mut peer, CreatableTopic { assignments, ..new_topic("by-hand", -1, -1) });
    assert_eq!(code, ErrorCode::InvalidReplicaAssignment.code());
    let kafkas = "The manual partition assignment includes broker 3, but no such broker is registered.";
    assert_eq!(message.as_deref(), Some(kafkas));
}

#[test]
fn every_node_shows_the_configs_of_each_and_its_own_partitions_in_log_dirs() {
    let server = Server::start_nodes(2, &[]);
    assert_eq!(create(&mut server.peer(), new_topic(TOPIC, 4, 1)).0, 0);
    let topic = topic_of(&mut server.peer(), TOPIC);
    let mut peers = peers(&server);
    for (index, leader) in leaders(&topic).into_iter().enumerate() {
        let produced = peers.get_mut(&leader).unwrap().ask(&produce_request(&topic, index as i32), 12).unwrap();
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    }
    for (id, peer) in &mut peers {
        let answer = peer.ask(&DescribeLogDirsRequest { topics: None }, 4).unwrap();
        let shown: Vec<i32> =
            answer.results[0].topics[0].partitions.iter().map(|partition| partition.partition_index).collect();
        let led = leaders(&topic).into_iter().zip(0..).filter(|(leader, _)| leader == id).map(|(_, index)| index);
        assert_eq!(shown, led.collect::<Vec<i32>>(), "node {id}");
        // An empty list of keys means all of them, as in Kafka.
        let (resource_name, configuration_keys) = (id.to_string(), Some(Vec::new()));
        let resource = DescribeConfigsResource { resource_type: 4, resource_name, configuration_keys };
        let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
        let configs = peer.ask(&request, 4).unwrap().results.remove(0).configs;
        let node_id = configs.into_iter().find(|config| config.name == "node.id").unwrap();
        assert_eq!(node_id.value, Some(id.to_string()));
    }
}

#[test]
fn each_node_has_a_port_of_its_own_and_is_advertised_with_it() {
    for (advertised, host) in [(None, "127.0.0.1"), (Some("PLAINTEXT://localhost:0"), "localhost")] {
        let configs: Vec<(&str, &str)> = advertised.map(|text| ("advertised.listeners", text)).into_iter().collect();
        let server = Server::start_nodes(3, &configs);
        let listening: Vec<i32> = server.addresses().iter().map(|address| i32::from(address.port())).collect();
        let told = metadata(&mut server.peer(), TOPIC).brokers;
        assert_eq!(told.iter().map(|node| node.port).collect::<Vec<_>>(), listening);
        assert!(told.iter().all(|node| node.host == host), "{told:?}");
    }
    let server = Server::start_nodes(3, &[("advertised.listeners", "PLAINTEXT://kafka.example:9092")]);
    let told = metadata(&mut server.peer(), TOPIC).brokers;
    let told: Vec<(i32, &str, i32)> = told.iter().map(|node| (node.node_id, node.host.as_str(), node.port)).collect();
    assert_eq!(told, [(0, "kafka.example", 9092), (1, "kafka.example", 9093), (2, "kafka.example", 9094)]);
}

#[test]
fn a_restart_keeps_the_leaders_and_fewer_nodes_lead_everything_until_the_others_are_back() {
    let server = Server::start_nodes(3, &[]);
    assert_eq!(create(&mut server.peer(), new_topic(TOPIC, 3, 1)).0, 0);
    let topic = topic_of(&mut server.peer(), TOPIC);
    for (id, peer) in &mut peers(&server) {
        let index = leaders(&topic).iter().position(|leader| leader == id).unwrap();
        let produced = peer.ask(&produce_request(&topic, index as i32), 12).unwrap();
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    }
    let server = Server::start_nodes_in(server.stop(), 3, &[]);
    assert_eq!(topic_of(&mut server.peer(), TOPIC).partitions, topic.partitions, "a restart changes nothing");

    let server = Server::start_nodes_in(server.stop(), 1, &[]);
    let mut peer = server.peer();
    let alone = topic_of(&mut peer, TOPIC);
    for (partition, before) in alone.partitions.iter().zip(&topic.partitions) {
        let gone: Vec<i32> = before.replica_nodes.iter().copied().filter(|&id| id != 0).collect();
        assert_eq!((partition.leader_id, &partition.isr_nodes[..]), (0, &[0][..]));
        assert_eq!((&partition.replica_nodes, &partition.offline_replicas), (&before.replica_nodes, &gone));
        let fetched = peer.ask(&fetch_request(&topic, partition.partition_index), 12).unwrap();
        let data = &fetched.responses[0].partitions[0];
        assert_eq!((data.error_code, data.high_watermark), (0, 1));
    }
    drop(peer);

    let server = Server::start_nodes_in(server.stop(), 3, &[]);
    assert_eq!(leaders(&topic_of(&mut server.peer(), TOPIC)), leaders(&topic), "each leads its share again");
}

#[test]
fn a_client_that_meant_another_node_or_cluster_is_told_to_begin_again() {
    let server = Server::start_nodes(2, &[]);
    let cluster = metadata(&mut server.peer(), TOPIC).cluster_id.unwrap();
    let other = "AAAAAAAAAAAAAAAAAAAAAA";
    let cases = [
        (None, -1, ErrorCode::None),
        (Some(cluster.as_str()), 1, ErrorCode::None),
        (Some(cluster.as_str()), 0, ErrorCode::RebootstrapRequired),
        (Some(other), 1, ErrorCode::RebootstrapRequired),
        (None, 1, ErrorCode::InvalidRequest),
        (Some(cluster.as_str()), -1, ErrorCode::InvalidRequest),
    ];
    let mut peers = peers(&server);
    let peer = peers.get_mut(&1).unwrap();
    for (cluster_id, node_id, expected) in cases {
        let request = ApiVersionsRequest {
            client_software_name: "test".to_owned(),
            client_software_version: "1".to_owned(),
            cluster_id: cluster_id.map(str::to_owned),
            node_id,
        };
        let answer = peer.ask(&request, 5).unwrap();
        assert_eq!(answer.error_code, expected.code(), "{request:?}");
        assert_eq!(answer.api_keys.is_empty(), expected != ErrorCode::None, "{request:?}");
        // Older versions cannot say it, and nothing is compared.
        assert_eq!(peer.ask(&request, 4).unwrap().error_code, 0);
    }
}

#[test]
fn records_of_internal_topics_are_deleted_by_nobody_whoever_leads_them() {
    const INTERNAL: &str = "__consumer_offsets";
    let server = Server::start_nodes(2, &[]);
    coordinator(&mut server.peer(), "makes its topic");
    for mut peer in peers(&server).into_values() {
        let partitions = [0, 1, 1000].map(|partition_index| DeleteRecordsPartition { partition_index, offset: 0 });
        let topics = vec![DeleteRecordsTopic { name: INTERNAL.to_owned(), partitions: partitions.to_vec() }];
        let request = DeleteRecordsRequest { topics, timeout_ms: 30_000 };
        let answer = peer.ask(&request, 2).unwrap().topics.remove(0).partitions;
        let codes = answer.iter().map(|partition| ErrorCode::from_code(partition.error_code).unwrap());
        let (internal, unknown) = (ErrorCode::InvalidTopicException, ErrorCode::UnknownTopicOrPartition);
        assert_eq!(codes.collect::<Vec<_>>(), [internal, internal, unknown]);
    }
}

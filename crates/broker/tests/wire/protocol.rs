//! What a peer sees of the protocol: versions and order.

use crate::server::{Peer, Server};
use millstream_protocol::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use millstream_protocol::metadata::{MetadataRequest, MetadataRequestTopic};
use millstream_protocol::produce::ProduceRequest;
use millstream_protocol::{ApiKey, Decode, Decoder, Encode, ErrorCode, Request, ResponseHeader};

fn api_versions(peer: &mut Peer) -> ApiVersionsResponse {
    peer.ask(&ApiVersionsRequest::default(), 0).unwrap()
}

#[test]
fn exactly_the_advertised_apis_are_advertised_as_kafka_does() {
    let server = Server::start(&[]);
    for api in api_versions(&mut server.peer()).api_keys {
        let key = ApiKey::from_code(api.api_key).unwrap();
        let known = key.versions().unwrap();
        let lowest = if key == ApiKey::Produce { 0 } else { *known.start() };
        assert_eq!((api.min_version, api.max_version), (lowest, *known.end()), "{key:?}");
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0_with_the_versions_that_are_known() {
    let server = Server::start(&[]);
    for version in [6_i16, 99, i16::MAX, -1] {
        let mut peer = server.peer();
        let [high, low] = version.to_be_bytes();
        peer.send_bytes(&[0, 0, 0, 11, 0, 18, high, low, 0, 0, 0, 7, 0xff, 0xff, 0]);
        let mut decoder = Decoder::new(peer.receive_bytes().unwrap());
        let header = ResponseHeader::decode(&mut decoder, ApiKey::ApiVersions, 0).unwrap();
        let response = ApiVersionsResponse::decode(&mut decoder, 0).unwrap();
        decoder.finish().unwrap();
        assert_eq!((header.correlation_id, response.error_code), (7, ErrorCode::UnsupportedVersion.code()));
        let known: Vec<_> =
            response.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        assert_eq!(known, [(18, 0, 5)]);
        assert_eq!(api_versions(&mut peer).error_code, 0, "the client may ask again");
    }
}

#[test]
fn features_that_are_not_served_are_not_advertised() {
    let server = Server::start(&[]);
    let software = || "test".to_owned();
    let request = ApiVersionsRequest {
        client_software_name: software(),
        client_software_version: software(),
        ..ApiVersionsRequest::default()
    };
    for version in 3..=5 {
        let response = server.peer().ask(&request, version).unwrap();
        assert_eq!(response.error_code, 0);
        assert_eq!((response.supported_features.len(), response.finalized_features.len()), (0, 0));
        assert_eq!(response.finalized_features_epoch, -1, "there are none");
    }
}

#[test]
fn clients_that_name_themselves_badly_are_refused() {
    let server = Server::start(&[]);
    for (name, version) in [("", "1"), ("-a", "1"), ("a b", "1"), ("a", ""), ("a", "1.")] {
        let request = ApiVersionsRequest {
            client_software_name: name.to_owned(),
            client_software_version: version.to_owned(),
            ..ApiVersionsRequest::default()
        };
        let code = server.peer().ask(&request, 3).unwrap().error_code;
        assert_eq!(code, ErrorCode::InvalidRequest.code(), "{name} {version}");
    }
}

#[test]
fn produce_before_version_3_closes_the_connection() {
    let server = Server::start(&[]);
    for version in 0..3 {
        let mut peer = server.peer();
        peer.send_bytes(&[0, 0, 0, 16, 0, 0, 0, version, 0, 0, 0, 7, 0xff, 0xff, 0, 1, 0, 0, 0, 0]);
        assert!(peer.is_closed(), "version {version}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    for _ in 0..50 {
        peer.send(&ApiVersionsRequest::default(), 0);
        peer.send(&MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() }, 1);
    }
    for _ in 0..50 {
        assert!(peer.receive::<ApiVersionsRequest>(0).is_some());
        let metadata = peer.receive::<MetadataRequest>(1).unwrap();
        assert_eq!(metadata.brokers.len(), 1);
    }
}

#[test]
fn a_missing_topic_that_is_asked_for_twice_is_made_once_and_told_twice() {
    let server = Server::start(&[]);
    let asked = MetadataRequestTopic { name: Some("twice".to_owned()), ..MetadataRequestTopic::default() };
    let topics = Some(vec![asked.clone(), asked]);
    let metadata = server.peer().ask(&MetadataRequest { topics, ..MetadataRequest::default() }, 1).unwrap();
    assert_eq!(metadata.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn many_topics_that_cannot_be_made_are_told_in_time() {
    let server = Server::start(&[]);
    let asked = (0..100_000).map(|number| MetadataRequestTopic {
        name: Some(format!("not a name {number}")),
        ..MetadataRequestTopic::default()
    });
    let request = MetadataRequest { topics: Some(asked.collect()), ..MetadataRequest::default() };
    let metadata = server.peer().ask(&request, 1).unwrap();
    assert!(metadata.topics.iter().all(|topic| topic.error_code == ErrorCode::InvalidTopicException.code()));
}

#[test]
fn a_frame_in_pieces_is_a_request() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    for byte in [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff] {
        peer.send_bytes(&[byte]);
    }
    assert!(peer.receive::<ApiVersionsRequest>(0).is_some());
}

/// Asks one API in each of its versions; answers its key.
fn ask_every_version<R>(server: &Server, request: &R) -> i16
where
    R: Request + Encode,
    R::Response: Decode,
{
    for version in R::VERSIONS {
        let mut peer = server.peer();
        assert!(peer.ask(request, version).is_some(), "{:?} version {version} closed the connection", R::API_KEY);
    }
    R::API_KEY.code()
}

#[test]
fn every_advertised_version_is_answered() {
    let server = Server::start(&[]);
    // With acks=0, which is the default, there is no answer.
    let produce = ProduceRequest { acks: 1, ..ProduceRequest::default() };
    let mut asked = vec![ask_every_version(&server, &produce)];
    macro_rules! ask {
        ($($module:ident :: $request:ident),* $(,)?) => {
            [$(ask_every_version(&server, &millstream_protocol::$module::$request::default())),*]
        };
    }
    asked.extend(ask![
        fetch::FetchRequest,
        list_offsets::ListOffsetsRequest,
        metadata::MetadataRequest,
        offset_commit::OffsetCommitRequest,
        offset_fetch::OffsetFetchRequest,
        find_coordinator::FindCoordinatorRequest,
        join_group::JoinGroupRequest,
        heartbeat::HeartbeatRequest,
        leave_group::LeaveGroupRequest,
        sync_group::SyncGroupRequest,
        describe_groups::DescribeGroupsRequest,
        list_groups::ListGroupsRequest,
        api_versions::ApiVersionsRequest,
        create_topics::CreateTopicsRequest,
        delete_topics::DeleteTopicsRequest,
        delete_records::DeleteRecordsRequest,
        init_producer_id::InitProducerIdRequest,
        offset_for_leader_epoch::OffsetForLeaderEpochRequest,
        describe_configs::DescribeConfigsRequest,
        alter_configs::AlterConfigsRequest,
        describe_log_dirs::DescribeLogDirsRequest,
        create_partitions::CreatePartitionsRequest,
        delete_groups::DeleteGroupsRequest,
        incremental_alter_configs::IncrementalAlterConfigsRequest,
        list_partition_reassignments::ListPartitionReassignmentsRequest,
        offset_delete::OffsetDeleteRequest,
        describe_cluster::DescribeClusterRequest,
        describe_topic_partitions::DescribeTopicPartitionsRequest,
    ]);
    let advertised: Vec<i16> = api_versions(&mut server.peer()).api_keys.iter().map(|api| api.api_key).collect();
    assert_eq!(advertised, asked, "this test must ask every API that is advertised");
}

//! kafka-wire 0.1.0.

use bytes::{Bytes, BytesMut};
use kafka_wire::KafkaMessage;
use kafka_wire_core::{ApiVersion, DecodeLimits};

pub(crate) fn rewrite(name: &str, version: i16, bytes: &Bytes) -> Option<Result<Bytes, String>> {
    let (_, rewrite) = MESSAGES.iter().find(|(known, _)| *known == name)?;
    rewrite(version, bytes)
}

fn rewrite_as<M: KafkaMessage>(version: i16, bytes: &Bytes) -> Option<Result<Bytes, String>> {
    let version = ApiVersion::new(version);
    if !M::supports(version) {
        return None;
    }
    let mut written = BytesMut::new();
    let message = match M::decode_from_bytes(bytes.clone(), version, DecodeLimits::default()) {
        Ok(message) => message,
        Err(error) => return Some(Err(error.to_string())),
    };
    Some(match message.encode_into(&mut written, version) {
        Ok(_) => Ok(written.freeze()),
        Err(error) => Err(error.to_string()),
    })
}

type RewriteOne = fn(i16, &Bytes) -> Option<Result<Bytes, String>>;

macro_rules! messages {
    ($($name:ident)*) => {
        const MESSAGES: &[(&str, RewriteOne)] = &[$((stringify!($name), rewrite_as::<kafka_wire::$name>)),*];
    };
}

messages! {
    ProduceRequest ProduceResponse FetchRequest FetchResponse ListOffsetsRequest ListOffsetsResponse
    MetadataRequest MetadataResponse OffsetCommitRequest OffsetCommitResponse OffsetFetchRequest
    OffsetFetchResponse FindCoordinatorRequest FindCoordinatorResponse JoinGroupRequest JoinGroupResponse
    HeartbeatRequest HeartbeatResponse LeaveGroupRequest LeaveGroupResponse SyncGroupRequest SyncGroupResponse
    DescribeGroupsRequest DescribeGroupsResponse ListGroupsRequest ListGroupsResponse SaslHandshakeRequest
    SaslHandshakeResponse ApiVersionsRequest ApiVersionsResponse CreateTopicsRequest CreateTopicsResponse
    DeleteTopicsRequest DeleteTopicsResponse DeleteRecordsRequest DeleteRecordsResponse InitProducerIdRequest
    InitProducerIdResponse OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse AddPartitionsToTxnRequest
    AddPartitionsToTxnResponse AddOffsetsToTxnRequest AddOffsetsToTxnResponse EndTxnRequest EndTxnResponse
    WriteTxnMarkersRequest WriteTxnMarkersResponse TxnOffsetCommitRequest TxnOffsetCommitResponse
    DescribeAclsRequest DescribeAclsResponse CreateAclsRequest CreateAclsResponse DeleteAclsRequest
    DeleteAclsResponse DescribeConfigsRequest DescribeConfigsResponse AlterConfigsRequest AlterConfigsResponse
    AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse DescribeLogDirsRequest DescribeLogDirsResponse
    SaslAuthenticateRequest SaslAuthenticateResponse CreatePartitionsRequest CreatePartitionsResponse
    CreateDelegationTokenRequest CreateDelegationTokenResponse RenewDelegationTokenRequest
    RenewDelegationTokenResponse ExpireDelegationTokenRequest ExpireDelegationTokenResponse
    DescribeDelegationTokenRequest DescribeDelegationTokenResponse DeleteGroupsRequest DeleteGroupsResponse
    ElectLeadersRequest ElectLeadersResponse IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse
    AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse ListPartitionReassignmentsRequest
    ListPartitionReassignmentsResponse OffsetDeleteRequest OffsetDeleteResponse DescribeClientQuotasRequest
    DescribeClientQuotasResponse AlterClientQuotasRequest AlterClientQuotasResponse
    DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse AlterUserScramCredentialsRequest
    AlterUserScramCredentialsResponse DescribeQuorumRequest DescribeQuorumResponse UpdateFeaturesRequest
    UpdateFeaturesResponse DescribeClusterRequest DescribeClusterResponse DescribeProducersRequest
    DescribeProducersResponse UnregisterBrokerRequest UnregisterBrokerResponse DescribeTransactionsRequest
    DescribeTransactionsResponse ListTransactionsRequest ListTransactionsResponse ConsumerGroupHeartbeatRequest
    ConsumerGroupHeartbeatResponse ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse
    GetTelemetrySubscriptionsRequest GetTelemetrySubscriptionsResponse PushTelemetryRequest
    PushTelemetryResponse ListConfigResourcesRequest ListConfigResourcesResponse DescribeTopicPartitionsRequest
    DescribeTopicPartitionsResponse ShareGroupHeartbeatRequest ShareGroupHeartbeatResponse
    ShareGroupDescribeRequest ShareGroupDescribeResponse ShareFetchRequest ShareFetchResponse
    ShareAcknowledgeRequest ShareAcknowledgeResponse AddRaftVoterRequest AddRaftVoterResponse
    RemoveRaftVoterRequest RemoveRaftVoterResponse InitializeShareGroupStateRequest
    InitializeShareGroupStateResponse ReadShareGroupStateRequest ReadShareGroupStateResponse
    WriteShareGroupStateRequest WriteShareGroupStateResponse DeleteShareGroupStateRequest
    DeleteShareGroupStateResponse ReadShareGroupStateSummaryRequest ReadShareGroupStateSummaryResponse
    StreamsGroupHeartbeatRequest StreamsGroupHeartbeatResponse StreamsGroupDescribeRequest
    StreamsGroupDescribeResponse DescribeShareGroupOffsetsRequest DescribeShareGroupOffsetsResponse
    AlterShareGroupOffsetsRequest AlterShareGroupOffsetsResponse DeleteShareGroupOffsetsRequest
    DeleteShareGroupOffsetsResponse StreamsGroupTopologyDescriptionUpdateRequest
    StreamsGroupTopologyDescriptionUpdateResponse
}

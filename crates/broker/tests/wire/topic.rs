//! A topic with one partition: made, written and read over a peer.

use bytes::Bytes;
use millstream_model::TimestampMs;
use millstream_model::batch::{Batch, BatchBuilder, BatchIter, ProducerStamp, RecordIter};
use millstream_model::compression::Compression;
use millstream_protocol::Records;
use millstream_protocol::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use millstream_protocol::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use millstream_protocol::produce::{PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData};

use crate::server::Peer;

pub(crate) const TOPIC: &str = "measurements";

pub(crate) fn create(peer: &mut Peer, configs: &[(&str, &str)]) {
    let configs = configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig { name: (*name).to_owned(), value: Some((*value).to_owned()) });
    let topic = CreatableTopic {
        name: TOPIC.to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        configs: configs.collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let response = peer.ask(&request, 7).unwrap();
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
}

pub(crate) fn batch_of(values: &[&str], producer: ProducerStamp) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None).producer(producer);
    for value in values {
        builder.append(TimestampMs(1_700_000_000_000), None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build()
}

pub(crate) fn batch(values: &[&str]) -> Bytes {
    batch_of(values, ProducerStamp::NONE).into_bytes()
}

pub(crate) fn produce_request(records: Bytes) -> ProduceRequest {
    let records = Some(Records::from(records));
    let partition_data = vec![PartitionProduceData { index: 0, records }];
    let topic = TopicProduceData { name: TOPIC.to_owned(), partition_data, ..TopicProduceData::default() };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

pub(crate) fn produce(peer: &mut Peer, records: Bytes) -> PartitionProduceResponse {
    let mut response = peer.ask(&produce_request(records), 9).unwrap();
    response.responses.remove(0).partition_responses.remove(0)
}

pub(crate) fn fetch(peer: &mut Peer, offset: i64, wait_ms: i32, bytes_max: i32) -> PartitionData {
    let partition =
        FetchPartition { fetch_offset: offset, partition_max_bytes: bytes_max, ..FetchPartition::default() };
    let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest { max_wait_ms: wait_ms, min_bytes: 1, topics: vec![topic], ..FetchRequest::default() };
    peer.ask(&request, 12).unwrap().responses.remove(0).partitions.remove(0)
}

/// Asks for one record batch, however large, again and again without reading any answer.
pub(crate) fn fetch_without_reading(peer: &mut Peer, times: usize) {
    let partition = FetchPartition { partition_max_bytes: i32::MAX, ..FetchPartition::default() };
    let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest { max_bytes: i32::MAX, topics: vec![topic], ..FetchRequest::default() };
    for _ in 0..times {
        peer.send(&request, 12);
    }
}

pub(crate) fn batches_of(data: PartitionData) -> Vec<Batch> {
    assert_eq!(data.error_code, 0);
    let batches = BatchIter::new(data.records.unwrap_or_default().into_contiguous());
    batches.map(|batch| batch.unwrap()).collect()
}

/// Offsets and values in a partition's answer.
pub(crate) fn records_of(data: PartitionData) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for batch in batches_of(data) {
        let records = batch.decompressed(1 << 20).unwrap();
        for (delta, record) in RecordIter::new(&records, batch.header().records_count).enumerate() {
            let value = String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap();
            found.push((batch.header().base_offset.0 + delta as i64, value));
        }
    }
    found
}

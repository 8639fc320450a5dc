//! What a request costs to read and an answer to write, as the broker does it, and the other way round.
//! `cargo bench -p millstream-protocol`; a name behind `--` picks some.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use millstream_protocol::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, PartitionData,
};
use millstream_protocol::metadata::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic};
use millstream_protocol::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use millstream_protocol::{Decode, Decoder, Encode, Request, RequestHeader, frame_request, frame_response};

/// The last versions that name topics.
const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 12;
const METADATA_VERSION: i16 = 12;
/// Partitions of one request: one, as with few; a hundred, as with many.
const PARTITIONS: [i32; 2] = [1, 100];

fn produce(partitions: i32) -> ProduceRequest {
    let records = Bytes::from(vec![0; 16 << 10]);
    let data = |index| PartitionProduceData { index, records: Some(records.clone().into()) };
    let partition_data = (0..partitions).map(data).collect();
    let topic_data = vec![TopicProduceData { name: "orders".to_owned(), partition_data, ..Default::default() }];
    ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 30_000, topic_data }
}

fn fetch(partitions: i32) -> FetchRequest {
    let partition = |partition| FetchPartition { partition, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic {
        topic: "orders".to_owned(),
        partitions: (0..partitions).map(partition).collect(),
        ..Default::default()
    };
    FetchRequest { max_bytes: 50 << 20, min_bytes: 1, max_wait_ms: 500, topics: vec![topic], ..Default::default() }
}

fn fetched(partitions: i32) -> FetchResponse {
    let records = Bytes::from(vec![0; 16 << 10]);
    let partition = |partition_index| PartitionData {
        partition_index,
        records: Some(records.clone().into()),
        ..Default::default()
    };
    let topic = FetchableTopicResponse {
        topic: "orders".to_owned(),
        partitions: (0..partitions).map(partition).collect(),
        ..Default::default()
    };
    FetchResponse { responses: vec![topic], ..Default::default() }
}

fn described(topics: usize) -> MetadataResponse {
    let partition = |partition_index| MetadataResponsePartition {
        partition_index,
        leader_id: 1,
        replica_nodes: vec![1],
        isr_nodes: vec![1],
        ..Default::default()
    };
    let topic = |number| MetadataResponseTopic {
        name: Some(format!("topic-{number}")),
        partitions: (0..10).map(partition).collect(),
        ..Default::default()
    };
    MetadataResponse { topics: (0..topics).map(topic).collect(), ..Default::default() }
}

/// The bytes behind a frame's length.
fn body<R: Request + Encode>(request: &R, version: i16) -> Bytes {
    let frame = frame_request(request, version, 7, Some("producer-1")).expect("it can be said in this version");
    frame.into_contiguous().slice(4..)
}

fn read<R: Decode>(bytes: &Bytes, version: i16) -> R {
    let mut decoder = Decoder::new(bytes.clone());
    RequestHeader::decode(&mut decoder).expect("the header is whole");
    R::decode(&mut decoder, version).expect("the request is whole")
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("requests");
    for partitions in PARTITIONS {
        let (request, bytes) = (produce(partitions), body(&produce(partitions), PRODUCE_VERSION));
        group.bench_function(format!("Produce, {partitions} partition(s), decode"), |bench| {
            bench.iter(|| read::<ProduceRequest>(black_box(&bytes), PRODUCE_VERSION));
        });
        group.bench_function(format!("Produce, {partitions} partition(s), encode"), |bench| {
            bench.iter(|| frame_request(black_box(&request), PRODUCE_VERSION, 7, Some("producer-1")));
        });
        let bytes = body(&fetch(partitions), FETCH_VERSION);
        group.bench_function(format!("Fetch, {partitions} partition(s), decode"), |bench| {
            bench.iter(|| read::<FetchRequest>(black_box(&bytes), FETCH_VERSION));
        });
    }
    group.finish();
}

fn answers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answers");
    for partitions in PARTITIONS {
        let answer = fetched(partitions);
        group.bench_function(format!("Fetch, {partitions} partition(s), encode"), |bench| {
            bench.iter(|| frame_response::<FetchRequest>(black_box(&answer), FETCH_VERSION, 7));
        });
    }
    let empty = ProduceResponse::default();
    group.bench_function("Produce, encode", |bench| {
        bench.iter(|| frame_response::<ProduceRequest>(black_box(&empty), PRODUCE_VERSION, 7));
    });
    let described = described(100);
    group.bench_function("Metadata, 1,000 partitions, encode", |bench| {
        bench.iter(|| {
            frame_response::<millstream_protocol::metadata::MetadataRequest>(black_box(&described), METADATA_VERSION, 7)
        });
    });
    group.finish();
}

/// Short: a second for each, which tells a tenth more or less apart.
fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
}

criterion_group! {
    name = benches;
    config = quick();
    targets = requests, answers
}
criterion_main!(benches);

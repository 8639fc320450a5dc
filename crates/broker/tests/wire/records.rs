//! Records on their way: what is produced is fetched, once, also after a restart; what is wrong gets Kafka's code.

use bytes::Bytes;
use millstream_model::batch::{BatchBuilder, ProducerStamp};
use millstream_model::compression::Compression;
use millstream_model::{ProducerEpoch, ProducerId, Sequence, TimestampMs};
use millstream_protocol::api_versions::ApiVersionsRequest;
use millstream_protocol::create_topics::{CreatableTopic, CreateTopicsRequest};
use millstream_protocol::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millstream_protocol::init_producer_id::InitProducerIdRequest;
use millstream_protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millstream_protocol::produce::ProduceRequest;
use millstream_protocol::{ErrorCode, frame_request};

use crate::server::{Peer, Server};
use crate::topic::{TOPIC, batch, batch_of, create, fetch, produce, produce_request, records_of};

fn expected(values: &[(i64, &str)]) -> Vec<(i64, String)> {
    values.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect()
}

#[test]
fn what_is_produced_is_fetched_also_after_a_restart() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    assert_eq!(produce(&mut peer, batch(&["a", "b"])).base_offset, 0);
    assert_eq!(produce(&mut peer, batch(&["c"])).base_offset, 2);
    let all = expected(&[(0, "a"), (1, "b"), (2, "c")]);
    assert_eq!(records_of(fetch(&mut peer, 0, 0, 1 << 20)), all);
    assert_eq!(records_of(fetch(&mut peer, 2, 0, 1 << 20)), expected(&[(2, "c")]));
    drop(peer);
    let server = Server::start_in(server.stop(), &[]);
    assert_eq!(records_of(fetch(&mut server.peer(), 0, 0, 1 << 20)), all);
}

#[test]
fn the_first_batch_is_fetched_whatever_the_limit() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    produce(&mut peer, batch(&["a"]));
    produce(&mut peer, batch(&["b"]));
    assert_eq!(records_of(fetch(&mut peer, 0, 0, 1)), expected(&[(0, "a")]));
}

#[test]
fn more_bytes_than_an_answer_may_have_are_not_waited_for() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    produce(&mut peer, batch(&["a"]));
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let (min_bytes, max_bytes, max_wait_ms) = (i32::MAX, 10, i32::MAX);
    let request = FetchRequest { min_bytes, max_bytes, max_wait_ms, topics: vec![topic], ..FetchRequest::default() };
    let data = peer.ask(&request, 12).unwrap().responses.remove(0).partitions.remove(0);
    assert_eq!(records_of(data), expected(&[(0, "a")]));
}

#[test]
fn a_long_poll_ends_with_the_next_append() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    let address = server.address();
    let poller = std::thread::spawn(move || records_of(fetch(&mut Peer::connect(address), 0, 50_000, 1 << 20)));
    produce(&mut peer, batch(&["news"]));
    assert_eq!(poller.join().unwrap(), expected(&[(0, "news")]));
}

#[test]
fn a_peer_that_waits_for_an_answer_is_not_idle() {
    let server = Server::start(&[("connections.max.idle.ms", "100")]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    assert_eq!(records_of(fetch(&mut peer, 0, 500, 1 << 20)), expected(&[]));
    assert!(peer.is_closed(), "nothing is waited for any more");
}

#[test]
fn without_acks_records_are_written_and_failure_closes_the_connection() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    let unanswered = |records| ProduceRequest { acks: 0, ..produce_request(records) };
    peer.send(&unanswered(batch(&["a"])), 9);
    assert_eq!(records_of(fetch(&mut peer, 0, 0, 1 << 20)), expected(&[(0, "a")]));
    peer.send(&unanswered(Bytes::new()), 9);
    assert!(peer.is_closed());
}

#[test]
fn a_request_behind_unacknowledged_records_is_answered_though_nothing_more_comes() {
    let server = Server::start(&[("millstream.durability", "os")]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    let unanswered = ProduceRequest { acks: 0, ..produce_request(batch(&["a"])) };
    let frame = |id| frame_request(&unanswered, 9, id, None).unwrap().into_contiguous();
    let question = frame_request(&ApiVersionsRequest::default(), 0, 7, None).unwrap().into_contiguous();
    // In one piece, so that the broker has read all of it before the first record is written.
    let pieces: Vec<Bytes> = (0..100).map(frame).chain([question]).collect();
    peer.send_bytes(&pieces.concat());
    assert!(peer.receive::<ApiVersionsRequest>(0).is_some());
}

#[test]
fn offsets_beyond_the_log_are_out_of_range() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    produce(&mut peer, batch(&["a"]));
    assert_eq!(fetch(&mut peer, 1, 0, 1 << 20).error_code, 0);
    assert_eq!(fetch(&mut peer, 2, 0, 1 << 20).error_code, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(fetch(&mut peer, -5, 0, 1 << 20).error_code, ErrorCode::OffsetOutOfRange.code());
}

#[test]
fn a_repeated_batch_answers_the_offset_of_the_first() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
    let id = peer.ask(&request, 4).unwrap().producer_id;
    let stamp = |sequence| ProducerStamp {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(0),
        base_sequence: Sequence(sequence),
        transactional: false,
    };
    let of = |values: &[&str], sequence| batch_of(values, stamp(sequence)).into_bytes();
    assert_eq!(produce(&mut peer, of(&["a", "b"], 0)).base_offset, 0);
    assert_eq!(produce(&mut peer, of(&["c"], 2)).base_offset, 2);
    let repeated = produce(&mut peer, of(&["a", "b"], 0));
    assert_eq!((repeated.error_code, repeated.base_offset), (0, 0));
    drop(peer);
    let server = Server::start_in(server.stop(), &[]);
    let mut peer = server.peer();
    let after_restart = produce(&mut peer, of(&["c"], 2));
    assert_eq!((after_restart.error_code, after_restart.base_offset), (0, 2));
    let gap = produce(&mut peer, of(&["e"], 4));
    assert_eq!(gap.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
    assert_eq!(records_of(fetch(&mut peer, 0, 0, 1 << 20)).len(), 3);
}

#[test]
fn a_topic_that_is_not_there_is_unknown() {
    let server = Server::start(&[]);
    let refused = produce(&mut server.peer(), batch(&["a"]));
    assert_eq!(refused.error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[test]
fn offsets_are_found_by_time_and_by_name() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    for (timestamp, value) in [(1_000, "a"), (3_000, "b"), (2_000, "c")] {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(TimestampMs(1_700_000_000_000 + timestamp), None, Some(value.as_bytes()), &[]).unwrap();
        produce(&mut peer, builder.build().into_bytes());
    }
    let mut offset_of = |timestamp: i64| {
        let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
        let topic = ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![partition] };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
        let mut response = peer.ask(&request, 7).unwrap();
        response.topics.remove(0).partitions.remove(0).offset
    };
    assert_eq!(offset_of(-1), 3);
    assert_eq!(offset_of(-2), 0);
    assert_eq!(offset_of(-3), 1);
    assert_eq!(offset_of(1_700_000_001_500), 1);
    assert_eq!(offset_of(1_700_000_009_000), -1);
}

#[test]
fn records_older_than_their_retention_go_and_the_log_goes_on_behind_them() {
    let server = Server::start(&[("log.retention.check.interval.ms", "10")]);
    let mut peer = server.peer();
    create(&mut peer, &[("retention.ms", "3600000")]);
    produce(&mut peer, batch(&["from 2023"]));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while fetch(&mut peer, 0, 0, 1 << 20).error_code != ErrorCode::OffsetOutOfRange.code() {
        assert!(std::time::Instant::now() < end, "the record stays");
    }
    assert_eq!(fetch(&mut peer, 1, 0, 1 << 20).log_start_offset, 1);
    assert_eq!(produce(&mut peer, batch(&["next"])).base_offset, 1);
}

#[test]
fn once_a_fetch_is_full_further_partitions_are_not_read() {
    const PARTITIONS: i32 = 4;
    let server = Server::start(&[]);
    let mut peer = server.peer();
    let topic = CreatableTopic {
        name: TOPIC.to_owned(),
        num_partitions: PARTITIONS,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    peer.ask(&CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() }, 7).unwrap();
    for index in 0..PARTITIONS {
        let mut request = produce_request(batch(&["x".repeat(1000).as_str()]));
        request.topic_data[0].partition_data[0].index = index;
        assert_eq!(peer.ask(&request, 9).unwrap().responses[0].partition_responses[0].error_code, 0);
    }
    drop(peer);
    // After a restart records come from the disk, where the last partitions' cannot be read.
    let server = Server::start_in(server.stop(), &[]);
    for index in [2, 3] {
        let log = server.directory().join(format!("kafka/{TOPIC}-{index}/00000000000000000000.log"));
        std::fs::File::options().write(true).open(log).unwrap().set_len(0).unwrap();
    }
    let fetch = |max_bytes| {
        let partition =
            |partition| FetchPartition { partition, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        let partitions = (0..PARTITIONS).map(partition).collect();
        let topics = vec![FetchTopic { topic: TOPIC.to_owned(), partitions, ..FetchTopic::default() }];
        let request =
            FetchRequest { max_wait_ms: i32::MAX, min_bytes: max_bytes, max_bytes, topics, ..FetchRequest::default() };
        let answer = server.peer().ask(&request, 12).unwrap().responses.remove(0).partitions;
        let told = answer.into_iter().map(|data| (data.error_code, data.records.map_or(0, |records| records.len())));
        told.collect::<Vec<_>>()
    };
    // Nor is anything waited for.
    let full = fetch(1500);
    assert!(full[0].1 > 1000);
    assert_eq!(full[1..], [(0, 0); 3]);
    let unreadable = ErrorCode::KafkaStorageError.code();
    assert_eq!(fetch(1 << 20)[2..], [(unreadable, 0); 2], "they are read when there is room");
}

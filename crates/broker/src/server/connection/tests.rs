//! Peers that claim much and send little, and what a connection hears while it waits for memory. Time is tokio's own,
//! which goes on whenever nobody has anything to do.

use std::sync::OnceLock;

use millstream_metadata::catalog::NewTopic;
use millstream_metadata::configs::{Origin, StaticConfig};
use millstream_model::batch::BatchBuilder;
use millstream_model::compression::Compression;
use millstream_model::{PartitionIndex, TimestampMs};
use millstream_protocol::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millstream_protocol::frame_request;
use millstream_storage::AppendOrigin;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::partitions::TopicRef;
use crate::{BrokerOptions, RunningBroker, start};

const MIB: usize = 1 << 20;
const TOPIC: &str = "measurements";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Appends so many records of almost a MiB to the topic.
async fn append(broker: &Broker, count: usize) {
    let named = TopicRef::Name(TOPIC.into());
    let hosted = broker.partition(broker.nodes().controller(), &named, PartitionIndex(0)).unwrap();
    for _ in 0..count {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(TimestampMs(1), None, Some(&vec![0; MIB - 1000]), &[]).unwrap();
        let appended = hosted.log.append([builder.build()], AppendOrigin::Client, TimestampMs(1)).unwrap();
        appended.durable().await.unwrap();
    }
}

struct Served {
    _directory: TempDir,
    running: RunningBroker,
    peer: TcpStream,
    connection: JoinHandle<Closed>,
    stop: CancellationToken,
}

impl Served {
    /// One connection to a broker, with the time stopped.
    async fn begin() -> Self {
        let directory = TempDir::new().unwrap();
        let mut config = StaticConfig::default();
        config.set("listeners", "PLAINTEXT://127.0.0.1:0", Origin::Option("--listen"));
        let data_dir_default = directory.path().to_owned();
        let options = BrokerOptions { config, data_dir: None, data_dir_default, nodes: 1, http: None };
        let running = start(options).await.unwrap();
        let broker = Arc::clone(running.broker());
        broker.create_topics(broker.nodes().controller(), &[NewTopic::named(TOPIC)], false).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, address) = listener.accept().await.unwrap();
        let node = broker.nodes().controller();
        let listener = "PLAINTEXT".to_owned();
        let of = Arc::new(Peer { node, address, reached: address.ip(), listener, software: OnceLock::new() });
        let stop = CancellationToken::new();
        let connection = tokio::spawn(Connection::new(stream, broker, of).serve(stop.clone()));
        tokio::time::pause();
        Self { _directory: directory, running, peer, connection, stop }
    }

    async fn claim(&mut self, bytes: usize) {
        self.peer.write_all(&(bytes as i32).to_be_bytes()).await.unwrap();
    }

    /// Waits for so many bytes of the topic's records, and claims a frame in the same breath.
    async fn fetch_and_claim(&mut self, bytes_min: usize, claimed: usize) {
        let partition = FetchPartition { partition_max_bytes: i32::MAX, ..FetchPartition::default() };
        let topics = vec![FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() }];
        let (max_bytes, max_wait_ms, min_bytes) = (i32::MAX, i32::MAX, bytes_min as i32);
        let request = FetchRequest { max_wait_ms, min_bytes, max_bytes, topics, ..FetchRequest::default() };
        let frame = frame_request(&request, 12, 1, None).unwrap().into_contiguous();
        self.peer.write_all(&[&frame[..], &(claimed as i32).to_be_bytes()].concat()).await.unwrap();
    }

    /// Why the connection ended.
    async fn closed(self) -> Closed {
        tokio::time::resume();
        let closed = tokio::time::timeout(PATIENCE, self.connection).await.expect("the connection ends").unwrap();
        self.running.stop().await.unwrap();
        closed
    }
}

#[tokio::test]
async fn a_large_frame_that_comes_a_byte_at_a_time_is_not_waited_for() {
    let mut served = Served::begin().await;
    served.claim(10 * MIB).await;
    let begun = Instant::now();
    while !served.connection.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(600), "its memory is held for ever");
        // It may be closed by now.
        let _ = served.peer.write_all(&[0]).await;
        tokio::time::sleep(FRAME_STALL - Duration::from_secs(1)).await;
    }
    assert!(begun.elapsed() >= Duration::from_secs(70), "10 MiB may take 40 s longer than a small frame");
    let closed = served.closed().await;
    assert!(matches!(closed, Closed::Slow), "{closed}");
}

#[tokio::test]
async fn a_claim_behind_a_long_poll_is_waited_for_no_longer_than_another() {
    let mut served = Served::begin().await;
    served.fetch_and_claim(1, 10 * MIB).await;
    let ended = tokio::time::timeout(2 * FRAME_STALL, &mut served.connection).await;
    let closed = ended.expect("its memory is held as long as the poll likes").unwrap();
    assert!(matches!(closed, Closed::Stalled), "{closed}");
    served.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_claim_holds_no_memory_for_as_long_as_the_answer_before_it_is_not_read() {
    // More than the system keeps for a peer that does not read.
    const ANSWER_BYTES: usize = 24 * MIB;
    let mut served = Served::begin().await;
    served.fetch_and_claim(ANSWER_BYTES, 10 * MIB).await;
    everybody_waits().await;
    tokio::time::resume();
    append(served.running.broker(), ANSWER_BYTES / MIB + 1).await;
    tokio::time::pause();
    let closed = (&mut served.connection).await.unwrap();
    assert!(matches!(closed, Closed::Slow), "{closed}");
    served.running.stop().await.unwrap();
}

/// Time goes on when nobody has anything to do; the first moment may come with what was just sent.
async fn everybody_waits() {
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A connection whose frame waits for memory, all of which somebody else has.
async fn short_of_memory() -> (Served, RequestMemoryPermit) {
    let mut served = Served::begin().await;
    let all = served.running.broker().request_memory().take(usize::MAX).await;
    served.claim(MIB).await;
    everybody_waits().await;
    (served, all)
}

#[tokio::test]
async fn who_waits_for_memory_hears_that_the_broker_stops() {
    let (served, _all) = short_of_memory().await;
    served.stop.cancel();
    let closed = served.closed().await;
    assert!(matches!(closed, Closed::Stopping), "{closed}");
}

#[tokio::test]
async fn who_waits_for_memory_hears_that_the_peer_has_gone() {
    let (mut served, _all) = short_of_memory().await;
    served.peer.shutdown().await.unwrap();
    let closed = served.closed().await;
    assert!(matches!(closed, Closed::ByPeer), "{closed}");
}

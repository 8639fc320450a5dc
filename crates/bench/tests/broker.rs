//! Every load against a real broker in this process: what it reports is what the broker holds.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::net::TcpListener;
use std::time::Duration;

use millstream_bench::{
    AtEnd, BatchShape, BenchError, Cluster, CompressionType, DiskProbe, EndToEnd, Fetch, IdleConnections, Limit,
    NewTopics, Probe, ProbeError, Produce, Progress, Report, Start,
};
use millstream_broker::{BrokerOptions, Origin, RunningBroker, StaticConfig, start};
use tempfile::TempDir;

/// A broker on a free port over a temporary directory.
struct Server {
    runtime: tokio::runtime::Runtime,
    running: Option<RunningBroker>,
    _directory: TempDir,
    bootstrap: String,
}

impl Server {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let mut config = StaticConfig::default();
        config.set("listeners", "PLAINTEXT://127.0.0.1:0", Origin::Option("--listen"));
        config.set("auto.create.topics.enable", "false", Origin::Option("--set"));
        let data_dir = directory.path().to_owned();
        let options = BrokerOptions {
            config,
            data_dir: Some(data_dir.clone()),
            data_dir_default: data_dir,
            nodes: 1,
            http: None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let running = runtime.block_on(start(options)).unwrap();
        let bootstrap = running.addresses()[0].to_string();
        Self { runtime, running: Some(running), _directory: directory, bootstrap }
    }

    fn create(&self, topic: &str, partitions: i32, durability: &str) {
        let configs = vec![("millstream.durability".to_owned(), durability.to_owned())];
        let topics = NewTopics { names: vec![topic.to_owned()], partitions, replication_factor: 1, configs };
        topics.run(&self.bootstrap, 1, &Progress::default()).unwrap();
    }

    /// All of a topic, once.
    fn fetch_all(&self, topic: &str, connections: usize) -> Report {
        fetch(topic, connections).run(&self.bootstrap, &Progress::default()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let running = self.running.take().unwrap();
        self.runtime.block_on(running.stop()).unwrap();
    }
}

fn produce(topic: &str, connections: usize, limit: Limit) -> Produce {
    let shape = BatchShape { record_bytes: 100, keys: 0, batch_bytes: 10_000, compression: CompressionType::None };
    Produce {
        topic: topic.to_owned(),
        partitions: None,
        connections,
        in_flight: 5,
        acks: 1,
        shape,
        partitions_per_request: 1,
        shuffled: false,
        limit,
        rate: None,
    }
}

fn fetch(topic: &str, connections: usize) -> Fetch {
    Fetch {
        topic: topic.to_owned(),
        partitions: None,
        connections,
        in_flight: 2,
        start: Start::Earliest,
        records: None,
        at_end: AtEnd::Stop,
        max_bytes: 100_000,
        min_bytes: 1,
        max_wait_ms: 500,
        limit: Limit::default(),
        rate: None,
    }
}

fn bytes(bytes: u64) -> Limit {
    Limit { bytes: Some(bytes), ..Limit::default() }
}

fn requests(requests: u64) -> Limit {
    Limit { requests: Some(requests), ..Limit::default() }
}

#[test]
fn what_was_produced_is_what_is_fetched_in_every_codec() {
    let server = Server::start();
    for codec in CompressionType::ALL {
        let topic = format!("codec-{codec}");
        server.create(&topic, 3, "os");
        let mut load = produce(&topic, 2, bytes(1_000_000));
        load.shape.compression = codec;
        let progress = Progress::default();
        let sent = load.run(&server.bootstrap, &progress).unwrap();
        assert!((1_000_000..1_010_000).contains(&sent.bytes), "{sent:?}");
        assert_eq!((progress.bytes(), progress.requests()), (sent.bytes, sent.requests));
        assert_eq!(sent.payload_bytes, Some(sent.records * 100));
        assert_eq!(sent.latency.unwrap().count, sent.requests);
        let read = server.fetch_all(&topic, 2);
        assert_eq!((read.records, read.bytes), (sent.records, sent.bytes), "{codec}");
    }
}

#[test]
fn requests_without_acknowledgement_have_been_taken_when_the_load_ends() {
    let server = Server::start();
    server.create("unacknowledged", 1, "os");
    let mut load = produce("unacknowledged", 1, requests(300));
    load.acks = 0;
    let sent = load.run(&server.bootstrap, &Progress::default()).unwrap();
    assert_eq!((sent.requests, sent.latency), (300, None));
    assert_eq!(server.fetch_all("unacknowledged", 1).records, sent.records);
}

#[test]
fn a_rate_is_kept_and_a_duration_ends_the_load() {
    let server = Server::start();
    server.create("paced", 1, "os");
    let limit = Limit { duration: Some(Duration::from_millis(500)), ..Limit::default() };
    let mut load = produce("paced", 2, limit);
    load.rate = Some(200.0);
    let sent = load.run(&server.bootstrap, &Progress::default()).unwrap();
    assert!((2..=102).contains(&sent.requests), "200 a second make 100 in half a second: {sent:?}");
    assert!(sent.seconds >= 0.4, "{sent:?}");
}

#[test]
fn more_connections_than_partitions_each_read_everything() {
    let server = Server::start();
    server.create("shared", 1, "fsync");
    let sent = produce("shared", 1, requests(20)).run(&server.bootstrap, &Progress::default()).unwrap();
    assert_eq!(server.fetch_all("shared", 3).records, 3 * sent.records);
}

#[test]
fn a_fetch_starts_where_it_is_told_and_starts_again_at_the_end() {
    let server = Server::start();
    server.create("tail", 1, "os");
    let sent = produce("tail", 1, requests(50)).run(&server.bootstrap, &Progress::default()).unwrap();
    let batch = sent.records / sent.requests;
    let mut load = fetch("tail", 1);
    load.start = Start::BeforeEnd(i64::try_from(2 * batch).unwrap());
    let read = load.run(&server.bootstrap, &Progress::default()).unwrap();
    assert_eq!(read.records, 2 * batch);
    load.at_end = AtEnd::Again;
    load.limit = requests(5);
    let read = load.run(&server.bootstrap, &Progress::default()).unwrap();
    assert_eq!(read.records, 5 * 2 * batch);
    load.start = Start::Latest;
    let nothing = load.run(&server.bootstrap, &Progress::default()).unwrap_err();
    assert!(nothing.to_string().contains("nothing to read"), "{nothing}");
}

#[test]
fn records_sent_one_by_one_reach_the_waiting_consumer() {
    let server = Server::start();
    for (topic, durability, rate) in [("e2e-os", "os", None), ("e2e-fsync", "fsync", Some(1000.0))] {
        server.create(topic, 1, durability);
        let load = EndToEnd { topic: topic.to_owned(), acks: -1, record_bytes: 100, limit: requests(200), rate };
        let report = load.run(&server.bootstrap, &Progress::default()).unwrap();
        assert_eq!((report.records, report.latency.unwrap().count), (200, 200));
        assert_eq!(server.fetch_all(topic, 1).records, 200);
    }
}

#[test]
fn topics_are_made_and_removed() {
    let server = Server::start();
    let names: Vec<String> = (0..25).map(|number| format!("many-{number}")).collect();
    let topics = NewTopics { names: names.clone(), partitions: 4, replication_factor: -1, configs: Vec::new() };
    let made = topics.run(&server.bootstrap, 10, &Progress::default()).unwrap();
    assert_eq!(made.requests, 3);
    let mut cluster = Cluster::open(&server.bootstrap).unwrap();
    assert!(names.iter().all(|name| cluster.has(name).unwrap()));
    let again = topics.run(&server.bootstrap, 10, &Progress::default()).unwrap_err();
    assert!(again.to_string().contains("TOPIC_ALREADY_EXISTS"), "{again}");
    NewTopics::remove(&names, &server.bootstrap, 10, &Progress::default()).unwrap();
    assert!(names.iter().all(|name| !cluster.has(name).unwrap()));
}

#[test]
fn an_error_answer_fails_the_load_with_its_name_and_is_counted() {
    let server = Server::start();
    server.create("refusing", 1, "os");
    let mut load = produce("refusing", 2, requests(1000));
    load.acks = 5;
    let error = load.run(&server.bootstrap, &Progress::default()).unwrap_err();
    assert!(matches!(&error, BenchError::Answered { count: 1.., .. }), "{error:?}");
    assert!(error.to_string().starts_with("Produce: INVALID_REQUIRED_ACKS"), "{error}");
    let mut load = fetch("refusing", 1);
    load.start = Start::Offset(7);
    load.at_end = AtEnd::Follow;
    let error = load.run(&server.bootstrap, &Progress::default()).unwrap_err();
    assert!(error.to_string().starts_with("Fetch: OFFSET_OUT_OF_RANGE"), "{error}");
    let error = produce("unknown", 1, requests(1)).run(&server.bootstrap, &Progress::default()).unwrap_err();
    assert!(error.to_string().contains("UNKNOWN_TOPIC_OR_PARTITION"), "{error}");
}

#[test]
fn a_probe_sees_the_broker_that_serves_and_gives_up_on_none() {
    let server = Server::start();
    let probe = Probe { address: server.bootstrap.clone(), patience: Duration::from_secs(60) };
    let mut looked = false;
    assert_eq!(probe.run(|| looked = true).unwrap().requests, 1);
    assert!(looked);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let probe = Probe { address: closed, patience: Duration::from_millis(50) };
    assert!(matches!(probe.run(|| ()).unwrap_err(), ProbeError::Silent { .. }));
}

#[test]
fn idle_connections_are_open_together() {
    let server = Server::start();
    let load = IdleConnections { count: 50, hold: Duration::ZERO };
    let mut opened = false;
    let report = load.run(&server.bootstrap, &Progress::default(), || opened = true).unwrap();
    assert_eq!((report.requests, report.latency.unwrap().count, opened), (50, 50, true));
}

#[test]
fn a_request_carries_batches_for_several_partitions_in_any_order() {
    let server = Server::start();
    server.create("several", 7, "os");
    let mut load = produce("several", 2, requests(12));
    (load.partitions_per_request, load.shuffled) = (2, true);
    let sent = load.run(&server.bootstrap, &Progress::default()).unwrap();
    // One connection has four partitions, the other three: two requests bring a round of batches to each.
    let batch = sent.records / sent.requests;
    assert!(sent.requests == 12 && batch > 90, "{sent:?}");
    let read = server.fetch_all("several", 2);
    assert_eq!((read.records, read.bytes), (sent.records, sent.bytes));
}

#[test]
fn only_the_records_that_were_asked_for_are_read_again_and_again() {
    let server = Server::start();
    server.create("window", 1, "os");
    let sent = produce("window", 1, requests(50)).run(&server.bootstrap, &Progress::default()).unwrap();
    let batch = i64::try_from(sent.records / sent.requests).unwrap();
    let mut load = fetch("window", 1);
    (load.start, load.records, load.max_bytes) = (Start::Offset(10 * batch), Some(3 * batch), 1);
    let once = load.run(&server.bootstrap, &Progress::default()).unwrap();
    assert_eq!((once.requests, once.records), (3, 3 * batch.unsigned_abs()), "an answer has at least a batch");
    (load.at_end, load.limit) = (AtEnd::Again, requests(7));
    let again = load.run(&server.bootstrap, &Progress::default()).unwrap();
    assert_eq!(again.records, 7 * batch.unsigned_abs());
}

#[test]
fn topics_that_are_there_are_found_usable() {
    let server = Server::start();
    server.create("there", 3, "os");
    assert_eq!(NewTopics::wait(&["there".to_owned()], &server.bootstrap).unwrap().requests, 1);
}

#[test]
fn synced_writes_are_counted_and_leave_no_file() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut probe =
        DiskProbe { directory: directory.path().to_owned(), write_bytes: 4096, depth: 3, limit: requests(50) };
    let report = probe.run(&Progress::default()).unwrap();
    assert_eq!((report.requests, report.bytes, report.latency.unwrap().count), (50, 50 * 4096, 50));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    probe.write_bytes = 5000;
    assert!(probe.run(&Progress::default()).unwrap_err().to_string().contains("no multiple of 4096"));
}

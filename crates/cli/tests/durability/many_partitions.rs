//! More partitions than the process may have files open: made, written to, read, restarted cleanly and after a kill.
//!
//! `MILLSTREAM_PARTITIONS=10000` has as many; the ordinary run has as many as would not fit with one file of each open.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use millstream_client::admin::{NewTopic, OffsetSpec};
use millstream_client::config::IsolationLevel;
use millstream_client::{Consumer, Producer, ProducerRecord, TopicPartition};
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, Starter};
use crate::say;
use crate::workload::Scene;

/// Files that the process may have open; the ordinary run has fewer, so that it needs fewer partitions.
const FILES_FULL: usize = 4096;
const FILES: usize = 1024;
const PARTITIONS: usize = 1200;
const PARTITIONS_PER_TOPIC: usize = 100;
const PATIENCE: Duration = Duration::from_secs(300);

/// A shell that takes files away from what it becomes.
fn with_files(count: usize) -> [OsString; 3] {
    ["bash", "-c", &format!("ulimit -n {count} && exec \"$0\" \"$@\"")].map(OsString::from)
}

struct Crowd {
    starter: Starter,
    partitions: Vec<TopicPartition>,
    /// Records that each has.
    rounds: i64,
}

impl Crowd {
    fn new(directory: &Path, partitions: usize, files: usize) -> Self {
        let starter = Starter::new(directory).under(with_files(files));
        let partition = |number: usize| {
            let (topic, index) = (number / PARTITIONS_PER_TOPIC, number % PARTITIONS_PER_TOPIC);
            TopicPartition::new(format!("crowd-{topic}"), i32::try_from(index).unwrap())
        };
        Self { starter, partitions: (0..partitions).map(partition).collect(), rounds: 0 }
    }

    async fn start(&self, what: &str) -> (Broker, Scene) {
        let started = Instant::now();
        let broker = self.starter.start().await;
        say(&format!("{} partitions, {what}: {:?}", self.partitions.len(), started.elapsed()));
        let address = broker.address.to_string();
        (broker, Scene { address, history: Default::default(), stop: CancellationToken::new() })
    }

    async fn make(&self, scene: &Scene) {
        let started = Instant::now();
        let topic = |number: usize| NewTopic {
            name: format!("crowd-{number}"),
            num_partitions: Some(i32::try_from(PARTITIONS_PER_TOPIC).unwrap()),
            ..NewTopic::default()
        };
        let topics: Vec<NewTopic> = (0..self.partitions.len() / PARTITIONS_PER_TOPIC).map(topic).collect();
        for (name, made) in scene.admin().create_topics(&topics, false).await.unwrap() {
            made.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        say(&format!("  made in {:?}", started.elapsed()));
    }

    /// One record to each partition.
    async fn write(&mut self, scene: &Scene) {
        let started = Instant::now();
        let producer = Producer::new(&scene.config().with("acks", "all").with("linger.ms", "5")).unwrap();
        let mut sent = Vec::with_capacity(self.partitions.len());
        for partition in &self.partitions {
            let value = format!("{partition} {}", self.rounds);
            let record = ProducerRecord::new(&*partition.topic, value).with_partition(partition.partition);
            sent.push(producer.send(record).await.unwrap());
        }
        for sent in sent {
            assert_eq!(sent.wait().await.unwrap().offset, self.rounds);
        }
        self.rounds += 1;
        say(&format!("  a record to each in {:?}", started.elapsed()));
    }

    /// Every partition ends where it should, and has every record.
    async fn check(&self, scene: &Scene) {
        let started = Instant::now();
        let latest: Vec<_> = self.partitions.iter().map(|it| (it.clone(), OffsetSpec::Latest)).collect();
        for (partition, end) in scene.admin().list_offsets(&latest, IsolationLevel::ReadUncommitted).await.unwrap() {
            assert_eq!(end.unwrap().offset, self.rounds, "{partition}");
        }
        let mut consumer = Consumer::new(&scene.config()).unwrap();
        consumer.assign(self.partitions.clone()).unwrap();
        consumer.seek_to_beginning(&self.partitions).unwrap();
        let mut found: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        let mut missing = self.partitions.len() as i64 * self.rounds;
        while missing > 0 {
            assert!(started.elapsed() < PATIENCE, "{missing} records are missing");
            for record in consumer.poll(Duration::from_millis(100)).await.unwrap() {
                let partition = TopicPartition::new(record.topic, record.partition);
                let next = found.entry(partition.clone()).or_default();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                assert_eq!((record.offset, value), (*next, format!("{partition} {next}")));
                *next += 1;
                missing -= 1;
            }
        }
        say(&format!("  all read in {:?}", started.elapsed()));
    }
}

#[test]
fn more_partitions_than_open_files_are_made_used_and_restarted() {
    let asked = std::env::var("MILLSTREAM_PARTITIONS").ok().and_then(|text| text.parse().ok());
    let (partitions, files) = asked.map_or((PARTITIONS, FILES), |count| (count, FILES_FULL));
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut crowd = Crowd::new(directory.path(), partitions, files);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (broker, scene) = crowd.start("first start").await;
        crowd.make(&scene).await;
        crowd.write(&scene).await;
        crowd.check(&scene).await;
        assert!(broker.stop().await.success());
        let (broker, scene) = crowd.start("start after a clean end").await;
        crowd.check(&scene).await;
        crowd.write(&scene).await;
        broker.kill().await;
        let (broker, scene) = crowd.start("start after a kill").await;
        crowd.check(&scene).await;
        assert!(broker.stop().await.success());
    });
    let log = crowd.starter.log();
    assert!(!log.contains("Too many open files") && !log.contains("panicked"), "{log}");
}

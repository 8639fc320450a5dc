//! A full disk is backpressure: producers are told so, everything else goes on, and it ends when there is space.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_client::admin::{CommittedOffset, NewTopic, OffsetSpec};
use millstream_client::config::IsolationLevel;
use millstream_client::{Admin, ClientConfig, Consumer, ErrorCode, Producer, ProducerRecord, TopicPartition};
use tokio::time::{Instant, timeout};

use crate::broker::{Broker, Starter};
use crate::gate::Gate;
use crate::requirement::missing;
use crate::small_disk::{Kind, SmallDisk};

/// What fills the disk.
const BALLAST: &str = "ballast";
/// What is written now and then, and must go on being written.
const KEPT: &str = "kept";
/// How soon a producer must be told that the disk is full.
const PROMPT: Duration = Duration::from_secs(10);
/// How soon producing must work again when there is space.
const RECOVERY: Duration = Duration::from_secs(30);

/// A broker on a small disk, and what its clients know.
struct Scene {
    disk: SmallDisk,
    starter: Starter,
    gate: Gate,
    /// Records of `BALLAST` that were acknowledged, by offset.
    ballast: BTreeMap<i64, u64>,
    sent: u64,
    committed: i64,
}

impl Scene {
    async fn open(directory: &std::path::Path, disk: SmallDisk) -> (Self, Broker) {
        let gate = Gate::open().await;
        let starter = Starter::new(directory).on(disk.path().join("data")).under(disk.enter());
        let starter = starter.with(&["--advertised", &gate.address.to_string()]);
        let starter = starter.with(&["--set", "offsets.topic.num.partitions=1"]);
        let scene = Self { disk, starter, gate, ballast: BTreeMap::new(), sent: 0, committed: 0 };
        let broker = scene.start().await;
        for topic in [BALLAST, KEPT] {
            scene.make_topic(topic).await;
        }
        (scene, broker)
    }

    async fn start(&self) -> Broker {
        let broker = self.starter.start().await;
        self.gate.lead_to(Some(broker.address));
        broker
    }

    fn config(&self) -> ClientConfig {
        ClientConfig::new(self.gate.address.to_string()).with("retry.backoff.max.ms", "200")
    }

    fn admin(&self) -> Admin {
        Admin::new(&self.config()).unwrap()
    }

    async fn make_topic(&self, name: &str) {
        let configs = vec![("segment.bytes".to_owned(), (1 << 20).to_string())];
        let topic = NewTopic { name: name.to_owned(), num_partitions: Some(1), configs, ..NewTopic::default() };
        self.admin().create_topics(&[topic], false).await.unwrap().remove(0).1.unwrap();
    }

    /// Writes until the broker says that the disk is full.
    async fn fill(&mut self) {
        let config = self.config().with("retries", "0").with("linger.ms", "0").with("acks", "all");
        let producer = Producer::new(&config).unwrap();
        loop {
            let number = self.sent;
            self.sent += 1;
            let mut value = number.to_be_bytes().to_vec();
            value.resize(100_000, b'.');
            let sent = producer.send(ProducerRecord::new(BALLAST, value)).await.unwrap();
            match timeout(PROMPT, sent.wait()).await.expect("producers hear promptly of a full disk") {
                Ok(record) => assert_eq!(self.ballast.insert(record.offset, number), None),
                Err(error) if error.code() == Some(ErrorCode::KafkaStorageError) => return,
                Err(error) => panic!("expected KAFKA_STORAGE_ERROR: {error}"),
            }
        }
    }

    /// Every record that was acknowledged is read, from the log's start on.
    async fn read_ballast(&self) {
        let partition = TopicPartition::new(BALLAST, 0);
        let admin = self.admin();
        let earliest = [(partition.clone(), OffsetSpec::Earliest)];
        let (_, start) = admin.list_offsets(&earliest, IsolationLevel::ReadUncommitted).await.unwrap().remove(0);
        let mut owed = self.ballast.clone();
        owed = owed.split_off(&start.unwrap().offset);
        let mut consumer = Consumer::new(&self.config()).unwrap();
        consumer.assign([partition.clone()]).unwrap();
        consumer.seek_to_beginning(&[partition]).unwrap();
        let deadline = Instant::now() + RECOVERY;
        while !owed.is_empty() {
            assert!(Instant::now() < deadline, "acknowledged and not read: {:?}", owed.keys().collect::<Vec<_>>());
            for record in consumer.poll(Duration::from_millis(200)).await.unwrap() {
                let number = u64::from_be_bytes(record.value.unwrap()[..8].try_into().unwrap());
                if let Some(expected) = owed.remove(&record.offset) {
                    assert_eq!(number, expected, "at offset {}", record.offset);
                }
            }
        }
    }

    /// What needs a little space, and has the reserve for it.
    async fn commit_and_look(&mut self) {
        let (admin, partition) = (self.admin(), TopicPartition::new(KEPT, 0));
        let found = admin.list_group_offsets("group", None).await.unwrap();
        assert_eq!(found.get(&partition).map_or(0, |committed| committed.offset), self.committed);
        self.committed += 1;
        let offsets = BTreeMap::from([(partition, CommittedOffset::new(self.committed))]);
        admin.alter_group_offsets("group", &offsets).await.unwrap().remove(0).1.unwrap();
        let name = format!("made-on-a-full-disk-{}", self.committed);
        self.make_topic(&name).await;
    }

    /// A producer with Kafka's defaults, which goes on trying: its record is acknowledged once there is space.
    async fn produce_until_there_is_space(&self, make_space: impl AsyncFnOnce(&Self)) {
        let producer = Producer::new(&self.config()).unwrap();
        let sent = producer.send(ProducerRecord::new(KEPT, "patient")).await.unwrap();
        make_space(self).await;
        timeout(RECOVERY, sent.wait()).await.expect("producing recovers by itself").unwrap();
    }

    async fn delete_ballast(&self) {
        self.admin().delete_topics(&[BALLAST]).await.unwrap().remove(0).1.unwrap();
    }
}

fn run(kind: Kind, size: &str, test: impl AsyncFnOnce(Scene, Broker)) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = match SmallDisk::mount(directory.path(), kind, size) {
        Ok(disk) => disk,
        // A loop device is more than a user may have, anywhere.
        Err(why) if kind == Kind::Ext4 && !rustix::process::geteuid().is_root() => {
            return crate::say(&format!("SKIPPED: a loop device needs root: {why}"));
        }
        Err(why) => return missing(&format!("a file system of {size} ({kind:?})"), &why),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (scene, broker) = Scene::open(directory.path(), disk).await;
        test(scene, broker).await;
    });
}

/// Filled by its own producers, who stop at the reserve.
async fn filled_by_producers(mut scene: Scene, mut broker: Broker) {
    scene.fill().await;
    let reserve = scene.disk.free_bytes();
    assert!(reserve > 1 << 20, "the reserve was eaten: {reserve} bytes are left");
    scene.read_ballast().await;
    scene.commit_and_look().await;
    let delete_records = async |scene: &Scene| {
        let all = [(TopicPartition::new(BALLAST, 0), -1)];
        scene.admin().delete_records(&all).await.unwrap().remove(0).1.unwrap();
    };
    scene.produce_until_there_is_space(delete_records).await;

    scene.fill().await;
    assert!(broker.is_running());
    broker.kill().await;
    let broker = scene.start().await;
    scene.read_ballast().await;
    scene.commit_and_look().await;
    scene.fill().await;
    scene.produce_until_there_is_space(async |scene| scene.delete_ballast().await).await;
    assert!(broker.stop().await.success(), "{}", scene.starter.log());
    let broker = scene.start().await;
    scene.commit_and_look().await;
    assert!(broker.stop().await.success());
    assert!(!scene.starter.log().contains("panicked"), "{}", scene.starter.log());
}

/// Filled to the last byte by somebody else, reserve and all.
async fn filled_by_somebody_else(mut scene: Scene, broker: Broker) {
    scene.commit_and_look().await;
    scene.fill().await;
    scene.disk.fill("filler");
    scene.fill().await;
    scene.read_ballast().await;
    let remove_filler = async |scene: &Scene| scene.disk.remove("filler");
    scene.produce_until_there_is_space(remove_filler).await;
    scene.fill().await;
    scene.disk.fill("filler");
    scene.produce_until_there_is_space(async |scene| scene.delete_ballast().await).await;
    scene.commit_and_look().await;

    // A start writes a little. Where there is no room for it at all, it says so and does not hang.
    scene.disk.remove("filler");
    scene.disk.fill("filler");
    broker.kill().await;
    let said = scene.starter.refusal().await;
    let reasons: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(matches!(reasons[..], [reason] if reason.contains("No space left on device")), "{said}");
    scene.disk.remove("filler");
    let broker = scene.start().await;
    scene.commit_and_look().await;
    assert!(broker.stop().await.success(), "{}", scene.starter.log());
    assert!(!scene.starter.log().contains("panicked"), "{}", scene.starter.log());
}

#[test]
fn a_disk_full_of_records_refuses_producers_serves_everybody_else_and_recovers() {
    run(Kind::Tmpfs, "64M", filled_by_producers);
}

#[test]
fn a_real_file_system_full_of_records_is_no_different() {
    run(Kind::Ext4, "64M", filled_by_producers);
}

#[test]
fn a_disk_that_somebody_else_filled_to_the_last_byte_is_survived() {
    run(Kind::Tmpfs, "64M", filled_by_somebody_else);
    run(Kind::Ext4, "64M", filled_by_somebody_else);
}

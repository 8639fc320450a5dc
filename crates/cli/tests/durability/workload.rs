//! What clients do while the broker is killed: produce, read, commit offsets, make and delete topics. Every answer is
//! written into the history; a client that is told what it never may be told is an anomaly by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use millstream_client::admin::{CommittedOffset, NewTopic};
use millstream_client::{
    Admin, ClientConfig, Consumer, ConsumerRecord, Error, ErrorCode, Producer, ProducerRecord, TopicPartition,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::history::{History, Sender, Topic, Value};

/// Topics that stay, with their partitions.
pub(crate) const TOPICS: [(&str, i32); 3] = [("one", 1), ("three", 3), ("small-segments", 2)];
/// Topics that come and go.
const PASSING: [&str; 3] = ["passing-0", "passing-1", "passing-2"];
/// Groups whose offsets are committed without members.
const GROUPS: [&str; 2] = ["alone-0", "alone-1"];
/// The group that has a member.
const MEMBERS: &str = "members";
/// Records of a producer that wait for their answers.
const WAITING_MAX: usize = 300;

/// What the clients of one trial share.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) address: String,
    pub(crate) history: Arc<Mutex<History>>,
    /// Cancelled when the clients are to come to an end.
    pub(crate) stop: CancellationToken,
}

impl Scene {
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no client has panicked")
    }

    pub(crate) fn config(&self) -> ClientConfig {
        ClientConfig::new(&*self.address)
            .with("reconnect.backoff.ms", "10")
            .with("reconnect.backoff.max.ms", "100")
            .with("retry.backoff.ms", "10")
            .with("retry.backoff.max.ms", "100")
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::new(&self.config()).unwrap()
    }

    /// Makes the topics that stay.
    pub(crate) async fn make_topics(&self) {
        let topic = |(name, partitions): (&str, i32)| NewTopic {
            name: name.to_owned(),
            num_partitions: Some(partitions),
            configs: if name == "small-segments" {
                vec![("segment.bytes".to_owned(), "1048576".to_owned())]
            } else {
                Vec::new()
            },
            ..NewTopic::default()
        };
        for (name, made) in self.admin().create_topics(&TOPICS.map(topic), false).await.unwrap() {
            let id = made.unwrap_or_else(|error| panic!("{name}: {error}")).id;
            self.history().topic_is(&name, Topic::Present(id));
        }
    }

    /// Starts all clients; `seed` decides what they do. Answers the numbers of the producers that must make progress.
    pub(crate) fn start(&self, seed: u64, tasks: &mut JoinSet<()>) -> Vec<u32> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let kinds = [
            Sender::Idempotent,
            Sender::Idempotent,
            Sender::Once,
            if rng.bool() { Sender::Retrying } else { Sender::Idempotent },
        ];
        for (sender, kind) in (1..).zip(kinds) {
            self.history().add_sender(sender, kind);
            tasks.spawn(produce(self.clone(), sender, kind, rng.fork()));
        }
        tasks.spawn(read(self.clone()));
        tasks.spawn(read_as_member(self.clone()));
        tasks.spawn(commit(self.clone(), rng.fork()));
        tasks.spawn(make_and_delete(self.clone(), rng.fork()));
        (1..).take(kinds.len()).collect()
    }
}

/// Partitions of the topics that stay.
pub(crate) fn partitions() -> Vec<TopicPartition> {
    let of = |(name, count): (&'static str, i32)| (0..count).map(move |index| TopicPartition::new(name, index));
    TOPICS.into_iter().flat_map(of).collect()
}

fn producer_config(scene: &Scene, kind: Sender, rng: &mut fastrand::Rng) -> ClientConfig {
    let mut config = scene.config().with("acks", "all");
    config.set("linger.ms", rng.choice(["0", "1", "5", "20"]).unwrap_or("0"));
    config.set("batch.size", rng.choice(["0", "500", "16384", "262144", "1000000"]).unwrap_or("0"));
    config.set("compression.type", rng.choice(["none", "gzip", "snappy", "lz4", "zstd"]).unwrap_or("none"));
    config.set("max.in.flight.requests.per.connection", rng.choice(["1", "2", "5"]).unwrap_or("1"));
    config.set("enable.idempotence", if kind == Sender::Idempotent { "true" } else { "false" });
    if kind == Sender::Once {
        config.set("retries", "0");
    }
    config
}

/// Sends numbered records until told to stop, then waits for the last answers.
async fn produce(scene: Scene, sender: u32, kind: Sender, mut rng: fastrand::Rng) {
    let producer = Producer::new(&producer_config(&scene, kind, &mut rng)).unwrap();
    let partitions = partitions();
    // Of the largest more than 1 MiB of a partition is on its way, which then passes the lane by.
    let longest = *rng.choice(&[50, 1_000, 20_000, 100_000]).expect("there are some");
    let mut waiting = FuturesUnordered::new();
    let mut number = 0;
    while !scene.stop.is_cancelled() {
        let partition = rng.choice(&partitions).expect("there are some").clone();
        for _ in 0..rng.u32(1..40) {
            let value = Value { sender, number };
            number += 1;
            let record = ProducerRecord::new(partition.topic.clone(), value.bytes(rng.usize(0..longest)));
            scene.history().sending(value, &partition);
            match producer.send(record.with_partition(partition.partition)).await {
                Ok(delivery) => waiting.push(async move { (value, delivery.wait().await) }),
                Err(error) => answered(&scene, kind, value, Err(error)),
            }
        }
        while waiting.len() > WAITING_MAX {
            let Some((value, outcome)) = waiting.next().await else { break };
            answered(&scene, kind, value, outcome.map(|record| (record.partition, record.offset)));
        }
        tokio::task::yield_now().await;
    }
    while let Some((value, outcome)) = waiting.next().await {
        answered(&scene, kind, value, outcome.map(|record| (record.partition, record.offset)));
    }
}

fn answered(scene: &Scene, kind: Sender, value: Value, outcome: Result<(TopicPartition, i64), Error>) {
    match outcome {
        Ok((partition, offset)) => scene.history().acknowledged(value, &partition, offset),
        // Without retries a broken connection is the end of it.
        Err(error) if kind == Sender::Once && error.is_retriable() => {}
        Err(error) => scene.history().refused(format!("the {kind:?} producer of {value:?}"), error),
    }
}

/// Reads everything from the beginning, across all kills.
async fn read(scene: Scene) {
    let mut consumer = Consumer::new(&scene.config().with("auto.offset.reset", "none")).unwrap();
    consumer.assign(partitions()).unwrap();
    consumer.seek_to_beginning(&partitions()).unwrap();
    while !scene.stop.is_cancelled() {
        match consumer.poll(Duration::from_millis(50)).await {
            Ok(records) => note(&scene, &records),
            Err(error) if error.is_retriable() => {}
            Err(error) => return scene.history().refused("a consumer", error),
        }
    }
}

fn note(scene: &Scene, records: &[ConsumerRecord]) {
    let mut history = scene.history();
    for record in records {
        let value = record.value.as_deref().and_then(Value::of);
        history.read(&TopicPartition::new(record.topic.clone(), record.partition), record.offset, value);
    }
}

/// Reads as the member of a group and commits what it has read.
async fn read_as_member(scene: Scene) {
    let config = scene.config().with("group.id", MEMBERS).with("enable.auto.commit", "false");
    let config = config.with("auto.offset.reset", "earliest").with("heartbeat.interval.ms", "200");
    let mut consumer = Consumer::new(&config).unwrap();
    consumer.subscribe(&TOPICS.map(|(name, _)| name)).unwrap();
    while !scene.stop.is_cancelled() {
        let records = match consumer.poll(Duration::from_millis(50)).await {
            Ok(records) => records,
            Err(error) if error.is_retriable() || matches!(error, Error::LeftGroup(_)) => continue,
            Err(error) => return scene.history().refused("a group's member", error),
        };
        note(&scene, &records);
        let mut offsets = BTreeMap::new();
        for record in &records {
            let partition = TopicPartition::new(record.topic.clone(), record.partition);
            offsets.insert(partition, CommittedOffset::new(record.offset + 1));
        }
        for (partition, committed) in &offsets {
            scene.history().committing(MEMBERS, partition, committed.offset);
        }
        // A refused commit is no anomaly: the group may have forgotten its member.
        if consumer.commit_offsets(&offsets).await.is_ok() {
            for (partition, committed) in &offsets {
                scene.history().committed(MEMBERS, partition, committed.offset);
            }
        }
    }
}

/// Commits ever higher offsets for groups that have no members.
async fn commit(scene: Scene, mut rng: fastrand::Rng) {
    let admin = scene.admin();
    let partitions = partitions();
    let mut next = 1;
    while !scene.stop.is_cancelled() {
        let group = *rng.choice(&GROUPS).expect("there are some");
        let partition = rng.choice(&partitions).expect("there are some");
        scene.history().committing(group, partition, next);
        let offsets = BTreeMap::from([(partition.clone(), CommittedOffset::new(next))]);
        match admin.alter_group_offsets(group, &offsets).await {
            Ok(answers) if answers.iter().all(|(_, answer)| answer.is_ok()) => {
                scene.history().committed(group, partition, next);
            }
            Ok(_) => {}
            Err(error) if error.is_retriable() => {}
            Err(error) => return scene.history().refused("who commits", error),
        }
        next += 1;
    }
}

/// Asks for every offset that was ever committed, and checks the answers.
pub(crate) async fn check_commits(scene: &Scene) {
    let admin = scene.admin();
    let mut by_group: BTreeMap<String, Vec<TopicPartition>> = BTreeMap::new();
    for (group, partition) in scene.history().committed_partitions() {
        by_group.entry(group).or_default().push(partition);
    }
    for (group, partitions) in by_group {
        let floor = |partition: &TopicPartition| scene.history().commit_floor(&group, partition);
        let floors: Vec<i64> = partitions.iter().map(floor).collect();
        let found = admin.list_group_offsets(&group, Some(&partitions)).await.unwrap();
        for (partition, floor) in partitions.iter().zip(floors) {
            let found = found.get(partition).map(|committed| committed.offset);
            scene.history().fetched_commit(&group, partition, floor, found);
        }
    }
}

/// Makes topics, writes to them, deletes them, and makes them anew.
async fn make_and_delete(scene: Scene, mut rng: fastrand::Rng) {
    let admin = scene.admin();
    let producer = Producer::new(&scene.config().with("enable.idempotence", "false")).unwrap();
    // Each time of a topic has a sender of its own, so that its records tell which one they belong to.
    let mut sender = 1000;
    while !scene.stop.is_cancelled() {
        let name = *rng.choice(&PASSING).expect("there are some");
        let known = scene.history().topic(name);
        match known {
            Topic::Present(id) if rng.bool() => {
                scene.history().topic_doomed(name);
                let answer = admin.delete_topics(&[name]).await;
                match answer.and_then(|mut answers| answers.remove(0).1) {
                    Ok(()) => scene.history().topic_gone(name, Some(id)),
                    Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {
                        scene.history().topic_gone(name, Some(id));
                    }
                    Err(error) => tolerate(&scene, "who deletes", &error),
                }
            }
            Topic::Present(_) => {}
            Topic::Absent => make(&scene, &admin, name, rng.i32(1..4)).await,
            Topic::Unsure => look(&scene, &admin, name).await,
        }
        let known = scene.history().topic(name);
        if let Topic::Present(_) = known {
            sender += 1;
            scene.history().add_sender(sender, Sender::Retrying);
            write_to(&scene, &producer, name, sender, rng.u64(1..20)).await;
        }
    }
}

async fn make(scene: &Scene, admin: &Admin, name: &str, partitions: i32) {
    scene.history().topic_is(name, Topic::Unsure);
    let topic = NewTopic { name: name.to_owned(), num_partitions: Some(partitions), ..NewTopic::default() };
    match admin.create_topics(&[topic], false).await.and_then(|mut answers| answers.remove(0).1) {
        Ok(made) => scene.history().topic_is(name, Topic::Present(made.id)),
        Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => {}
        Err(error) => tolerate(scene, "who makes topics", &error),
    }
}

/// Finds out what became of a topic.
async fn look(scene: &Scene, admin: &Admin, name: &str) {
    match admin.describe_topics(&[name]).await.and_then(|mut answers| answers.remove(0).1) {
        Ok(topic) => scene.history().topic_is(name, Topic::Present(topic.id)),
        Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {
            scene.history().topic_gone(name, None);
        }
        Err(error) => tolerate(scene, "who looks for topics", &error),
    }
}

async fn write_to(scene: &Scene, producer: &Producer, name: &str, sender: u32, records: u64) {
    let partition = TopicPartition::new(name, 0);
    let mut waiting = Vec::new();
    for number in 0..records {
        let value = Value { sender, number };
        scene.history().sending(value, &partition);
        let record = ProducerRecord::new(name, value.bytes(100)).with_partition(0);
        match producer.send(record).await {
            Ok(delivery) => waiting.push((value, delivery)),
            Err(error) => tolerate(scene, "who writes to a new topic", &error),
        }
    }
    for (value, delivery) in waiting {
        match delivery.wait().await {
            Ok(record) => scene.history().acknowledged(value, &record.partition, record.offset),
            Err(error) => tolerate(scene, "who writes to a new topic", &error),
        }
    }
}

fn tolerate(scene: &Scene, who: &str, error: &Error) {
    if !error.is_retriable() {
        scene.history().refused(who, error);
    }
}

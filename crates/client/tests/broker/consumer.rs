//! The consumer against a real broker (`MILLSTREAM_TEST_BOOTSTRAP`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_client::admin::CommittedOffset;
use millstream_client::{
    Admin, ClientConfig, Consumer, ConsumerRecord, Error, Producer, ProducerRecord, TimestampMs, TopicPartition,
};
use tokio::time::Instant;

use crate::peer;

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends `values` to partition 0, their numbers as timestamps.
async fn produce(config: &ClientConfig, topic: &str, values: impl Iterator<Item = i64>) {
    let producer = Producer::new(&config.clone().with("batch.size", "500")).unwrap();
    for value in values {
        let record = ProducerRecord::new(topic, value.to_string())
            .with_partition(0)
            .with_timestamp(TimestampMs(value))
            .with_header("twice", "a")
            .with_header("twice", "b");
        producer.send(record).await.unwrap();
    }
    producer.close(PATIENCE).await.unwrap();
}

fn value(record: &ConsumerRecord) -> i64 {
    String::from_utf8_lossy(record.value.as_deref().unwrap()).parse().unwrap()
}

/// Polls until `count` records have come.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<ConsumerRecord> {
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    while records.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} records came", records.len());
        records.extend(consumer.poll(Duration::from_millis(200)).await.unwrap());
    }
    records
}

#[tokio::test]
async fn everything_sent_is_read_once_and_in_order_in_every_codec() {
    let Some(config) = peer::config() else { return };
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = peer::create_topic(&config, codec, 1).await;
        produce(&config.clone().with("compression.type", codec), &topic, 0..1500).await;
        let earliest = config.clone().with("auto.offset.reset", "earliest").with("max.partition.fetch.bytes", "2000");
        let mut consumer = Consumer::new(&earliest).unwrap();
        let partition = TopicPartition::new(topic.as_str(), 0);
        consumer.assign([partition.clone()]).unwrap();
        let records = take(&mut consumer, 1500).await;
        for (i, record) in (0..).zip(&records) {
            assert_eq!((record.offset, value(record), record.timestamp), (i, i, TimestampMs(i)), "{codec}");
            let headers: Vec<_> = record.headers.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
            assert_eq!(headers, [("twice", Some(&b"a"[..])), ("twice", Some(b"b"))]);
        }
        assert_eq!(consumer.position(&partition).await.unwrap(), 1500);
        assert_eq!(consumer.current_lag(&partition), Some(0));
        assert!(consumer.poll(Duration::ZERO).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn positions_move_by_seek_reset_pause_and_time() {
    let Some(config) = peer::config() else { return };
    let topic = peer::create_topic(&config, "seek", 1).await;
    let partition = TopicPartition::new(topic.as_str(), 0);
    let one = std::slice::from_ref(&partition);
    produce(&config, &topic, 0..100).await;
    let mut consumer = Consumer::new(&config.clone().with("max.poll.records", "10")).unwrap();
    consumer.assign([partition.clone()]).unwrap();
    assert_eq!(consumer.position(&partition).await.unwrap(), 100, "latest is the default");
    consumer.seek(&partition, 42).unwrap();
    let records = take(&mut consumer, 10).await;
    assert_eq!((value(&records[0]), records.len()), (42, 10));
    consumer.seek_to_beginning(one).unwrap();
    assert_eq!(value(&take(&mut consumer, 1).await[0]), 0);
    consumer.pause(one).unwrap();
    assert!(consumer.poll(Duration::from_millis(300)).await.unwrap().is_empty());
    assert_eq!(consumer.paused(), one);
    consumer.resume(one).unwrap();
    assert_eq!(value(&take(&mut consumer, 1).await[0]), 10, "what was fetched before the pause is still there");
    consumer.seek(&partition, 1000).unwrap();
    let reset = async |consumer: &mut Consumer| {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            assert!(consumer.poll(Duration::from_millis(100)).await.unwrap().is_empty());
            if consumer.position(&partition).await.unwrap() == 100 {
                return;
            }
        }
        panic!("an offset out of range was not reset");
    };
    reset(&mut consumer).await;
    let found = consumer.offsets_for_times(&[(partition.clone(), 77)]).await.unwrap();
    assert_eq!((found[&partition].offset, found[&partition].timestamp), (77, 77));
    assert!(consumer.offsets_for_times(&[(partition.clone(), 100_000)]).await.unwrap().is_empty());
    assert_eq!(consumer.beginning_offsets(one).await.unwrap()[&partition], 0);
    assert_eq!(consumer.end_offsets(one).await.unwrap()[&partition], 100);

    let mut strict = Consumer::new(&config.clone().with("auto.offset.reset", "none")).unwrap();
    strict.assign([partition.clone()]).unwrap();
    assert_eq!(strict.poll(PATIENCE).await.unwrap_err(), Error::NoOffset(vec![partition.clone()]));
    strict.seek(&partition, 1000).unwrap();
    assert_eq!(strict.poll(PATIENCE).await.unwrap_err(), Error::OffsetOutOfRange(vec![partition.clone()]));
}

#[tokio::test]
async fn new_records_wake_a_poll_and_so_does_a_wake_handle() {
    let Some(config) = peer::config() else { return };
    let topic = peer::create_topic(&config, "wake", 1).await;
    let mut consumer = Consumer::new(&config).unwrap();
    let partition = TopicPartition::new(topic.as_str(), 0);
    consumer.assign([partition.clone()]).unwrap();
    assert_eq!(consumer.position(&partition).await.unwrap(), 0);
    let (records, ()) = tokio::join!(consumer.poll(PATIENCE), produce(&config, &topic, 5..6));
    assert_eq!(value(&records.unwrap()[0]), 5);
    let handle = consumer.wake_handle();
    let (woken, ()) = tokio::join!(consumer.poll(PATIENCE), async { handle.wake() });
    assert_eq!(woken.unwrap_err(), Error::Wakeup);
}

#[tokio::test]
async fn a_group_goes_on_where_it_committed() {
    let Some(config) = peer::config() else { return };
    let topic = peer::create_topic(&config, "commit", 1).await;
    let partition = TopicPartition::new(topic.as_str(), 0);
    produce(&config, &topic, 0..30).await;
    let group = peer::unique("group");
    let config = config.with("group.id", group).with("auto.offset.reset", "earliest").with("max.poll.records", "10");
    let manual = config.clone().with("enable.auto.commit", "false");
    let mut first = Consumer::new(&manual).unwrap();
    first.subscribe(&[&topic]).unwrap();
    assert_eq!(value(&take(&mut first, 10).await[9]), 9);
    first.commit().await.unwrap();
    take(&mut first, 10).await;
    let committed = first.committed(std::slice::from_ref(&partition)).await.unwrap();
    assert_eq!(committed[&partition].offset, 10);
    first.close().await.unwrap();

    let mut second = Consumer::new(&config).unwrap();
    second.subscribe(&[&topic]).unwrap();
    assert_eq!(value(&take(&mut second, 10).await[0]), 10, "the second ten were not committed");
    second.close().await.unwrap();

    let mut third = Consumer::new(&config).unwrap();
    third.subscribe(&[&topic]).unwrap();
    assert_eq!(value(&take(&mut third, 10).await[0]), 20, "auto commit commits at close");
    let offsets = BTreeMap::from([(partition, CommittedOffset::new(3))]);
    third.commit_offsets(&offsets).await.unwrap();
    assert_eq!(third.subscribe(&[&topic]), Ok(()));
    assert!(matches!(third.assign([]), Err(Error::IllegalState(_))));
}

/// Polls both until they share the partitions as wanted, and gathers the values that come.
async fn settle(a: &mut Consumer, b: &mut Consumer, sizes: (usize, usize), seen: &mut Vec<i64>) {
    let deadline = Instant::now() + PATIENCE;
    let pause = Duration::from_millis(50);
    while (a.assignment().len(), b.assignment().len()) != sizes {
        assert!(Instant::now() < deadline, "{} and {}", a.assignment().len(), b.assignment().len());
        let (from_a, from_b) = tokio::join!(a.poll(pause), b.poll(pause));
        seen.extend(from_a.unwrap().iter().chain(&from_b.unwrap()).map(value));
    }
}

#[tokio::test]
async fn members_come_and_go_and_no_record_is_lost() {
    let Some(config) = peer::config() else { return };
    for strategy in ["RangeAssignor", "RoundRobinAssignor", "cooperative-sticky"] {
        let topic = peer::create_topic(&config, "members", 4).await;
        let group = peer::unique(strategy);
        let config = config
            .clone()
            .with("group.id", group.clone())
            .with("auto.offset.reset", "earliest")
            .with("heartbeat.interval.ms", "100")
            .with("partition.assignment.strategy", strategy);
        let (mut a, mut b) = (Consumer::new(&config).unwrap(), Consumer::new(&config).unwrap());
        a.subscribe(&[&topic]).unwrap();
        let mut seen = Vec::new();
        settle(&mut a, &mut bystander(&config), (4, 0), &mut seen).await;
        let before: BTreeSet<_> = a.assignment().into_iter().collect();
        b.subscribe(&[&topic]).unwrap();
        settle(&mut a, &mut b, (2, 2), &mut seen).await;
        let (left, right): (BTreeSet<_>, BTreeSet<_>) =
            (a.assignment().into_iter().collect(), b.assignment().into_iter().collect());
        assert!(left.is_disjoint(&right) && left.is_subset(&before), "{strategy}");

        let described =
            Admin::new(&config).unwrap().describe_groups(&[&group]).await.unwrap().pop().unwrap().1.unwrap();
        assert_eq!((described.state.as_str(), described.members.len()), ("Stable", 2), "{strategy}");
        assert_eq!(described.members.iter().map(|member| member.assignment.len()).sum::<usize>(), 4);

        produce(&config, &topic, 0..50).await;
        b.close().await.unwrap();
        settle(&mut a, &mut bystander(&config), (4, 0), &mut seen).await;
        let deadline = Instant::now() + PATIENCE;
        while seen.len() < 50 && Instant::now() < deadline {
            seen.extend(a.poll(Duration::from_millis(100)).await.unwrap().iter().map(value));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..50).collect::<Vec<_>>(), "{strategy}");
        a.close().await.unwrap();
    }
}

/// A consumer that takes no part: it is assigned nothing.
fn bystander(config: &ClientConfig) -> Consumer {
    let mut consumer = Consumer::new(config).unwrap();
    consumer.assign([]).unwrap();
    consumer
}

#[tokio::test]
async fn a_topic_that_comes_later_is_read_from_its_start() {
    let Some(config) = peer::config() else { return };
    let topic = peer::unique("later");
    let config = config
        .with("group.id", peer::unique("later-group"))
        .with("auto.offset.reset", "earliest")
        .with("allow.auto.create.topics", "false");
    let mut consumer = Consumer::new(&config).unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    assert!(consumer.poll(Duration::from_millis(500)).await.unwrap().is_empty());
    let (records, ()) = tokio::join!(take(&mut consumer, 3), produce(&config, &topic, 0..3));
    assert_eq!(records.iter().map(value).collect::<Vec<_>>(), [0, 1, 2]);
}

/// Consumers live in tasks on threads.
#[tokio::test]
async fn every_operation_may_move_between_threads() {
    fn moves(_: impl Send) {}
    let new = || Consumer::new(&ClientConfig::new("localhost:9092").with("group.id", "g")).unwrap();
    let partition = TopicPartition::new("t", 0);
    moves(new().poll(Duration::ZERO));
    moves(new().position(&partition));
    moves(new().commit());
    moves(new().commit_offsets(&BTreeMap::new()));
    moves(new().committed(&[]));
    moves(new().end_offsets(&[]));
    moves(new().offsets_for_times(&[]));
    moves(new().close());
}

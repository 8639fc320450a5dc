//! The client's promises over a broker's death: a producer loses and doubles nothing, a group goes on where it was.

use std::time::Duration;

use millstream_client::admin::NewTopic;
use millstream_client::{Admin, ClientConfig, Consumer, Delivery, Producer, ProducerRecord, TopicPartition};
use tokio::time::timeout;

use crate::process::{Broker, PATIENCE};

const TOPIC: &str = "t";
const POLL: Duration = Duration::from_millis(200);

async fn create_topic(config: &ClientConfig) {
    let topic = NewTopic { name: TOPIC.to_owned(), num_partitions: Some(1), ..NewTopic::default() };
    Admin::new(config).unwrap().create_topics(&[topic], false).await.unwrap().pop().unwrap().1.unwrap();
}

async fn send(producer: &Producer, values: std::ops::Range<u32>) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for value in values {
        let record = ProducerRecord::new(TOPIC, value.to_string()).with_key("k");
        deliveries.push(timeout(PATIENCE, producer.send(record)).await.expect("there is room").unwrap());
    }
    deliveries
}

/// Polls until `count` values have come.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<u32> {
    let mut values = Vec::new();
    let polled = timeout(PATIENCE, async {
        while values.len() < count {
            for record in consumer.poll(POLL).await.unwrap() {
                values.push(std::str::from_utf8(&record.value.unwrap()).unwrap().parse().unwrap());
            }
        }
    });
    let in_time = polled.await.is_ok();
    assert!(in_time, "{} of {count} came", values.len());
    values
}

#[tokio::test]
async fn an_idempotent_producer_loses_doubles_and_reorders_nothing_while_its_broker_dies_and_comes_back() {
    let mut broker = Broker::start();
    let config = ClientConfig::new(broker.address.as_str());
    create_topic(&config).await;
    // Small batches, so that several are on their way when the broker dies.
    let producer = Producer::new(&config.clone().with("batch.size", "500").with("linger.ms", "0")).unwrap();
    let mut sent = 0;
    for _ in 0..3 {
        let mut deliveries = send(&producer, sent..sent + 500).await;
        // It dies while records are under way: some are acknowledged, some written, some not.
        timeout(PATIENCE, deliveries.remove(0).wait()).await.expect("the first is acknowledged").unwrap();
        broker.kill();
        deliveries.extend(send(&producer, sent + 500..sent + 600).await);
        broker.start_again();
        for delivery in deliveries {
            timeout(PATIENCE, delivery.wait()).await.expect("the broker is back").unwrap();
        }
        sent += 600;
    }
    let mut consumer = Consumer::new(&config).unwrap();
    let partition = TopicPartition::new(TOPIC, 0);
    consumer.assign([partition.clone()]).unwrap();
    consumer.seek_to_beginning(std::slice::from_ref(&partition)).unwrap();
    assert_eq!(take(&mut consumer, sent as usize).await, (0..sent).collect::<Vec<_>>());
    let ends = timeout(PATIENCE, consumer.end_offsets(std::slice::from_ref(&partition))).await.unwrap().unwrap();
    assert_eq!(ends[&partition], i64::from(sent), "nothing stands twice in the log");
}

#[tokio::test]
async fn a_group_goes_on_where_it_was_when_its_broker_has_come_back() {
    let mut broker = Broker::start();
    let config = ClientConfig::new(broker.address.as_str());
    create_topic(&config).await;
    let group = config.clone().with("group.id", "g").with("auto.offset.reset", "earliest");
    let mut consumer = Consumer::new(&group.with("enable.auto.commit", "false")).unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    let producer = Producer::new(&config).unwrap();
    for round in 0..3 {
        let values = round * 100..round * 100 + 100;
        for delivery in send(&producer, values.clone()).await {
            timeout(PATIENCE, delivery.wait()).await.expect("the broker is there").unwrap();
        }
        assert_eq!(take(&mut consumer, 100).await, values.collect::<Vec<_>>(), "round {round}");
        timeout(PATIENCE, consumer.commit()).await.expect("the group is there").unwrap();
        broker.kill();
        // A poll finds nobody, and is none the worse for it.
        assert_eq!(consumer.poll(POLL).await.unwrap(), []);
        broker.start_again();
    }
}

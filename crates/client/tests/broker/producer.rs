//! The producer against a real broker (`MILLSTREAM_TEST_BOOTSTRAP`).

use std::time::Duration;

use millstream_client::admin::{AlterConfigOp, ConfigResource, OffsetSpec};
use millstream_client::config::IsolationLevel;
use millstream_client::producer::partition_of_key;
use millstream_client::{
    Admin, ClientConfig, Delivery, Error, ErrorCode, Producer, ProducerRecord, TimestampMs, TopicPartition,
};

use crate::peer;

const CLOSE: Duration = Duration::from_secs(20);

async fn end_offset(config: &ClientConfig, topic: &str, partition: i32) -> i64 {
    let asked = [(TopicPartition::new(topic, partition), OffsetSpec::Latest)];
    let listed = Admin::new(config).unwrap().list_offsets(&asked, IsolationLevel::ReadUncommitted).await.unwrap();
    listed[0].1.as_ref().unwrap().offset
}

#[tokio::test]
async fn offsets_follow_the_order_of_sends_in_every_codec() {
    let Some(config) = peer::config() else { return };
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = peer::create_topic(&config, codec, 1).await;
        let config = config.clone().with("compression.type", codec).with("batch.size", "2000");
        let producer = Producer::new(&config).unwrap();
        let mut deliveries: Vec<Delivery> = Vec::new();
        for i in 0..500 {
            let record = ProducerRecord::new(topic.as_str(), format!("value {i} of some length"))
                .with_key(format!("{i}"))
                .with_timestamp(TimestampMs(1_700_000_000_000 + i))
                .with_header("n", format!("{i}"));
            deliveries.push(producer.send(record).await.unwrap());
        }
        for (i, delivery) in (0..).zip(deliveries) {
            let metadata = delivery.wait().await.unwrap();
            assert_eq!((metadata.offset, metadata.timestamp), (i, TimestampMs(1_700_000_000_000 + i)), "{codec}");
        }
        producer.close(CLOSE).await.unwrap();
        assert_eq!(end_offset(&config, &topic, 0).await, 500, "{codec}");
    }
}

#[tokio::test]
async fn keys_choose_partitions_as_in_java_and_flush_waits_for_all() {
    let Some(config) = peer::config() else { return };
    let topic = peer::create_topic(&config, "keys", 3).await;
    let producer =
        Producer::new(&config.clone().with("linger.ms", "60000").with("delivery.timeout.ms", "120000")).unwrap();
    let mut deliveries = Vec::new();
    for i in 0..60 {
        let key = format!("key-{i}");
        let record = ProducerRecord::new(topic.as_str(), "v").with_key(key.clone());
        deliveries.push((partition_of_key(key.as_bytes(), 3), producer.send(record).await.unwrap()));
    }
    producer.flush().await;
    let mut ends = 0;
    for partition in 0..3 {
        ends += end_offset(&config, &topic, partition).await;
    }
    assert_eq!(ends, 60);
    for (partition, delivery) in deliveries {
        assert_eq!(delivery.wait().await.unwrap().partition.partition, partition);
    }
}

#[tokio::test]
async fn every_level_of_acks_delivers() {
    let Some(config) = peer::config() else { return };
    for (acks, offset) in [("0", -1), ("1", 0), ("all", 0)] {
        let topic = peer::create_topic(&config, "acks", 1).await;
        let producer = Producer::new(&config.clone().with("acks", acks)).unwrap();
        let delivery = producer.send(ProducerRecord::new(topic.as_str(), "v")).await.unwrap();
        assert_eq!(delivery.wait().await.unwrap().offset, offset, "acks={acks}");
        peer::eventually("the record is there", async || (end_offset(&config, &topic, 0).await == 1).then_some(()))
            .await;
        producer.close(CLOSE).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_topic_refuses_comes_back_with_kafkas_code_and_the_rest_goes_on() {
    let Some(config) = peer::config() else { return };
    let topic = peer::create_topic(&config, "refuse", 1).await;
    let admin = Admin::new(&config).unwrap();
    let set = |name: &str, value: &str| (name.to_owned(), AlterConfigOp::Set(value.to_owned()));
    let change = [(ConfigResource::topic(topic.clone()), vec![set("max.message.bytes", "500")])];
    admin.incremental_alter_configs(&change, false).await.unwrap().pop().unwrap().1.unwrap();
    let producer = Producer::new(&config.clone().with("batch.size", "0")).unwrap();
    let send = async |bytes: usize| producer.send(ProducerRecord::new(topic.as_str(), vec![7; bytes])).await;
    peer::eventually("the limit holds", async || {
        let refused = send(1000).await.unwrap().wait().await.err()?;
        assert_eq!(refused.code(), Some(ErrorCode::MessageTooLarge));
        Some(())
    })
    .await;
    // Of requests in flight together, one in the middle is refused: the others keep their order.
    let before = end_offset(&config, &topic, 0).await;
    let mut deliveries = Vec::new();
    for bytes in [1, 2, 1000, 3, 4, 5] {
        deliveries.push((bytes, send(bytes).await.unwrap()));
    }
    let mut offsets = Vec::new();
    for (bytes, delivery) in deliveries {
        match delivery.wait().await {
            Ok(metadata) => offsets.push(metadata.offset - before),
            Err(error) => assert_eq!((bytes, error.code()), (1000, Some(ErrorCode::MessageTooLarge))),
        }
    }
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
    let too_large = send(2_000_000).await.unwrap_err();
    assert!(matches!(too_large, Error::RecordTooLarge { config: "max.request.size", .. }), "{too_large}");
    producer.close(CLOSE).await.unwrap();
    assert_eq!(send(1).await.unwrap_err(), Error::Closed);
}

#[tokio::test]
async fn a_little_memory_suffices_and_a_topic_is_made_on_demand() {
    let Some(config) = peer::config() else { return };
    let topic = peer::unique("on-demand");
    let producer = Producer::new(&config.clone().with("buffer.memory", "20000").with("linger.ms", "1000")).unwrap();
    let mut deliveries = Vec::new();
    for _ in 0..200 {
        deliveries.push(producer.send(ProducerRecord::new(topic.as_str(), vec![0; 1000])).await.unwrap());
    }
    for delivery in deliveries {
        delivery.wait().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_a_timeout_of_send() {
    let config = ClientConfig::new("127.0.0.1:1").with("max.block.ms", "3000");
    let producer = Producer::new(&config).unwrap();
    let error = producer.send(ProducerRecord::new("t", "v")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    let config = config.with("delivery.timeout.ms", "100").with("request.timeout.ms", "50").with("linger.ms", "0");
    assert!(Producer::new(&config).is_ok());
}

/// Producers are shared between tasks on threads.
#[tokio::test]
async fn every_operation_may_move_between_threads() {
    fn moves(_: impl Send) {}
    let producer = Producer::new(&ClientConfig::new("localhost:9092")).unwrap();
    moves(producer.send(ProducerRecord::new("t", "v")));
    moves(producer.flush());
    moves(producer.close(CLOSE));
}

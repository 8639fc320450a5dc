//! Connections that break while records are under way, against the broker that `MILLSTREAM_TEST_BOOTSTRAP` names.

use std::collections::BTreeSet;

use super::*;
use crate::admin::NewTopic;
use crate::{Admin, Consumer};

const RECORDS: i64 = 3000;

#[tokio::test]
async fn broken_connections_neither_lose_nor_double_nor_reorder_records() {
    let Ok(servers) = std::env::var("MILLSTREAM_TEST_BOOTSTRAP") else {
        eprintln!("SKIPPED: set MILLSTREAM_TEST_BOOTSTRAP to the address of a broker");
        return;
    };
    let config = ClientConfig::new(servers).with("batch.size", "300").with("reconnect.backoff.ms", "1");
    let topic = format!("broken-{}-{}", std::process::id(), clock::now());
    let new = NewTopic { name: topic.clone(), num_partitions: Some(2), ..NewTopic::default() };
    Admin::new(&config).unwrap().create_topics(&[new], false).await.unwrap().pop().unwrap().1.unwrap();

    let producer = Producer::new(&config).unwrap();
    let mut deliveries = Vec::new();
    for value in 0..RECORDS {
        let record = ProducerRecord::new(topic.as_str(), value.to_string()).with_partition((value % 2) as i32);
        deliveries.push(producer.send(record).await.unwrap());
        if value % 100 == 99 {
            tokio::task::yield_now().await;
            producer.shared.cluster.cut();
        }
    }
    let mut offsets = BTreeSet::new();
    for delivery in deliveries {
        let at = delivery.wait().await.unwrap();
        assert!(offsets.insert((at.partition.partition, at.offset)), "an offset was given twice");
    }

    let mut consumer = Consumer::new(&config.with("auto.offset.reset", "earliest")).unwrap();
    consumer.assign((0..2).map(|partition| TopicPartition::new(topic.as_str(), partition))).unwrap();
    let mut read = [Vec::new(), Vec::new()];
    while read.iter().map(Vec::len).sum::<usize>() < RECORDS as usize {
        let records = consumer.poll(Duration::from_secs(10)).await.unwrap();
        assert!(!records.is_empty(), "records are missing");
        for record in records {
            let value: i64 = std::str::from_utf8(&record.value.unwrap()).unwrap().parse().unwrap();
            read[record.partition as usize].push(value);
        }
    }
    for (partition, values) in (0..).zip(read) {
        assert_eq!(values, (0..RECORDS).filter(|value| value % 2 == partition).collect::<Vec<_>>());
    }
}

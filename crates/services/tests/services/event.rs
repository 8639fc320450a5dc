//! Both services in event mode. `MILLSTREAM_TEST_BOOTSTRAP` names a broker, Apache Kafka or Millstream; without it only
//! what can be seen of an absent broker is tested.

use millstream_services::Mode;

use crate::service::{Kind, Service, get};

const DOWN: &str =
    r#"{"status":"DOWN","checks":[{"name":"SmallRye Reactive Messaging","status":"DOWN","data":{"data":"[KO]"}}]}"#;
const UP: &str =
    r#"{"status":"UP","checks":[{"name":"SmallRye Reactive Messaging","status":"UP","data":{"data":"[OK]"}}]}"#;

/// The broker under test; `None`, said loudly, when there is none.
fn bootstrap() -> Option<String> {
    let servers = std::env::var("MILLSTREAM_TEST_BOOTSTRAP").ok();
    if servers.is_none() {
        eprintln!("SKIPPED: set MILLSTREAM_TEST_BOOTSTRAP to the address of a broker");
    }
    servers
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn without_a_broker_a_service_is_live_but_not_ready_and_serves_and_stops() {
    let servers = nobody().await;
    for kind in [Kind::Producer, Kind::Consumer] {
        let service = Service::start(kind, Mode::Event, &[("kafka.bootstrap.servers", &servers)]).await;
        assert_eq!(get(service.address, "/health/ready").await, (503, DOWN.to_owned()), "{kind:?}");
        assert_eq!(get(service.address, "/health").await.0, 503);
        assert_eq!(get(service.address, "/health/live").await.0, 200);
        assert_eq!(get(service.address, "/metrics").await.0, 200);
        service.log.wait_for(|log| log.contains(&format!("Kafka at {servers} is away: ")).then_some(())).await;
        service.stop().await;
    }
}

#[tokio::test]
async fn the_producer_is_ready_and_counts_what_was_acknowledged() {
    let Some(servers) = bootstrap() else { return };
    let topic = format!("measurements-{}", fastrand::u64(..));
    let settings = [
        ("kafka.bootstrap.servers", servers.as_str()),
        ("mp.messaging.outgoing.data.topic", &topic),
        ("producer.interval.ms", "50"),
    ];
    let producer = Service::start(Kind::Producer, Mode::Event, &settings).await;
    producer.log.wait_for(|log| (log.matches("Sending message").count() > 3).then_some(())).await;
    let metrics = get(producer.address, "/metrics").await.1;
    assert!(metrics.contains("millstream_data_producer_records_sent_total 3"), "{metrics}");
    assert!(metrics.contains("millstream_data_producer_send_failures_total 0"), "{metrics}");
    producer.stop().await;
}

#[tokio::test]
async fn the_consumer_logs_what_the_producer_sends() {
    let Some(servers) = bootstrap() else { return };
    let topic = format!("measurements-{}", fastrand::u64(..));
    let consumer_settings = [
        ("kafka.bootstrap.servers", servers.as_str()),
        ("mp.messaging.incoming.data.topic", &topic),
        ("mp.messaging.incoming.data.auto.offset.reset", "earliest"),
        ("mp.messaging.incoming.data.metadata.max.age.ms", "500"),
    ];
    let consumer = Service::start(Kind::Consumer, Mode::Event, &consumer_settings).await;
    let producer_settings = [
        ("kafka.bootstrap.servers", servers.as_str()),
        ("mp.messaging.outgoing.data.topic", &topic),
        ("producer.interval.ms", "100"),
    ];
    let producer = Service::start(Kind::Producer, Mode::Event, &producer_settings).await;
    let received = consumer.log.wait_for(|log| {
        let lines: Vec<String> = log.lines().filter(|line| line.contains("Received")).map(str::to_owned).collect();
        (lines.len() >= 3).then_some(lines)
    });
    let received = received.await;
    let said = "INFO  [ch.puz.qua.rea.bou.ReactiveDataConsumer] (vert.x-eventloop-thread-0) Received reactive message: {\"data\":0.";
    assert!(received.iter().all(|line| line.contains(said) && line.ends_with('}')), "{received:?}");
    let counters = [
        (&producer, "ReactiveDataProducer_producedMessages_total", 2),
        (&consumer, "ReactiveDataConsumer_consumedMessages_total", 3),
    ];
    for (service, name, at_least) in counters {
        service.log.wait_for(|log| log.contains("Connected to Kafka").then_some(())).await;
        assert_eq!(get(service.address, "/health/ready").await, (200, UP.to_owned()));
        let metrics = get(service.address, "/metrics").await.1;
        let count = metrics.lines().find_map(|line| line.split_once(name)).unwrap().1;
        assert!(count.trim().parse::<u64>().unwrap() >= at_least, "{metrics}");
    }
    let said = producer.stop().await;
    assert!(
        said.contains("INFO  [ch.puz.qua.rea.bou.ReactiveDataProducer] (executor-thread-1) Sending message\n"),
        "{said}"
    );
    consumer.stop().await;
}

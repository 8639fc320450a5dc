//! Both services in REST mode, over real sockets: no broker is involved.

use millstream_services::Mode;

use crate::service::{Kind, Service, get};

#[tokio::test]
async fn the_consumer_hands_on_what_the_producer_measures() {
    let producer = Service::start(Kind::Producer, Mode::Rest, &[]).await;
    let port = producer.address.port().to_string();
    let consumer = Service::start(
        Kind::Consumer,
        Mode::Rest,
        &[("APPLICATION_DATA_PRODUCER_URL", "127.0.0.1"), ("APPLICATION_DATA_PRODUCER_PORT", &port)],
    )
    .await;
    for address in [producer.address, consumer.address] {
        let (status, body) = get(address, "/data").await;
        assert_eq!(status, 200);
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        let data = value["data"].as_f64().unwrap();
        assert!((0.0..1.0).contains(&data), "{body}");
    }
    consumer.stop().await;
    producer.stop().await;
}

#[tokio::test]
async fn a_producer_that_is_away_is_a_bad_gateway_with_a_reason() {
    let producer = Service::start(Kind::Producer, Mode::Rest, &[]).await;
    let port = producer.address.port().to_string();
    producer.stop().await;
    let variables = [("application.data-producer.url", "127.0.0.1"), ("application.data-producer.port", port.as_str())];
    let consumer = Service::start(Kind::Consumer, Mode::Rest, &variables).await;
    let (status, body) = get(consumer.address, "/data").await;
    assert_eq!(status, 502);
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(value["error"].as_str().unwrap().starts_with("data-producer at 127.0.0.1:"), "{body}");
    consumer.stop().await;
}

#[tokio::test]
async fn names_come_from_the_platforms_hosts_file() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 data-producer\n").unwrap();
    let producer = Service::start(Kind::Producer, Mode::Rest, &[]).await;
    let port = producer.address.port().to_string();
    let variables = [("MILLSTREAM_HOSTS", hosts.to_str().unwrap()), ("application.data-producer.port", port.as_str())];
    let consumer = Service::start(Kind::Consumer, Mode::Rest, &variables).await;
    assert_eq!(get(consumer.address, "/data").await.0, 200);
    consumer.stop().await;
    producer.stop().await;
}

#[tokio::test]
async fn probes_are_up_and_the_labs_counter_is_there() {
    let names = [
        (
            Kind::Producer,
            "application_ch_puzzle_quarkustechlab_reactiveproducer_boundary_ReactiveDataProducer_producedMessages_total 0",
        ),
        (
            Kind::Consumer,
            "application_ch_puzzle_quarkustechlab_reactiveconsumer_boundary_ReactiveDataConsumer_consumedMessages_total 0",
        ),
    ];
    for (kind, counter) in names {
        let service = Service::start(kind, Mode::Rest, &[]).await;
        for path in ["/health", "/health/live", "/health/ready"] {
            assert_eq!(get(service.address, path).await, (200, r#"{"status":"UP","checks":[]}"#.to_owned()), "{path}");
        }
        let (status, metrics) = get(service.address, "/metrics").await;
        assert_eq!(status, 200);
        assert!(metrics.contains(counter), "{metrics}");
        assert_eq!(get(service.address, "/nowhere").await.0, 404);
        service.stop().await;
    }
}

#[tokio::test]
async fn tracing_that_was_asked_for_is_said_not_to_be_served() {
    let service = Service::start(Kind::Producer, Mode::Rest, &[("PRODUCER_JAEGER_ENABLED", "true")]).await;
    let log = service.stop().await;
    assert!(log.contains("WARN  [io.quarkus] (main) producer.jaeger.enabled=true: tracing is not served yet"), "{log}");
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_sentence() {
    let service = Service::start(Kind::Producer, Mode::Rest, &[]).await;
    let port = service.address.port().to_string();
    let error =
        crate::service::run_to_end(Kind::Consumer, Mode::Rest, &[("QUARKUS_HTTP_PORT", &port)]).await.unwrap_err();
    assert!(error.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{error}");
    service.stop().await;
}

#[tokio::test]
async fn a_setting_of_no_use_ends_the_service() {
    let error =
        crate::service::run_to_end(Kind::Consumer, Mode::Rest, &[("QUARKUS_HTTP_PORT", "http")]).await.unwrap_err();
    assert_eq!(error, "quarkus.http.port=http: expected a port");
}

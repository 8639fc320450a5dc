//! data-producer and data-consumer as processes: what the lab sees of them, and what they make of a broker that dies.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::process::{Broker, PATIENCE, Process};

const UP: &str =
    r#"{"status":"UP","checks":[{"name":"SmallRye Reactive Messaging","status":"UP","data":{"data":"[OK]"}}]}"#;
const DOWN: &str =
    r#"{"status":"DOWN","checks":[{"name":"SmallRye Reactive Messaging","status":"DOWN","data":{"data":"[KO]"}}]}"#;

struct Service {
    process: Process,
    /// Of its HTTP side.
    address: String,
}

impl Service {
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let process = Process::start(arguments, &[&[("QUARKUS_HTTP_PORT", "0")], variables].concat());
        let address = process.wait_for("the service's address", |line| {
            line.split_once("Listening on: http://").map(|(_, address)| address.to_owned())
        });
        Self { process, address }
    }

    fn wait_until_logged(&self, what: &str) -> String {
        self.process.wait_for(what, |line| line.contains(what).then(|| line.to_owned()))
    }

    /// Status and body of a GET.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn is_measurement(&self, path: &str) {
        let (status, body) = self.get(path);
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        let data = value["data"].as_f64().unwrap();
        assert!(status == 200 && (0.0..1.0).contains(&data), "{status} {body}");
    }
}

#[test]
fn services_are_not_ready_while_their_broker_is_dead_and_go_on_when_it_is_back() {
    let mut broker = Broker::start();
    let common = [("KAFKA_BOOTSTRAP_SERVERS", broker.address.as_str()), ("PRODUCER_INTERVAL_MS", "100")];
    let producer = Service::start(&["data-producer"], &common);
    let consumer = Service::start(&["data-consumer"], &common);
    let received = consumer.wait_until_logged("Received reactive message: ");
    let said = "INFO  [ch.puz.qua.rea.bou.ReactiveDataConsumer] (vert.x-eventloop-thread-0) Received reactive message: {\"data\":0.";
    assert!(received.contains(said) && received.ends_with('}'), "{received}");
    for service in [&producer, &consumer] {
        assert_eq!(service.get("/health/ready"), (200, UP.to_owned()));
    }
    broker.kill();
    for service in [&producer, &consumer] {
        service.wait_until_logged(" is away: ");
        assert_eq!(service.get("/health/ready"), (503, DOWN.to_owned()));
        assert_eq!(service.get("/health"), (503, DOWN.to_owned()));
        assert_eq!(service.get("/health/live").0, 200);
    }
    producer.is_measurement("/data");
    broker.start_again();
    for service in [&producer, &consumer] {
        service.wait_until_logged("Connected to Kafka at ");
        assert_eq!(service.get("/health/ready"), (200, UP.to_owned()));
    }
    consumer.wait_until_logged("Received reactive message: {\"data\":0.");
    for (service, counter) in
        [(&producer, "ReactiveDataProducer_producedMessages"), (&consumer, "ReactiveDataConsumer_consumedMessages")]
    {
        let (status, metrics) = service.get("/metrics");
        assert!(status == 200 && metrics.contains(counter), "{metrics}");
    }
}

/// More attempts than fit into one look at the broker, or into one measurement: those that follow share a client.
#[test]
fn a_service_complains_once_for_each_of_its_clients_of_a_broker_that_stays_away() {
    let mut broker = Broker::start();
    broker.kill();
    let variables = [("KAFKA_BOOTSTRAP_SERVERS", broker.address.as_str()), ("kafka.max.block.ms", "500")];
    let tells_of_an_attempt = |line: &str| {
        line.split_once("millstream_client::cluster: ").is_some_and(|(_, told)| told.contains(&broker.address))
    };
    for (command, clients) in [("data-producer", 2), ("data-consumer", 1)] {
        let service = Service::start(&["--log-level", "debug", command], &variables);
        let attempts = service.process.wait_for_complaints(10 * clients, tells_of_an_attempt);
        let complaints = attempts.iter().filter(|line| line.contains(" WARN ")).count();
        assert_eq!(complaints, clients, "{command}: {attempts:#?}");
    }
}

#[test]
fn a_service_finds_its_broker_where_the_name_has_come_to_stand_for_another_address() {
    let broker = Broker::start();
    let (here, port) = broker.address.rsplit_once(':').unwrap();
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.9 kafka\n").unwrap();
    let variables = [
        ("MILLSTREAM_HOSTS", hosts.to_str().unwrap()),
        ("KAFKA_BOOTSTRAP_SERVERS", &format!("kafka:{port}")),
        ("kafka.max.block.ms", "500"),
    ];
    let services = ["data-producer", "data-consumer"].map(|command| Service::start(&[command], &variables));
    for service in &services {
        service.wait_until_logged(" is away: ");
    }
    std::fs::write(&hosts, format!("{here} kafka\n")).unwrap();
    for service in &services {
        service.wait_until_logged("Connected to Kafka at ");
    }
    services[1].wait_until_logged("Received reactive message: ");
}

#[test]
fn in_rest_mode_the_consumer_hands_on_what_the_producer_measures_and_no_broker_is_asked_for() {
    let producer = Service::start(&["data-producer", "--mode", "rest"], &[]);
    let (host, port) = producer.address.rsplit_once(':').unwrap();
    let variables = [("APPLICATION_DATA_PRODUCER_URL", host), ("application.data-producer.port", port)];
    let consumer = Service::start(&["data-consumer", "--mode", "rest"], &variables);
    for service in [&producer, &consumer] {
        service.is_measurement("/data");
        for path in ["/health", "/health/live", "/health/ready"] {
            assert_eq!(service.get(path), (200, r#"{"status":"UP","checks":[]}"#.to_owned()), "{path}");
        }
        assert_eq!(service.get("/metrics").0, 200);
    }
}

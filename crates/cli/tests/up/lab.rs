//! `up` with a broker: the example of this project, topics that follow their resources, what a taken port is told.

use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;

use crate::harness::{Place, Port, text};

/// The examples with the broker on a port of this test's own.
fn examples(place: &Place, port: u16) -> String {
    copy(place, concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/amm-techlab"), port)
}

/// Manifests in which nothing but the port of the broker is another.
fn copy(place: &Place, folder: &str, port: u16) -> String {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("port: 9092", &format!("port: {port}"));
        place.manifest(&format!("lab/{name}"), &text.replace("bootstrap:9092", &format!("bootstrap:{port}")));
    }
    place.path("lab").display().to_string()
}

#[test]
fn the_example_brings_a_broker_a_topic_and_two_services_that_talk() {
    let place = Place::new();
    let reserved = Port::reserve();
    let port = reserved.number();
    let lab = examples(&place, port);
    let mut up = place.up(&["-f", &lab, "--routes", "127.0.0.1:0", "--durability", "os"]);
    for created in [
        "kafka.kafka.strimzi.io/amm-techlab created",
        "kafkatopic.kafka.strimzi.io/manual created",
        "deployment.apps/data-producer created",
        "service/data-producer created",
        "configmap/consumer-config created",
        "deployment.apps/data-consumer created",
        "service/data-consumer created",
        "route.route.openshift.io/data-consumer created",
    ] {
        up.line(|line| line == created);
    }
    up.line(|line| line.starts_with("kafka amm-techlab (plain)") && line.ends_with(&format!("localhost:{port}")));
    up.line(|line| line.contains("Received reactive message: {\"data\":"));

    let topics = place.ok(&["get", "KafkaTopic"]);
    assert!(topics.starts_with("NAME     CLUSTER       PARTITIONS   REPLICATION FACTOR   READY\nmanual   amm-techlab   1            1                    True\n"), "{topics}");
    let kafka = place.ok(&["get", "kafka", "amm-techlab", "-o", "yaml"]);
    assert!(kafka.contains("clusterId: "), "{kafka}");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    let records = records(&place, port);
    assert!(records > 0);

    up.signal(Signal::TERM);
    assert_eq!(up.end(), Some(0), "{:?}", up.seen());
    let mut again = place.up(&["-f", &lab, "--routes", "127.0.0.1:0", "--durability", "os"]);
    again.line(|line| line == "kafka.kafka.strimzi.io/amm-techlab unchanged");
    again.line(|line| line == "deployment.apps/data-consumer unchanged");
    again.line(|line| line.contains("Received reactive message: {\"data\":"));
    assert!(self::records(&place, port) > records, "it goes on behind what was there");
}

/// Records in the example's topic.
fn records(place: &Place, port: u16) -> u64 {
    let server = format!("localhost:{port}");
    let offsets = place.ok(&["get-offsets", "--bootstrap-server", &server, "--topic", "manual"]);
    offsets.trim_end().rsplit(':').next().and_then(|offset| offset.parse().ok()).expect(&offsets)
}

#[test]
fn the_labs_own_manifests_run_as_they_are() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/lab/manifests/03.0/3.2");
    if !std::path::Path::new(folder).exists() {
        // The lab is beside the project, not in it: a clone alone has the example, which another test runs.
        eprintln!("SKIPPED: the lab's manifests are not beside this project");
        return;
    }
    let place = Place::new();
    let reserved = Port::reserve();
    let port = reserved.number();
    let lab = copy(&place, folder, port);
    // The producer's image knows the lab's port by heart; the consumer reads it in its ConfigMap.
    let producer = std::fs::read_to_string(format!("{lab}/producer.yaml")).unwrap();
    let server = format!("{{name: kafka.bootstrap.servers, value: 'amm-techlab-kafka-bootstrap:{port}'}}");
    let told = producer.replacen("          ports:\n", &format!("          env: [{server}]\n          ports:\n"), 1);
    assert_ne!(told, producer);
    place.manifest("lab/producer.yaml", &told);
    let mut up = place.up(&["-f", &lab, "--routes", "127.0.0.1:0", "--durability", "os"]);
    up.line(|line| line == "configmap/consumer-config created");
    for field in ["spec.kafka.version", "spec.kafka.listeners[1]", "spec.zookeeper", "spec.entityOperator.userOperator"]
    {
        let warning = format!("Warning: kafka.kafka.strimzi.io/amm-techlab: {field}: ");
        up.line(|line| line.starts_with(&warning));
    }
    up.line(|line| line.starts_with("route data-consumer") && line.contains("http://data-consumer.localhost:"));
    up.line(|line| line.contains("Received reactive message: {\"data\":"));
    up.signal(Signal::INT);
    assert_eq!(up.end(), Some(0), "{:?}", up.seen());
    let mut again = place.up(&["-f", &lab, "--routes", "127.0.0.1:0", "--durability", "os"]);
    again.line(|line| line == "kafka.kafka.strimzi.io/amm-techlab unchanged");
    again.line(|line| line == "kafkatopic.kafka.strimzi.io/manual unchanged");
}

#[test]
fn without_a_manifest_there_is_a_broker_on_9092_that_makes_topics_on_demand() {
    let place = Place::new();
    let mut up = place.up(&["--routes", "127.0.0.1:0"]);
    let first = up.line(|line| line.starts_with("kafka millstream (plain)") || line.starts_with("error: "));
    if first.contains("cannot listen on 127.0.0.1:9092") && first.contains("in use") {
        // The port is the promise, so no other can be tried.
        return crate::harness::skip(&format!("another program has the port of the default broker: {first}"));
    }
    assert!(first.ends_with("   localhost:9092"), "{first}");
    let server = "localhost:9092";
    let sent = place.run_with_input(&["console-producer", "--bootstrap-server", server, "--topic", "new"], "hello\n");
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let read = ["--topic", "new", "--from-beginning", "--max-messages", "1", "--timeout-ms", "30000"];
    let read = [&["console-consumer", "--bootstrap-server", server][..], &read].concat();
    assert_eq!(place.ok(&read), "hello\n");
    up.signal(Signal::INT);
    assert_eq!(up.end(), Some(0), "{:?}", up.seen());
    let mut again = place.up(&["--routes", "127.0.0.1:0"]);
    again.line(|line| line == "kafka.kafka.strimzi.io/millstream unchanged");
    again.line(|line| line == "kafka millstream (plain)   localhost:9092");
    assert_eq!(place.ok(&read), "hello\n", "the data stays");
}

#[test]
fn a_topic_follows_its_resource_and_refuses_what_kafka_cannot_do() {
    let place = Place::new();
    let reserved = Port::reserve();
    let port = reserved.number();
    let lab = examples(&place, port);
    let kafka = format!("{lab}/01-kafka.yaml");
    let topic = |partitions: u32| {
        let text = std::fs::read_to_string(format!("{lab}/02-topic.yaml")).unwrap();
        place.manifest("topic.yaml", &text.replace("partitions: 1", &format!("partitions: {partitions}")))
    };
    let mut up = place.up(&["-f", &kafka, "-f", &topic(2), "--routes", "127.0.0.1:0", "--durability", "os"]);
    up.line(|line| line == "kafkatopic.kafka.strimzi.io/manual is ready");

    place.ok(&["apply", "-f", &topic(3)]);
    place.wait_for(&["get", "kt", "manual"], |out| out.contains("3            1                    True"));
    place.ok(&["apply", "-f", &topic(1)]);
    place.wait_for(&["get", "kt", "manual", "-o", "yaml"], |out| {
        out.contains("message: Decreasing partitions not supported") && out.contains("reason: NotSupported")
    });
    assert_eq!(place.ok(&["delete", "kt", "manual"]), "kafkatopic.kafka.strimzi.io \"manual\" deleted\n");
    assert!(place.fails(&["get", "kt", "manual"]).contains("NotFound"));
}

#[test]
fn a_port_in_use_is_one_sentence_and_a_failure() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let lab = examples(&place, taken.local_addr().unwrap().port());
    let mut up = place.up(&["-f", &format!("{lab}/01-kafka.yaml"), "--routes", "127.0.0.1:0"]);
    up.line(|line| line.starts_with("error: kafka.kafka.strimzi.io/amm-techlab: ") && line.contains("in use"));
    assert_eq!(up.end(), Some(1));
}

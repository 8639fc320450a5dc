//! `up` with a broker: the example of this project, topics that follow their resources, what a taken port is told.

use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;

use crate::harness::Place;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The examples with the broker on a port of this test's own.
fn examples(place: &Place, port: u16) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/amm-techlab");
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
    let port = free_port();
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

    up.signal(Signal::TERM);
    assert_eq!(up.end(), Some(0), "{:?}", up.seen());
    let mut again = place.up(&["-f", &lab, "--routes", "127.0.0.1:0", "--durability", "os"]);
    again.line(|line| line == "kafka.kafka.strimzi.io/amm-techlab unchanged");
    again.line(|line| line == "deployment.apps/data-consumer unchanged");
    again.line(|line| line.contains("Received reactive message: {\"data\":"));
}

#[test]
fn a_topic_follows_its_resource_and_refuses_what_kafka_cannot_do() {
    let place = Place::new();
    let port = free_port();
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

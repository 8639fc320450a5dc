//! A tool whose broker is away: it tries again in growing steps, complains once, and goes on when the broker is back.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::process::{Broker, Process};

/// Attempts to connect that find somebody who hangs up at once.
const ATTEMPTS: usize = 6;

fn produce(broker: &Broker, line: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(["console-producer", "--bootstrap-server", &broker.address, "--topic", "t"]);
    let mut producer = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    producer.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    assert!(producer.wait().unwrap().success());
}

#[test]
fn a_broker_that_stays_away_is_complained_of_once_and_reading_goes_on_when_it_is_back() {
    let mut broker = Broker::start();
    produce(&broker, "before\n");
    let arguments = ["console-consumer", "--bootstrap-server", &broker.address, "--topic", "t", "--group", "g"];
    let quickly = ["--from-beginning", "--command-property", "auto.commit.interval.ms=100"];
    let consumer = Process::start(&[&arguments[..], &quickly].concat(), &[]);
    consumer.wait_for("the first record", |line| (line == "before").then_some(()));
    broker.kill();
    let nobody = TcpListener::bind(&broker.address).unwrap();
    for _ in 0..ATTEMPTS {
        drop(nobody.accept().unwrap());
    }
    drop(nobody);
    broker.start_again();
    produce(&broker, "after\n");
    consumer.wait_for("the second record", |line| (line == "after").then_some(()));
    let complaints = consumer.complaints();
    let lost = complaints.iter().filter(|line| line.contains("could not be established")).count();
    assert_eq!(lost, 1, "{complaints:#?}");
    // The auto commit that failed is told of too, once.
    assert!(complaints.len() <= 2, "{complaints:#?}");
}

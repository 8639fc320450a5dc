//! The system calls of a real broker, in the order in which they ended.
//!
//! A client sends one record after the other, each when the one before is acknowledged (acks=all). So when the broker
//! receives a record, it has answered the one before; and by then a synced write that holds the one before must have
//! ended. `strace` writes down both.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::requirement::missing;
use crate::trace::{self, Event};
use millstream_client::{ClientConfig, Producer, ProducerRecord};

const RECORDS: usize = 200;
const TOPIC: &str = "traced";

/// A broker under strace.
struct Traced {
    strace: Child,
    address: String,
}

impl Traced {
    fn start(directory: &Path, durability: &str) -> Self {
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-y", "-s", "65536", "-e", "trace=pwritev2,recvfrom", "-o"])
            .arg(directory.join("trace"))
            .arg(env!("CARGO_BIN_EXE_millstream"))
            .args(["broker", "--listen", "127.0.0.1:0", "--http", "off", "--durability", durability, "--data-dir"])
            .arg(directory.join("data"))
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(strace.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("the broker says where it listens").to_owned();
        Self { strace, address }
    }

    /// Ends the broker, and strace with it.
    fn stop(mut self) {
        let pid = self.strace.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let broker = children.split_whitespace().next().expect("strace has one child").parse().unwrap();
        let broker = rustix::process::Pid::from_raw(broker).unwrap();
        rustix::process::kill_process(broker, rustix::process::Signal::TERM).unwrap();
        assert!(self.strace.wait().unwrap().success(), "the broker did not end cleanly");
    }
}

fn value(number: usize) -> String {
    format!("traced-record-{number:06}.")
}

/// Sends the records one by one and answers what the broker did meanwhile.
fn trace_of(durability: &str) -> Vec<Event> {
    // Not in the system's folder for temporary files, which may be in memory: there is nothing to sync there.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let broker = Traced::start(directory.path(), durability);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let producer = Producer::new(&ClientConfig::new(broker.address.clone()).with("acks", "all")).unwrap();
        for number in 0..RECORDS {
            producer.send(ProducerRecord::new(TOPIC, value(number))).await.unwrap().wait().await.unwrap();
        }
    });
    broker.stop();
    let text = fs::read(directory.path().join("trace")).unwrap();
    trace::events(&String::from_utf8_lossy(&text))
}

/// Whether there is a strace; with CI=true there must be.
pub(crate) fn can_trace() -> bool {
    let found = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        missing("strace", "it is not installed (on Debian: apt-get install strace)");
    }
    found
}

#[test]
fn every_acknowledged_record_was_in_a_synced_write_that_had_ended() {
    if !can_trace() {
        return;
    }
    let events = trace_of("fsync");
    for number in 0..RECORDS - 1 {
        let synced = events.iter().position(|event| event.is_synced_write() && event.holds(&value(number)));
        let next = events.iter().position(|event| event.is_receipt() && event.holds(&value(number + 1)));
        let (synced, next) = (synced.expect("no synced write holds the record"), next.expect("the next was received"));
        assert!(synced < next, "record {number} was acknowledged before its synced write had ended");
    }
}

/// The check above can fail: with `os` there is no such write.
#[test]
fn with_durability_os_nothing_is_synced_for_the_answer() {
    if !can_trace() {
        return;
    }
    let events = trace_of("os");
    assert!(events.iter().any(|event| event.is_receipt() && event.holds(&value(RECORDS - 1))));
    assert!(!events.iter().any(|event| event.is_synced_write() && event.holds(&value(0))));
}

//! A device that fails: the broker ends with one clear sentence, has acknowledged nothing that is not durable, and the
//! next start recovers. `strace` makes the system calls fail.

use std::ffi::OsString;
use std::path::Path;

use millstream_client::{Producer, ProducerRecord, TopicPartition};
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, Starter};
use crate::gate::Gate;
use crate::history::{Sender, Value};
use crate::reading::everything;
use crate::synced::can_trace;
use crate::workload::Scene;

const SENDER: u32 = 1;
pub(crate) const RECORDS: u64 = 50;

/// Whether a start finds the topics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Topics {
    AreThere,
    AreToBeMade,
}

/// A broker whose device may fail, and what a client was told.
pub(crate) struct Device {
    pub(crate) scene: Scene,
    gate: Gate,
    pub(crate) starter: Starter,
    sent: u64,
}

impl Device {
    pub(crate) async fn new(directory: &Path) -> Self {
        let gate = Gate::open().await;
        let address = gate.address.to_string();
        let starter = Starter::new(directory).with(&["--advertised", &address]);
        let scene = Scene { address, history: Default::default(), stop: CancellationToken::new() };
        scene.history().add_sender(SENDER, Sender::Once);
        Self { scene, gate, starter, sent: 0 }
    }

    pub(crate) fn lead_to(&self, broker: Broker) -> Broker {
        self.lead_to_it(&broker);
        broker
    }

    pub(crate) fn lead_to_it(&self, broker: &Broker) {
        self.gate.lead_to(Some(broker.address));
    }

    /// Sends records one by one until one is not acknowledged, or they are enough.
    pub(crate) async fn produce(&mut self) {
        let config = self.scene.config().with("retries", "0").with("linger.ms", "0").with("acks", "all");
        let producer = Producer::new(&config).unwrap();
        let partition = TopicPartition::new("one", 0);
        for _ in 0..RECORDS {
            let value = Value { sender: SENDER, number: self.sent };
            self.sent += 1;
            self.scene.history().sending(value, &partition);
            let record = ProducerRecord::new("one", value.bytes(100)).with_partition(0);
            let Ok(sent) = producer.send(record).await else { return };
            let Ok(record) = sent.wait().await else { return };
            self.scene.history().acknowledged(value, &partition, record.offset);
        }
    }

    /// A start without faults, after which everything is as it was promised.
    pub(crate) async fn recovers(&mut self) {
        self.recovers_and_makes(Topics::AreThere).await;
    }

    /// The same; the topics may have to be made first.
    pub(crate) async fn recovers_and_makes(&mut self, topics: Topics) {
        let before = self.scene.history().acknowledged_count();
        let broker = self.lead_to(self.starter.start().await);
        if topics == Topics::AreToBeMade {
            self.scene.make_topics().await;
        }
        self.produce().await;
        assert_eq!(self.scene.history().acknowledged_count(), before + RECORDS as usize);
        let found = everything(&self.scene).await;
        assert_eq!(self.scene.history().check(&found), []);
        assert!(broker.stop().await.success());
        assert!(!self.starter.log().contains("panicked"), "{}", self.starter.log());
    }

    /// Says that the log ends with a sentence for whoever runs the broker.
    fn assert_says(&self, sentence: &[&str]) {
        let log = self.starter.log();
        let last = log.lines().last().unwrap_or_default();
        assert!(sentence.iter().all(|part| last.contains(part)), "the last line of: {log}");
    }
}

/// strace that lets one call of a kind on a file fail, in each thread the one with this number.
fn failing(call: &str, file: &Path, number: u32) -> Vec<OsString> {
    let inject = format!("inject={call}:error=EIO:when={number}");
    let trace = format!("trace={call}");
    let words = ["strace", "-f", "-qqq", "-e", &trace, "-e", &inject, "-o", "/dev/null", "-P"].map(OsString::from);
    words.into_iter().chain([file.as_os_str().to_owned()]).collect()
}

fn run(test: impl AsyncFnOnce(Device, &Path)) {
    if !can_trace() {
        return;
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(Device::new(directory.path()).await, directory.path()).await });
}

#[test]
fn a_failed_write_of_the_lane_ends_the_broker() {
    run(async |mut device, directory| {
        let lane = directory.join("data/lane/00000000.slots");
        let mut broker = device.lead_to(device.starter.clone().under(failing("pwritev2", &lane, 3)).start().await);
        device.scene.make_topics().await;
        device.produce().await;
        let acknowledged = device.scene.history().acknowledged_count();
        assert!((1..RECORDS as usize).contains(&acknowledged), "{acknowledged} of {RECORDS}");
        assert_eq!(broker.ended().await.code(), Some(1));
        device.assert_says(&[
            "the storage has failed: write",
            "lane/00000000.slots",
            "Input/output error",
            "start again",
        ]);
        device.recovers().await;
    });
}

#[test]
fn a_failed_sync_at_shutdown_is_told_and_recovered_from() {
    run(async |mut device, directory| {
        let segment = directory.join("data/kafka/one-0/00000000000000000000.log");
        let broker = device.lead_to(device.starter.clone().under(failing("fdatasync", &segment, 1)).start().await);
        device.scene.make_topics().await;
        device.produce().await;
        assert_eq!(broker.stop().await.code(), Some(1));
        device.assert_says(&["error: the logs were not closed; the next start recovers"]);
        device.recovers().await;
    });
}

#[test]
fn a_failed_sync_during_recovery_ends_the_start() {
    run(async |mut device, directory| {
        let broker = device.lead_to(device.starter.start().await);
        device.scene.make_topics().await;
        device.produce().await;
        broker.kill().await;
        let segment = directory.join("data/kafka/one-0/00000000000000000000.log");
        device.starter.clone().under(failing("fdatasync", &segment, 1)).refusal().await;
        device.assert_says(&["error: sync", "one-0/00000000000000000000.log", "Input/output error"]);
        device.recovers().await;
    });
}

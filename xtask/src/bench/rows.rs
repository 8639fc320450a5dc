//! The rows of the comparison: what is loaded how, and which figures come of it.
//!
//! To add one: an entry in `ROWS`. A row is never left out because it is slower. The two rows that are not loads, `start`
//! and `memory`, are measured by the run itself.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{
    contestant::{Contestant, Report, words},
    figures::{self, Measured},
    measure::{Counters, Spent},
    pages::WarmPages,
};

pub(super) struct Row {
    /// For `--rows`.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) note: &'static str,
    /// Of Millstream's topic.
    durability: &'static str,
    /// Of Kafka's topic.
    kafka_config: &'static [(&'static str, &'static str)],
    load: Load,
}

enum Load {
    Produce(Produce),
    Fetch { connections: u32, tail: bool },
    EndToEnd { records: u64, rate: Option<u32> },
    Create { topics: u32, partitions_each: u32 },
}

struct Produce {
    connections: u32,
    acks: &'static str,
    batch: &'static str,
    record: &'static str,
    codec: &'static str,
    in_flight: u32,
    amount: Amount,
}

#[derive(Clone, Copy)]
enum Amount {
    Megabytes(u64),
    /// Requests with one record each: costs are given per request.
    Requests(u64),
}

/// 1 MB batches of 1 KiB records.
const LARGE: Produce = Produce {
    connections: 1,
    acks: "1",
    batch: "1M",
    record: "1Ki",
    codec: "none",
    in_flight: 5,
    amount: Amount::Megabytes(2000),
};
const FSYNC_NOTE: &str = "Millstream answers when the records are on the disk. Kafka, at its defaults, answers when they are in the page cache \
     and syncs nothing.";
const FLUSH_NOTE: &str = "Both answer when the records are on the disk: Kafka's topic has `flush.messages=1`.";
const FLUSH: &[(&str, &str)] = &[("flush.messages", "1")];

const fn row(name: &'static str, title: &'static str, note: &'static str, durability: &'static str, load: Load) -> Row {
    Row { name, title, note, durability, kafka_config: &[], load }
}

pub(super) static ROWS: [Row; 17] = [
    row("produce-1", "Produce 1 MB batches, acks=1, 1 connection", OS_NOTE, "os", Load::Produce(LARGE)),
    row(
        "produce-4",
        "Produce 1 MB batches, acks=1, 4 connections",
        OS_NOTE,
        "os",
        Load::Produce(Produce { connections: 4, ..LARGE }),
    ),
    row(
        "produce-fsync-1",
        "Produce 1 MB batches, acks=all, durable against not, 1 connection",
        FSYNC_NOTE,
        "fsync",
        Load::Produce(Produce { acks: "all", ..LARGE }),
    ),
    row(
        "produce-fsync-4",
        "Produce 1 MB batches, acks=all, durable against not, 4 connections",
        FSYNC_NOTE,
        "fsync",
        Load::Produce(Produce { acks: "all", connections: 4, ..LARGE }),
    ),
    Row {
        kafka_config: FLUSH,
        ..row(
            "produce-flush-1",
            "Produce 1 MB batches, acks=all, both durable, 1 connection",
            FLUSH_NOTE,
            "fsync",
            Load::Produce(Produce { acks: "all", amount: Amount::Megabytes(1000), ..LARGE }),
        )
    },
    Row {
        kafka_config: FLUSH,
        ..row(
            "produce-flush-4",
            "Produce 1 MB batches, acks=all, both durable, 4 connections",
            FLUSH_NOTE,
            "fsync",
            Load::Produce(Produce { acks: "all", connections: 4, amount: Amount::Megabytes(1000), ..LARGE }),
        )
    },
    row(
        "produce-16k",
        "Produce 16 KiB batches, acks=1, 1 connection",
        "The Java producer's default batch size. Durability as Kafka's default.",
        "os",
        Load::Produce(Produce { batch: "16Ki", amount: Amount::Megabytes(1000), ..LARGE }),
    ),
    row(
        "produce-lz4",
        "Produce 1 MB batches in lz4, acks=1, 1 connection",
        "Bytes are those of the compressed batches. Durability as Kafka's default.",
        "os",
        Load::Produce(Produce { codec: "lz4", amount: Amount::Megabytes(1000), ..LARGE }),
    ),
    row(
        "one-record",
        "Produce one record of 100 B per request, acks=1, 1 connection, 64 in flight",
        OS_NOTE,
        "os",
        Load::Produce(Produce { batch: "1", record: "100", in_flight: 64, amount: Amount::Requests(150_000), ..LARGE }),
    ),
    row(
        "fetch-1",
        "Fetch from segments, 1 connection, 1 MiB answers",
        SEGMENTS_NOTE,
        "os",
        Load::Fetch { connections: 1, tail: false },
    ),
    row(
        "fetch-4",
        "Fetch from segments, 4 connections, 1 MiB answers",
        SEGMENTS_NOTE,
        "os",
        Load::Fetch { connections: 4, tail: false },
    ),
    row("tail-1", "Fetch from the tail, 1 connection, 1 MiB answers", TAIL_NOTE, "fsync", TAIL_1),
    row(
        "tail-4",
        "Fetch from the tail, 4 connections, 1 MiB answers",
        TAIL_NOTE,
        "fsync",
        Load::Fetch { connections: 4, tail: true },
    ),
    row(
        "e2e-os",
        "End to end, 100 B, acks=all, back to back",
        "From sending a record until a consumer that waits in a long poll has it. Durability as Kafka's default.",
        "os",
        Load::EndToEnd { records: 20_000, rate: None },
    ),
    row(
        "e2e-os-rate",
        "End to end, 100 B, acks=all, 1,000 records a second",
        "As above at a rate, so that both brokers fall asleep between two records.",
        "os",
        Load::EndToEnd { records: 4000, rate: Some(1000) },
    ),
    row(
        "e2e-fsync",
        "End to end, 100 B, acks=all, back to back, durable against not",
        FSYNC_NOTE,
        "fsync",
        Load::EndToEnd { records: 10_000, rate: None },
    ),
    row(
        "create",
        "Create 1,000 partitions: 100 topics of 10 in one request",
        "Until the leader of every partition answers ListOffsets.",
        "fsync",
        Load::Create { topics: 100, partitions_each: 10 },
    ),
];

const OS_NOTE: &str = "Both answer when the records are in the page cache, as Kafka does by default.";
const SEGMENTS_NOTE: &str = "2 GB of 1 MB batches, read from the start again and again; the page cache holds them.";
const TAIL_NOTE: &str = "The last 7 MB of each partition, read again and again just after they were produced.";
const TAIL_1: Load = Load::Fetch { connections: 1, tail: true };
/// Seven batches of 1 MB hold as many records of 1 KiB.
const TAIL_RECORDS: &str = "-6755";
const COLD_PAUSE: Duration = Duration::from_secs(5);

/// How much of a row is run, and on which pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    /// Amounts are divided by this.
    pub(super) divisor: u64,
    pub(super) warm: bool,
}

impl Conditions {
    pub(super) fn warm_up(self) -> WarmUp {
        WarmUp { bytes: 5_000_000_000 / self.divisor, requests: 100_000 / self.divisor }
    }
}

/// What each broker does before anything counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct WarmUp {
    pub(super) bytes: u64,
    /// With one record each.
    pub(super) requests: u64,
}

impl Row {
    /// What has to be there before the first run.
    pub(super) fn prepare(&self, broker: &Contestant, conditions: Conditions) -> Result<()> {
        let Load::Fetch { connections, tail: false } = self.load else { return Ok(()) };
        self.fill(broker, connections, 2_000_000_000 / conditions.divisor)
    }

    /// Runs the load once.
    pub(super) fn run(&self, broker: &Contestant, conditions: Conditions) -> Result<Measured> {
        match &self.load {
            Load::Produce(load) => self.produce(load, broker, conditions),
            Load::Fetch { connections, tail } => self.fetch(*connections, *tail, broker, conditions),
            Load::EndToEnd { records, rate } => self.end_to_end(*records / conditions.divisor, *rate, broker),
            Load::Create { topics, partitions_each } => create(*topics, *partitions_each, broker),
        }
    }

    /// Removes what `prepare` made.
    pub(super) fn clear(&self, broker: &Contestant) -> Result<()> {
        if let Load::Fetch { tail: false, .. } = self.load { broker.delete(self.name) } else { Ok(()) }
    }

    fn topic(&self, broker: &Contestant, partitions: u32) -> Result<()> {
        let ours = [("millstream.durability", self.durability)];
        broker.create(self.name, partitions, if broker.is_kafka() { self.kafka_config } else { &ours })
    }

    fn fill(&self, broker: &Contestant, partitions: u32, bytes: u64) -> Result<()> {
        self.topic(broker, partitions)?;
        let words = words(&["produce", "--topic", self.name, "--acks", "1", "--bytes", &bytes.to_string()]);
        broker.load(&words)?;
        broker.settle()
    }

    fn produce(&self, load: &Produce, broker: &Contestant, conditions: Conditions) -> Result<Measured> {
        let (limit, amount, page_bytes) = match load.amount {
            Amount::Megabytes(count) => ("--bytes", count * 1_000_000, count * 1_000_000),
            Amount::Requests(count) => ("--requests", count, count * 200),
        };
        self.topic(broker, load.connections)?;
        let (connections, in_flight) = (load.connections.to_string(), load.in_flight.to_string());
        let amount = (amount / conditions.divisor).to_string();
        let mut line = vec!["produce", "--topic", self.name, "--connections", &connections, "--in-flight", &in_flight];
        line.extend(["--acks", load.acks, "--batch-size", load.batch, "--record-size", load.record]);
        line.extend(["--compression", load.codec, limit, &amount]);
        let pages = warm(conditions, page_bytes)?;
        let cost = Cost::of(broker, &words(&line))?;
        drop(pages);
        broker.delete(self.name)?;
        let mut measured = match load.amount {
            Amount::Megabytes(_) => cost.per_gigabyte(),
            Amount::Requests(_) => cost.per_request(),
        };
        measured.extend(cost.written());
        measured.extend(cost.latency()?);
        Ok(measured)
    }

    fn fetch(&self, connections: u32, tail: bool, broker: &Contestant, conditions: Conditions) -> Result<Measured> {
        let from = if tail { TAIL_RECORDS } else { "earliest" };
        if tail {
            self.fill(broker, connections, u64::from(connections) * 64_000_000)?;
        }
        let bytes = (4_000_000_000 / conditions.divisor).to_string();
        let connections = connections.to_string();
        let mut line = vec!["fetch", "--topic", self.name, "--connections", &connections, "--from", from];
        line.extend(["--at-end", "again", "--max-bytes", "1Mi", "--bytes", &bytes]);
        let cost = Cost::of(broker, &words(&line))?;
        if tail {
            broker.delete(self.name)?;
        }
        let mut measured = cost.per_gigabyte();
        measured.extend(cost.latency()?);
        Ok(measured)
    }

    fn end_to_end(&self, records: u64, rate: Option<u32>, broker: &Contestant) -> Result<Measured> {
        self.topic(broker, 1)?;
        let mut line = words(&["e2e", "--topic", self.name, "--record-size", "100", "--acks", "all"]);
        line.extend(["--requests".to_owned(), records.to_string()]);
        line.extend(rate.into_iter().flat_map(|rate| ["--rate".to_owned(), rate.to_string()]));
        let cost = Cost::of(broker, &line)?;
        broker.delete(self.name)?;
        let mut measured = cost.latency()?;
        measured.extend(cost.per_request().into_iter().filter(|(figure, _)| *figure != figures::REQUESTS));
        Ok(measured)
    }
}

fn create(topics: u32, partitions_each: u32, broker: &Contestant) -> Result<Measured> {
    let (count, each) = (topics.to_string(), partitions_each.to_string());
    let named = ["--topic", "create", "--count", &count, "--per-request", &count];
    let cost = Cost::of(broker, &words(&[&["create-topics", "--partitions", &each][..], &named].concat()))?;
    broker.load(&words(&[&["delete-topics"][..], &named].concat()))?;
    broker.rest()?;
    Ok(vec![(figures::CREATE, cost.report.seconds * 1e3), (figures::CREATE_CPU, cost.spent.broker_cpu * 1e3)])
}

/// The same pages for both brokers.
fn warm(conditions: Conditions, bytes: u64) -> Result<Option<WarmPages>> {
    if conditions.warm {
        return WarmPages::hold(bytes / conditions.divisor).map(Some);
    }
    // As long as it takes until the system has given free memory back.
    std::thread::park_timeout(COLD_PAUSE);
    Ok(None)
}

/// What a load cost, until everything that it caused was done: background writes, and the file system's.
struct Cost {
    report: Report,
    spent: Spent,
}

impl Cost {
    fn of(broker: &Contestant, load: &[String]) -> Result<Self> {
        let pid = broker.pid()?;
        let before = Counters::read(pid, &broker.data)?;
        let report = broker.load(load)?;
        broker.settle()?;
        let mut spent = Counters::read(pid, &broker.data)?.since(&before)?;
        spent.machine_cpu -= report.generator_cpu_seconds;
        Ok(Self { report, spent })
    }

    fn per_gigabyte(&self) -> Measured {
        let gigabytes = self.report.bytes as f64 / 1e9;
        vec![
            (figures::THROUGHPUT, self.report.megabytes_per_second),
            (figures::BROKER_CPU, self.spent.broker_cpu / gigabytes),
            (figures::MACHINE_CPU, self.spent.machine_cpu / gigabytes),
        ]
    }

    fn per_request(&self) -> Measured {
        let each = |seconds: f64| seconds / self.report.requests as f64 * 1e6;
        vec![
            (figures::REQUESTS, self.report.requests_per_second),
            (figures::REQUEST_CPU, each(self.spent.broker_cpu)),
            (figures::MACHINE_REQUEST_CPU, each(self.spent.machine_cpu)),
        ]
    }

    fn written(&self) -> Measured {
        let per_byte = |written: u64| written as f64 / self.report.bytes as f64;
        let disk = self.spent.disk_written.map(|written| (figures::DISK_WRITTEN, per_byte(written)));
        [(figures::WRITTEN, per_byte(self.spent.broker_written))].into_iter().chain(disk).collect()
    }

    fn latency(&self) -> Result<Measured> {
        let latency = self.report.latency.context("a load without latencies")?;
        let ms = |us: f64| us / 1e3;
        Ok(vec![
            (figures::P50, ms(latency.p50_us)),
            (figures::P99, ms(latency.p99_us)),
            (figures::P999, ms(latency.p999_us)),
            (figures::MAX, ms(latency.max_us)),
        ])
    }
}

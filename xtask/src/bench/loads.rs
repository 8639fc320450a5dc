//! The loads of `millstream bench` as rows run them: produce, fetch, end to end, create; and what a load costs.

use anyhow::{Context, Result};

use super::{
    contestant::{Contestant, Report, words},
    figures::{self, Measured},
    measure::{Counters, Spent},
    pages::{self, WarmPages},
    rows::{Conditions, Topic},
};

/// How long the disk is probed beside a row.
const PROBE_SECONDS: f64 = 2.0;
/// Seven batches of 1 MB hold as many records of 1 KiB.
const TAIL_RECORDS: &str = "-6755";

pub(super) struct Produce {
    pub(super) connections: u32,
    /// 0: as many as connections.
    pub(super) partitions: u32,
    pub(super) per_request: u32,
    pub(super) acks: &'static str,
    pub(super) batch: &'static str,
    pub(super) record: &'static str,
    pub(super) codec: &'static str,
    pub(super) in_flight: u32,
    pub(super) amount: Amount,
    pub(super) cold: bool,
    pub(super) beside: Beside,
}

#[derive(Clone, Copy)]
pub(super) enum Amount {
    Megabytes(u64),
    /// Requests with one record or one small batch each: costs are given per request.
    Requests(u64),
}

/// Which figure of the disk's own synced writes stands beside a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    /// One write of 4 KiB at a time.
    Latency,
    /// Writes of 4 KiB, as many at once as the load has requests in flight.
    Rate,
    /// Writes of 1 MiB, likewise.
    Bandwidth,
}

impl Produce {
    /// 1 MB batches of 1 KiB records.
    pub(super) const LARGE: Self = Self {
        connections: 1,
        partitions: 0,
        per_request: 1,
        acks: "1",
        batch: "1M",
        record: "1Ki",
        codec: "none",
        in_flight: 5,
        amount: Amount::Megabytes(2000),
        cold: false,
        beside: Beside::Nothing,
    };
    /// One partition, and so many connections with a request each.
    pub(super) const SMALL_DURABLE: Self = Self {
        partitions: 1,
        acks: "all",
        batch: "4Ki",
        in_flight: 1,
        amount: Amount::Requests(20_000),
        beside: Beside::Latency,
        ..Self::LARGE
    };
    pub(super) const LARGE_DURABLE: Self =
        Self { acks: "all", batch: "1Mi", amount: Amount::Megabytes(1000), beside: Beside::Bandwidth, ..Self::LARGE };

    pub(super) fn run(
        &self,
        name: &str,
        topic: Topic,
        broker: &Contestant,
        conditions: Conditions,
    ) -> Result<Measured> {
        let (limit, amount, page_bytes) = match self.amount {
            Amount::Megabytes(count) => ("--bytes", count * 1_000_000, count * 1_000_000),
            Amount::Requests(count) => ("--requests", count, count * 4200),
        };
        topic.create(name, if self.partitions == 0 { self.connections } else { self.partitions }, broker)?;
        let amount = conditions.scaled(amount).to_string();
        let numbers = [self.connections, self.in_flight, self.per_request].map(|number| number.to_string());
        let mut line = vec!["produce", "--topic", name, "--connections", &numbers[0], "--in-flight", &numbers[1]];
        line.extend(["--partitions-per-request", &numbers[2], "--acks", self.acks, "--batch-size", self.batch]);
        line.extend(["--record-size", self.record, "--compression", self.codec, limit, &amount]);
        let disk = Disk::probe(self.beside, self.connections * self.in_flight, broker)?;
        let pages = if self.cold {
            pages::cool()?;
            None
        } else {
            Some(WarmPages::hold(conditions.scaled(page_bytes))?)
        };
        let cost = Cost::of(broker, &words(&line))?;
        drop(pages);
        broker.delete(name)?;
        let mut measured = match self.amount {
            Amount::Megabytes(_) => cost.per_gigabyte(),
            Amount::Requests(_) => cost.per_request(),
        };
        measured.extend(cost.written());
        measured.extend(cost.latency()?);
        measured.extend(disk.map(|disk| disk.beside(&cost.report)).transpose()?.into_iter().flatten());
        Ok(measured)
    }
}

pub(super) struct Fetch {
    pub(super) connections: u32,
    pub(super) tail: bool,
}

impl Fetch {
    pub(super) fn prepare(&self, name: &str, broker: &Contestant, conditions: Conditions) -> Result<()> {
        if self.tail {
            return Ok(());
        }
        self.fill(name, Topic::PAGE_CACHE, broker, conditions.scaled(2_000_000_000))
    }

    fn fill(&self, name: &str, topic: Topic, broker: &Contestant, bytes: u64) -> Result<()> {
        topic.create(name, self.connections, broker)?;
        broker.load(&words(&["produce", "--topic", name, "--acks", "1", "--bytes", &bytes.to_string()]))?;
        broker.settle()
    }

    pub(super) fn run(&self, name: &str, broker: &Contestant, conditions: Conditions) -> Result<Measured> {
        let from = if self.tail { TAIL_RECORDS } else { "earliest" };
        if self.tail {
            self.fill(name, Topic::DURABLE, broker, u64::from(self.connections) * 64_000_000)?;
        }
        let bytes = conditions.scaled(4_000_000_000).to_string();
        let connections = self.connections.to_string();
        let mut line = vec!["fetch", "--topic", name, "--connections", &connections, "--from", from];
        line.extend(["--at-end", "again", "--max-bytes", "1Mi", "--bytes", &bytes]);
        let cost = Cost::of(broker, &words(&line))?;
        if self.tail {
            broker.delete(name)?;
        }
        let mut measured = cost.per_gigabyte();
        measured.extend(cost.latency()?);
        Ok(measured)
    }
}

/// The topic is there.
pub(super) fn end_to_end(
    name: &str,
    records: u64,
    rate: Option<u32>,
    beside: Beside,
    broker: &Contestant,
) -> Result<Measured> {
    let mut line = words(&["e2e", "--topic", name, "--record-size", "100", "--acks", "all"]);
    line.extend(["--requests".to_owned(), records.to_string()]);
    line.extend(rate.into_iter().flat_map(|rate| ["--rate".to_owned(), rate.to_string()]));
    let disk = Disk::probe(beside, 1, broker)?;
    let cost = Cost::of(broker, &line)?;
    broker.delete(name)?;
    let mut measured = cost.latency()?;
    measured.extend(cost.per_request().into_iter().filter(|(figure, _)| *figure != figures::REQUESTS));
    measured.extend(disk.map(|disk| disk.beside(&cost.report)).transpose()?.into_iter().flatten());
    Ok(measured)
}

pub(super) fn create(topics: u32, partitions_each: u32, broker: &Contestant) -> Result<Measured> {
    let (count, each) = (topics.to_string(), partitions_each.to_string());
    let named = ["--topic", "create", "--count", &count, "--per-request", &count];
    let cost = Cost::of(broker, &words(&[&["create-topics", "--partitions", &each][..], &named].concat()))?;
    broker.load(&words(&[&["delete-topics"][..], &named].concat()))?;
    broker.rest()?;
    Ok(vec![(figures::CREATE, cost.report.seconds * 1e3), (figures::CREATE_CPU, cost.spent.broker_cpu * 1e3)])
}

/// What the disk did just before a load.
struct Disk {
    beside: Beside,
    report: Report,
}

impl Disk {
    fn probe(beside: Beside, depth: u32, broker: &Contestant) -> Result<Option<Self>> {
        let (write, depth) = match beside {
            Beside::Nothing => return Ok(None),
            Beside::Latency => ("4Ki", 1),
            Beside::Rate => ("4Ki", depth),
            Beside::Bandwidth => ("1Mi", depth),
        };
        broker.settle()?;
        Ok(Some(Self { beside, report: broker.disk(write, depth, PROBE_SECONDS)? }))
    }

    fn beside(&self, load: &Report) -> Result<Measured> {
        let p50_ms = |report: &Report| report.latency.map(|latency| latency.p50_us / 1e3).context("no latencies");
        Ok(match self.beside {
            Beside::Nothing => Vec::new(),
            Beside::Latency => {
                let disk = p50_ms(&self.report)?;
                vec![(figures::DISK_P50, disk), (figures::OVER_DISK, p50_ms(load)? - disk)]
            }
            Beside::Rate => {
                let disk = self.report.requests_per_second;
                vec![(figures::DISK_RATE, disk), (figures::DISK_RATE_SHARE, load.requests_per_second / disk)]
            }
            Beside::Bandwidth => {
                let disk = self.report.megabytes_per_second;
                vec![(figures::DISK_BANDWIDTH, disk), (figures::DISK_BANDWIDTH_SHARE, load.megabytes_per_second / disk)]
            }
        })
    }
}

/// What a load cost, until everything that it caused was done: background writes, and the file system's.
pub(super) struct Cost {
    pub(super) report: Report,
    pub(super) spent: Spent,
}

impl Cost {
    pub(super) fn of(broker: &Contestant, load: &[String]) -> Result<Self> {
        Self::around(broker, || {
            let report = broker.load(load)?;
            let generator = report.generator_cpu_seconds;
            Ok((report, generator))
        })
    }

    /// Of a load that says itself what CPU it used.
    pub(super) fn around(broker: &Contestant, load: impl FnOnce() -> Result<(Report, f64)>) -> Result<Self> {
        let pid = broker.pid()?;
        let before = Counters::read(pid, &broker.data)?;
        let (report, generator_cpu) = load()?;
        broker.settle()?;
        let mut spent = Counters::read(pid, &broker.data)?.since(&before)?;
        spent.machine_cpu -= generator_cpu;
        Ok(Self { report, spent })
    }

    pub(super) fn per_gigabyte(&self) -> Measured {
        let gigabytes = self.report.bytes as f64 / 1e9;
        vec![
            (figures::THROUGHPUT, self.report.megabytes_per_second),
            (figures::BROKER_CPU, self.spent.broker_cpu / gigabytes),
            (figures::MACHINE_CPU, self.spent.machine_cpu / gigabytes),
        ]
    }

    fn per_request(&self) -> Measured {
        let each = |seconds: f64| seconds / self.report.requests as f64 * 1e6;
        let mut measured = vec![
            (figures::REQUESTS, self.report.requests_per_second),
            (figures::REQUEST_CPU, each(self.spent.broker_cpu)),
            (figures::MACHINE_REQUEST_CPU, each(self.spent.machine_cpu)),
        ];
        let requests = self.report.requests as f64;
        measured.extend(self.spent.disk_flushes.map(|flushes| (figures::FLUSHES, flushes as f64 / requests)));
        measured
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

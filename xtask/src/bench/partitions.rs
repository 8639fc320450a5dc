//! Rows with many partitions: made, used, found again after a stop and after a kill. Each on a broker of its own.

use std::{fs, time::Instant};

use anyhow::{Context, Result};

use super::{
    contestant::{Contestant, words},
    figures::{self, Measured},
    idle::mebibytes,
    measure,
    rows::Conditions,
};

/// How many, and what is done with them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    topics: u64,
    partitions_each: u64,
    /// Topics in one request: Kafka refuses one that makes more than 10,000 records of its metadata.
    per_request: &'static str,
    /// Whether each partition gets a record and the broker is killed; otherwise single records go to a topic's partitions.
    used_and_killed: bool,
}

/// Records to partitions in random order, one in flight.
const RANDOM_RECORDS: u64 = 20_000;

impl Scale {
    pub(super) const TEN_THOUSAND: Self =
        Self { topics: 10, partitions_each: 1000, per_request: "5", used_and_killed: true };
    pub(super) const HUNDRED_THOUSAND: Self =
        Self { topics: 20, partitions_each: 5000, per_request: "1", used_and_killed: false };
}

pub(super) fn run(scale: &Scale, broker: &Contestant, conditions: Conditions) -> Result<Measured> {
    let mut fresh = broker.fresh()?;
    fresh.start()?;
    fresh.rest()?;
    let each = conditions.scaled(scale.partitions_each);
    let topics = scale.topics.to_string();
    let named = ["--topic", "many", "--count", &topics];
    let (pid, begun) = (fresh.pid()?, Instant::now());
    let cpu = measure::broker_cpu(pid)?;
    let shape = ["create-topics", "--partitions", &each.to_string(), "--per-request", scale.per_request];
    fresh.load(&words(&[&shape[..], &named].concat()))?;
    let created = begun.elapsed().as_secs_f64() * 1e3;
    let cpu = (measure::broker_cpu(pid)? - cpu) * 1e3;
    fresh.rest()?;
    let mut measured = vec![(figures::CREATE, created), (figures::CREATE_CPU, cpu)];
    measured.push((figures::CREATED_MEMORY, memory(&fresh)?));
    if scale.used_and_killed {
        measured.extend(use_and_kill(&mut fresh, scale.topics, each, &words(&named))?);
    } else {
        measured.extend(restart_and_produce(&mut fresh, each, &words(&named), conditions)?);
    }
    fresh.stop()?;
    fs::remove_dir_all(&fresh.data)?;
    Ok(measured)
}

fn use_and_kill(broker: &mut Contestant, topics: u64, each: u64, named: &[String]) -> Result<Measured> {
    record_each(broker, topics, each)?;
    let used = memory(broker)?;
    broker.stop()?;
    let clean = broker.start_until_usable(named)?;
    broker.rest()?;
    let restarted = memory(broker)?;
    record_each(broker, topics, each)?;
    broker.kill();
    let killed = broker.start_until_usable(named)?;
    Ok(vec![
        (figures::USED_MEMORY, used),
        (figures::CLEAN_RESTART, clean),
        (figures::RESTARTED_MEMORY, restarted),
        (figures::KILLED_RESTART, killed),
    ])
}

fn restart_and_produce(
    broker: &mut Contestant,
    each: u64,
    named: &[String],
    conditions: Conditions,
) -> Result<Measured> {
    broker.stop()?;
    let clean = broker.start_until_usable(named)?;
    broker.rest()?;
    let restarted = memory(broker)?;
    let shuffled = |topic: &str, requests: u64| -> Result<f64> {
        let shape = ["produce", "--topic", topic, "--shuffle", "--in-flight", "1", "--batch-size", "1"];
        let requests = requests.to_string();
        let line = [&shape[..], &["--record-size", "100", "--requests", &requests]].concat();
        Ok(broker.load(&words(&line))?.latency.context("no latencies")?.p99_us / 1e3)
    };
    let first = shuffled("many-5", each)?;
    let random = shuffled("many-5", conditions.scaled(RANDOM_RECORDS))?;
    Ok(vec![
        (figures::CLEAN_RESTART, clean),
        (figures::RESTARTED_MEMORY, restarted),
        (figures::FIRST_P99, first),
        (figures::P99, random),
    ])
}

/// A record in each partition.
fn record_each(broker: &Contestant, topics: u64, each: u64) -> Result<()> {
    for number in 0..topics {
        let (topic, requests) = (format!("many-{number}"), each.to_string());
        let shape = ["produce", "--topic", &topic, "--batch-size", "1", "--record-size", "100", "--in-flight", "64"];
        broker.load(&words(&[&shape[..], &["--requests", &requests]].concat()))?;
    }
    broker.rest()
}

fn memory(broker: &Contestant) -> Result<f64> {
    Ok(mebibytes(measure::resident(broker.pid()?)?.0))
}

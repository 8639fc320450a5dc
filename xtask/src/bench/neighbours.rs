//! Rows about what one client suffers from others: background work that they cause, and their number.

use std::fs;

use anyhow::{Context, Result};

use super::{
    contestant::{Beside, Contestant, Report, words},
    figures::{self, Measured},
    measure,
    rows::{Conditions, Topic},
};

const DISTURBED_SECONDS: u64 = 30;
/// Kafka looks every fifteen seconds whether something is to be compacted: the load beside goes on so long before.
const LEAD_IN_SECONDS: u64 = 16;
const CONNECTIONS: u64 = 10_000;
const BUSY_SECONDS: u64 = 10;
const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.bytes", "8388608"), ("min.cleanable.dirty.ratio", "0.01")];

/// The same light load, first alone, then beside floods that cause checkpoints and compaction.
pub(super) fn disturbed(name: &str, broker: &Contestant, conditions: Conditions) -> Result<Measured> {
    let (flood, compacted) = (format!("{name}-flood"), format!("{name}-compacted"));
    Topic::DURABLE.create(name, 4, broker)?;
    Topic::DURABLE.create(&flood, 4, broker)?;
    broker.create(&compacted, 1, &COMPACTED)?;
    let seconds = conditions.scaled(DISTURBED_SECONDS);
    let before = conditions.scaled(LEAD_IN_SECONDS);
    let quiet = broker.load(&light(name, "all", 1000, seconds))?;
    let beside = (2 * before + seconds).to_string();
    let flooding = broker.beside(&words(&["produce", "--topic", &flood, "--rate", "64", "--seconds", &beside]))?;
    let keyed = ["produce", "--topic", &compacted, "--keys", "20000", "--batch-size", "100K", "--rate", "100"];
    let compacting = broker.beside(&words(&[&keyed[..], &["--seconds", &beside]].concat()))?;
    // The floods alone, for as long as it takes until compaction has begun.
    broker.load(&light(name, "all", 1000, before))?;
    let busy = broker.load(&light(name, "all", 1000, seconds))?;
    flooding.finish()?;
    let produced = compacting.finish()?.bytes;
    let kept = measure::log_bytes(&broker.logs().join(format!("{compacted}-0")))?;
    for topic in [&flood, &compacted, name] {
        broker.delete(topic)?;
    }
    let p999 = |report: &Report| report.latency.map(|latency| latency.p999_us / 1e3).context("no latencies");
    let (quiet, busy) = (p999(&quiet)?, p999(&busy)?);
    Ok(vec![
        (figures::DISTURBANCE, busy / quiet),
        (figures::QUIET_P999, quiet),
        (figures::BUSY_P999, busy),
        (figures::KEPT, kept as f64 / produced as f64),
    ])
}

/// What idle connections take, and what they cost the busy ones.
pub(super) fn idle_connections(name: &str, broker: &Contestant, conditions: Conditions) -> Result<Measured> {
    let count = conditions.scaled(CONNECTIONS);
    let memory = connection_memory(broker, count)?;
    let load = light(name, "1", 4000, conditions.scaled(BUSY_SECONDS));
    Topic::PAGE_CACHE.create(name, 4, broker)?;
    let alone = broker.load(&load)?;
    let idle = open(broker, count)?;
    let among = broker.load(&load)?;
    drop(idle);
    broker.rest()?;
    broker.delete(name)?;
    let p99 = |report: &Report| report.latency.map(|latency| latency.p99_us / 1e3).context("no latencies");
    let (alone, among) = (p99(&alone)?, p99(&among)?);
    Ok(vec![
        (figures::CONNECTION_MEMORY, memory / 1024.0 / count as f64),
        (figures::IDLE_BURDEN, among / alone),
        (figures::P99_ALONE, alone),
        (figures::P99_AMONG_IDLE, among),
    ])
}

/// Bytes that a broker without a past takes more with so many connections. One with a past has freed memory left over, and
/// would seem to need none.
fn connection_memory(broker: &Contestant, count: u64) -> Result<f64> {
    let mut fresh = broker.fresh()?;
    fresh.start()?;
    fresh.rest()?;
    let (before, _) = measure::resident(fresh.pid()?)?;
    let idle = open(&fresh, count)?;
    let (after, _) = measure::resident(fresh.pid()?)?;
    drop(idle);
    fresh.stop()?;
    fs::remove_dir_all(&fresh.data)?;
    Ok(after.saturating_sub(before) as f64)
}

fn open(broker: &Contestant, count: u64) -> Result<Beside> {
    let mut idle = broker.beside(&words(&["connections", "--count", &count.to_string(), "--seconds", "3600"]))?;
    idle.wait_until_heard()?;
    broker.rest()?;
    Ok(idle)
}

/// Batches of 4 KiB at a rate that leaves the machine idle most of the time.
fn light(topic: &str, acks: &str, rate: u32, seconds: u64) -> Vec<String> {
    let (rate, seconds) = (rate.to_string(), seconds.to_string());
    let shape = ["--connections", "4", "--in-flight", "1", "--batch-size", "4Ki", "--acks", acks];
    words(&[&["produce", "--topic", topic, "--rate", &rate, "--seconds", &seconds][..], &shape].concat())
}

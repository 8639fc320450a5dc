//! `Report`: what a load measured, as numbers; the command line prints it for people or as JSON.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// What a load measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `produce`, `fetch`, `e2e` …
    pub load: &'static str,
    /// From the first request to the last answer.
    pub seconds: f64,
    pub requests: u64,
    pub records: u64,
    /// Record batches as they travel, compressed as they are.
    pub bytes: u64,
    /// The records' values before compression, where the load made them.
    pub payload_bytes: Option<u64>,
    pub requests_per_second: f64,
    pub records_per_second: f64,
    /// 1,000,000 bytes each.
    pub megabytes_per_second: f64,
    /// Request to answer; for `e2e` from sending a record until a consumer has it.
    pub latency: Option<Latency>,
    /// What the load generator's own process used while the load ran.
    pub generator_cpu_seconds: f64,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    pub count: u64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
}

/// What was sent or received, summed over connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Amount {
    pub(crate) requests: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

impl Report {
    pub(crate) fn new(load: &'static str, took: Duration, amount: Amount, latency: Option<Latency>, cpu: f64) -> Self {
        let seconds = took.as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Self {
            load,
            seconds,
            requests: amount.requests,
            records: amount.records,
            bytes: amount.bytes,
            payload_bytes: None,
            requests_per_second: rate(amount.requests),
            records_per_second: rate(amount.records),
            megabytes_per_second: rate(amount.bytes) / 1e6,
            latency,
            generator_cpu_seconds: cpu,
        }
    }
}

/// CPU seconds that this process has used.
pub(crate) fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

//! The load `connections`: many connections that are opened, greeted once and then say nothing.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::connection::Connection;
use crate::error::BenchError;
use crate::histogram::Histogram;
use crate::progress::Progress;
use crate::report::{Amount, Report, cpu_seconds};

/// How often a held load looks whether it was stopped.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// As many files as the system grants this process: a connection is one.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where this is refused, a connection too many says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// How many connections, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct IdleConnections {
    pub count: usize,
    /// From when the last one is open.
    pub hold: Duration,
}

impl IdleConnections {
    /// Opens the connections, calls `opened`, holds them and closes them. The report is of the opening: its latency from
    /// connecting until the broker has answered ApiVersions.
    pub fn run(&self, bootstrap: &str, progress: &Progress, opened: impl FnOnce()) -> Result<Report, BenchError> {
        raise_open_files();
        let address = bootstrap.split(',').next().unwrap_or(bootstrap).trim();
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        let mut open = Vec::with_capacity(self.count);
        let mut latency = Histogram::new();
        while open.len() < self.count && !progress.is_stopped() {
            let from = Instant::now();
            open.push(Connection::open(address)?);
            latency.record(from.elapsed());
            progress.add(1, 0);
        }
        let amount = Amount { requests: open.len() as u64, ..Amount::default() };
        let report = Report::new("connections", begun.elapsed(), amount, latency.summary(), cpu_seconds() - cpu);
        opened();
        let until = Instant::now() + self.hold;
        while Instant::now() < until && !progress.is_stopped() {
            std::thread::park_timeout(LOOK_INTERVAL.min(self.hold));
        }
        for connection in &mut open {
            if connection.receive_some()? {
                let reason = "it speaks without being asked".to_owned();
                let address = address.to_owned();
                return Err(BenchError::Malformed { address, api: "ApiVersions", reason });
            }
        }
        Ok(report)
    }
}

//! The load `topics`: topics made until all are usable, found usable, and removed until none is left.

use std::time::Instant;

use crate::cluster::{Cluster, NewTopics};
use crate::error::BenchError;
use crate::histogram::Histogram;
use crate::progress::Progress;
use crate::report::{Amount, Report, cpu_seconds};

impl NewTopics {
    /// Makes the topics, so many in a request, one request after the other, and waits until each partition is served by
    /// its leader. The report's time ends then; its latency is that of the requests.
    pub fn run(&self, bootstrap: &str, per_request: usize, progress: &Progress) -> Result<Report, BenchError> {
        let mut cluster = Cluster::open(bootstrap)?;
        let mut timed = Timed::start("create-topics", progress);
        for names in self.names.chunks(per_request.max(1)) {
            let some = Self { names: names.to_vec(), ..self.clone() };
            timed.request(|| cluster.create(&some))?;
        }
        cluster.wait_until_usable(&self.names)?;
        Ok(timed.report())
    }

    /// Waits until each partition of topics that are there is served by its leader, as after a restart.
    pub fn wait(names: &[String], bootstrap: &str) -> Result<Report, BenchError> {
        let progress = Progress::default();
        let mut cluster = Cluster::open(bootstrap)?;
        let mut timed = Timed::start("topics", &progress);
        timed.request(|| cluster.wait_until_usable(names))?;
        Ok(timed.report())
    }

    /// Removes the topics, so many in a request, and waits until none of them is known.
    pub fn remove(
        names: &[String],
        bootstrap: &str,
        per_request: usize,
        progress: &Progress,
    ) -> Result<Report, BenchError> {
        let mut cluster = Cluster::open(bootstrap)?;
        let mut timed = Timed::start("delete-topics", progress);
        for names in names.chunks(per_request.max(1)) {
            timed.request(|| cluster.delete(names))?;
        }
        for name in names {
            while cluster.has(name)? {
                std::thread::yield_now();
            }
        }
        Ok(timed.report())
    }
}

/// Requests one after the other.
struct Timed<'a> {
    load: &'static str,
    begun: Instant,
    cpu: f64,
    latency: Histogram,
    amount: Amount,
    progress: &'a Progress,
}

impl<'a> Timed<'a> {
    fn start(load: &'static str, progress: &'a Progress) -> Self {
        let (latency, amount) = (Histogram::new(), Amount::default());
        Self { load, begun: Instant::now(), cpu: cpu_seconds(), latency, amount, progress }
    }

    fn request(&mut self, call: impl FnOnce() -> Result<(), BenchError>) -> Result<(), BenchError> {
        let from = Instant::now();
        call()?;
        self.latency.record(from.elapsed());
        self.amount.requests += 1;
        self.progress.add(1, 0);
        Ok(())
    }

    fn report(&self) -> Report {
        let cpu = cpu_seconds() - self.cpu;
        Report::new(self.load, self.begun.elapsed(), self.amount, self.latency.summary(), cpu)
    }
}

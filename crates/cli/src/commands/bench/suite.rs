//! `millstream bench` without a load: a few, one after the other, on a topic of their own, and a table of what came of them.
//!
//! For a look at any broker; the comparison with Apache Kafka is `cargo xtask bench`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use millstream_bench::{
    AtEnd, BatchShape, CompressionType, EndToEnd, Fetch, Limit, NewTopics, Produce, Progress, Report, Start,
};
use serde::Serialize;

use super::args::{Output, at_least_one, positive, size};
use super::show;

#[derive(clap::Args, Debug)]
pub(super) struct SuiteArgs {
    /// Each load ends after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = positive)]
    seconds: f64,
    /// Each load ends after so many bytes of record batches
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    bytes: u64,
    /// Connections, a thread each, and as many partitions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    connections: usize,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, value_name = "CODEC", default_value = "none")]
    compression: CompressionType,
}

/// One line of the table.
#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    #[serde(flatten)]
    report: &'a Report,
}

/// Runs the loads; the topic is removed also when one fails.
pub(super) fn run(args: &SuiteArgs, server: &str, output: Output) -> Result<ExitCode> {
    let topic = format!("millstream-bench-{}", std::process::id());
    let new = NewTopics {
        names: vec![topic.clone()],
        partitions: i32::try_from(args.connections)?,
        replication_factor: -1,
        configs: Vec::new(),
    };
    new.run(server, 1, &Progress::default()).with_context(|| format!("making the topic {topic} on {server}"))?;
    let measured = args.measure(&topic, server);
    let removed = NewTopics::remove(&new.names, server, 1, &Progress::default());
    let results = measured?;
    removed.with_context(|| format!("removing the topic {topic}"))?;
    match output {
        Output::Text => print!("{}", show::table(&results)),
        Output::Json => {
            let named: Vec<Named<'_>> = results.iter().map(|(name, report)| Named { name, report }).collect();
            println!("{}", serde_json::to_string(&named)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl SuiteArgs {
    fn measure(&self, topic: &str, server: &str) -> Result<Vec<(&'static str, Report)>> {
        let mut results = Vec::new();
        let mut run = |name, load: &dyn Fn(&Progress) -> Result<Report>| -> Result<()> {
            let report = show::watched(name, self.limit(), load).with_context(|| format!("the load `{name}`"))?;
            results.push((name, report));
            Ok(())
        };
        run("produce, 1 MB batches", &|progress| Ok(self.produce(topic, 1024, 1_000_000, 5).run(server, progress)?))?;
        run("produce, 16 KiB batches", &|progress| Ok(self.produce(topic, 1024, 16_384, 5).run(server, progress)?))?;
        run("produce, one record each", &|progress| Ok(self.produce(topic, 100, 1, 64).run(server, progress)?))?;
        run("fetch, 1 MiB answers", &|progress| Ok(self.fetch(topic).run(server, progress)?))?;
        run("end to end, 100 B", &|progress| Ok(self.end_to_end(topic).run(server, progress)?))?;
        Ok(results)
    }

    fn limit(&self) -> Limit {
        let duration = Some(Duration::from_secs_f64(self.seconds));
        Limit { bytes: Some(self.bytes), requests: None, duration }
    }

    fn produce(&self, topic: &str, record_bytes: usize, batch_bytes: usize, in_flight: usize) -> Produce {
        Produce {
            topic: topic.to_owned(),
            partitions: None,
            connections: self.connections,
            in_flight,
            acks: -1,
            shape: BatchShape { record_bytes, keys: 0, batch_bytes, compression: self.compression },
            partitions_per_request: 1,
            shuffled: false,
            limit: self.limit(),
            rate: None,
        }
    }

    fn fetch(&self, topic: &str) -> Fetch {
        Fetch {
            topic: topic.to_owned(),
            partitions: None,
            connections: self.connections,
            in_flight: 1,
            start: Start::Earliest,
            records: None,
            at_end: AtEnd::Again,
            max_bytes: 1 << 20,
            min_bytes: 1,
            max_wait_ms: 500,
            limit: self.limit(),
            rate: None,
        }
    }

    fn end_to_end(&self, topic: &str) -> EndToEnd {
        EndToEnd { topic: topic.to_owned(), acks: -1, record_bytes: 100, limit: self.limit(), rate: None }
    }
}

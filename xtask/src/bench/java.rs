//! Rows with Kafka's own producer: `kafka-producer-perf-test`, brought through Maven.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use super::{
    contestant::{Contestant, Report},
    figures::{self, Measured},
    loads::Cost,
    pages::WarmPages,
    rows::{Conditions, Topic},
};
use crate::{brought, workspace};

const RECORDS: u64 = 1_000_000;
const RECORD_BYTES: u64 = 1024;

pub(super) fn run(name: &str, topic: Topic, broker: &Contestant, conditions: Conditions) -> Result<Measured> {
    let records = conditions.scaled(RECORDS);
    topic.create(name, 1, broker)?;
    let pages = WarmPages::hold(2 * records * RECORD_BYTES)?;
    let mut steady = None;
    let cost = Cost::around(broker, || {
        let begun = Instant::now();
        let said = produce(name, 2 * records, records, &broker.address())?;
        let seconds = begun.elapsed().as_secs_f64();
        steady = Some(Steady::read(&said).with_context(|| format!("in what the tool said: {said}"))?);
        Ok((report(2 * records, seconds), 0.0))
    })?;
    drop(pages);
    broker.delete(name)?;
    let steady = steady.context("the load ran")?;
    let cpu = cost.per_gigabyte().into_iter().filter(|(figure, _)| *figure == figures::BROKER_CPU);
    let mut measured = vec![
        (figures::RECORDS, steady.records_per_second),
        (figures::THROUGHPUT, steady.records_per_second * RECORD_BYTES as f64 / 1e6),
    ];
    measured.extend(cpu);
    measured.extend([(figures::P99, steady.p99_ms), (figures::P999, steady.p999_ms), (figures::MAX, steady.max_ms)]);
    Ok(measured)
}

fn produce(topic: &str, records: u64, warm_up: u64, address: &str) -> Result<String> {
    let classes = format!("{}/*", brought::jars("kafka/tools.pom.xml")?.display());
    let logging = workspace::root().join("tests/clients/kafka/log4j2.xml");
    let mut java = Command::new("java");
    // What Kafka's script gives this tool.
    java.args(["-Xmx512M", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]);
    java.arg(format!("-Dlog4j2.configurationFile={}", logging.display())).args(["-cp", &classes]);
    java.args(["org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--bootstrap-server", address]);
    let (records, warm_up, size) = (records.to_string(), warm_up.to_string(), RECORD_BYTES.to_string());
    java.args(["--num-records", &records, "--warmup-records", &warm_up, "--record-size", &size]);
    java.args(["--throughput", "-1", "--command-property", "acks=all"]);
    let output = java.stdin(Stdio::null()).output().context("starting java")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("kafka-producer-perf-test ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(said)
}

/// All that was sent, for the cost per byte; the tool's own figures are of the half after the warm-up.
fn report(records: u64, seconds: f64) -> Report {
    let bytes = records * RECORD_BYTES;
    Report {
        seconds,
        requests: records,
        records,
        bytes,
        requests_per_second: records as f64 / seconds,
        megabytes_per_second: bytes as f64 / 1e6 / seconds,
        latency: None,
        generator_cpu_seconds: 0.0,
    }
}

/// The tool's last line, about the records after the warm-up.
#[derive(Debug, PartialEq)]
struct Steady {
    records_per_second: f64,
    max_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
}

impl Steady {
    fn read(said: &str) -> Result<Self> {
        let line = said.lines().rfind(|line| line.contains("99.9th")).context("there is no line of percentiles")?;
        // The number that stands before these words.
        let before = |words: &str| -> Result<f64> {
            let (text, _) = line.split_once(words).with_context(|| format!("there is no `{words}`"))?;
            let number = text.rsplit(|character: char| !character.is_ascii_digit() && character != '.').next();
            Ok(number.unwrap_or_default().parse()?)
        };
        Ok(Self {
            records_per_second: before(" records/sec")?,
            max_ms: before(" ms max latency")?,
            p99_ms: before(" ms 99th")?,
            p999_ms: before(" ms 99.9th")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_percentiles_counts() {
        let said = "9 records sent, 1.0 records/sec (0.2 MB/sec), 3.0 ms avg latency, 5.00 ms max latency, \
                    1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.\n\
                    1000 steady state records sent, 2450.98 records/sec (0.23 MB/sec), 34.41 ms avg latency, \
                    376.00 ms max latency, 33 ms 50th, 51 ms 95th, 57 ms 99th, 376 ms 99.9th.\n";
        let steady = Steady { records_per_second: 2450.98, max_ms: 376.0, p99_ms: 57.0, p999_ms: 376.0 };
        assert_eq!(Steady::read(said).unwrap(), steady);
        assert!(Steady::read("nothing").is_err());
    }
}

//! One of the two brokers that are compared: started under a probe, loaded by `millstream bench`, measured, stopped.
//!
//! Both are treated alike: data below target/bench on the same disk, the default scheduling class, the same load by the
//! same program. Both run during the whole comparison; while one is loaded the other is idle.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::measure;
use crate::cluster::{self, Cluster, Kafka};

/// What Kafka's own start script gives the JVM.
pub(super) const JVM: [&str; 8] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];
/// Kafka keeps a deleted topic's files for a minute otherwise, and looks for them half a minute after its start: the disk
/// would fill up.
const DELETE_AT_ONCE: &str = "log.segment.delete.delay.ms=100\nlog.initial.task.delay.ms=100\n";
/// The system hands out ports from here on to connections; a probe must not be given the one that it knocks at.
const PORTS: std::ops::Range<u16> = 19092..32000;
/// A broker is at rest when it used less than this share of a core for a moment.
const REST_SHARE: f64 = 0.1;
const REST_MOMENT: Duration = Duration::from_millis(200);
const REST_MAX: Duration = Duration::from_secs(15);
const DELETION_MAX: Duration = Duration::from_secs(90);

pub(super) struct Contestant {
    pub(super) name: &'static str,
    binary: PathBuf,
    /// Where its data lies.
    pub(super) data: PathBuf,
    port: u16,
    kafka: Option<Kafka>,
    cluster: Option<Cluster>,
}

/// What `millstream bench --output json` says.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) seconds: f64,
    pub(super) requests: u64,
    pub(super) bytes: u64,
    pub(super) requests_per_second: f64,
    pub(super) megabytes_per_second: f64,
    pub(super) latency: Option<Latency>,
    pub(super) generator_cpu_seconds: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Latency {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    pub(super) max_us: f64,
}

impl Contestant {
    pub(super) fn kafka(binary: &Path) -> Result<Self> {
        let data = cluster::empty_folder("bench/kafka")?;
        let (port, controller) = (port(PORTS.start)?, port(PORTS.start + 1000)?);
        let kafka = Some(Kafka::prepare(&data, (port, controller), DELETE_AT_ONCE)?);
        Ok(Self { name: "Kafka", binary: binary.to_owned(), data, port, kafka, cluster: None })
    }

    pub(super) fn millstream(binary: &Path) -> Result<Self> {
        let data = cluster::empty_folder("bench/millstream")?;
        let port = port(PORTS.start + 2000)?;
        Ok(Self { name: "Millstream", binary: binary.to_owned(), data, port, kafka: None, cluster: None })
    }

    pub(super) fn is_kafka(&self) -> bool {
        self.kafka.is_some()
    }

    /// Starts the broker; how long until a probe that looked already had its first Metadata answer, in milliseconds.
    pub(super) fn start(&mut self) -> Result<f64> {
        let mut probe = Command::new(&self.binary);
        probe.args(["bench", "metadata", "--timeout", "120", "--bootstrap-server", &self.address()]);
        let mut probe = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut stderr = BufReader::new(probe.stderr.take().context("stderr is piped")?);
        stderr.read_line(&mut String::new())?;
        let begun = Instant::now();
        let started = match &self.kafka {
            Some(kafka) => kafka.spawn(&JVM),
            None => Cluster::spawn_millstream(&self.binary, &self.data, self.port, &[]),
        };
        self.cluster = match started {
            Ok(cluster) => Some(cluster),
            Err(error) => {
                probe.kill()?;
                probe.wait()?;
                return Err(error);
            }
        };
        let answered = probe.wait()?;
        let took = begun.elapsed();
        let mut said = String::new();
        stderr.read_to_string(&mut said)?;
        ensure!(answered.success(), "{} does not start: {said}", self.name);
        Ok(took.as_secs_f64() * 1e3)
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        let Some(cluster) = self.cluster.take() else { return Ok(()) };
        let status = cluster.stop()?.context("it was started here")?;
        ensure!(cluster::is_clean(status), "{} did not stop cleanly: {status}", self.name);
        Ok(())
    }

    pub(super) fn pid(&self) -> Result<u32> {
        self.cluster.as_ref().and_then(Cluster::pid).with_context(|| format!("{} does not run", self.name))
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Runs a load of `millstream bench`; an error answer of the broker fails it.
    pub(super) fn load(&self, words: &[String]) -> Result<Report> {
        let mut command = Command::new(&self.binary);
        command.arg("bench").args(words).args(["--output", "json", "--bootstrap-server", &self.address()]);
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("millstream bench {} against {}: {}", words.join(" "), self.name, said.trim());
        }
        serde_json::from_slice(&output.stdout).context("reading the load generator's report")
    }

    pub(super) fn create(&self, topic: &str, partitions: u32, configs: &[(&str, &str)]) -> Result<()> {
        let mut words = words(&["create-topics", "--topic", topic, "--partitions", &partitions.to_string()]);
        for (key, value) in configs {
            words.extend(["--topic-config".to_owned(), format!("{key}={value}")]);
        }
        self.load(&words).map(drop)
    }

    /// Deletes a topic and waits until its files are gone and the broker is at rest.
    pub(super) fn delete(&self, topic: &str) -> Result<()> {
        self.load(&words(&["delete-topics", "--topic", topic]))?;
        let folder = self.data.join(if self.is_kafka() { "logs" } else { "kafka" });
        let begun = Instant::now();
        while holds(&folder, topic)? {
            ensure!(begun.elapsed() < DELETION_MAX, "{} does not remove the files of {topic}", self.name);
            std::thread::park_timeout(Duration::from_millis(50));
        }
        self.rest()
    }

    /// Everything that was written is on the disk, and the broker has done what it had put off.
    pub(super) fn settle(&self) -> Result<()> {
        self.rest()?;
        let synced = Command::new("sync").arg("-f").arg(&self.data).status().context("starting sync")?;
        ensure!(synced.success(), "sync ended with {synced}");
        self.rest()
    }

    /// Waits until the broker does next to nothing.
    pub(super) fn rest(&self) -> Result<()> {
        let (pid, begun) = (self.pid()?, Instant::now());
        loop {
            let (from, before) = (Instant::now(), measure::broker_cpu(pid)?);
            std::thread::park_timeout(REST_MOMENT);
            let share = (measure::broker_cpu(pid)? - before) / from.elapsed().as_secs_f64();
            if share <= REST_SHARE || begun.elapsed() > REST_MAX {
                return Ok(());
            }
        }
    }
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Whether a data folder has a folder of this topic, possibly marked for deletion.
fn holds(folder: &Path, topic: &str) -> Result<bool> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(false) };
    for entry in entries {
        if entry?.file_name().to_string_lossy().starts_with(topic) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first port from here on that nobody listens on.
fn port(from: u16) -> Result<u16> {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (from..PORTS.end).find(free).context("no port is free")
}

//! One of the brokers that are compared: started under a probe, loaded by `millstream bench`, measured, stopped.
//!
//! All are treated alike: data below target/bench on the same disk, the same priority, the same load by the same program.
//! All run during the whole comparison; while one is loaded the others are idle. Rows that need a broker without a past
//! take a `fresh` one.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::{Deserialize, de::DeserializeOwned};

use super::{measure, tuning};
use crate::cluster::{self, Cluster, Kafka};

/// Kafka keeps a deleted topic's files for a minute otherwise, and looks for them half a minute after its start: the disk
/// would fill up. Retention is looked after every five minutes, which is 200 GB at full speed.
const ROOM: [&str; 3] =
    ["log.segment.delete.delay.ms=100", "log.initial.task.delay.ms=100", "log.retention.check.interval.ms=1000"];
/// The system hands out ports from here on to connections; a probe must not be given the one that it knocks at.
const PORTS: std::ops::Range<u16> = 19092..32000;
/// Each contestant looks for free ports in a range of its own, since none of them has taken its port when the next looks.
const PORTS_EACH: u16 = 2000;
/// A broker is at rest when it used less than this share of a core for a moment.
const REST_SHARE: f64 = 0.1;
const REST_MOMENT: Duration = Duration::from_millis(200);
const REST_MAX: Duration = Duration::from_secs(15);
const DELETION_MAX: Duration = Duration::from_secs(90);
/// Kafka with 10,000 partitions needs more than half a minute to stop, and minutes to start after a kill.
const STOP_MAX: Duration = Duration::from_secs(180);
const START_SECONDS_MAX: &str = "600";

/// The contestants, in the order of the page's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Who {
    Kafka,
    Tuned,
    Millstream,
}

impl Who {
    pub(super) const ALL: [Self; 3] = [Self::Kafka, Self::Tuned, Self::Millstream];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kafka => "Apache Kafka",
            Self::Tuned => "Apache Kafka, tuned",
            Self::Millstream => "Millstream",
        }
    }

    fn ports(self) -> u16 {
        match self {
            Self::Kafka => 0,
            Self::Tuned => PORTS_EACH,
            Self::Millstream => 2 * PORTS_EACH,
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Tuned => "kafka-tuned",
            Self::Millstream => "millstream",
        }
    }
}

pub(super) struct Contestant {
    pub(super) who: Who,
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
    pub(super) records: u64,
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
    /// A broker with an empty folder below target/bench, not started yet.
    pub(super) fn prepare(who: Who, binary: &Path) -> Result<Self> {
        Self::in_folder(who, binary, who.folder(), PORTS.start + who.ports())
    }

    /// Another one of the same kind, without a past.
    pub(super) fn fresh(&self) -> Result<Self> {
        let folder = format!("{}-fresh", self.who.folder());
        Self::in_folder(self.who, &self.binary, &folder, self.port + PORTS_EACH / 2)
    }

    fn in_folder(who: Who, binary: &Path, folder: &str, ports: u16) -> Result<Self> {
        let data = cluster::empty_folder(&format!("bench/{folder}"))?;
        let port = port(ports)?;
        let mut lines = ROOM.map(str::to_owned).to_vec();
        if who == Who::Tuned {
            lines.extend(tuning::properties());
        }
        let kafka = match who {
            Who::Millstream => None,
            Who::Kafka | Who::Tuned => Some(Kafka::prepare(&data, (port, self::port(port + 1)?), &lines.join("\n"))?),
        };
        Ok(Self { who, binary: binary.to_owned(), data, port, kafka, cluster: None })
    }

    pub(super) fn is_kafka(&self) -> bool {
        self.kafka.is_some()
    }

    fn spawn(&self) -> Result<Cluster> {
        let retention = ["--set", ROOM[2]];
        match &self.kafka {
            Some(kafka) => kafka.spawn(tuning::jvm(self.who)),
            None => Cluster::spawn_millstream(&self.binary, &self.data, self.port, &retention),
        }
    }

    /// Starts the broker; how long until a probe that looked already had its first Metadata answer, in milliseconds.
    pub(super) fn start(&mut self) -> Result<f64> {
        let mut probe = Command::new(&self.binary);
        probe.args(["bench", "metadata", "--timeout", START_SECONDS_MAX, "--bootstrap-server", &self.address()]);
        let mut probe = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut stderr = BufReader::new(probe.stderr.take().context("stderr is piped")?);
        stderr.read_line(&mut String::new())?;
        let begun = Instant::now();
        self.cluster = match self.spawn() {
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
        ensure!(answered.success(), "{} does not start: {said}", self.who.name());
        Ok(took.as_secs_f64() * 1e3)
    }

    /// Starts the broker; how long until every partition of these topics was served, in milliseconds.
    pub(super) fn start_until_usable(&mut self, topics: &[String]) -> Result<f64> {
        let begun = Instant::now();
        self.start()?;
        self.load(&[&["await-topics".to_owned()][..], topics].concat())?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }

    /// Ends the broker as a crash would.
    pub(super) fn kill(&mut self) {
        self.cluster = None;
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        let Some(cluster) = self.cluster.take() else { return Ok(()) };
        let status = cluster.stop_within(STOP_MAX)?.context("it was started here")?;
        ensure!(cluster::is_clean(status), "{} did not stop cleanly: {status}", self.who.name());
        Ok(())
    }

    pub(super) fn pid(&self) -> Result<u32> {
        self.cluster.as_ref().and_then(Cluster::pid).with_context(|| format!("{} does not run", self.who.name()))
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Runs a load of `millstream bench`; an error answer of the broker fails it.
    pub(super) fn load(&self, words: &[String]) -> Result<Report> {
        let mut command = self.generator(words);
        answer(words, self.who, &command.output().context("starting the load generator")?)
    }

    /// Starts a load beside others.
    pub(super) fn beside(&self, words: &[String]) -> Result<Beside> {
        let child = self.generator(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        Ok(Beside { child: Some(child), words: words.to_vec(), who: self.who })
    }

    /// What the disk below the data does with synced writes, past the broker.
    pub(super) fn disk(&self, write: &str, depth: u32, seconds: f64) -> Result<Report> {
        let (depth, seconds) = (depth.to_string(), seconds.to_string());
        let data = self.data.to_str().context("the path is no text")?;
        let line = ["disk", "--directory", data, "--write-size", write, "--depth", &depth, "--seconds", &seconds];
        self.load(&words(&line))
    }

    fn generator(&self, words: &[String]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("bench").args(words).args(["--output", "json", "--bootstrap-server", &self.address()]);
        command.stdin(Stdio::null());
        command
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
        let folder = self.logs();
        let begun = Instant::now();
        while holds(&folder, topic)? {
            ensure!(begun.elapsed() < DELETION_MAX, "{} does not remove the files of {topic}", self.who.name());
            std::thread::park_timeout(Duration::from_millis(50));
        }
        self.rest()
    }

    /// Where the folders of partitions lie.
    pub(super) fn logs(&self) -> PathBuf {
        self.data.join(if self.is_kafka() { "logs" } else { "kafka" })
    }

    /// After a row that failed half way: the broker runs, and what the row made is gone as far as that can be.
    pub(super) fn recover(&mut self, row: &str) -> Result<()> {
        if !self.cluster.as_mut().is_some_and(Cluster::is_running) {
            self.cluster = None;
            self.start()?;
        }
        for suffix in ["", "-flood", "-compacted"] {
            // Most rows have not made these.
            let _ = self.delete(&format!("{row}{suffix}"));
        }
        Ok(())
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

/// A load that runs while others are measured. It ends with whoever holds it.
pub(super) struct Beside {
    child: Option<Child>,
    words: Vec<String>,
    who: Who,
}

impl Beside {
    /// Waits until it says something on stderr.
    pub(super) fn wait_until_heard(&mut self) -> Result<()> {
        let stderr = self.child.as_mut().and_then(|child| child.stderr.as_mut()).context("stderr is piped")?;
        let (mut byte, mut said) = ([0], Vec::new());
        while stderr.read(&mut byte)? == 1 && byte != *b"\n" {
            said.extend(byte);
        }
        ensure!(byte == *b"\n", "millstream bench {}: {}", self.words.join(" "), String::from_utf8_lossy(&said));
        Ok(())
    }

    /// Waits until it is over.
    pub(super) fn finish(mut self) -> Result<Report> {
        let child = self.child.take().context("it is taken once")?;
        answer(&self.words, self.who, &child.wait_with_output()?)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn answer<T: DeserializeOwned>(words: &[String], who: Who, output: &std::process::Output) -> Result<T> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or("it said nothing");
        bail!("millstream bench {} against {}: {last}", words.join(" "), who.name());
    }
    serde_json::from_slice(&output.stdout).context("reading the load generator's report")
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Whether a data folder has a folder of a partition of this topic, possibly marked for deletion.
fn holds(folder: &Path, topic: &str) -> Result<bool> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(false) };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let behind = name.strip_prefix(topic).and_then(|behind| behind.strip_prefix('-'));
        if behind.is_some_and(|behind| behind.starts_with(|digit: char| digit.is_ascii_digit())) {
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

//! The cluster that the clients talk to: this checkout's broker, Apache Kafka's, or one that runs already.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{suite, tally::Tally};
use crate::workspace;

/// A clean stop takes no longer, or counts as a failure.
const STOP_MAX: Duration = Duration::from_secs(30);
const KAFKA_START_MAX: Duration = Duration::from_secs(120);

pub(super) struct Cluster {
    /// `host:port`.
    pub(super) bootstrap: String,
    /// What was started here, and its data.
    process: Option<(Child, PathBuf)>,
}

impl Cluster {
    pub(super) fn running(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned(), process: None }
    }

    /// Starts `millstream broker` on a free port with an empty data folder.
    pub(super) fn start_millstream() -> Result<Self> {
        let built = workspace::cargo().args(["build", "-q", "-p", "millstream-cli"]).status()?;
        ensure!(built.success(), "the broker does not build");
        let data = empty_folder("millstream-data")?;
        let mut command = Command::new(workspace::target().join("debug/millstream"));
        command.args(["--log-level", "warn", "broker", "--listen", "127.0.0.1:0", "--http", "off"]);
        // As Kafka's own server.properties says it, so that both describe their topics in the same words.
        command.args(["--set", "node.id=1", "--set", "log.segment.bytes=1073741824", "--data-dir"]).arg(&data);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting the broker")?;
        let mut stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let mut cluster = Self { bootstrap: String::new(), process: Some((child, data)) };
        let address = line.trim_end().strip_prefix("listening on ");
        cluster.bootstrap =
            address.with_context(|| format!("the broker said `{line}`, not `listening on …`"))?.to_owned();
        Ok(cluster)
    }

    /// Starts Apache Kafka, one node, on free ports with an empty data folder.
    pub(super) fn start_kafka() -> Result<Self> {
        let libs = suite::jars("kafka/broker.pom.xml")?;
        let data = empty_folder("kafka-data")?;
        let (broker, controller) = (free_port()?, free_port()?);
        let properties = data.join("server.properties");
        fs::write(&properties, kafka_properties(&data.join("logs"), broker, controller))?;
        let classes = format!("{}/*", libs.display());
        let log = data.join("server.out");
        let formatted = java(&classes, &log)?
            .args(["kafka.tools.StorageTool", "format", "--standalone", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"])
            .arg(&properties)
            .status()?;
        ensure!(formatted.success(), "formatting Kafka's storage failed: see {}", log.display());
        let child = java(&classes, &log)?.arg("kafka.Kafka").arg(&properties).spawn()?;
        let mut cluster = Self { bootstrap: format!("127.0.0.1:{broker}"), process: Some((child, data)) };
        cluster.wait_until_served(&log)?;
        Ok(cluster)
    }

    /// Kafka opens its listener when it serves.
    fn wait_until_served(&mut self, log: &Path) -> Result<()> {
        let begun = Instant::now();
        let (child, _) = self.process.as_mut().context("a started cluster has a process")?;
        while TcpStream::connect(&self.bootstrap).is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("Kafka ended with {status}: see {}", log.display());
            }
            ensure!(begun.elapsed() < KAFKA_START_MAX, "Kafka does not start: see {}", log.display());
            std::thread::park_timeout(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Stops what was started here; a broker that does not end by itself, and cleanly, is a failed claim.
    pub(super) fn stop(mut self) -> Result<Tally> {
        let Some((mut child, data)) = self.process.take() else { return Ok(Tally::default()) };
        let terminated = Command::new("kill").arg(child.id().to_string()).status()?;
        ensure!(terminated.success(), "the broker ended before it was stopped: {}", child.wait()?);
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > STOP_MAX {
                child.kill()?;
                break child.wait()?;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        };
        // A JVM ends with 128 + SIGTERM when its hooks have run.
        let claim = if matches!(status.code(), Some(0 | 143)) {
            fs::remove_dir_all(data)?;
            "ok - the broker stops cleanly".to_owned()
        } else {
            format!("not ok - the broker stops cleanly ({status})")
        };
        println!("{claim}");
        Ok(Tally::of_claim(&claim))
    }
}

/// A suite that failed half way leaves no process behind.
impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.process {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn empty_folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("clients").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn java(classes: &str, log: &Path) -> Result<Command> {
    let output = fs::OpenOptions::new().create(true).append(true).open(log)?;
    let logging = workspace::root().join("tests/clients/kafka/log4j2.xml");
    let mut java = Command::new("java");
    java.args(["-Xmx512M", "-XX:+UseSerialGC", "-cp", classes]);
    java.arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
    java.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    Ok(java)
}

fn kafka_properties(logs: &Path, broker: u16, controller: u16) -> String {
    let listeners = format!("PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}");
    let logs = logs.display();
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         listeners={listeners}\nadvertised.listeners={listeners}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={logs}\n\
         log.segment.bytes=1073741824\noffsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n"
    )
}

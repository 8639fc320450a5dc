//! A cluster that a chore talks to: this checkout's broker, Apache Kafka's, or one that runs already. Used by the tests of
//! other people's clients and by the benchmarks.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{brought, workspace};

/// A clean stop takes no longer, or counts as a failure.
const STOP_MAX: Duration = Duration::from_secs(30);
const KAFKA_START_MAX: Duration = Duration::from_secs(120);

pub(crate) struct Cluster {
    /// `host:port`.
    pub(crate) bootstrap: String,
    /// What was started here.
    process: Option<Child>,
}

impl Cluster {
    pub(crate) fn running(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned(), process: None }
    }

    /// Starts `millstream broker`, which may not serve yet when this returns: see `wait_until_listening`.
    pub(crate) fn spawn_millstream(binary: &Path, data: &Path, port: u16, options: &[&str]) -> Result<Self> {
        let bootstrap = format!("127.0.0.1:{port}");
        let mut command = Command::new(binary);
        command.args(["--log-level", "warn", "broker", "--listen", &bootstrap, "--http", "off"]);
        command.args(options).arg("--data-dir").arg(data);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting the broker")?;
        Ok(Self { bootstrap, process: Some(child) })
    }

    /// Waits until a `millstream broker` says that it listens, and takes the port that it says.
    pub(crate) fn wait_until_listening(&mut self) -> Result<()> {
        let child = self.process.as_mut().context("a started cluster has a process")?;
        let mut stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = line.trim_end().strip_prefix("listening on ");
        self.bootstrap = address.with_context(|| format!("the broker said `{line}`, not `listening on …`"))?.to_owned();
        Ok(())
    }

    /// Waits until Apache Kafka opens its listener, which it does when it serves.
    pub(crate) fn wait_until_connected(&mut self, log: &Path) -> Result<()> {
        let begun = Instant::now();
        let child = self.process.as_mut().context("a started cluster has a process")?;
        while TcpStream::connect(&self.bootstrap).is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("Kafka ended with {status}: see {}", log.display());
            }
            ensure!(begun.elapsed() < KAFKA_START_MAX, "Kafka does not start: see {}", log.display());
            std::thread::park_timeout(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Whether the process that was started here has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// The process that was started here.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Stops what was started here; how it ended.
    pub(crate) fn stop(self) -> Result<Option<ExitStatus>> {
        self.stop_within(STOP_MAX)
    }

    /// As `stop`, for a broker that may have much to do before; what still runs then is killed.
    pub(crate) fn stop_within(mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let Some(mut child) = self.process.take() else { return Ok(None) };
        let terminated = Command::new("kill").arg(child.id().to_string()).status()?;
        ensure!(terminated.success(), "the broker ended before it was stopped: {}", child.wait()?);
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if begun.elapsed() > patience {
                child.kill()?;
                return Ok(Some(child.wait()?));
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// A chore that failed half way leaves no process behind.
impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(child) = &mut self.process {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether a broker that was told to stop did. A JVM ends with 128 + SIGTERM when its hooks have run.
pub(crate) fn is_clean(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 143))
}

/// Apache Kafka, one node, with formatted storage, not started yet.
pub(crate) struct Kafka {
    port: u16,
    classes: String,
    properties: PathBuf,
    /// What it prints.
    pub(crate) log: PathBuf,
}

impl Kafka {
    /// Brings Kafka through Maven and formats storage in a folder; `ports` are the broker's and the controller's, `more`
    /// are lines for its server.properties.
    pub(crate) fn prepare(data: &Path, ports: (u16, u16), more: &str) -> Result<Self> {
        let classes = format!("{}/*", brought::jars("kafka/broker.pom.xml")?.display());
        let (properties, log) = (data.join("server.properties"), data.join("server.out"));
        fs::write(&properties, kafka_properties(&data.join("logs"), ports.0, ports.1) + more)?;
        let kafka = Self { port: ports.0, classes, properties, log };
        let formatted = kafka
            .java(&["-Xmx256M"])?
            .args(["kafka.tools.StorageTool", "format", "--standalone", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"])
            .arg(&kafka.properties)
            .status()?;
        ensure!(formatted.success(), "formatting Kafka's storage failed: see {}", kafka.log.display());
        Ok(kafka)
    }

    /// Starts it with options of the JVM; it may not serve yet when this returns.
    pub(crate) fn spawn(&self, options: &[&str]) -> Result<Cluster> {
        let child = self.java(options)?.arg("kafka.Kafka").arg(&self.properties).spawn()?;
        Ok(Cluster { bootstrap: format!("127.0.0.1:{}", self.port), process: Some(child) })
    }

    fn java(&self, options: &[&str]) -> Result<Command> {
        let output = fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let logging = workspace::root().join("tests/clients/kafka/log4j2.xml");
        let mut java = Command::new("java");
        java.args(options).args(["-cp", &self.classes]);
        java.arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
        java.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Ok(java)
    }
}

/// An empty folder below the build folder.
pub(crate) fn empty_folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
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

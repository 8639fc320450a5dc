//! Apache Kafka 4.4.0 as a process of a test's own, its clients and its `kafka-dump-log`.
//!
//! The jars are where `cargo xtask test` brings them, or where MILLSTREAM_KAFKA_BROKER_LIBS and MILLSTREAM_KAFKA_LIBS say.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// What a JVM ends with that was told to stop.
const TERMINATED: i32 = 128 + 15;
/// What `kafka-dump-log` says of a file that is not as Kafka would have written it.
const COMPLAINTS: [&str; 6] = ["isvalid: false", "Mismatches", "not match", "Found", "invalid", "corrupt"];

/// Kafka's jars.
pub(crate) struct Jars {
    broker: PathBuf,
    tools: PathBuf,
}

impl Jars {
    /// None when they are not here, which is said; with CI=true that is a failure.
    pub(crate) fn find() -> Option<Self> {
        let broker = brought("MILLSTREAM_KAFKA_BROKER_LIBS", "kafka-broker");
        let tools = brought("MILLSTREAM_KAFKA_LIBS", "kafka-tools");
        let java =
            Command::new("java").arg("-version").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        match (broker, tools, java) {
            (Some(broker), Some(tools), true) => Some(Self { broker, tools }),
            (broker, tools, java) => {
                let line = format!(
                    "SKIPPED: a round trip through Apache Kafka: its broker is {}, its tools are {}, java is {}; \
                     `cargo xtask test` brings the jars",
                    here(broker.is_some()),
                    here(tools.is_some()),
                    here(java)
                );
                assert!(std::env::var("CI").as_deref() != Ok("true"), "{line}");
                // A stderr that is closed has nobody who reads it.
                let _ = writeln!(std::io::stderr(), "{line}");
                None
            }
        }
    }

    fn java(&self, libs: &Path, heap: &str) -> Command {
        let logging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/kafka/log4j2.xml");
        let mut java = Command::new("java");
        // Short runs gain nothing from the optimizing compiler, which would take most of their time.
        java.args([heap, "-XX:TieredStopAtLevel=1"]).arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
        java.arg("-cp").arg(format!("{}/*", libs.display())).stdin(Stdio::null());
        java
    }

    /// Formats an empty log directory.
    pub(crate) fn format(&self, properties: &Path) {
        let mut format = self.java(&self.broker, "-Xmx256M");
        format.args(["kafka.tools.StorageTool", "format", "--standalone", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"]);
        let output = format.arg(properties).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Runs KafkaData.java against a cluster, which may still be starting; what it printed.
    pub(crate) fn data(&self, command: &str, bootstrap: &str) -> String {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/KafkaData.java");
        let output = self.java(&self.broker, "-Xmx256M").arg(program).args([command, bootstrap]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Lets `kafka-dump-log` read every file of every partition.
    pub(crate) fn accept(&self, log_dir: &Path) {
        let mut files = Vec::new();
        for file in crate::command::contents(log_dir).into_keys() {
            let kind = file.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            if ["log", "index", "timeindex", "txnindex", "snapshot"].contains(&kind) {
                files.push(file.to_str().unwrap().to_owned());
            }
        }
        let mut dump = self.java(&self.tools, "-Xmx256M");
        dump.args(["org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--files", &files.join(",")]);
        let output = dump.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in text.lines() {
            assert!(COMPLAINTS.iter().all(|complaint| !line.contains(complaint)), "{line}");
        }
        assert!(text.matches("isvalid: true").count() > 100, "{text}");
    }

    /// Starts Kafka; its clients wait until it serves.
    pub(crate) fn start(&self, properties: &Path, bootstrap: &str) -> Kafka {
        let log = properties.with_extension("log");
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let mut java = self.java(&self.broker, "-Xmx512M");
        java.arg("kafka.Kafka").arg(properties).stdout(output.try_clone().unwrap()).stderr(output);
        Kafka { child: java.spawn().unwrap(), log, bootstrap: bootstrap.to_owned() }
    }
}

fn brought(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(named.into());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients").join(name);
    folder.join(".filled-from").exists().then_some(folder)
}

fn here(is_here: bool) -> &'static str {
    if is_here { "here" } else { "missing" }
}

/// A running Kafka; killed when dropped.
pub(crate) struct Kafka {
    child: Child,
    log: PathBuf,
    /// `host:port`.
    pub(crate) bootstrap: String,
}

impl Kafka {
    /// Stops it as a service manager does.
    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        let log = fs::read_to_string(&self.log).unwrap();
        assert!(status.success() || status.code() == Some(TERMINATED), "{status}: {log}");
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Addresses that nobody listens on now: of a broker and of a controller. Kafka cannot tell which port it was given.
pub(crate) fn addresses() -> (String, String) {
    let sockets = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let [broker, controller] = sockets.map(|socket| socket.local_addr().unwrap().to_string());
    (broker, controller)
}

//! The real broker as a process of a test's own: started on a data directory, killed, stopped, started again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// More than any start or end takes, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a broker that has failed takes to end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How a broker is started.
#[derive(Clone, Debug)]
pub(crate) struct Starter {
    /// Programs that start it, before its own name: `strace …`, `nsenter …`.
    wrapper: Vec<OsString>,
    data: PathBuf,
    options: Vec<String>,
    /// Where its stderr goes, start after start.
    log: PathBuf,
}

impl Starter {
    /// A broker on `directory/data`; its log is `directory/log`.
    pub(crate) fn new(directory: &Path) -> Self {
        let options = ["--listen", "127.0.0.1:0", "--http", "off", "--set", "group.initial.rebalance.delay.ms=0"];
        Self {
            wrapper: Vec::new(),
            data: directory.join("data"),
            options: options.map(str::to_owned).into(),
            log: directory.join("log"),
        }
    }

    pub(crate) fn on(mut self, data: PathBuf) -> Self {
        self.data = data;
        self
    }

    pub(crate) fn with(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|&option| option.to_owned()));
        self
    }

    /// Started by another program, which must leave stdout and the exit code as they are.
    pub(crate) fn under(mut self, wrapper: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.wrapper.splice(0..0, wrapper.into_iter().map(Into::into));
        self
    }

    /// Starts the process, and does not wait for it to serve.
    pub(crate) fn spawn(&self) -> Started {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut words: Vec<OsString> = self.wrapper.clone();
        words.extend([binary().into_os_string(), "broker".into()]);
        words.extend(self.options.iter().map(Into::into));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("--data-dir").arg(&self.data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("{words:?} cannot be started: {error}"));
        Started { child, log: self.log.clone(), wrapped: !self.wrapper.is_empty() }
    }

    /// Starts a broker and waits until it serves requests.
    pub(crate) async fn start(&self) -> Broker {
        self.spawn().serving().await
    }

    /// Starts a broker that may refuse to start: then there is only its exit code.
    pub(crate) async fn try_start(&self) -> Result<Broker, ExitStatus> {
        let mut started = self.spawn();
        let mut line = String::new();
        let mut stdout = BufReader::new(started.child.stdout.take().unwrap());
        timeout(PATIENCE, stdout.read_line(&mut line)).await.expect("it serves or ends").unwrap();
        if line.is_empty() {
            return Err(timeout(PATIENCE, started.child.wait()).await.expect("it ends").unwrap());
        }
        let address = line.trim().strip_prefix("listening on ").expect("it says where it listens").parse().unwrap();
        Ok(Broker { process: started, address })
    }

    /// Starts a broker that must refuse to start; answers what it said on stderr.
    pub(crate) async fn refusal(&self) -> String {
        let before = fs::metadata(&self.log).map_or(0, |log| log.len());
        let mut started = self.spawn();
        let status = timeout(PATIENCE, started.child.wait()).await.expect("it ends").unwrap();
        let log = fs::read(&self.log).unwrap();
        let said = String::from_utf8_lossy(&log[usize::try_from(before).unwrap()..]).into_owned();
        assert_eq!(status.code(), Some(1), "it said: {said}");
        said
    }

    /// Everything that the brokers said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// The binary under test: this build's, or the one that `MILLSTREAM_BINARY` names.
fn binary() -> PathBuf {
    std::env::var_os("MILLSTREAM_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_millstream").into(), PathBuf::from)
}

/// A process that may serve some day.
#[derive(Debug)]
pub(crate) struct Started {
    child: Child,
    log: PathBuf,
    wrapped: bool,
}

impl Started {
    /// Waits until it serves requests.
    pub(crate) async fn serving(mut self) -> Broker {
        let mut line = String::new();
        let mut stdout = BufReader::new(self.child.stdout.take().unwrap());
        timeout(PATIENCE, stdout.read_line(&mut line)).await.expect("it says where it listens").unwrap();
        let Some(address) = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok()) else {
            panic!("the broker did not start; its log:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        };
        Broker { process: self, address }
    }

    /// Ends it as a power switch would, whatever it is doing.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

impl Drop for Started {
    /// A program that started the broker does not take it along when it is killed.
    fn drop(&mut self) {
        let child = self.child.id().filter(|_| self.wrapped).and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = child.map(only_child).and_then(rustix::process::Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// A broker that serves requests.
#[derive(Debug)]
pub(crate) struct Broker {
    process: Started,
    pub(crate) address: SocketAddr,
}

impl Broker {
    pub(crate) async fn kill(self) {
        self.process.kill().await;
    }

    /// Waits for a process that ends by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.process.child.wait()).await.expect("the broker ends").unwrap()
    }

    /// Waits a while for the end of a process that may go on; says how it ended.
    pub(crate) async fn may_end(&mut self) -> Option<ExitStatus> {
        let ended = timeout(LAST_WORDS, self.process.child.wait()).await.ok()?;
        Some(ended.unwrap())
    }

    /// Whether it is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a service manager does.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        let child = i32::try_from(self.process.child.id().expect("it was not waited for")).unwrap();
        let pid = if self.process.wrapped { only_child(child) } else { child };
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.ended().await
    }
}

/// The process that another one started, or that one itself when it has become what it started.
fn only_child(pid: i32) -> i32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().next().map_or(pid, |child| child.parse().unwrap())
}

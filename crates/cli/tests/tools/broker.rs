//! Processes of the binary that a test starts and ends.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::MILLSTREAM;

/// Gone when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Asks it to end, as Ctrl-C does, and waits until it has.
    pub(crate) fn stop(mut self) {
        signal(self.0.id(), Signal::TERM);
        self.0.wait().expect("it can be waited for");
    }
}

/// Sends a signal to a process that this test started and has not waited for.
pub(crate) fn signal(id: u32, signal: Signal) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process has an id");
    kill_process(id, signal).expect("it takes a signal");
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A broker on a free port with an empty folder; gone when dropped.
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) bootstrap: String,
    _process: Running,
    _data: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder can be made");
        let mut command = Command::new(MILLSTREAM);
        command.args(["--log-level", "warn", "broker", "--listen", "127.0.0.1:0", "--http", "off"]);
        // As in the server.properties of the Kafka that was recorded.
        command.args(["--set", "node.id=1", "--set", "log.segment.bytes=1073741824", "--data-dir"]).arg(data.path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let process = Running(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("it speaks");
        let bootstrap = line.trim().strip_prefix("listening on ");
        let bootstrap = bootstrap.unwrap_or_else(|| panic!("the broker said `{line}`")).to_owned();
        Self { bootstrap, _process: process, _data: data }
    }
}

//! A `millstream broker` as a process of a test's own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A broker that serves; killed when dropped.
pub(crate) struct Broker {
    child: Child,
    /// `host:port`.
    pub(crate) address: String,
}

impl Broker {
    pub(crate) fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(["--log-level", "warn", "broker", "--http", "off", "--listen", "127.0.0.1:0"]);
        command.args(["--set", "node.id=1", "--data-dir"]);
        command.arg(data).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").map(str::to_owned);
        Self { address: address.unwrap_or_else(|| panic!("the broker said {line:?}: {:?}", child.wait())), child }
    }

    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Runs one of our tools with input.
    pub(crate) fn tool(&self, words: &[&str], input: &str) -> String {
        use std::io::Write as _;
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(&words[..1]).args(["--bootstrap-server", &self.address]).args(&words[1..]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

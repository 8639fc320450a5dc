//! Processes of the binary: a broker that can be killed and started again where it was, and others whose lines are read.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Nothing here takes longer unless something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process with the lines that it writes; killed when dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Process {
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, stdout, stderr }
    }

    /// What `find` finds in a line of stdout, as soon as there is one; the lines before are passed over.
    pub(crate) fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.stdout.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("{what} did not come; on stderr: {:?}", self.complaints()));
            if let Some(found) = find(&line) {
                return found;
            }
        }
    }

    /// The next `count` lines of stderr that `wanted` takes.
    pub(crate) fn wait_for_complaints(&self, count: usize, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut found = Vec::new();
        while found.len() < count {
            let line = self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("{count} complaints did not come, only {found:?}"));
            if wanted(&line) {
                found.push(line);
            }
        }
        found
    }

    /// The lines on stderr since the last look.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.stderr.try_iter().collect()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines as they come, so that the process never waits for a reader.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        // A test that has ended reads no more.
        let _ = lines.map(|line| sender.send(line)).find(Result::is_err);
    });
    receiver
}

/// A broker on a port that it keeps, with a folder of its own.
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) address: String,
    process: Process,
    data: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let (process, address) = serve(data.path(), "127.0.0.1:0");
        Self { address, process, data }
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn start_again(&mut self) {
        let (process, address) = serve(self.data.path(), &self.address);
        assert_eq!(address, self.address);
        self.process = process;
    }
}

fn serve(data: &std::path::Path, listen: &str) -> (Process, String) {
    let arguments = ["--log-level", "warn", "broker", "--http", "off", "--listen", listen, "--data-dir"];
    let process = Process::start(&[&arguments[..], &[data.to_str().unwrap()]].concat(), &[]);
    let address =
        process.wait_for("the broker's address", |line| line.strip_prefix("listening on ").map(str::to_owned));
    (process, address)
}

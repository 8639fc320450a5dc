//! `millstream broker` as a process: what it prints, and what it does not mind.
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A broker process; killed when a test fails half way.
struct Broker {
    process: Child,
    _data: tempfile::TempDir,
}

impl Broker {
    fn start(nodes: &str, stdout: impl Into<Stdio>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(["broker", "--listen", "127.0.0.1:0", "--http", "off", "--nodes", nodes, "--data-dir"]);
        command.arg(data.path()).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        Self { process: command.spawn().unwrap(), _data: data }
    }

    /// Ends it as an operator does; what it wrote to stderr.
    fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut text = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}: {text}");
        text
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn each_node_says_where_it_listens_and_is_there() {
    let mut broker = Broker::start("3", Stdio::piped());
    let lines = BufReader::new(broker.process.stdout.take().unwrap()).lines().take(3);
    let mut addresses: Vec<String> =
        lines.map(|line| line.unwrap().strip_prefix("listening on ").unwrap().to_owned()).collect();
    addresses.iter().for_each(|address| drop(TcpStream::connect(address).unwrap()));
    addresses.dedup();
    assert_eq!(addresses.len(), 3);
    broker.stop();
}

#[test]
fn a_broker_whose_stdout_nobody_reads_serves_on() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut broker = Broker::start("3", writer);
    let mut stderr = BufReader::new(broker.process.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("could not be written to stdout") {
        assert_ne!(stderr.read_line(&mut text).unwrap(), 0, "the broker ended: {text}");
    }
    assert!(broker.process.try_wait().unwrap().is_none());
    broker.process.stderr = Some(stderr.into_inner());
    broker.stop();
}

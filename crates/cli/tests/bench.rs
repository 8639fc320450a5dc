//! `millstream bench` as a user starts it, against a broker process: what it prints, and that it leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

struct Broker {
    process: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(["broker", "--listen", "127.0.0.1:0", "--http", "off", "--data-dir"]).arg(data.path());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, address, _data: data }
    }

    /// Runs a subcommand against the broker; what it printed.
    fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        let output = command.args(words).args(["--bootstrap-server", &self.address]).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn without_a_load_a_few_run_and_make_a_table_or_json_and_their_topic_goes() {
    let broker = Broker::start();
    let small = ["bench", "--seconds", "0.2", "--bytes", "5M", "--connections", "2", "--compression", "lz4"];
    let table = broker.run(&small);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.len() == 6 && lines[0].trim_start().starts_with("requests/s"), "{table}");
    assert!(lines[5].starts_with("end to end, 100 B "), "{table}");
    let json = broker.run(&[&small[..], &["--output", "json"]].concat());
    let results: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(results.len(), 5);
    assert!(results.iter().all(|one| one["requests"].as_u64() > Some(0) && one["name"].is_string()), "{json}");
    assert_eq!(broker.run(&["topics", "--list"]).trim_end(), "");
}

#[test]
fn a_keyed_load_over_several_partitions_is_read_back_from_where_it_is_told() {
    let broker = Broker::start();
    let shape = ["--keys", "100", "--partitions-per-request", "3", "--shuffle", "--record-size", "100"];
    let amount = ["--batch-size", "1Ki", "--requests", "10", "--partitions", "6", "--compression", "zstd"];
    broker.run(&[&["bench", "produce"][..], &shape, &amount].concat());
    broker.run(&["bench", "await-topics"]);
    let window = ["bench", "fetch", "--from", "3", "--records", "1", "--max-bytes", "1", "--output", "json"];
    let report: serde_json::Value = serde_json::from_str(&broker.run(&window)).unwrap();
    assert_eq!(report["requests"], 6, "one for each partition");
}

//! Our Kafka tools print and end as Apache Kafka's do: a transcript recorded from Kafka's own tools is replayed, command
//! by command, on an empty cluster. `golden/record.bash` recorded it.
//!
//! The cluster is this binary's broker, or the one that MILLSTREAM_TEST_BOOTSTRAP names.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

const MILLSTREAM: &str = env!("CARGO_BIN_EXE_millstream");

/// A command with what Kafka's tool printed and ended with.
#[derive(Debug, Default)]
struct Recorded {
    line: String,
    stdout: String,
    code: i32,
}

fn recorded() -> Vec<Recorded> {
    let mut recorded: Vec<Recorded> = Vec::new();
    for text in include_str!("golden/transcript.txt").lines() {
        if let Some(line) = text.strip_prefix("$ ") {
            recorded.push(Recorded { line: line.to_owned(), ..Recorded::default() });
            continue;
        }
        let last = recorded.last_mut().expect("a transcript begins with a command");
        match text.strip_prefix("exit ") {
            Some(code) => last.code = code.parse().expect("an exit code is a number"),
            None => last.stdout += &format!("{text}\n"),
        }
    }
    recorded
}

/// A broker of our own on a free port with an empty folder; gone when dropped.
struct Broker {
    child: Child,
    _data: tempfile::TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_broker() -> (String, Broker) {
    let data = tempfile::tempdir().expect("a folder can be made");
    let mut command = Command::new(MILLSTREAM);
    command.args(["--log-level", "warn", "broker", "--listen", "127.0.0.1:0", "--http", "off"]);
    // As in the server.properties of the Kafka that was recorded.
    command.args(["--set", "node.id=1", "--set", "log.segment.bytes=1073741824", "--data-dir"]).arg(data.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("it speaks");
    let broker = Broker { child, _data: data };
    let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("the broker said `{line}`"));
    // What Kafka sets for itself when its storage is formatted.
    let set = ["--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "min.insync.replicas=1"];
    let set = Command::new(MILLSTREAM).args(["configs", "--bootstrap-server", address]).args(set).output();
    assert!(set.expect("the binary starts").status.success(), "the broker takes Kafka's own setting");
    (address.to_owned(), broker)
}

/// Splits as a shell does where there are no quotes but single ones.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().expect("there is one").push(character),
        }
    }
    words
}

/// Runs a recorded line with our tool; its stdout and exit code.
fn replay(line: &str, bootstrap: &str) -> (String, i32) {
    let (line, input) = line.split_once(" <").unwrap_or((line, ""));
    let words = words(line);
    let mut command = Command::new(MILLSTREAM);
    command.arg(&words[0]).args(["--bootstrap-server", bootstrap]).args(&words[1..]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let input = input.replace("\\n", "\n").replace("\\t", "\t");
    // A tool that refuses its line ends without reading.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap_or(-1))
}

/// Masks what differs from run to run, as record.bash does.
fn masked(text: &str, bootstrap: &str) -> String {
    let text = text.replace(bootstrap, "BOOTSTRAP");
    let text = after_each(&text, "TopicId: ", 22, "ID");
    after_each(&text, "CreateTime:", 13, "TIME")
}

/// Puts `mask` in the place of the `length` characters behind every `marker`.
fn after_each(text: &str, marker: &str, length: usize, mask: &str) -> String {
    let mut parts = text.split(marker);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked += &format!("{marker}{mask}{}", part.get(length..).unwrap_or_default());
    }
    masked
}

/// Columns are as wide as what they hold, and a masked address is shorter or longer than another. A topic's configs
/// stand in the order of the broker's answer, which has no meaning.
fn squeezed(line: &str) -> String {
    if line.contains("BOOTSTRAP") {
        return line.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let Some((topic, configs)) = line.split_once("\tConfigs: ") else { return line.to_owned() };
    let mut configs: Vec<&str> = configs.split(',').collect();
    configs.sort_unstable();
    format!("{topic}\tConfigs: {}", configs.join(","))
}

/// Millstream's own configs are beside Kafka's.
fn lines(text: &str) -> Vec<String> {
    let lines = text.trim_end_matches('\n').lines();
    lines.filter(|line| !line.starts_with("  millstream.")).map(squeezed).collect()
}

#[test]
fn our_tools_print_and_end_as_kafkas_do() {
    let (bootstrap, _broker) = match std::env::var("MILLSTREAM_TEST_BOOTSTRAP") {
        Ok(bootstrap) => (bootstrap, None),
        Err(_) => {
            let (bootstrap, broker) = start_broker();
            (bootstrap, Some(broker))
        }
    };
    let mut differences = Vec::new();
    for recorded in recorded() {
        let (stdout, code) = replay(&recorded.line, &bootstrap);
        let (expected, got) = (lines(&recorded.stdout), lines(&masked(&stdout, &bootstrap)));
        if (&expected, recorded.code) != (&got, code) {
            let (expected, got) = (expected.join("\n"), got.join("\n"));
            differences.push(format!(
                "$ {}\n--- Kafka's, exit {}\n{expected}\n--- ours, exit {code}\n{got}",
                recorded.line, recorded.code
            ));
        }
    }
    assert!(differences.is_empty(), "{} commands differ\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn started_under_a_scripts_name_it_is_that_tool() {
    let folder = tempfile::tempdir().unwrap();
    let installed = Command::new(MILLSTREAM).arg("install-tools").arg(folder.path()).output().unwrap();
    assert!(installed.status.success(), "{installed:?}");
    let topics = folder.path().join("kafka-topics.sh");
    let version = Command::new(&topics).arg("--version").output().unwrap();
    assert_eq!((String::from_utf8(version.stdout).unwrap().as_str(), version.status.code()), ("4.3.1\n", Some(0)));
    let refused = Command::new(&topics).args(["--list"]).output().unwrap();
    assert_eq!(String::from_utf8(refused.stderr).unwrap(), "--bootstrap-server must be specified\n");
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn a_script_of_kafkas_own_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("kafka-topics.sh");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let refused = Command::new(MILLSTREAM).arg("install-tools").arg(folder.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("is no link"));
    assert_eq!(std::fs::read_to_string(&script).unwrap(), "#!/bin/sh\n");
}

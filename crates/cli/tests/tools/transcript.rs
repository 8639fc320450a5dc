//! The transcript in `golden/`: its commands with what Kafka's tools printed, how ours run them, and what must be equal.

use std::{
    fmt,
    io::Write,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    MILLSTREAM,
    broker::{Running, signal},
};

/// A group has its members' partitions no later.
const STABLE_MAX: Duration = Duration::from_secs(60);
/// A tool has ended no later.
const TOOL_MAX: Duration = Duration::from_secs(60);
/// Where the transcript lies, and the files that its commands name.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
/// What stands in the place of an option table: its words are ours.
const TABLE: &str = "(the table of options)";

/// A command with what a tool printed and ended with.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) line: String,
    stdout: String,
    stderr: String,
    code: i32,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stdout, stderr, code, .. } = self;
        write!(f, "{stdout}{}exit {code}", stderr.lines().map(|line| format!("! {line}\n")).collect::<String>())
    }
}

/// What Kafka's tools told, in the order in which they were run.
pub(crate) fn recorded() -> Vec<Told> {
    let mut recorded: Vec<Told> = Vec::new();
    for text in include_str!("../golden/transcript.txt").lines() {
        if let Some(line) = text.strip_prefix("$ ") {
            recorded.push(Told { line: line.to_owned(), ..Told::default() });
            continue;
        }
        let last = recorded.last_mut().expect("a transcript begins with a command");
        match (text.strip_prefix("exit "), text.strip_prefix("! ")) {
            (Some(code), _) => last.code = code.parse().expect("an exit code is a number"),
            (None, Some(text)) => last.stderr += &format!("{text}\n"),
            (None, None) => last.stdout += &format!("{text}\n"),
        }
    }
    recorded
}

/// Runs the recorded commands with our tools.
pub(crate) struct Replay<'a> {
    pub(crate) bootstrap: &'a str,
    /// The consumer between `begin` and `end`.
    behind: Option<Running>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(bootstrap: &'a str) -> Self {
        Self { bootstrap, behind: None }
    }

    /// What our tool tells for this line; what differs from run to run is masked as `record.bash` masks it.
    pub(crate) fn tell(&mut self, line: &str) -> Told {
        let told = Told { line: line.to_owned(), ..Told::default() };
        if line == "end" {
            let behind = self.behind.take().expect("`end` stands behind a `begin`");
            behind.stop();
            return told;
        }
        if let Some(line) = line.strip_prefix("begin ") {
            self.behind = Some(Running(self.start(line, Stdio::null(), Stdio::null())));
            let (_, group) = line.rsplit_once(' ').expect("the group is the last word");
            self.wait_until_stable(group);
            return told;
        }
        let (words, input) = line.split_once(" <").unwrap_or((line, ""));
        let mut child = self.start(words, Stdio::piped(), Stdio::piped());
        let input = input.replace("\\n", "\n").replace("\\t", "\t");
        // A tool that refuses its line ends without reading.
        let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
        let output = ended(child);
        let masked = |bytes| self.masked(&String::from_utf8_lossy(bytes));
        Told {
            stdout: masked(&output.stdout),
            stderr: masked(&output.stderr),
            code: output.status.code().unwrap_or(-1),
            ..told
        }
    }

    fn start(&self, line: &str, stdin: Stdio, output: Stdio) -> Child {
        let words = words(line);
        let mut command = Command::new(MILLSTREAM);
        command.current_dir(GOLDEN).arg(&words[0]);
        match words.get(1).map(String::as_str) {
            Some("-") => command.args(&words[2..]),
            Some("--bootstrap-server") => command.args(&words[1..]),
            _ => command.args(["--bootstrap-server", self.bootstrap]).args(&words[1..]),
        };
        let stderr = Stdio::piped();
        command.stdin(stdin).stdout(output).stderr(stderr).spawn().expect("the binary starts")
    }

    fn wait_until_stable(&mut self, group: &str) {
        let begun = Instant::now();
        while !self.tell(&format!("consumer-groups --describe --group {group} --state")).stdout.contains(" Stable ") {
            assert!(begun.elapsed() < STABLE_MAX, "group {group} does not become stable");
        }
    }

    fn masked(&self, text: &str) -> String {
        let text = text.replace(self.bootstrap, "BOOTSTRAP");
        let text = after_each(&text, "TopicId: ", 22, "ID");
        let text = after_each(&text, "CreateTime:", 13, "TIME");
        after_each(&text, "console-consumer-", 36, "UUID")
    }
}

/// What a tool told until it ended; one that does not end in time is killed, which shows in its exit code.
fn ended(child: Child) -> Output {
    let id = child.id();
    let (done, is_done) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if is_done.recv_timeout(TOOL_MAX) == Err(RecvTimeoutError::Timeout) {
            signal(id, Signal::KILL);
        }
    });
    let output = child.wait_with_output().expect("it ends");
    drop(done);
    watch.join().expect("the watch does not panic");
    output
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

/// Puts `mask` in the place of the `length` characters behind every `marker`, where as many stand without a space.
fn after_each(text: &str, marker: &str, length: usize, mask: &str) -> String {
    let mut parts = text.split(marker);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_one = part.get(..length).is_some_and(|word| !word.contains(char::is_whitespace));
        let (mask, rest) = if is_one { (mask, &part[length..]) } else { ("", part) };
        masked += &format!("{marker}{mask}{rest}");
    }
    masked
}

/// Whether ours tells what Kafka's did, as far as it must.
pub(crate) fn agree(kafka: &Told, ours: &Told) -> bool {
    let [kafka_out, our_out] = [kafka, ours].map(|told| stdout_lines(told, ours));
    kafka.code == ours.code && kafka_out == our_out && stderr_agrees(kafka, ours)
}

/// Millstream's own configs stand beside Kafka's, and the cluster serves fewer APIs.
fn stdout_lines(told: &Told, ours: &Told) -> Vec<String> {
    let lines = told.stdout.trim_end_matches('\n').lines().filter(|line| !line.starts_with("  millstream."));
    if told.line == "broker-api-versions" {
        lines.filter_map(|line| served(line, &ours.stdout)).collect()
    } else {
        lines.map(squeezed).collect()
    }
}

/// Which versions of an API the broker serves, unless it does not serve it. Which of them is usable depends on the tool's age.
fn served(line: &str, ours: &str) -> Option<String> {
    let api = line.split(':').next().unwrap_or_default();
    if api.contains("UNKNOWN(") || ours.contains(&format!("{api}: UNSUPPORTED")) {
        return None;
    }
    Some(line.split(" [usable").next().unwrap_or_default().to_owned())
}

/// Columns are as wide as what they hold, and a masked address is shorter or longer than another.
fn squeezed(line: &str) -> String {
    let is_masked = line.contains("BOOTSTRAP") || line.contains("-UUID");
    if is_masked { line.split_whitespace().collect::<Vec<_>>().join(" ") } else { line.to_owned() }
}

/// Each sentence is Kafka's; behind a colon ours may say why. How a tool presents itself is in words of ours.
fn stderr_agrees(kafka: &Told, ours: &Told) -> bool {
    let [kafka_says, ours_says] = [kafka, ours].map(|told| sentences(&told.stderr));
    if is_help(&kafka.line) {
        return kafka_says.last() == ours_says.last() && ours_says.last().is_some_and(|last| last == TABLE);
    }
    let same = |(kafka, ours): (&String, &String)| {
        let more = ours.strip_prefix(kafka.trim_end_matches(':'));
        more.is_some_and(|more| more.is_empty() || more.starts_with(": "))
    };
    kafka_says.len() == ours_says.len() && kafka_says.iter().zip(&ours_says).all(same)
}

/// A tool and no options.
fn is_help(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(_, options)| options == "-")
}

fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if line == TABLE || line.starts_with("Option  ") {
            sentences.push(TABLE.to_owned());
            break;
        }
        sentences.push(in_any_order(line));
    }
    sentences
}

/// What Java lists from a set stands in an order that changes from run to run: in double brackets, or behind a colon.
fn in_any_order(sentence: &str) -> String {
    let sorted = |listed: &str, between: &str| {
        let mut items: Vec<&str> = listed.split(between).collect();
        items.sort_unstable();
        items.join(between)
    };
    if let Some((before, rest)) = sentence.split_once("[[")
        && let Some((listed, behind)) = rest.split_once("]]")
    {
        return format!("{before}[[{}]]{behind}", sorted(listed, "], ["));
    }
    match sentence.rsplit_once(": ") {
        Some((before, listed)) => format!("{before}: {}", sorted(listed, ", ")),
        None => sentence.to_owned(),
    }
}

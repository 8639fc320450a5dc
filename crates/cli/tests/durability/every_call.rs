//! Every system call that changes the data directory fails once, with EIO and with ENOSPC: the broker goes on or ends with a
//! clear word, and the next start has everything that was acknowledged. Which calls there are, a run under strace shows.
//!
//! The ordinary run lets one call of a kind fail; `MILLSTREAM_FAULTS=all` the first and the third on every file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failed_io::{Device, RECORDS, Topics};
use crate::say;
use crate::synced::can_trace;

/// Calls that change a file or directory, or open one.
const CALLS: [&str; 17] = [
    "fallocate",
    "fdatasync",
    "fsync",
    "ftruncate",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "openat",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
];

/// A call that is to fail.
#[derive(Clone, Debug)]
struct Fault {
    call: String,
    file: PathBuf,
    /// Which of its calls on the file, in each thread.
    number: u32,
    error: &'static str,
    /// On a directory that does not exist yet, or on one with records.
    fresh: bool,
}

impl Fault {
    fn injected(&self) -> Vec<OsString> {
        let inject = format!("inject={}:error={}:when={}", self.call, self.error, self.number);
        let trace = format!("trace={}", self.call);
        let words = ["strace", "-f", "-qqq", "-e", &trace, "-e", &inject, "-o", "/dev/null", "-P"].map(OsString::from);
        words.into_iter().chain([self.file.as_os_str().to_owned()]).collect()
    }
}

/// A device on its own directory; one that is not fresh has records, and was closed.
async fn device(directory: &Path, fresh: bool) -> Device {
    let mut device = Device::new(directory).await;
    if !fresh {
        let broker = device.lead_to(device.starter.start().await);
        device.scene.make_topics().await;
        device.produce().await;
        assert!(broker.stop().await.success());
    }
    device
}

/// The calls of a first start, or of a later one with some records, and of a shutdown; each with the files that it is made on, in the order of their names.
async fn calls(fresh: bool) -> BTreeMap<String, Vec<PathBuf>> {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut device = device(place.path(), fresh).await;
    let trace = place.path().join("trace");
    let strace = ["strace", "-f", "-qqq", "-y", "-s", "0", "-e"].map(OsString::from);
    let strace =
        strace.into_iter().chain([format!("trace=?{}", CALLS.join(",?")).into(), "-o".into(), trace.clone().into()]);
    let broker = device.lead_to(device.starter.clone().under(strace).start().await);
    if !fresh {
        device.produce().await;
    }
    assert!(broker.stop().await.success());
    let data = place.path().join("data");
    let mut calls: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for line in fs::read_to_string(trace).unwrap().lines() {
        let Some((call, file)) = call_on(line) else { continue };
        let Ok(file) = Path::new(file).strip_prefix(&data) else { continue };
        let files = calls.entry(call.to_owned()).or_default();
        if !files.iter().any(|known| known == file) {
            files.push(file.to_owned());
        }
    }
    calls
}

/// Call and file of a line of strace's: the first file that it names, by descriptor or by path.
fn call_on(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(char::is_whitespace)?;
    let (call, arguments) = rest.trim_start().split_once('(')?;
    CALLS.contains(&call).then_some(())?;
    let arguments =
        arguments.strip_prefix("AT_FDCWD").map_or(arguments, |rest| rest.split_once(", ").map_or("", |it| it.1));
    let named = match arguments.strip_prefix('"') {
        Some(path) => path.split_once('"')?.0,
        None => arguments.split_once('<')?.1.split_once('>')?.0,
    };
    Some((call, named))
}

#[test]
fn the_file_of_a_call_is_found() {
    for (line, expected) in [
        ("7 fdatasync(12</d/kafka/a-0/0.log>) = 0", ("fdatasync", "/d/kafka/a-0/0.log")),
        ("7 openat(AT_FDCWD</work>, \"/d/.lock\", O_RDWR) = 9</d/.lock>", ("openat", "/d/.lock")),
        ("7 openat(AT_FDCWD, \"/d/.lock\", O_RDWR <unfinished ...>", ("openat", "/d/.lock")),
        ("8 rename(\"/d/a.tmp\", \"/d/a\") = 0", ("rename", "/d/a.tmp")),
    ] {
        assert_eq!(call_on(line), Some(expected), "{line}");
    }
    assert_eq!(call_on("7 <... fdatasync resumed>) = 0"), None);
    assert_eq!(call_on("7 epoll_wait(3<anon_inode:[eventpoll]>, [], 9, 0) = 0"), None);
}

/// What is tried of the calls that a run has shown.
fn faults(calls: &BTreeMap<String, Vec<PathBuf>>, fresh: bool, all: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (call, files) in calls {
        let last = files.len() - 1;
        for (_, file) in files.iter().enumerate().filter(|(at, _)| all || *at == last) {
            for number in [1, 3].into_iter().take(if all { 2 } else { 1 }) {
                for error in ["EIO", "ENOSPC"] {
                    faults.push(Fault { call: call.clone(), file: file.clone(), number, error, fresh });
                }
            }
        }
    }
    faults
}

/// Lets a call fail, and says what became of the broker.
async fn becomes(fault: &Fault) -> &'static str {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut device = device(place.path(), fault.fresh).await;
    let fault = Fault { file: place.path().join("data").join(&fault.file), ..fault.clone() };
    let outcome = match device.starter.clone().under(fault.injected()).try_start().await {
        Err(status) => {
            ends_with_a_word(&device, &fault, status.code());
            "refuses to start"
        }
        Ok(mut broker) => {
            device.lead_to_it(&broker);
            let before = device.scene.history().acknowledged_count();
            if !fault.fresh {
                device.produce().await;
            }
            let whole = fault.fresh || device.scene.history().acknowledged_count() == before + RECORDS as usize;
            match if whole { None } else { broker.may_end().await } {
                Some(status) => {
                    ends_with_a_word(&device, &fault, status.code());
                    "ends"
                }
                None => match broker.stop().await.code() {
                    Some(0) => "goes on",
                    code => {
                        ends_with_a_word(&device, &fault, code);
                        "ends when it is stopped"
                    }
                },
            }
        }
    };
    device.recovers_and_makes(if fault.fresh { Topics::AreToBeMade } else { Topics::AreThere }).await;
    outcome
}

fn ends_with_a_word(device: &Device, fault: &Fault, code: Option<i32>) {
    let log = device.starter.log();
    let last = log.lines().last().unwrap_or_default();
    assert_eq!(code, Some(1), "{fault:?}: {log}");
    let says = last.contains("error") || last.contains("failed");
    assert!(says && !log.contains("panicked"), "{fault:?}: its last line is no clear word:\n{log}");
}

#[test]
fn a_call_that_fails_loses_nothing_that_was_acknowledged() {
    if !can_trace() {
        return;
    }
    let all = std::env::var("MILLSTREAM_FAULTS").is_ok_and(|which| which == "all");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for fresh in [true, false] {
            let calls = calls(fresh).await;
            let kinds = calls.len();
            assert!(kinds >= 6, "a run shows few calls: {calls:?}");
            for fault in faults(&calls, fresh, all) {
                let outcome = becomes(&fault).await;
                let Fault { call, file, number, error, fresh } = fault;
                say(&format!("{error} from {call} {number} on {}, fresh: {fresh}: {outcome}", file.display()));
            }
        }
    });
}

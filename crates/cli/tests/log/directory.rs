//! A broker whose data directory is damaged while it is stopped: what `log verify` and `doctor` say, what `--repair` does.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::command::{Ended, millstream};

/// A broker of the test's own; killed when dropped.
pub(crate) struct Broker {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Broker {
    pub(crate) fn start(data: &Path, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_millstream"))
            .args(["broker", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::from(fs::File::create(data.with_extension("log")).unwrap()))
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { child, address }
    }

    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// What it logged so far.
    pub(crate) fn log(data: &Path) -> String {
        fs::read_to_string(data.with_extension("log")).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends lines as records, each acknowledged before the next is sent.
pub(crate) fn produce(broker: &Broker, topic: &str, lines: &str) {
    let mut producer = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .args(["console-producer", "--bootstrap-server", &broker.address, "--topic", topic, "--sync"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut producer.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    assert!(producer.wait().unwrap().success());
}

/// All records of a topic that has so many.
pub(crate) fn consume(broker: &Broker, topic: &str, count: usize) -> String {
    let count = count.to_string();
    let words = ["console-consumer", "--bootstrap-server", &broker.address, "--topic", topic, "--from-beginning"];
    let ended =
        millstream(Path::new("/"), &[&words[..], &["--max-messages", &count, "--timeout-ms", "20000"]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.stdout
}

/// A data directory with four records in topic `t`, of a broker that was stopped.
fn stopped() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let broker = Broker::start(&data, &[]);
    produce(&broker, "t", "first\nsecond\nthird\nfourth\n");
    broker.stop();
    (dir, data)
}

fn run(data: &Path, words: &[&str]) -> Ended {
    millstream(data, &[words, &["--data-dir", data.to_str().unwrap()]].concat())
}

const LOG: &str = "kafka/t-0/00000000000000000000.log";

/// Changes a byte in the second batch.
fn damage(data: &Path) {
    let file = fs::File::options().read(true).write(true).open(data.join(LOG)).unwrap();
    let content = fs::read(data.join(LOG)).unwrap();
    let at = content.windows(6).position(|bytes| bytes == b"second").unwrap() as u64;
    file.write_all_at(b"S", at).unwrap();
}

#[test]
fn a_whole_directory_is_ok_and_a_broker_in_it_is_not_disturbed() {
    let (_dir, data) = stopped();
    let ended = run(&data, &["log", "verify"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert!(ended.stdout.contains("t-0: OK, offsets 0 to 4, 4 whole batches in 1 segment\n"), "{ended:?}");
    let ended = run(&data, &["doctor"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let broker = Broker::start(&data, &[]);
    for words in [&["log", "verify"][..], &["doctor"], &["doctor", "--repair"]] {
        let ended = run(&data, words);
        assert!(ended.code == 1 && ended.stderr.contains("is in use: stop the broker first"), "{ended:?}");
    }
    broker.stop();
}

#[test]
fn a_folder_that_is_no_data_directory_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run(dir.path(), &["log", "verify"]);
    assert!(ended.code == 1 && ended.stderr.contains("is no broker's data directory"), "{ended:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_start_in_memory_warns_once_and_one_on_a_disk_does_not() {
    let warned = |log: &str| log.matches("the data directory is in memory").count();
    let shm = Path::new("/dev/shm");
    if !shm.is_dir() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "there is no /dev/shm");
        eprintln!("SKIPPED: the warning of a start in memory: there is no /dev/shm");
        return;
    }
    let dir = tempfile::tempdir_in(shm).unwrap();
    let data = dir.path().join("data");
    Broker::start(&data, &[]).stop();
    assert_eq!(warned(&Broker::log(&data)), 1, "{}", Broker::log(&data));
    // The target folder is on a disk, wherever the system keeps what is temporary.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = dir.path().join("data");
    Broker::start(&data, &[]).stop();
    assert_eq!(warned(&Broker::log(&data)), 0, "{}", Broker::log(&data));
}

#[test]
fn damage_is_named_healed_and_what_is_left_is_served() {
    let (_dir, data) = stopped();
    damage(&data);
    let ended = run(&data, &["log", "verify"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.contains("t-0: DAMAGED"), "{ended:?}");
    assert!(ended.stdout.contains("the CRC of the batch at offset 1 is not that of its bytes"), "{ended:?}");
    let before = fs::read(data.join(LOG)).unwrap();
    let ended = run(&data, &["doctor"]);
    assert!(ended.code == 1 && ended.stdout.contains("  lost: offset 1\n"), "{ended:?}");
    assert_eq!(fs::read(data.join(LOG)).unwrap(), before, "without --repair nothing changes");
    let ended = run(&data, &["doctor", "--repair"]);
    assert!(ended.code == 0 && ended.stdout.contains("t-0: healed"), "{ended:?}");
    assert_eq!(fs::read(data.join("aside/doctor-0/t-0/00000000000000000000.log")).unwrap(), before);
    assert_eq!(run(&data, &["log", "verify"]).code, 0);
    let broker = Broker::start(&data, &[]);
    produce(&broker, "t", "fifth\n");
    assert_eq!(consume(&broker, "t", 4), "first\nthird\nfourth\nfifth\n");
    broker.stop();
    assert!(!Broker::log(&data).contains("offline"), "{}", Broker::log(&data));
}

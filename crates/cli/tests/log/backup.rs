//! `log backup` of a broker with producers at work: a broker that starts on the copy has everything that was acknowledged
//! before, and the original goes on.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::millstream;
use crate::directory::{Broker, consume, produce};

/// Where a broker serves HTTP, as it logs.
fn http(data: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let log = Broker::log(data);
        let address = log.split_once("metrics at http://").and_then(|(_, rest)| rest.split_once("/metrics"));
        if let Some((address, _)) = address {
            return address.to_owned();
        }
        assert!(Instant::now() < deadline, "{log}");
        std::thread::yield_now();
    }
}

#[test]
fn a_broker_starts_on_the_copy_and_has_what_was_acknowledged_before() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    std::fs::create_dir(&data).unwrap();
    let broker = Broker::start(&data, &[]);
    let http = http(&data);
    produce(&broker, "t", "first\nsecond\n");
    // Somebody goes on while it is copied.
    let mut busy = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .args(["console-producer", "--bootstrap-server", &broker.address, "--topic", "busy"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = busy.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let mut number = 0;
        while lines.write_all(format!("line {number}\n").as_bytes()).is_ok() {
            number += 1;
        }
    });
    consume(&broker, "busy", 100);
    let words = ["log", "backup", copy.to_str().unwrap(), "--http", &http];
    let ended = millstream(dir.path(), &words);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!data.join("backup").exists(), "the links are gone");
    let again = millstream(dir.path(), &words);
    assert!(again.code == 1 && again.stderr.contains("is there already"), "{again:?}");
    produce(&broker, "t", "third\n");
    busy.kill().unwrap();
    busy.wait().unwrap();
    writer.join().unwrap();
    let ended = millstream(dir.path(), &["log", "verify", "--data-dir", copy.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let restored = Broker::start(&copy, &[]);
    produce(&restored, "t", "another third\n");
    assert_eq!(consume(&restored, "t", 3), "first\nsecond\nanother third\n");
    assert!(consume(&restored, "busy", 100).starts_with("line 0\nline 1\n"));
    assert_eq!(consume(&broker, "t", 3), "first\nsecond\nthird\n");
    restored.stop();
    broker.stop();
}

#[test]
fn a_backup_needs_the_header_that_no_web_page_sends_and_one_goes_on_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let broker = Broker::start(&data, &[]);
    let http = http(&data);
    let ask = |header: &str| {
        let mut stream = std::net::TcpStream::connect(&http).unwrap();
        let head =
            format!("POST /backup HTTP/1.1\r\nHost: x\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        std::io::read_to_string(stream).unwrap()
    };
    assert!(ask("").starts_with("HTTP/1.1 403"));
    assert!(!data.join("backup").exists());
    assert!(ask("X-Millstream-Command: backup\r\n").starts_with("HTTP/1.1 200"));
    let copy = dir.path().join("copy");
    let words = ["log", "backup", copy.to_str().unwrap(), "--http", &http];
    let ended = millstream(dir.path(), &words);
    assert!(ended.code == 1 && ended.stderr.contains("another backup is under way"), "{ended:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left of it: data and its log");
    assert_eq!(millstream(dir.path(), &["log", "backup", "--abandon", "--http", &http]).code, 0);
    assert!(!data.join("backup").exists());
    assert_eq!(millstream(dir.path(), &words).code, 0);
    broker.stop();
}

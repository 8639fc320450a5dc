use std::fs;

use super::*;
use crate::clock::Clock;

struct Fixture {
    _folder: tempfile::TempDir,
    logs: Logs,
    path: PathBuf,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::new(folder.path());
    let path = logs.file("default", "web", "1-2", "main", 0);
    Fixture { _folder: folder, logs, path }
}

fn write(fixture: &Fixture, text: &str) -> LogWriter {
    let writer =
        fixture.logs.create(&fixture.path, &Clock::from_fn(|| "2026-11-23T07:00:00Z".parse().unwrap())).unwrap();
    writer.copy(text.as_bytes(), Output::Stdout);
    writer
}

fn read(fixture: &Fixture, options: LogOptions) -> String {
    let mut reader = LogReader::open(&fixture.logs, &fixture.path, options).unwrap();
    let mut text = reader.read_rotated().unwrap();
    text.extend(reader.read().unwrap());
    String::from_utf8(text).unwrap()
}

#[test]
fn lines_are_stored_in_the_kubelets_format_and_read_back_plain() {
    let fixture = fixture();
    write(&fixture, "one\ntwo\nunfinished");
    let stored = fs::read_to_string(&fixture.path).unwrap();
    assert!(stored.starts_with("2026-11-23T07:00:00.000000000Z stdout F one\n"), "{stored}");
    assert_eq!(read(&fixture, LogOptions::default()), "one\ntwo\nunfinished\n");
}

#[test]
fn a_tail_is_the_last_lines() {
    let fixture = fixture();
    write(&fixture, "one\ntwo\nthree\n");
    let tail = |lines| read(&fixture, LogOptions { tail_lines: Some(lines), ..LogOptions::default() });
    assert_eq!(tail(2), "two\nthree\n");
    assert_eq!(tail(0), "");
    assert_eq!(tail(9), "one\ntwo\nthree\n");
}

#[test]
fn a_long_line_comes_back_as_one() {
    let fixture = fixture();
    let long = "x".repeat(3 * LINE_BYTES_MAX + 5);
    write(&fixture, &format!("{long}\nend\n"));
    assert_eq!(read(&fixture, LogOptions::default()), format!("{long}\nend\n"));
    let tail = LogOptions { tail_lines: Some(2), ..LogOptions::default() };
    assert_eq!(read(&fixture, tail), format!("{long}\nend\n"));
}

#[test]
fn times_and_limits_are_honoured() {
    let fixture = fixture();
    write(&fixture, "one\n");
    let stamped = LogOptions { timestamps: true, ..LogOptions::default() };
    assert_eq!(read(&fixture, stamped), "2026-11-23T07:00:00.000000000Z one\n");
    let limited = LogOptions { bytes_max: Some(2), ..LogOptions::default() };
    assert_eq!(read(&fixture, limited), "on");
    let later = LogOptions { since: Some("2026-11-23T07:00:01Z".parse().unwrap()), ..LogOptions::default() };
    assert_eq!(read(&fixture, later), "");
}

#[test]
fn a_full_file_is_rotated_and_its_text_still_read() {
    let fixture = fixture();
    let line = format!("{}\n", "y".repeat(1000));
    let count = usize::try_from(FILE_BYTES_MAX).unwrap() / 1000;
    write(&fixture, &line.repeat(count));
    assert!(fixture.path.with_extension("log.1").exists());
    assert!(fs::metadata(&fixture.path).unwrap().len() < FILE_BYTES_MAX);
    let mut reader = LogReader::open(&fixture.logs, &fixture.path, LogOptions::default()).unwrap();
    assert!(reader.read_rotated().unwrap().len() > 9_000_000);
}

#[test]
fn a_follower_goes_on_until_the_last_writer_is_gone() {
    let fixture = fixture();
    let writer = write(&fixture, "one\n");
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut reader = LogReader::open(&fixture.logs, &fixture.path, options).unwrap();
    assert_eq!(reader.read().unwrap(), b"one\n");
    assert!(reader.may_continue());
    writer.line("two");
    assert_eq!(reader.read().unwrap(), b"two\n");
    drop(writer);
    assert!(!reader.may_continue());
}

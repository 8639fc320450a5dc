//! `log dump` prints of Kafka's files what Kafka's own tool prints, and says of damaged ones where they are damaged.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::command::{Ended, millstream};

const LOGS: &str = "dumped/00000000000000000000.log,dumped/00000000000000000022.log,stamped/00000000000000000000.log";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/log/golden")
}

/// The recorded files in the order in which they were dumped.
fn recorded(name: &str) -> (String, String) {
    let text = fs::read_to_string(golden().join(name)).unwrap();
    let files: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("Dumping ")).collect();
    (files.join(","), text)
}

#[test]
fn what_is_printed_is_what_kafkas_tool_prints() {
    let check = |name: &str, options: &[&str]| {
        let (files, text) = recorded(name);
        let dumped = millstream(&golden(), &[&["log", "dump", "--files", &files], options].concat());
        assert_eq!(dumped.stdout, text, "{name}");
        assert_eq!((dumped.code, dumped.stderr.as_str()), (0, ""), "{name}");
    };
    check("batches.txt", &[]);
    check("records.txt", &["--deep-iteration"]);
    check("contents.txt", &["--print-data-log"]);
    check("bare.txt", &["--print-data-log", "--skip-record-metadata"]);
    check("some.txt", &["--max-bytes", "600"]);
    check("indexes.txt", &[]);
    check("sane.txt", &["--index-sanity-check"]);
    check("verified.txt", &["--verify-index-only"]);
}

#[test]
fn files_are_taken_as_words_too() {
    let (files, text) = recorded("batches.txt");
    assert_eq!(files, LOGS);
    let words: Vec<&str> = ["log", "dump"].into_iter().chain(LOGS.split(',')).collect();
    assert_eq!(millstream(&golden(), &words).stdout, text);
}

/// A copy of the recorded files, to be damaged.
fn copy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden().join("dumped")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn damaged(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> Ended {
    let copy = copy();
    let path = copy.path().join(file);
    let mut content = fs::read(&path).unwrap();
    change(&mut content);
    fs::write(&path, content).unwrap();
    millstream(copy.path(), &["log", "dump", "--print-data-log", file])
}

#[test]
fn damage_is_told_with_its_file_and_position_and_fails() {
    let check = |file: &str, position: u64, change: &dyn Fn(&mut Vec<u8>)| {
        let ended = damaged(file, change);
        let expected = format!("error: {file} is damaged at position {position}: ");
        assert!(ended.stderr.contains(&expected), "{expected:?} is not in {:?}", ended.stderr);
        assert_eq!(ended.code, 1, "{file}: {}", ended.stdout);
    };
    let log = "00000000000000000000.log";
    check(log, 0, &|content| content[100] ^= 1);
    check(log, 281, &|content| content[281 + 100] ^= 1);
    check(log, 994, &|content| content.truncate(1078));
    check(log, 281, &|content| content.truncate(290));
    check(log, 432, &|content| content[432 + 16] = 7);
    check(log, 0, &|content| content[8..12].copy_from_slice(&i32::MAX.to_be_bytes()));
    let second = "00000000000000000022";
    check(&format!("{second}.index"), 8, &|content| content[15] ^= 1);
    check(&format!("{second}.index"), 0, &|content| content[3] ^= 1);
    check(&format!("{second}.index"), 8, &|content| content.truncate(11));
    check(&format!("{second}.timeindex"), 12, &|content| content[19] ^= 1);
    check(&format!("{second}.timeindex"), 0, &|content| content[11] ^= 4);
    check(&format!("{second}.txnindex"), 34, &|content| content[35] = 1);
    check(&format!("{second}.txnindex"), 34, &|content| content.truncate(60));
    check(&format!("{second}.snapshot"), 2, &|content| content[60] ^= 1);
    check(&format!("{second}.snapshot"), 0, &|content| content.clear());
}

#[test]
fn a_batch_with_a_wrong_crc_is_printed_as_invalid_and_the_rest_too() {
    let ended = damaged("00000000000000000000.log", |content| content[100] ^= 1);
    assert_eq!(ended.stdout.matches("isvalid: false").count(), 1, "{}", ended.stdout);
    assert_eq!(ended.stdout.matches("isvalid: true").count(), 6, "{}", ended.stdout);
}

#[test]
fn what_follows_the_last_whole_batch_is_counted_as_kafka_counts_it() {
    let ended = damaged("00000000000000000000.log", |content| content.truncate(1000));
    assert!(ended.stdout.ends_with("Found 6 invalid bytes at the end of 00000000000000000000.log\n"), "{ended:?}");
}

#[test]
fn a_bad_file_does_not_hide_the_next() {
    let copy = copy();
    fs::write(copy.path().join("notes.txt"), "nothing").unwrap();
    let words = ["log", "dump", "notes.txt", "missing.log", "00000000000000000022.txnindex"];
    let ended = millstream(copy.path(), &words);
    assert_eq!(ended.code, 1);
    assert_eq!(ended.stdout.matches("lastStableOffset").count(), 2, "{ended:?}");
    assert!(ended.stderr.contains("notes.txt is none of the files that are known"), "{ended:?}");
    assert!(ended.stderr.contains("missing.log cannot be read"), "{ended:?}");
}

/// Every byte of every file changed, one after the other, is at worst an error with its place: never a panic.
#[test]
fn no_bytes_make_it_panic() {
    for file in ["00000000000000000022.log", "00000000000000000022.snapshot", "00000000000000000022.timeindex"] {
        let copy = copy();
        let path = copy.path().join(file);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut content = whole.clone();
            content[at] = content[at].wrapping_add(0x81);
            fs::write(&path, &content).unwrap();
            let ended = millstream(copy.path(), &["log", "dump", "--print-data-log", file]);
            assert!([0, 1].contains(&ended.code), "byte {at} of {file}: {ended:?}");
        }
    }
}

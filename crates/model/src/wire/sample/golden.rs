//! Comparison with what Kafka's own code wrote (`tests/wire/frames.txt`, made by `cargo xtask golden`).

use std::collections::HashMap;

use bytes::Bytes;

use super::Case;

/// Recorded texts by message, version and content.
type Recordings<'a> = HashMap<(&'a str, i16, &'a str), &'a str>;

/// Kafka's defaults, its full messages and those with nulls are ours, in every version; in the newest, also by the names of the fields.
/// `differing` names exactly the messages whose class in Kafka has fields that no version of ours carries.
///
/// # Panics
/// With message and version, when it is not so or nothing was recorded.
pub fn check_golden(cases: &[Case], frames: &str, differing: &[&str]) {
    let recordings: Recordings<'_> = frames.lines().map(recording).collect();
    for case in cases {
        for version in case.versions() {
            check_version(case, version, &recordings);
        }
    }
    let others = cases.iter().filter(|case| !has_kafkas_fields(case, &recordings));
    assert_eq!(others.map(|case| case.name).collect::<Vec<_>>(), differing, "messages with other fields than Kafka's");
}

fn recording(line: &str) -> ((&str, i16, &str), &str) {
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("four words expected: {line}"));
    let (name, version, content, text) = (word(), word(), word(), word());
    ((name, version.parse().expect("a version is a number"), content), text)
}

fn recorded<'a>(case: &Case, version: i16, content: &'static str, recordings: &Recordings<'a>) -> &'a str {
    let key = (case.name, version, content);
    recordings.get(&key).unwrap_or_else(|| panic!("nothing recorded for {key:?}: run `cargo xtask golden`"))
}

fn check_version(case: &Case, version: i16, recordings: &Recordings<'_>) {
    let default = (case.write_default)(version).map_or_else(|_| "refused".to_owned(), |bytes| hex(&bytes));
    assert_eq!(default, recorded(case, version, "default", recordings), "{} version {version}", case.name);
    for content in ["full", "nulls"] {
        let bytes = recorded(case, version, content, recordings);
        let written = (case.read)(from_hex(bytes), version)
            .unwrap_or_else(|error| panic!("{} version {version}: {error}: {bytes}", case.name));
        assert_eq!(hex(&written.bytes), bytes, "{} version {version}: {}", case.name, written.debug);
    }
}

fn has_kafkas_fields(case: &Case, recordings: &Recordings<'_>) -> bool {
    let version = case.versions.1;
    let Some(fields) = recordings.get(&(case.name, version, "fields")) else { return false };
    let written = (case.read)(from_hex(recorded(case, version, "full", recordings)), version);
    without_types(case, &written.expect("it was read before").debug) == *fields
}

/// Rust's debug text without the names of structures and without `Some`, which Java does not have.
fn without_types(case: &Case, debug: &str) -> String {
    if case.structs[0].is_empty() {
        return "{}".to_owned();
    }
    let mut text = String::new();
    let mut word = String::new();
    for character in debug.chars() {
        match character {
            _ if character.is_alphanumeric() || character == '_' => word.push(character),
            // The blank between a structure's name and its fields goes with the name.
            ' ' if word.starts_with(char::is_uppercase) && word != "None" => word.clear(),
            '(' if word == "Some" => word.clear(),
            ')' => text.push_str(&std::mem::take(&mut word)),
            _ => {
                text.push_str(&std::mem::take(&mut word));
                text.push(character);
            }
        }
    }
    text + &word
}

/// Hexadecimal digits; `-` for nothing.
fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
}

fn from_hex(text: &str) -> Bytes {
    let digits = text.trim_start_matches('-').as_bytes();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("recordings are ASCII");
        u8::from_str_radix(pair, 16).expect("recordings are hexadecimal")
    };
    digits.chunks(2).map(byte).collect()
}

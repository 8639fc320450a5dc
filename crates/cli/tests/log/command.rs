//! Runs the binary to its end.

use std::path::Path;
use std::process::{Command, Output};

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `millstream` with these words, in a folder.
pub(crate) fn millstream(folder: &Path, words: &[&str]) -> Ended {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_millstream")).args(words).current_dir(folder).output().unwrap();
    Ended {
        code: status.code().expect("no signal ended it"),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

//! Counts of claims, read from what test programs print.

use std::{
    fmt,
    io::{BufRead, BufReader},
    ops::AddAssign,
    process::{Command, ExitStatus},
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// A program that says nothing for this long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(600);
/// Lines read ahead of the one that is looked at.
const LINES_AHEAD: usize = 1024;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The closing line, in the form that programs above us read.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

impl Tally {
    /// `test result: ok. 11 passed; 0 failed; 2 ignored; …`, or nothing.
    pub(super) fn of_cargo_test(line: &str) -> Self {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return Self::default();
        };
        let count = |what: &str| {
            let part = counts.split("; ").find_map(|part| part.strip_suffix(what));
            part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
        };
        Self { passed: count("passed"), failed: count("failed"), skipped: count("ignored") }
    }

    /// `ok - claim`, `not ok - claim`, `skip - claim`, or nothing.
    pub(super) fn of_claim(line: &str) -> Self {
        match line.split_once(" - ") {
            Some(("ok", _)) => Self { passed: 1, ..Self::default() },
            Some(("not ok", _)) => Self { failed: 1, ..Self::default() },
            Some(("skip", _)) => Self { skipped: 1, ..Self::default() },
            _ => Self::default(),
        }
    }

    /// A whole suite could not run.
    pub(super) fn miss(&mut self, must_run: bool) {
        if must_run {
            self.failed += 1;
        } else {
            self.skipped += 1;
        }
    }
}

/// Runs a program whose stdout is piped, prints and hands on each line; kills it when it falls silent.
pub(super) fn follow(command: &mut Command, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let stdout = child.stdout.take().context("the program's stdout is not piped")?;
    let (lines, read) = sync_channel(LINES_AHEAD);
    let reader = thread::spawn(move || {
        for text in BufReader::new(stdout).lines().map_while(Result::ok) {
            if lines.send(text).is_err() {
                break;
            }
        }
    });
    loop {
        match read.recv_timeout(SILENCE_MAX) {
            Ok(text) => {
                println!("{text}");
                line(&text);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                bail!("{command:?} said nothing for {} s and was killed", SILENCE_MAX.as_secs());
            }
        }
    }
    reader.join().expect("reading lines does not panic");
    Ok(child.wait()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_summary_is_read() {
        let line = "test result: FAILED. 11 passed; 2 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.03s";
        assert_eq!(Tally::of_cargo_test(line), Tally { passed: 11, failed: 2, skipped: 3 });
        assert_eq!(Tally::of_cargo_test("test a::b ... ok"), Tally::default());
    }

    #[test]
    fn claims_are_counted() {
        let mut tally = Tally::default();
        for line in ["ok - a", "not ok - b", "# got: ok - c", "skip - d", "okay - e"] {
            tally += Tally::of_claim(line);
        }
        assert_eq!(tally.to_string(), "1 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_missing_client_fails_only_where_it_must_run() {
        let mut tally = Tally::default();
        tally.miss(false);
        assert_eq!(tally.to_string(), "0 passed, 0 failed, 1 skipped");
        tally.miss(true);
        assert_eq!(tally.failed, 1);
    }
}

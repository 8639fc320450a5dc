//! What `up` shows on stderr while things become ready: one line that moves on a terminal as long as nothing else is
//! written there; a line for each thing elsewhere, and beside the services' logs.
//!
//! While the line moves, whatever else goes to stderr passes through [`beside_line`], so that neither breaks the other.

use std::collections::HashSet;
use std::io::{self, IsTerminal as _, Write, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the line moves on a terminal.
const TICK: Duration = Duration::from_millis(120);

/// The line that moves at present. Owned by the [`Progress`] that put it there.
static LINE: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Where logs are written: stderr, above the moving line when there is one.
pub(crate) fn beside_line() -> impl Write {
    BesideLine
}

struct BesideLine;

impl Write for BesideLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = LINE.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match line {
            Some(line) => line.suspend(|| stderr().write(bytes)),
            None => stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

/// The progress of a start; the moving line goes with this value.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    all: usize,
    said: HashSet<String>,
}

impl Progress {
    /// The progress of so many things, with nothing but logs written meanwhile.
    pub(crate) fn alone(all: usize) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is well-formed");
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.enable_steady_tick(TICK);
            bar
        });
        LINE.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&bar);
        Self { bar, all, said: HashSet::new() }
    }

    /// The progress of so many things beside what others print: whole lines, even on a terminal.
    pub(crate) fn among_others(all: usize) -> Self {
        Self { bar: None, all, said: HashSet::new() }
    }

    /// One more is ready.
    pub(crate) fn ready(&self, printed: &str) {
        if self.bar.is_none() {
            eprintln!("{printed} is ready");
        }
    }

    /// Something that the user should read.
    pub(crate) fn say(&self, words: &str) {
        // One call, so that the line stays whole.
        let _ = beside_line().write_all(format!("{words}\n").as_bytes());
    }

    /// So many are ready; this one is waited for, and why. Elsewhere than on a terminal each reason is said once.
    pub(crate) fn waiting(&mut self, ready: usize, printed: &str, why: &str) {
        if let Some(bar) = &self.bar {
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            bar.set_message(format!("{ready} of {} ready, waiting for {printed}{why}", self.all));
        } else if !why.is_empty() && self.said.insert(format!("{printed} {why}")) {
            eprintln!("waiting for {printed} ({why})");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            *LINE.lock().unwrap_or_else(PoisonError::into_inner) = None;
            bar.finish_and_clear();
        }
    }
}

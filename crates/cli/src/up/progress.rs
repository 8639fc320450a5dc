//! What `up` shows on stderr while things become ready: one line that moves on a terminal, a line for each thing elsewhere.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the line moves on a terminal.
const TICK: Duration = Duration::from_millis(120);

/// The progress of a start.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    all: usize,
}

impl Progress {
    /// The progress of so many things.
    pub(crate) fn new(all: usize) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is well-formed");
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, all }
    }

    /// One more is ready.
    pub(crate) fn ready(&self, printed: &str) {
        if self.bar.is_none() {
            eprintln!("{printed} is ready");
        }
    }

    /// So many are ready; this one is waited for, and why.
    pub(crate) fn waiting(&self, ready: usize, printed: &str, why: &str) {
        let Some(bar) = &self.bar else { return };
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        bar.set_message(format!("{ready} of {} ready, waiting for {printed}{why}", self.all));
    }

    /// The line goes.
    pub(crate) fn done(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

//! How far a copy has come, on stderr: a bar on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// The bar of a copy of so many bytes; it goes with this value.
pub(super) struct CopyProgress(ProgressBar);

impl CopyProgress {
    pub(super) fn new(bytes: u64) -> Self {
        let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        Self(ProgressBar::new(bytes).with_style(style))
    }

    /// What is copied now.
    pub(super) fn at(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }

    pub(super) fn copied(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for CopyProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

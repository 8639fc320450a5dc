//! How far a reading or a copy has come, on stderr: a bar on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// The bar of so many bytes; it goes with this value.
pub(crate) struct ByteProgress(ProgressBar);

impl ByteProgress {
    pub(crate) fn new(bytes: u64) -> Self {
        let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        Self(ProgressBar::new(bytes).with_style(style))
    }

    /// What it is at now.
    pub(crate) fn at(&self, what: &str) {
        if self.0.message() != what {
            self.0.set_message(what.to_owned());
        }
    }

    /// So many bytes more.
    pub(crate) fn done(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// So many bytes more of this.
    pub(crate) fn done_of(&self, what: &str, bytes: u64) {
        self.at(what);
        self.done(bytes);
    }
}

impl Drop for ByteProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

//! Writing a container's output. Called from the threads that read its pipes; blocks on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{FILE_BYTES_MAX, LINE_BYTES_MAX, Logs};
use crate::clock::Clock;

/// Which of its streams a process wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// The log of one start of a container. Clones share the file; it counts as open until the last is dropped.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    logs: Logs,
    clock: Clock,
    path: PathBuf,
    file: Mutex<(File, u64)>,
}

impl Logs {
    /// Creates the log at `path`, with its folder.
    pub(crate) fn create(&self, path: &Path, clock: &Clock) -> io::Result<LogWriter> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        self.open.lock().insert(path.to_owned());
        let inner =
            Inner { logs: self.clone(), clock: clock.clone(), path: path.to_owned(), file: Mutex::new((file, length)) };
        Ok(LogWriter(Arc::new(inner)))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.logs.open.lock().remove(&self.path);
        self.logs.bump();
    }
}

impl LogWriter {
    /// Copies `source` to the log until it ends. Errors of the disk lose lines, never the process: its pipe is drained on.
    pub(crate) fn copy(&self, mut source: impl Read, output: Output) {
        let mut pending: Vec<u8> = Vec::new();
        let mut piece = vec![0; LINE_BYTES_MAX];
        loop {
            match source.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => pending.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            }
            let mut lines = Vec::new();
            let mut rest = pending.as_slice();
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                self.format(&mut lines, output, "F", &rest[..end]);
                rest = &rest[end + 1..];
            }
            while rest.len() >= LINE_BYTES_MAX {
                self.format(&mut lines, output, "P", &rest[..LINE_BYTES_MAX]);
                rest = &rest[LINE_BYTES_MAX..];
            }
            pending = rest.to_vec();
            self.write(&lines);
        }
        if !pending.is_empty() {
            let mut lines = Vec::new();
            self.format(&mut lines, output, "F", &pending);
            self.write(&lines);
        }
    }

    /// One line of the platform's own, such as why a container could not start.
    pub(crate) fn line(&self, text: &str) {
        let mut lines = Vec::new();
        self.format(&mut lines, Output::Stderr, "F", text.as_bytes());
        self.write(&lines);
    }

    fn format(&self, lines: &mut Vec<u8>, output: Output, tag: &str, text: &[u8]) {
        let stream = match output {
            Output::Stdout => "stdout",
            Output::Stderr => "stderr",
        };
        lines.extend_from_slice(format!("{:.9} {stream} {tag} ", self.0.clock.now()).as_bytes());
        lines.extend_from_slice(text);
        lines.push(b'\n');
    }

    fn write(&self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let mut guard = self.0.file.lock();
        if guard.1 + lines.len() as u64 > FILE_BYTES_MAX && guard.1 > 0 {
            match self.rotate() {
                Ok(file) => *guard = (file, 0),
                Err(error) => tracing::warn!(path = %self.0.path.display(), %error, "a log file cannot be rotated"),
            }
        }
        match guard.0.write_all(lines) {
            Ok(()) => guard.1 += lines.len() as u64,
            Err(error) => tracing::warn!(path = %self.0.path.display(), %error, "lines of a container are lost"),
        }
        drop(guard);
        self.0.logs.bump();
    }

    fn rotate(&self) -> io::Result<File> {
        fs::rename(&self.0.path, self.0.path.with_extension("log.1"))?;
        OpenOptions::new().create_new(true).append(true).open(&self.0.path)
    }
}

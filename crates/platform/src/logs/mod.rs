//! Log files of containers, in the kubelet's layout and line format:
//! `NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log`, each line `TIME STREAM TAG TEXT` with tag F (full) or P (a part of a longer
//! line). The runner writes through [`LogWriter`], the API's log subresource reads through [`LogReader`].
//! A file is rotated at 10 MiB to `ATTEMPT.log.1`; older text is dropped.

mod reader;
mod writer;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub(crate) use reader::{LogOptions, LogReader};
pub(crate) use writer::{LogWriter, Output};

/// Rotation size of one log file.
const FILE_BYTES_MAX: u64 = 10 << 20;
/// Longest piece of a line that is written as one.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Where logs are, which are being written, and who waits for more. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    root: Arc<PathBuf>,
    open: Arc<Mutex<HashSet<PathBuf>>>,
    /// Counts writes and ends of writing, of all files: a reader that waits looks at its own file again.
    progress: Arc<tokio::sync::watch::Sender<u64>>,
}

impl Logs {
    /// Logs below `root`, which need not exist yet.
    pub(crate) fn new(root: &Path) -> Self {
        let (progress, _) = tokio::sync::watch::channel(0);
        Self { root: Arc::new(root.to_owned()), open: Arc::default(), progress: Arc::new(progress) }
    }

    /// The folder of one pod's logs.
    pub(crate) fn pod_folder(&self, namespace: &str, pod: &str, uid: &str) -> PathBuf {
        self.root.join(format!("{namespace}_{pod}_{uid}"))
    }

    /// The log of the given start of a container, counted from 0.
    pub(crate) fn file(&self, namespace: &str, pod: &str, uid: &str, container: &str, attempt: i64) -> PathBuf {
        self.pod_folder(namespace, pod, uid).join(container).join(format!("{attempt}.log"))
    }

    fn is_open(&self, path: &Path) -> bool {
        self.open.lock().contains(path)
    }

    fn bump(&self) {
        self.progress.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Resolves at the next write to any log, or end of one.
    pub(crate) fn progress(&self) -> tokio::sync::watch::Receiver<u64> {
        self.progress.subscribe()
    }
}

#[cfg(test)]
mod tests;

//! Files kept open between operations: a few clean ones, and every one with writes that are not synced, because a
//! write-back error could be lost with its last handle.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::platform;

/// Clean files that stay open.
const CLEAN_FILES_MAX: usize = 64;
/// Files that stay open for their sync; with more, the oldest is synced early.
const UNSYNCED_FILES_MAX: usize = 256;

/// Whether a writer will sync the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    None,
    Awaited,
}

/// How a file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mode {
    Cached,
    Durable,
}

#[derive(Debug)]
struct OpenFile {
    file: Arc<File>,
    writable: bool,
    unsynced: bool,
    used: u64,
}

/// Open files by path.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<(PathBuf, Mode), OpenFile>,
    uses: u64,
}

impl OpenFiles {
    /// The file, opened for reading.
    pub(super) fn readable(&self, path: &Path) -> io::Result<Arc<File>> {
        self.get(path, Mode::Cached, None, || File::open(path))
    }

    /// The file, opened for writing through the page cache; made when there is none. It stays open until an awaited sync.
    pub(super) fn writable(&self, path: &Path, sync: Sync) -> io::Result<Arc<File>> {
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        self.get(path, Mode::Cached, Some(sync), open)
    }

    /// The file, opened so that a write is durable when it returns.
    pub(super) fn durable(&self, path: &Path) -> io::Result<Arc<File>> {
        self.get(path, Mode::Durable, None, || platform::open_durable(path))
    }

    /// The file is about to be synced: what is written to it from now on awaits another sync.
    pub(super) fn syncing(&self, path: &Path) {
        if let Some(open) = self.state.lock().files.get_mut(&(path.to_owned(), Mode::Cached)) {
            open.unsynced = false;
        }
    }

    /// How many files are open.
    pub(super) fn count(&self) -> usize {
        self.state.lock().files.len()
    }

    /// Closes the file, or all files in the directory, of that name.
    pub(super) fn forget(&self, path: &Path) {
        self.state.lock().files.retain(|(open, _), _| !open.starts_with(path));
    }

    fn get(
        &self,
        path: &Path,
        mode: Mode,
        write: Option<Sync>,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        let key = (path.to_owned(), mode);
        let mut state = self.state.lock();
        state.uses += 1;
        let used = state.uses;
        if let Some(known) = state.files.get_mut(&key).filter(|known| known.writable || write.is_none()) {
            known.used = used;
            known.unsynced |= write == Some(Sync::Awaited);
            return Ok(Arc::clone(&known.file));
        }
        let file = Arc::new(open()?);
        let (writable, unsynced) = (write.is_some(), write == Some(Sync::Awaited));
        state.files.insert(key, OpenFile { file: Arc::clone(&file), writable, unsynced, used });
        let surplus = state.take_oldest(write.is_some());
        drop(state);
        if let Some(oldest) = surplus {
            // Of no kind that is tried again: what that file was written may be lost.
            oldest.sync_data().map_err(|error| io::Error::other(format!("syncing another file: {error}")))?;
        }
        Ok(file)
    }
}

impl State {
    /// Closes the clean file that was longest unused when there are too many; for a writer, who minds when its sync fails,
    /// an unsynced one is given away to be synced.
    fn take_oldest(&mut self, for_writer: bool) -> Option<Arc<File>> {
        let kinds = [(false, CLEAN_FILES_MAX), (true, if for_writer { UNSYNCED_FILES_MAX } else { usize::MAX })];
        for (unsynced, most) in kinds {
            let of_kind = || self.files.iter().filter(|(_, open)| open.unsynced == unsynced);
            if of_kind().count() > most {
                let key = of_kind().min_by_key(|(_, open)| open.used).map(|(key, _)| key.clone());
                let oldest = key.and_then(|key| self.files.remove(&key));
                return oldest.filter(|_| unsynced).map(|oldest| oldest.file);
            }
        }
        None
    }
}

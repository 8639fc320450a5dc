//! Opening the store's file, also one whose making was cut short: by a full disk at the very first start, for example.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use redb::{Database, DatabaseError};

/// All objects are in memory beside it.
const CACHE_BYTES: usize = 1 << 20;
/// A file begins with these bytes once it is made: the database writes them last.
const MAGIC_BYTES: usize = 9;

/// Opens or creates the file. Blocks on the disk.
pub(super) fn open(path: &Path) -> Result<Database, DatabaseError> {
    match create(path) {
        Err(error) if !is_locked(&error) && is_unfinished(path) => make_again(path),
        other => other,
    }
}

/// Removes what was never finished and makes it anew. Two that find it at once take turns by a lock of the folder, and look
/// again when it is theirs: what the other has made meanwhile is in use, and is not removed.
fn make_again(path: &Path) -> Result<Database, DatabaseError> {
    let folder = File::open(path.parent().unwrap_or(Path::new(".")))?;
    folder.lock()?;
    match create(path) {
        Err(error) if !is_locked(&error) && is_unfinished(path) => {
            fs::remove_file(path)?;
            create(path)
        }
        other => other,
    }
}

fn create(path: &Path) -> Result<Database, DatabaseError> {
    redb::Builder::new().set_cache_size(CACHE_BYTES).create(path)
}

fn is_locked(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::DatabaseAlreadyOpen)
}

fn is_unfinished(path: &Path) -> bool {
    let mut start = [0; MAGIC_BYTES];
    let read = File::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok() && start == [0; MAGIC_BYTES]
}

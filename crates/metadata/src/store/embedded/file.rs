//! The redb file behind the embedded store: its tables, its format version, and commits. Called by the store's thread
//! only; everything here blocks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, Table, TableDefinition};

use super::OpenStoreError;
use crate::store::{Change, Entry, LeaseId, Listing, Revision, Write, WriteError};

/// The layout that this version writes, and the newest that it reads.
const FORMAT: u64 = 1;

/// What redb may keep of the file in memory.
const CACHE_BYTES: usize = 4 << 20;

const ENTRIES: TableDefinition<&str, &[u8]> = TableDefinition::new("entries");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");

/// Entries begin with the revision that wrote them and the lease they hang on (0: none), big-endian.
const ENTRY_HEAD_BYTES: usize = 16;
const _: () = assert!(ENTRY_HEAD_BYTES == size_of::<Revision>() + size_of::<LeaseId>());

/// Opens the database, or makes it. Called again after a failure.
pub(super) type OpenDatabase = Box<dyn Fn(&redb::Builder) -> Result<Database, DatabaseError> + Send>;

pub(super) struct StoreFile {
    path: PathBuf,
    open_database: OpenDatabase,
    /// `None` after a failure, until `reopen` succeeds: redb refuses to go on with a file that failed it.
    database: Option<Database>,
    revision: Revision,
    last_lease: u64,
    leases: BTreeSet<LeaseId>,
}

impl StoreFile {
    /// Opens the file at `path`, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenStoreError> {
        if !path.exists() {
            make(path)?;
        }
        let place = path.to_owned();
        Self::open_with(path, Box::new(move |builder| builder.open(&place)))
    }

    /// Opens what `open_database` opens; `path` is for messages.
    pub(super) fn open_with(path: &Path, open_database: OpenDatabase) -> Result<Self, OpenStoreError> {
        let mut file = Self {
            path: path.to_owned(),
            open_database,
            database: None,
            revision: Revision(0),
            last_lease: 0,
            leases: BTreeSet::new(),
        };
        file.reopen()?;
        Ok(file)
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// False after a failure.
    pub(super) fn is_open(&self) -> bool {
        self.database.is_some()
    }

    /// Opens the file, at first or again after a failure. Leases go on; what was being written when it failed may or may
    /// not be there.
    pub(super) fn reopen(&mut self) -> Result<(), OpenStoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        // Pages have checksums, which redb otherwise does not look at: a bit that has rotted would be believed.
        builder.set_check_integrity_on_open(true);
        let opened = (self.open_database)(&builder);
        self.database = Some(opened.map_err(|error| open_error(&self.path, error))?);
        self.load().inspect_err(|_| self.database = None)
    }

    /// Reads the numbers, refuses newer formats, and removes what hangs on leases that nobody holds.
    fn load(&mut self) -> Result<(), OpenStoreError> {
        let path = self.path.clone();
        let refused = |error: redb::Error| load_error(&path, error);
        let database = self.database.as_ref().expect("only an open file is loaded");
        let mut write = database.begin_write().map_err(|error| refused(error.into()))?;
        write.set_quick_repair(true);
        let numbers = Numbers::prepare(&write, &self.leases).map_err(refused)?;
        if numbers.format > FORMAT {
            return Err(OpenStoreError::Newer { path, found: numbers.format, supported: FORMAT });
        }
        // A clean restart finds everything in place and costs no sync.
        let ended =
            if numbers.changed { write.commit().map_err(Into::into) } else { write.abort().map_err(Into::into) };
        ended.map_err(refused)?;
        self.revision = Revision(numbers.revision);
        self.last_lease = self.last_lease.max(numbers.last_lease);
        Ok(())
    }

    /// Runs `work`; an error closes the file until `reopen`.
    fn with<T>(&mut self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let Some(database) = &self.database else { return Err(redb::Error::DatabaseClosed) };
        let result = work(database);
        if result.is_err() {
            self.database = None;
        }
        result
    }

    pub(super) fn get(&mut self, key: &str) -> Result<Option<Entry>, redb::Error> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(ENTRIES)?;
            let stored = table.get(key)?;
            stored.map(|stored| Stored::parse(key, stored.value()).map(|stored| stored.entry(key))).transpose()
        })
    }

    pub(super) fn list(&mut self, prefix: &str) -> Result<Listing, redb::Error> {
        let revision = self.revision;
        self.with(|database| {
            let table = database.begin_read()?.open_table(ENTRIES)?;
            let mut entries = Vec::new();
            for row in table.range(prefix..)? {
                let (key, value) = row?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                entries.push(Stored::parse(key.value(), value.value())?.entry(key.value()));
            }
            Ok(Listing { revision, entries })
        })
    }

    /// A lease number that no process had before. It is stored with the first key that hangs on it.
    pub(super) fn new_lease(&mut self) -> LeaseId {
        self.last_lease += 1;
        self.leases.insert(LeaseId(self.last_lease));
        LeaseId(self.last_lease)
    }

    /// The write that removes every key of these leases.
    pub(super) fn end_leases(&mut self, ended: &[LeaseId]) -> Result<Write, redb::Error> {
        for lease in ended {
            self.leases.remove(lease);
        }
        self.with(|database| {
            let table = database.begin_read()?.open_table(ENTRIES)?;
            keys_with_lease(&table, |lease| ended.contains(&lease))
        })
    }

    /// Commits the writes that find what they expect, in order, with one sync. Answers each; after an error, none is
    /// known to be there or not.
    pub(super) fn commit(&mut self, writes: &[Write]) -> Result<Vec<Result<Revision, WriteError>>, redb::Error> {
        let (before, last_lease) = (self.revision, self.last_lease);
        let mut revision = before;
        let leases = self.leases.clone();
        let answers = self.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_quick_repair(true);
            let mut answers = Vec::with_capacity(writes.len());
            {
                let mut entries = transaction.open_table(ENTRIES)?;
                for write in writes {
                    answers.push(apply(&mut entries, write, &leases, &mut revision)?);
                }
                let mut numbers = transaction.open_table(NUMBERS)?;
                numbers.insert("revision", revision.0)?;
                numbers.insert("last-lease", last_lease)?;
            }
            if revision == before {
                transaction.abort()?;
            } else {
                transaction.commit()?;
            }
            Ok(answers)
        })?;
        self.revision = revision;
        Ok(answers)
    }
}

fn open_error(path: &Path, error: DatabaseError) -> OpenStoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => OpenStoreError::Locked { path },
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != std::io::ErrorKind::InvalidData => {
            OpenStoreError::Io { path, source }
        }
        other => OpenStoreError::Damaged { path, reason: other.to_string() },
    }
}

fn load_error(path: &Path, error: redb::Error) -> OpenStoreError {
    let path = path.to_owned();
    match error {
        redb::Error::Io(source) => OpenStoreError::Io { path, source },
        other => OpenStoreError::Damaged { path, reason: other.to_string() },
    }
}

struct Numbers {
    format: u64,
    revision: u64,
    last_lease: u64,
    /// Whether something was written on the way.
    changed: bool,
}

impl Numbers {
    /// Makes the tables of a new file, reads the numbers of an old one, and removes keys whose lease nobody holds. A
    /// newer format is left untouched.
    fn prepare(transaction: &redb::WriteTransaction, held: &BTreeSet<LeaseId>) -> Result<Self, redb::Error> {
        let mut numbers = transaction.open_table(NUMBERS)?;
        let mut changed = false;
        let mut number = |name: &str, new: u64| -> Result<u64, redb::Error> {
            let stored = numbers.get(name)?.map(|value| value.value());
            if let Some(value) = stored {
                return Ok(value);
            }
            changed = true;
            numbers.insert(name, new)?;
            Ok(new)
        };
        let format = number("format", FORMAT)?;
        if format > FORMAT {
            return Ok(Self { format, revision: 0, last_lease: 0, changed: false });
        }
        let (mut revision, last_lease) = (number("revision", 0)?, number("last-lease", 0)?);
        let mut entries = transaction.open_table(ENTRIES)?;
        let orphans = keys_with_lease(&entries, |lease| !held.contains(&lease))?;
        if !orphans.is_empty() {
            let mut last = Revision(revision);
            let answer = apply(&mut entries, &orphans, &BTreeSet::new(), &mut last)?;
            debug_assert!(answer.is_ok(), "a write without expectations has nothing to conflict with");
            revision = last.0;
            numbers.insert("revision", revision)?;
            changed = true;
        }
        Ok(Self { format, revision, last_lease, changed })
    }
}

struct Stored {
    revision: Revision,
    lease: Option<LeaseId>,
    value: Bytes,
}

impl Stored {
    fn parse(key: &str, bytes: &[u8]) -> Result<Self, redb::Error> {
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let (Some(revision), Some(lease)) = (number(0), number(8)) else {
            return Err(redb::Error::Corrupted(format!("the entry {key} has {} bytes", bytes.len())));
        };
        let value = Bytes::copy_from_slice(&bytes[ENTRY_HEAD_BYTES..]);
        Ok(Self { revision: Revision(revision), lease: (lease != 0).then_some(LeaseId(lease)), value })
    }

    fn entry(self, key: &str) -> Entry {
        Entry { key: key.to_owned(), value: self.value, revision: self.revision }
    }
}

/// The bytes of an entry.
pub(super) fn encode(revision: Revision, lease: Option<LeaseId>, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENTRY_HEAD_BYTES + value.len());
    bytes.extend(revision.0.to_be_bytes());
    bytes.extend(lease.map_or(0, |lease| lease.0).to_be_bytes());
    bytes.extend(value);
    bytes
}

fn keys_with_lease(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    wanted: impl Fn(LeaseId) -> bool,
) -> Result<Write, redb::Error> {
    let mut write = Write::default();
    for row in table.iter()? {
        let (key, value) = row?;
        if Stored::parse(key.value(), value.value())?.lease.is_some_and(&wanted) {
            write.delete(key.value());
        }
    }
    Ok(write)
}

/// Applies one write inside a transaction, or answers why not and changes nothing.
fn apply(
    entries: &mut Table<'_, &'static str, &'static [u8]>,
    write: &Write,
    leases: &BTreeSet<LeaseId>,
    last: &mut Revision,
) -> Result<Result<Revision, WriteError>, redb::Error> {
    for expected in &write.expected {
        let stored = entries.get(expected.key.as_str())?;
        let actual = stored.map(|stored| Stored::parse(&expected.key, stored.value())).transpose()?;
        let actual = actual.map(|stored| stored.revision);
        if actual != expected.revision {
            let (key, expected) = (expected.key.clone(), expected.revision);
            return Ok(Err(WriteError::Conflict { key, expected, actual }));
        }
    }
    for change in &write.changes {
        if let Change::Put { lease: Some(lease), .. } = change
            && !leases.contains(lease)
        {
            return Ok(Err(WriteError::LeaseEnded(*lease)));
        }
    }
    if write.is_empty() {
        return Ok(Ok(*last));
    }
    last.0 += 1;
    for change in &write.changes {
        match change {
            Change::Put { key, value, lease } => {
                entries.insert(key.as_str(), encode(*last, *lease, value).as_slice())?;
            }
            Change::Delete { key } => {
                entries.remove(key.as_str())?;
            }
        }
    }
    Ok(Ok(*last))
}

/// Makes a new file under another name and gives it its own once it is whole and durable, so that a crash on the way
/// leaves nothing that looks like a damaged store. Of two processes that do this at once, one wins.
fn make(path: &Path) -> Result<(), OpenStoreError> {
    let io = |source| OpenStoreError::Io { path: path.to_owned(), source };
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let open_draft = || {
        let place = draft.clone();
        StoreFile::open_with(path, Box::new(move |builder| builder.create(&place)))
    };
    let file = match open_draft() {
        Err(OpenStoreError::Damaged { .. }) => {
            std::fs::remove_file(&draft).map_err(io)?;
            open_draft()?
        }
        opened => opened?,
    };
    match std::fs::hard_link(&draft, path) {
        // No hard links here: then the weaker way, without a winner.
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            std::fs::rename(&draft, path).map_err(io)?;
        }
        _ => std::fs::remove_file(&draft).map_err(io)?,
    }
    sync_directory_of(path).map_err(io)?;
    drop(file);
    Ok(())
}

/// Makes the file's name durable. Elsewhere than on Unix a directory cannot be synced, nor need it be.
fn sync_directory_of(path: &Path) -> Result<(), std::io::Error> {
    if !cfg!(unix) {
        return Ok(());
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory)?.sync_all()
}

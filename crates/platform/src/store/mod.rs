//! The embedded store of API objects: all of them in memory, every change in a redb file, and a bounded log of the last
//! changes for watches. `Transaction` makes changes all-or-nothing; resource versions are global and never go back.
//!
//! Owner of the state: `Store`. Lock order: `writer`, then `state`; readers take `state` only, never while a commit syncs.

mod file;
mod transaction;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use redb::{Database, ReadableTable, TableDefinition};
use serde_json::Value;

pub(crate) use transaction::Transaction;
pub(crate) use watch::{Watch, WatchNext};

use crate::clock::Clock;
use crate::error::ApiError;
use crate::kinds::{KINDS, Kind};

/// Changes that a watch may lag behind before it is told to list again (410 Gone).
const LOG_ENTRIES_MAX: usize = 4096;
/// Resource versions are handed out below a durable bound that moves by this much, so that none is handed out twice
/// although commits of events and statuses are not synced.
const VERSION_RESERVE: u64 = 10_000;
/// Version of the file's layout; a newer one is refused.
const LAYOUT: u64 = 1;

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");

/// Where an object lives.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Index into [`KINDS`], so that keys of one kind are neighbours.
    kind: usize,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(kind: &Kind, namespace: &str, name: &str) -> Self {
        let kind = KINDS.iter().position(|known| *known == kind).expect("every Kind value is in the table");
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        KINDS[self.kind]
    }

    /// `apps/deployments/default/web`: the key in the file. Names hold no slash.
    fn to_text(&self) -> String {
        let kind = self.kind();
        format!("{}/{}/{}/{}", kind.group, kind.plural, self.namespace, self.name)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '/');
        let (group, plural, namespace, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let kind = KINDS.iter().position(|kind| kind.group == group && kind.plural == plural)?;
        Some(Self { kind, namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One entry of the change log.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) kind: ChangeKind,
    pub(crate) key: Key,
    /// The object after the change; for a deletion its last state, under the deletion's version.
    pub(crate) object: Arc<Value>,
    /// The object before the change.
    pub(crate) previous: Option<Arc<Value>>,
}

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another process: stop it, or choose another data directory")]
    Locked(PathBuf),
    /// A newer release wrote it.
    #[error("{path} has layout {found}, this release knows up to {LAYOUT}: use the newer release")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u64,
    },
    /// The file or an object in it is unreadable.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Key, Arc<Value>>,
    /// Version of the last published change.
    version: u64,
    log: VecDeque<Change>,
    /// Changes at or below this version are no longer in the log.
    compacted: u64,
}

#[derive(Debug)]
struct Writer {
    /// `None` once the store is closed.
    database: Option<Database>,
    /// Versions below this may be handed out.
    reserved: u64,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    clock: Clock,
    writer: Mutex<Writer>,
    state: RwLock<State>,
    published: tokio::sync::watch::Sender<u64>,
}

/// Handle of the store; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Shared>);

/// Objects as of a version.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) objects: Vec<(Key, Arc<Value>)>,
    pub(crate) version: u64,
}

impl Store {
    /// Opens or creates the file at `path`. Blocks on the disk.
    pub(crate) fn open(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        let unreadable = |reason: String| OpenError::Unreadable { path: path.to_owned(), reason };
        let database = file::open(path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => OpenError::Locked(path.to_owned()),
            other => unreadable(other.to_string()),
        })?;
        let loaded = load(&database).map_err(|error| unreadable(error.to_string()))?;
        if loaded.layout > LAYOUT {
            return Err(OpenError::Newer { path: path.to_owned(), found: loaded.layout });
        }
        if let Some(key) = loaded.unreadable {
            return Err(unreadable(format!("the object {key} is not readable")));
        }
        let state = State {
            objects: loaded.objects,
            version: loaded.reserved,
            log: VecDeque::new(),
            compacted: loaded.reserved,
        };
        let writer = Writer { database: Some(database), reserved: loaded.reserved };
        let (published, _) = tokio::sync::watch::channel(state.version);
        let shared =
            Shared { path: path.to_owned(), clock, writer: Mutex::new(writer), state: RwLock::new(state), published };
        Ok(Self(Arc::new(shared)))
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The object at `key`.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.0.state.read().objects.get(key).map(Arc::clone)
    }

    /// The objects of `kind`, in one namespace or in all, in the order of namespace and name.
    pub(crate) fn list(&self, kind: &Kind, namespace: Option<&str>) -> Listing {
        let state = self.0.state.read();
        let objects = range(&state.objects, kind, namespace).map(|(key, value)| (key.clone(), Arc::clone(value)));
        Listing { objects: objects.collect(), version: state.version }
    }

    /// Runs `change` on the present state and commits what it did, or nothing when it fails. Blocks on the disk:
    /// from async code call it through `spawn_blocking`. A commit that fails is an internal error and changes nothing.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut writer = self.0.writer.lock();
        let (answer, changes) = {
            let mut transaction = Transaction::new(self);
            let answer = change(&mut transaction)?;
            (answer, transaction.into_changes())
        };
        if !changes.is_empty() {
            writer
                .commit(&changes)
                .map_err(|error| ApiError::internal(format!("writing {}: {error}", self.0.path.display())))?;
            self.publish(changes);
        }
        Ok(answer)
    }

    /// Syncs what is not yet synced and closes the file, whoever still holds a handle: reads go on, writes fail.
    /// Blocks on the disk.
    pub(crate) fn close(&self) {
        let mut writer = self.0.writer.lock();
        let synced = writer.commit(&[]);
        writer.database = None;
        if let Err(error) = synced {
            tracing::warn!(path = %self.0.path.display(), %error, "the last statuses and events are lost");
        }
    }

    /// What [`Store::write`] would answer, without doing it: `dryRun=All`.
    pub(crate) fn preview<T>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let _writer = self.0.writer.lock();
        change(&mut Transaction::new(self))
    }

    fn publish(&self, changes: Vec<Change>) {
        let mut state = self.0.state.write();
        for change in changes {
            assert!(change.version > state.version, "resource versions only grow");
            state.version = change.version;
            match change.kind {
                ChangeKind::Deleted => state.objects.remove(&change.key),
                _ => state.objects.insert(change.key.clone(), Arc::clone(&change.object)),
            };
            state.log.push_back(change);
            if state.log.len() > LOG_ENTRIES_MAX {
                state.compacted = state.log.pop_front().map_or(state.compacted, |oldest| oldest.version);
            }
        }
        let version = state.version;
        drop(state);
        self.0.published.send_replace(version);
    }
}

/// The part of `objects` that belongs to `kind` (and `namespace`).
fn range<'a>(
    objects: &'a BTreeMap<Key, Arc<Value>>,
    kind: &Kind,
    namespace: Option<&str>,
) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
    let first = Key::new(kind, namespace.unwrap_or_default(), "");
    let (kind, namespace) = (first.kind, namespace.map(str::to_owned));
    let is_inside =
        move |key: &Key| key.kind == kind && namespace.as_ref().is_none_or(|namespace| key.namespace == *namespace);
    objects.range((Bound::Included(first), Bound::Unbounded)).take_while(move |(key, _)| is_inside(key))
}

struct Loaded {
    objects: BTreeMap<Key, Arc<Value>>,
    reserved: u64,
    layout: u64,
    unreadable: Option<String>,
}

fn load(database: &Database) -> Result<Loaded, redb::Error> {
    let transaction = database.begin_write()?;
    let mut loaded = Loaded { objects: BTreeMap::new(), reserved: 1, layout: LAYOUT, unreadable: None };
    {
        let mut counters = transaction.open_table(COUNTERS)?;
        loaded.layout = counters.get("layout")?.map_or(LAYOUT, |found| found.value());
        loaded.reserved = counters.get("version_reserved")?.map_or(1, |found| found.value());
        if loaded.layout <= LAYOUT {
            counters.insert("layout", LAYOUT)?;
        }
        let objects = transaction.open_table(OBJECTS)?;
        for entry in objects.iter()? {
            let (key, bytes) = entry?;
            match (Key::parse(key.value()), serde_json::from_slice::<Value>(bytes.value())) {
                (Some(key), Ok(object)) if object.is_object() => drop(loaded.objects.insert(key, Arc::new(object))),
                _ => loaded.unreadable = Some(key.value().to_owned()),
            }
        }
    }
    transaction.commit()?;
    Ok(loaded)
}

impl Writer {
    /// Writes `changes` and syncs, unless there are only events and statuses among them.
    fn commit(&mut self, changes: &[Change]) -> Result<(), redb::Error> {
        let last = changes.last().map_or(0, |change| change.version);
        let reserved = if last >= self.reserved { last + VERSION_RESERVE } else { self.reserved };
        let database = self.database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        let mut transaction = database.begin_write()?;
        let may_wait = !changes.is_empty() && !changes.iter().any(Change::must_be_durable);
        if reserved == self.reserved && may_wait {
            transaction.set_durability(redb::Durability::None)?;
        }
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for change in changes {
                let key = change.key.to_text();
                if change.kind == ChangeKind::Deleted {
                    objects.remove(key.as_str())?;
                } else {
                    objects.insert(key.as_str(), change.object.to_string().as_bytes())?;
                }
            }
            if reserved != self.reserved {
                transaction.open_table(COUNTERS)?.insert("version_reserved", reserved)?;
            }
        }
        transaction.commit()?;
        self.reserved = reserved;
        Ok(())
    }
}

impl Change {
    /// Events and changes of status alone are observations: lost in a crash, they are made again.
    fn must_be_durable(&self) -> bool {
        if self.key.kind().kind == "Event" {
            return false;
        }
        let Some(previous) = &self.previous else { return true };
        self.kind == ChangeKind::Deleted || !differs_in_status_only(previous, &self.object)
    }
}

fn differs_in_status_only(before: &Value, after: &Value) -> bool {
    let without_status = |object: &Value| {
        let mut object = object.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.shift_remove("status");
        }
        crate::object::metadata_mut(&mut object).shift_remove("resourceVersion");
        object
    };
    without_status(before) == without_status(after)
}

#[cfg(test)]
mod tests;

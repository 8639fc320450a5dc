//! A disk in memory that behaves as badly as a real one may: a page cache that a crash loses, torn writes, lost directory
//! entries, failing syncs, no space.
//!
//! Every choice comes from the seed, so a run repeats. An operation takes effect in the page cache when it is submitted
//! and is answered some polls later; what is durable is decided when it is answered, or by the crash.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{DirEntry, Disk, DiskAnswer, DiskError, DiskOp, ReadCache, Space, WriteSync};

/// Smallest piece of a write that a crash keeps or loses as a whole.
pub const SECTOR_BYTES: usize = 512;

/// A small random generator (xorshift64*): the same seed gives the same run everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator for `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound.max(1)
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The machine stops at this operation, counted from 0.
    pub crash_at: Option<u64>,
    /// This sync, counted from 0, fails: its writes are lost although the page cache shows them.
    pub failing_sync: Option<u64>,
    /// Bytes that all files together may have.
    pub capacity: Option<u64>,
}

/// A change of a file that is not durable yet.
#[derive(Clone, Debug)]
enum Unsynced {
    Write { at: u64, data: Vec<u8> },
    Length(u64),
}

#[derive(Debug, Default)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: BTreeMap<u64, Unsynced>,
}

/// A change of names that is not durable yet.
#[derive(Clone, Debug)]
enum Renaming {
    Link(PathBuf, Entry),
    Unlink(PathBuf),
}

impl Renaming {
    fn path(&self) -> &Path {
        match self {
            Self::Link(path, _) | Self::Unlink(path) => path,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Dir,
    File(u64),
}

#[derive(Debug)]
struct State {
    dice: Dice,
    faults: Faults,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, Entry>,
    durable_names: BTreeMap<PathBuf, Entry>,
    unsynced_names: BTreeMap<u64, Renaming>,
    next_id: u64,
    operations: u64,
    syncs: u64,
    crashed: bool,
}

/// A disk in memory; a clone is another handle of the same.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    crashed: Arc<Notify>,
}

/// What becomes durable when an operation is answered.
#[derive(Debug)]
enum Settles {
    Nothing,
    Changes(u64, Vec<u64>),
    Lost(u64, Vec<u64>),
    Names(Vec<u64>),
}

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            dice: Dice::new(seed),
            faults: Faults::default(),
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: BTreeMap::new(),
            next_id: 0,
            operations: 0,
            syncs: 0,
            crashed: false,
        };
        Self { state: Arc::new(Mutex::new(state)), crashed: Arc::new(Notify::new()) }
    }

    /// Says what goes wrong from now on; operations and syncs are counted from here.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.state.lock();
        state.faults = faults;
        state.operations = 0;
        state.syncs = 0;
    }

    /// Operations since the faults were set.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Resolves when the machine has stopped: nothing is answered any more.
    pub async fn crashed(&self) {
        while !self.state.lock().crashed {
            self.crashed.notified().await;
        }
    }

    /// Power is lost and comes back: of everything that was not synced, some sectors and names are kept, others lost.
    pub fn power_cycle(&self) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let keep_one_in = state.dice.below(4);
        let kept = |dice: &mut Dice| match keep_one_in {
            0 => false,
            1 => true,
            _ => dice.one_in(2),
        };
        let mut lost_in: Vec<PathBuf> = Vec::new();
        for change in std::mem::take(&mut state.unsynced_names).into_values() {
            let parent = change.path().parent().unwrap_or(Path::new("")).to_owned();
            // A file system loses the end of a directory's changes, not one in their middle.
            if lost_in.contains(&parent) || !kept(&mut state.dice) {
                lost_in.push(parent);
                continue;
            }
            rename(&mut state.durable_names, change);
        }
        for inode in state.inodes.values_mut() {
            for change in std::mem::take(&mut inode.unsynced).into_values() {
                keep_some(&mut inode.durable, change, || kept(&mut state.dice));
            }
            inode.cached = inode.durable.clone();
        }
        let names = std::mem::take(&mut state.durable_names);
        let reachable = |path: &Path| path.ancestors().skip(1).all(|dir| is_dir(&names, dir));
        state.durable_names = names.iter().filter(|(path, _)| reachable(path)).map(|(p, e)| (p.clone(), *e)).collect();
        state.names = state.durable_names.clone();
        state.crashed = false;
        state.faults = Faults::default();
    }

    /// The process dies and comes back: the page cache stays as it is.
    pub fn restart_process(&self) {
        let mut state = self.state.lock();
        state.crashed = false;
        state.faults = Faults::default();
    }

    /// Turns one bit of a file on the device and in the page cache.
    pub fn flip_bit(&self, file: &Path, at: u64) {
        let mut state = self.state.lock();
        let Some(Entry::File(inode)) = state.names.get(file).copied() else { panic!("no file {file:?}") };
        let inode = state.inodes.get_mut(&inode).expect("names lead to inodes");
        let at = usize::try_from(at).expect("simulated files are small");
        for copy in [&mut inode.cached, &mut inode.durable] {
            if let Some(byte) = copy.get_mut(at) {
                *byte ^= 1;
            }
        }
    }

    /// Names in a directory, sorted.
    #[must_use]
    pub fn names(&self, dir: &Path) -> Vec<String> {
        self.state.lock().list(dir).into_iter().map(|entry| entry.name).collect()
    }

    /// A file's bytes as the page cache has them.
    #[must_use]
    pub fn content(&self, file: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        match state.names.get(file)? {
            Entry::File(inode) => Some(state.inodes[inode].cached.clone()),
            Entry::Dir => None,
        }
    }

    /// An operation takes effect in the page cache; none when the machine has stopped.
    fn begin(&self, op: DiskOp) -> Option<(io::Result<(DiskAnswer, Settles)>, PathBuf)> {
        let mut state = self.state.lock();
        state.operations += 1;
        if state.faults.crash_at.is_some_and(|at| state.operations > at) {
            state.crashed = true;
            self.crashed.notify_one();
        }
        if state.crashed {
            return None;
        }
        let path = match &op {
            DiskOp::Write { file, .. } | DiskOp::Read { file, .. } | DiskOp::SetLength { file, .. } => file.clone(),
            _ => PathBuf::new(),
        };
        Some((state.perform(op), path))
    }

    /// It is answered.
    fn end(&self, performed: io::Result<(DiskAnswer, Settles)>, path: &Path) -> Result<DiskAnswer, DiskError> {
        let (answer, settles) = performed.map_err(|error| DiskError::new("simulate", path, &error))?;
        self.settle(&settles);
        match settles {
            Settles::Lost(..) => Err(DiskError::new("sync", path, &io::Error::other("simulated failure"))),
            _ => Ok(answer),
        }
    }

    fn settle(&self, settles: &Settles) {
        let mut state = self.state.lock();
        match settles {
            Settles::Nothing => {}
            Settles::Changes(inode, changes) => {
                let inode = state.inodes.get_mut(inode).expect("inodes are never removed");
                for change in changes {
                    if let Some(change) = inode.unsynced.remove(change) {
                        keep_some(&mut inode.durable, change, || true);
                    }
                }
            }
            Settles::Lost(inode, changes) => {
                let inode = state.inodes.get_mut(inode).expect("inodes are never removed");
                inode.unsynced.retain(|change, _| !changes.contains(change));
            }
            Settles::Names(changes) => {
                for change in changes {
                    if let Some(change) = state.unsynced_names.remove(change) {
                        rename(&mut state.durable_names, change);
                    }
                }
            }
        }
    }
}

fn is_dir(names: &BTreeMap<PathBuf, Entry>, dir: &Path) -> bool {
    dir.as_os_str().is_empty() || names.get(dir) == Some(&Entry::Dir)
}

fn rename(names: &mut BTreeMap<PathBuf, Entry>, change: Renaming) {
    match change {
        Renaming::Link(path, entry) => {
            names.insert(path, entry);
        }
        Renaming::Unlink(path) => names.retain(|name, _| !name.starts_with(&path)),
    }
}

/// Applies a change to the device sector by sector, those that `kept` keeps.
fn keep_some(durable: &mut Vec<u8>, change: Unsynced, mut kept: impl FnMut() -> bool) {
    match change {
        Unsynced::Length(length) => {
            if kept() {
                durable.resize(usize::try_from(length).expect("simulated files are small"), 0);
            }
        }
        Unsynced::Write { at, data } => {
            let mut at = usize::try_from(at).expect("simulated files are small");
            let mut rest = &data[..];
            while !rest.is_empty() {
                let (sector, after) = rest.split_at(rest.len().min(SECTOR_BYTES - at % SECTOR_BYTES));
                if kept() {
                    durable.resize(durable.len().max(at + sector.len()), 0);
                    durable[at..at + sector.len()].copy_from_slice(sector);
                }
                at += sector.len();
                rest = after;
            }
        }
    }
}

impl State {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn change_names(&mut self, change: Renaming) {
        rename(&mut self.names, change.clone());
        let id = self.id();
        self.unsynced_names.insert(id, change);
    }

    fn inode(&mut self, file: &Path, create: bool) -> io::Result<u64> {
        match self.names.get(file) {
            Some(Entry::File(inode)) => Ok(*inode),
            Some(Entry::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None if !create || !is_dir(&self.names, file.parent().unwrap_or(Path::new(""))) => {
                Err(io::ErrorKind::NotFound.into())
            }
            None => {
                let inode = self.id();
                self.inodes.insert(inode, Inode::default());
                self.change_names(Renaming::Link(file.to_owned(), Entry::File(inode)));
                Ok(inode)
            }
        }
    }

    fn used(&self) -> u64 {
        let linked = self.names.values().filter_map(|entry| match entry {
            Entry::File(inode) => Some(self.inodes[inode].cached.len() as u64),
            Entry::Dir => None,
        });
        linked.sum()
    }

    /// Changes a file in the page cache, and says which unsynced change that is.
    fn change_file(&mut self, file: &Path, change: Unsynced) -> io::Result<(u64, u64)> {
        let end = match &change {
            Unsynced::Write { at, data } => at + data.len() as u64,
            Unsynced::Length(length) => *length,
        };
        let present = match self.names.get(file) {
            Some(Entry::File(inode)) => self.inodes[inode].cached.len() as u64,
            _ => 0,
        };
        let growth = end.saturating_sub(present);
        if growth > 0 && self.faults.capacity.is_some_and(|capacity| self.used() + growth > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = self.inode(file, true)?;
        let id = self.id();
        let file = self.inodes.get_mut(&inode).expect("names lead to inodes");
        keep_some(&mut file.cached, change.clone(), || true);
        file.unsynced.insert(id, change);
        Ok((inode, id))
    }

    fn perform(&mut self, op: DiskOp) -> io::Result<(DiskAnswer, Settles)> {
        let done = |settles| Ok((DiskAnswer::Done, settles));
        match op {
            DiskOp::CreateDir(dir) => {
                let missing: Vec<PathBuf> =
                    dir.ancestors().filter(|dir| !is_dir(&self.names, dir)).map(Into::into).collect();
                for dir in missing.into_iter().rev() {
                    self.change_names(Renaming::Link(dir, Entry::Dir));
                }
                done(Settles::Nothing)
            }
            DiskOp::List(dir) => Ok((DiskAnswer::Entries(self.list(&dir)), Settles::Nothing)),
            DiskOp::Read { file, at, length, cache } => {
                let data = self.read(&file, at, length, cache)?;
                Ok((DiskAnswer::Data(data), Settles::Nothing))
            }
            DiskOp::Write { file, at, data, sync } => {
                if sync == WriteSync::Durable {
                    self.write_back(&file, at..at + data.iter().map(|piece| piece.len() as u64).sum::<u64>());
                }
                let (inode, id) = self.change_file(&file, Unsynced::Write { at, data: data.concat() })?;
                match sync {
                    WriteSync::Synced => done(self.sync(&file)?),
                    WriteSync::Durable => done(Settles::Changes(inode, vec![id])),
                    WriteSync::Cached | WriteSync::Behind | WriteSync::Lazy => done(Settles::Nothing),
                }
            }
            DiskOp::SetLength { file, length } => {
                self.change_file(&file, Unsynced::Length(length))?;
                done(Settles::Nothing)
            }
            DiskOp::SyncFile(file) => done(self.sync(&file)?),
            DiskOp::SyncDir(dir) => {
                let inside = |change: &Renaming| change.path().parent() == Some(&dir);
                let changes = self.unsynced_names.iter().filter(|(_, change)| inside(change));
                done(Settles::Names(changes.map(|(id, _)| *id).collect()))
            }
            DiskOp::Rename { from, to } => {
                let moved: Vec<(PathBuf, Entry)> = self.below(&from);
                if moved.is_empty() {
                    return Err(io::ErrorKind::NotFound.into());
                }
                if let [(_, entry @ Entry::File(_))] = moved[..] {
                    // A crash may leave both names of a file, never none.
                    self.change_names(Renaming::Link(to, entry));
                    self.change_names(Renaming::Unlink(from));
                    return done(Settles::Nothing);
                }
                self.change_names(Renaming::Unlink(from.clone()));
                for (name, entry) in moved {
                    let name = name.strip_prefix(&from).expect("it lies below");
                    let name = if name.as_os_str().is_empty() { to.clone() } else { to.join(name) };
                    self.change_names(Renaming::Link(name, entry));
                }
                done(Settles::Nothing)
            }
            DiskOp::Link { from, to } => done(self.link(&from, to)?),
            DiskOp::RemoveFile(path) | DiskOp::RemoveDir(path) => {
                if self.names.contains_key(&path) {
                    self.change_names(Renaming::Unlink(path));
                }
                done(Settles::Nothing)
            }
            DiskOp::Length(file) => {
                let inode = self.inode(&file, false)?;
                Ok((DiskAnswer::Length(self.inodes[&inode].cached.len() as u64), Settles::Nothing))
            }
            DiskOp::Space => {
                let total = self.faults.capacity.unwrap_or(1 << 40);
                Ok((DiskAnswer::Space(Space { total, usable: total.saturating_sub(self.used()) }), Settles::Nothing))
            }
        }
    }

    fn link(&mut self, from: &Path, to: PathBuf) -> io::Result<Settles> {
        let inode = self.inode(from, false)?;
        self.change_names(Renaming::Link(to, Entry::File(inode)));
        Ok(Settles::Nothing)
    }

    /// A direct write first writes back what the page cache has for its range: older bytes never follow newer ones.
    fn write_back(&mut self, file: &Path, range: std::ops::Range<u64>) {
        let Some(Entry::File(inode)) = self.names.get(file) else { return };
        let inode = self.inodes.get_mut(inode).expect("names lead to inodes");
        for (id, change) in std::mem::take(&mut inode.unsynced) {
            match &change {
                Unsynced::Write { at, data } if *at >= range.end || at + data.len() as u64 <= range.start => {
                    inode.unsynced.insert(id, change);
                }
                _ => keep_some(&mut inode.durable, change, || true),
            }
        }
    }

    fn sync(&mut self, file: &Path) -> io::Result<Settles> {
        let inode = self.inode(file, false)?;
        let changes: Vec<u64> = self.inodes[&inode].unsynced.keys().copied().collect();
        let sync = self.syncs;
        self.syncs += 1;
        let fails = self.faults.failing_sync == Some(sync);
        Ok(if fails { Settles::Lost(inode, changes) } else { Settles::Changes(inode, changes) })
    }

    fn below(&self, path: &Path) -> Vec<(PathBuf, Entry)> {
        let inside = self.names.iter().filter(|(name, _)| name.starts_with(path));
        inside.map(|(name, entry)| (name.clone(), *entry)).collect()
    }

    fn list(&self, dir: &Path) -> Vec<DirEntry> {
        let inside = self.names.iter().filter(|(name, _)| name.parent() == Some(dir));
        let entry = |(name, entry): (&PathBuf, &Entry)| DirEntry {
            name: name.file_name().expect("names have one").to_string_lossy().into_owned(),
            is_dir: *entry == Entry::Dir,
        };
        inside.map(entry).collect()
    }

    fn read(&mut self, file: &Path, at: u64, length: usize, cache: ReadCache) -> io::Result<Bytes> {
        let inode = self.inode(file, false)?;
        let inode = self.inodes.get_mut(&inode).expect("names lead to inodes");
        if cache == ReadCache::Direct {
            // A direct read writes dirty pages back first.
            for change in std::mem::take(&mut inode.unsynced).into_values() {
                keep_some(&mut inode.durable, change, || true);
            }
        }
        let bytes = if cache == ReadCache::Direct { &inode.durable } else { &inode.cached };
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let end = from.saturating_add(length).min(bytes.len());
        Ok(Bytes::copy_from_slice(&bytes[from..end]))
    }
}

impl Disk for SimulatedDisk {
    fn submit(&self, op: DiskOp) -> BoxFuture<'static, Result<DiskAnswer, DiskError>> {
        let Some((performed, path)) = self.begin(op) else { return Box::pin(std::future::pending()) };
        let polls = self.state.lock().dice.below(4);
        let disk = self.clone();
        Box::pin(async move {
            Delay(polls).await;
            if disk.state.lock().crashed {
                return std::future::pending().await;
            }
            disk.end(performed, &path)
        })
    }

    fn perform_now(&self, op: DiskOp) -> Result<DiskAnswer, DiskError> {
        match self.begin(op) {
            Some((performed, path)) => self.end(performed, &path),
            // Who is here must go on; nothing that it does any more reaches the disk or anybody else.
            None => Err(DiskError::new("simulate", Path::new(""), &io::Error::other("the machine has stopped"))),
        }
    }

    fn root(&self) -> &Path {
        Path::new("simulated")
    }
}

/// Is ready after some polls, so that other tasks run meanwhile.
struct Delay(u64);

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

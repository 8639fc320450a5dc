//! A disk in memory that behaves as badly as a real one may: a page cache that a crash loses, torn writes, lost directory
//! entries, failing syncs, no space.
//!
//! Every choice comes from the seed, so a run repeats. An operation takes effect in the page cache when it is submitted
//! and is answered some polls later; what is durable is decided when it is answered, or by the crash.

mod faults;
mod file_system;
mod trace;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use faults::{Dice, Fate, Faults};
use file_system::{Entry, Settles, State, is_dir, keep_some, rename};

use super::{Disk, DiskAnswer, DiskError, DiskOp, WriteSync};

/// Smallest piece of a write that a crash keeps or loses as a whole.
pub const SECTOR_BYTES: usize = 512;

/// One operation in so many may take so many polls, as on a device that is busy with something else.
const SLOW_ONE_IN: u64 = 6;
const SLOW_POLLS: u64 = 64;

/// A disk in memory; a clone is another handle of the same.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    crashed: Arc<Notify>,
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
            durable_writes: 0,
            syncs_held: false,
            crashed: false,
            trace: DefaultHasher::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), crashed: Arc::new(Notify::new()) }
    }

    /// Says what goes wrong from now on; operations, syncs and writes are counted from here.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.state.lock();
        state.faults = faults;
        state.operations = 0;
        state.syncs = 0;
        state.durable_writes = 0;
    }

    /// Whether syncs of files wait, as on a device that is busy; those that wait go on when they may.
    pub fn hold_syncs(&self, held: bool) {
        self.state.lock().syncs_held = held;
    }

    /// Operations since the faults were set.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Syncs since the faults were set.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Resolves when the machine has stopped: nothing is answered any more.
    pub async fn crashed(&self) {
        while !self.state.lock().crashed {
            self.crashed.notified().await;
        }
    }

    /// Another disk with the same content, page cache and future.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.state.lock().clone())), crashed: Arc::new(Notify::new()) }
    }

    /// A number that two runs share when they asked the same of their disks in the same order.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.state.lock().trace.finish()
    }

    /// Power is lost and comes back: of everything that was not synced, some sectors and names are kept, others lost.
    pub fn power_cycle(&self) {
        let fate = || match self.state.lock().dice.below(4) {
            0 => Fate::Lost,
            1 => Fate::Kept,
            _ => Fate::Torn,
        };
        let (writes, names) = (fate(), fate());
        self.power_cycle_to(writes, names);
    }

    /// Power is lost and comes back, and this becomes of writes and names that were not synced.
    pub fn power_cycle_to(&self, writes: Fate, names: Fate) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let kept = |fate: Fate, dice: &mut Dice| match fate {
            Fate::Lost => false,
            Fate::Kept => true,
            Fate::Torn => dice.one_in(2),
        };
        let mut lost_in: Vec<PathBuf> = Vec::new();
        for change in std::mem::take(&mut state.unsynced_names).into_values() {
            let parent = change.path().parent().unwrap_or(Path::new("")).to_owned();
            // A file system loses the end of a directory's changes, not one in their middle.
            if lost_in.contains(&parent) || !kept(names, &mut state.dice) {
                lost_in.push(parent);
                continue;
            }
            rename(&mut state.durable_names, change);
        }
        for inode in state.inodes.values_mut() {
            for change in std::mem::take(&mut inode.unsynced).into_values() {
                keep_some(&mut inode.durable, change, || kept(writes, &mut state.dice));
            }
            inode.cached = inode.durable.clone();
        }
        let all = std::mem::take(&mut state.durable_names);
        let reachable = |path: &Path| path.ancestors().skip(1).all(|dir| is_dir(&all, dir));
        state.durable_names = all.iter().filter(|(path, _)| reachable(path)).map(|(p, e)| (p.clone(), *e)).collect();
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

    /// All files with their lengths in bytes, by name.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state.lock();
        let file = |(path, entry): (&PathBuf, &Entry)| match entry {
            Entry::File(inode) => Some((path.clone(), state.inodes[inode].cached.len() as u64)),
            Entry::Dir => None,
        };
        state.names.iter().filter_map(file).collect()
    }

    /// Turns the lowest bit of a file's byte on the device and in the page cache.
    pub fn flip_bit(&self, file: &Path, at: u64) {
        self.flip_bits(file, at, 1);
    }

    /// Turns the bits of `mask`.
    pub fn flip_bits(&self, file: &Path, at: u64, mask: u8) {
        let mut state = self.state.lock();
        let Some(Entry::File(inode)) = state.names.get(file).copied() else { panic!("no file {file:?}") };
        let inode = state.inodes.get_mut(&inode).expect("names lead to inodes");
        let at = usize::try_from(at).expect("simulated files are small");
        for copy in [&mut inode.cached, &mut inode.durable] {
            if let Some(byte) = copy.get_mut(at) {
                *byte ^= mask;
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
        trace::record(&mut state.trace, &op);
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

    /// It is answered; never, in some cases.
    fn end(&self, performed: io::Result<(DiskAnswer, Settles)>, path: &Path) -> Option<Result<DiskAnswer, DiskError>> {
        let (answer, settles) = match performed {
            Ok(performed) => performed,
            Err(error) => return Some(Err(DiskError::new("simulate", path, &error))),
        };
        self.settle(&settles);
        match settles {
            Settles::Never => None,
            Settles::Lost(..) => Some(Err(DiskError::new("sync", path, &io::Error::other("simulated failure")))),
            _ => Some(Ok(answer)),
        }
    }

    fn settle(&self, settles: &Settles) {
        let mut state = self.state.lock();
        match settles {
            Settles::Nothing | Settles::Never => {}
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

impl Disk for SimulatedDisk {
    fn submit(&self, op: DiskOp) -> BoxFuture<'static, Result<DiskAnswer, DiskError>> {
        let waits = matches!(op, DiskOp::SyncFile(_) | DiskOp::Write { sync: WriteSync::Synced, .. });
        let Some((performed, path)) = self.begin(op) else { return Box::pin(std::future::pending()) };
        let polls = self.state.lock().polls();
        let disk = self.clone();
        Box::pin(async move {
            Delay(polls).await;
            while waits && disk.state.lock().syncs_held {
                Delay(1).await;
            }
            if disk.state.lock().crashed {
                return std::future::pending().await;
            }
            match disk.end(performed, &path) {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }

    fn perform_now(&self, op: DiskOp) -> Result<DiskAnswer, DiskError> {
        match self.begin(op) {
            Some((performed, path)) => self.end(performed, &path).expect("it does not wait for the device"),
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

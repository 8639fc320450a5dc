//! Files and names of the simulated disk, as the page cache has them and as the device does.

use std::collections::BTreeMap;
use std::hash::DefaultHasher;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::faults::{Dice, Faults};
use super::{SECTOR_BYTES, SLOW_ONE_IN, SLOW_POLLS};
use crate::disk::{DirEntry, DiskAnswer, DiskOp, ReadCache, Space, WriteSync};

/// A change of a file that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum Unsynced {
    Write { at: u64, data: Vec<u8> },
    Length(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: BTreeMap<u64, Unsynced>,
}

/// A change of names that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum Renaming {
    Link(PathBuf, Entry),
    Unlink(PathBuf),
}

impl Renaming {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Link(path, _) | Self::Unlink(path) => path,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Dir,
    File(u64),
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) dice: Dice,
    pub(super) faults: Faults,
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) names: BTreeMap<PathBuf, Entry>,
    pub(super) durable_names: BTreeMap<PathBuf, Entry>,
    pub(super) unsynced_names: BTreeMap<u64, Renaming>,
    pub(super) next_id: u64,
    pub(super) operations: u64,
    pub(super) syncs: u64,
    pub(super) durable_writes: u64,
    pub(super) syncs_held: bool,
    pub(super) crashed: bool,
    /// Of every operation.
    pub(super) trace: DefaultHasher,
}

/// What becomes durable when an operation is answered.
#[derive(Debug)]
pub(super) enum Settles {
    Nothing,
    /// It is not answered at all.
    Never,
    Changes(u64, Vec<u64>),
    Lost(u64, Vec<u64>),
    Names(Vec<u64>),
}

pub(super) fn is_dir(names: &BTreeMap<PathBuf, Entry>, dir: &Path) -> bool {
    dir.as_os_str().is_empty() || names.get(dir) == Some(&Entry::Dir)
}

pub(super) fn rename(names: &mut BTreeMap<PathBuf, Entry>, change: Renaming) {
    match change {
        Renaming::Link(path, entry) => {
            names.insert(path, entry);
        }
        Renaming::Unlink(path) => names.retain(|name, _| !name.starts_with(&path)),
    }
}

/// Applies a change to the device sector by sector, those that `kept` keeps.
pub(super) fn keep_some(durable: &mut Vec<u8>, change: Unsynced, mut kept: impl FnMut() -> bool) {
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
    /// After how many polls an operation is answered.
    pub(super) fn polls(&mut self) -> u64 {
        if self.dice.one_in(SLOW_ONE_IN) { self.dice.below(SLOW_POLLS) } else { self.dice.below(4) }
    }

    pub(super) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn change_names(&mut self, change: Renaming) {
        rename(&mut self.names, change.clone());
        let id = self.id();
        self.unsynced_names.insert(id, change);
    }

    pub(super) fn inode(&mut self, file: &Path, create: bool) -> io::Result<u64> {
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

    pub(super) fn used(&self) -> u64 {
        let linked = self.names.values().filter_map(|entry| match entry {
            Entry::File(inode) => Some(self.inodes[inode].cached.len() as u64),
            Entry::Dir => None,
        });
        linked.sum()
    }

    /// Changes a file in the page cache, and says which unsynced change that is.
    pub(super) fn change_file(&mut self, file: &Path, change: Unsynced) -> io::Result<(u64, u64)> {
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

    pub(super) fn perform(&mut self, op: DiskOp) -> io::Result<(DiskAnswer, Settles)> {
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
            DiskOp::Write { file, at, data, sync } => done(self.write(&file, at, &data, sync)?),
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
            DiskOp::Link { from, to } => {
                let inode = self.inode(&from, false)?;
                self.change_names(Renaming::Link(to, Entry::File(inode)));
                done(Settles::Nothing)
            }
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

    pub(super) fn write(&mut self, file: &Path, at: u64, data: &[Bytes], sync: WriteSync) -> io::Result<Settles> {
        if sync == WriteSync::Durable {
            self.write_back(file, at..at + data.iter().map(|piece| piece.len() as u64).sum::<u64>());
        }
        let (inode, id) = self.change_file(file, Unsynced::Write { at, data: data.concat() })?;
        match sync {
            WriteSync::Synced => self.sync(file),
            WriteSync::Durable => {
                let write = self.durable_writes;
                self.durable_writes += 1;
                let stuck = self.faults.stuck_write == Some(write);
                Ok(if stuck { Settles::Never } else { Settles::Changes(inode, vec![id]) })
            }
            WriteSync::Cached | WriteSync::Behind | WriteSync::Lazy => Ok(Settles::Nothing),
        }
    }

    /// A direct write first writes back what the page cache has for its range: older bytes never follow newer ones.
    pub(super) fn write_back(&mut self, file: &Path, range: std::ops::Range<u64>) {
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

    pub(super) fn sync(&mut self, file: &Path) -> io::Result<Settles> {
        let inode = self.inode(file, false)?;
        let changes: Vec<u64> = self.inodes[&inode].unsynced.keys().copied().collect();
        let sync = self.syncs;
        self.syncs += 1;
        let fails = self.faults.failing_sync == Some(sync);
        Ok(if fails { Settles::Lost(inode, changes) } else { Settles::Changes(inode, changes) })
    }

    pub(super) fn below(&self, path: &Path) -> Vec<(PathBuf, Entry)> {
        let inside = self.names.iter().filter(|(name, _)| name.starts_with(path));
        inside.map(|(name, entry)| (name.clone(), *entry)).collect()
    }

    pub(super) fn list(&self, dir: &Path) -> Vec<DirEntry> {
        let inside = self.names.iter().filter(|(name, _)| name.parent() == Some(dir));
        let entry = |(name, entry): (&PathBuf, &Entry)| DirEntry {
            name: name.file_name().expect("names have one").to_string_lossy().into_owned(),
            is_dir: *entry == Entry::Dir,
        };
        inside.map(entry).collect()
    }

    pub(super) fn read(&mut self, file: &Path, at: u64, length: usize, cache: ReadCache) -> io::Result<Bytes> {
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

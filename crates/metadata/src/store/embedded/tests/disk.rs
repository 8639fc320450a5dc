//! A disk behind redb that behaves like one at its worst: until a sync, a write may be kept, lost, or torn at a sector.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use crate::store::embedded::file::OpenDatabase;

const SECTOR: usize = 512;

/// A shared handle; the store has another.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What survives a crash for certain.
    synced: Vec<u8>,
    /// What reads see.
    current: Vec<u8>,
    /// Since the last sync, in order.
    unsynced: Vec<Operation>,
    /// Operations until every further one fails.
    life: Option<u64>,
    full: bool,
    syncs_count: bool,
    random: u64,
}

#[derive(Clone, Debug)]
enum Operation {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
}

impl Operation {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                if to.len() < offset + bytes.len() {
                    to.resize(offset + bytes.len(), 0);
                }
                to[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Self::SetLength(length) => to.resize(*length, 0),
        }
    }

    /// The operation as pieces that reach the disk one by one.
    fn pieces(&self) -> Vec<Self> {
        match self {
            Self::Write { offset, bytes } => {
                let piece =
                    |(at, bytes): (usize, &[u8])| Self::Write { offset: offset + at * SECTOR, bytes: bytes.to_vec() };
                bytes.chunks(SECTOR).enumerate().map(piece).collect()
            }
            Self::SetLength(length) => vec![Self::SetLength(*length)],
        }
    }
}

impl State {
    fn spend(&mut self) -> Result<(), io::Error> {
        match &mut self.life {
            Some(0) => Err(io::Error::other("the machine has crashed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn change(&mut self, operation: Operation) -> Result<(), io::Error> {
        self.spend()?;
        if self.full {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        operation.apply(&mut self.current);
        self.unsynced.push(operation);
        Ok(())
    }

    /// Xorshift: good enough to choose, and the same on every machine.
    fn chance(&mut self, one_in: u64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.is_multiple_of(one_in)
    }
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            synced: Vec::new(),
            current: Vec::new(),
            unsynced: Vec::new(),
            life: None,
            full: false,
            syncs_count: true,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        })))
    }

    /// Every operation after the next `operations` fails, as for a process that is no more.
    pub(super) fn die_after(&self, operations: u64) {
        self.0.lock().life = Some(operations);
    }

    pub(super) fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// Answers syncs without doing them.
    pub(super) fn ignore_syncs(&self) {
        self.0.lock().syncs_count = false;
    }

    /// The machine comes back with what was synced and a random part of what was not.
    pub(super) fn restart(&self) {
        let mut state = self.0.lock();
        let mut survived = std::mem::take(&mut state.synced);
        for operation in std::mem::take(&mut state.unsynced) {
            let whole = state.chance(2);
            for piece in operation.pieces() {
                if whole || state.chance(2) {
                    piece.apply(&mut survived);
                }
            }
        }
        state.current.clone_from(&survived);
        state.synced = survived;
        state.life = None;
    }

    pub(super) fn opener(&self) -> OpenDatabase {
        let disk = self.clone();
        Box::new(move |builder| builder.create_with_backend(disk.clone()))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        let mut state = self.0.lock();
        state.spend()?;
        Ok(state.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut state = self.0.lock();
        state.spend()?;
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.current.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.0.lock().change(Operation::SetLength(usize::try_from(length).unwrap()))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.0.lock();
        state.spend()?;
        if state.syncs_count {
            state.synced = state.current.clone();
            state.unsynced.clear();
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let offset = usize::try_from(offset).unwrap();
        self.0.lock().change(Operation::Write { offset, bytes: data.to_vec() })
    }
}

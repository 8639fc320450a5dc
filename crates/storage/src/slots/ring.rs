//! Slots in recycled files of one directory: the lane's home on a disk.
//!
//! Slots lie one after the other, each on a `BLOCK_BYTES` boundary and wholly in one file. A file is used again when all
//! its slots are released, so a block with acknowledged bytes is never rewritten. Files after the first are written with
//! zeros ahead of need: a synced write then changes no metadata. Stale slots carry another lane id.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, ready};
use parking_lot::Mutex;

use super::{PresentSlot, Put, SlotId, SlotLimits, SlotSpace, SlotStore};
use crate::disk::{ASIDE_DIR, AlignedBuffer, BLOCK_BYTES, Disk, DiskError, DiskOp, WriteSync};
use crate::lane::session::Session;
use crate::lane::slot::{decode_header, identity};
use crate::planted::{self, Bug};

/// Directory of the files below the disk's root.
pub const RING_DIR: &str = "lane";
const EXTENSION: &str = ".slots";
/// Files that are kept for use when all their slots are released; more are removed.
const FREE_FILES_MAX: usize = 4;
/// Bytes read at a time when slots are looked for.
const SCAN_BYTES: usize = 1 << 20;

/// A smaller slot is written by the thread that puts it; larger ones by I/O threads, so that several are in flight.
const WRITTEN_HERE_BYTES_MAX: usize = 256 << 10;

type Prepared = Shared<BoxFuture<'static, Result<(), DiskError>>>;

/// A ring of slot files.
pub struct FileRing {
    disk: Arc<dyn Disk>,
    file_bytes: u64,
    limits: SlotLimits,
    state: Mutex<RingState>,
}

impl fmt::Debug for FileRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("FileRing").field("files", &state.files.len()).field("slots", &state.slots.len()).finish()
    }
}

/// Where a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    file: u64,
    at: u64,
    bytes: u64,
}

struct RingFile {
    bytes: u64,
    /// Ready when the file exists with its length, durably named.
    prepared: Prepared,
}

#[derive(Default)]
struct RingState {
    files: BTreeMap<u64, RingFile>,
    slots: BTreeMap<SlotId, Place>,
    /// The file that is being filled and the position of the next slot.
    current: Option<(u64, u64)>,
    free: Vec<u64>,
    next_file: u64,
}

impl FileRing {
    /// Opens the ring and looks for the slots of the session that crashed; without one all files are free.
    /// `file_bytes` is the length of new files.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) async fn open(
        disk: Arc<dyn Disk>,
        file_bytes: u64,
        limits: SlotLimits,
        crashed: Option<Session>,
    ) -> Result<Self, DiskError> {
        disk.perform(DiskOp::CreateDir(RING_DIR.into())).await?;
        disk.perform(DiskOp::SyncDir(PathBuf::new())).await?;
        let mut state = RingState::default();
        for entry in disk.list(RING_DIR.into()).await? {
            let Some(number) = entry.name.strip_suffix(EXTENSION).and_then(|name| name.parse::<u64>().ok()) else {
                continue;
            };
            let bytes = disk.length(path_of(number)).await?.unwrap_or_default();
            state.next_file = state.next_file.max(number + 1);
            state.files.insert(number, RingFile { bytes, prepared: ready(Ok(())).boxed().shared() });
            let found = match &crashed {
                Some(session) => scan_file(disk.as_ref(), number, bytes, session).await?,
                None => Vec::new(),
            };
            if found.is_empty() {
                state.free.push(number);
            }
            state.slots.extend(found);
        }
        Ok(Self { disk, file_bytes: file_bytes.next_multiple_of(BLOCK_BYTES as u64), limits, state: Mutex::new(state) })
    }

    /// Moves the files that hold slots out of the ring and aside, for a lane whose damage must be looked into; says from
    /// where to where. Called before the session's first put.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn set_aside(&self) -> Result<Vec<(PathBuf, PathBuf)>, DiskError> {
        let (lane, files) = {
            let mut state = self.state.lock();
            let lane = state.slots.keys().next_back().map_or(0, |id| id.lane.0);
            let files: BTreeSet<u64> = std::mem::take(&mut state.slots).into_values().map(|place| place.file).collect();
            state.files.retain(|number, _| !files.contains(number));
            (lane, files)
        };
        let dir = Path::new(ASIDE_DIR).join(format!("lane-{lane}"));
        self.disk.perform(DiskOp::CreateDir(dir.clone())).await?;
        let mut moved = Vec::new();
        for number in files {
            let (from, to) = (path_of(number), dir.join(format!("{number:08}{EXTENSION}")));
            self.disk.perform(DiskOp::Rename { from: from.clone(), to: to.clone() }).await?;
            moved.push((from, to));
        }
        for dir in [Path::new(RING_DIR), &dir, Path::new(ASIDE_DIR), Path::new("")] {
            self.disk.perform(DiskOp::SyncDir(dir.to_owned())).await?;
        }
        Ok(moved)
    }

    /// Gives a slot its place, the same again for the same slot, and what must be ready before it is written.
    fn place(&self, id: SlotId, bytes: u64) -> (Place, Prepared) {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(place) = state.slots.get(&id).copied().filter(|place| place.bytes == bytes) {
            return (place, self.prepared(state, place.file));
        }
        let room = state.current.filter(|(file, at)| state.files[file].bytes - at >= bytes);
        let (file, at) = room.unwrap_or_else(|| (self.take_file(state, bytes), 0));
        let place = Place { file, at, bytes };
        state.current = Some((file, at + bytes));
        state.slots.insert(id, place);
        let prepared = self.prepared(state, file);
        if state.free.is_empty() && at + bytes > state.files[&file].bytes / 2 {
            let spare = self.new_file(state, self.file_bytes, true);
            state.free.push(spare);
        }
        (place, prepared)
    }

    /// A free file with room for `bytes`, or a new one.
    fn take_file(&self, state: &mut RingState, bytes: u64) -> u64 {
        if let Some(at) = state.free.iter().position(|file| state.files[file].bytes >= bytes) {
            return state.free.remove(at);
        }
        self.new_file(state, self.file_bytes.max(bytes), false)
    }

    /// Makes a file; `zeroed` ones are written ahead of need. The work starts now.
    fn new_file(&self, state: &mut RingState, bytes: u64, zeroed: bool) -> u64 {
        let number = state.next_file;
        state.next_file += 1;
        let prepared = self.prepare(number, bytes, zeroed);
        state.files.insert(number, RingFile { bytes, prepared });
        number
    }

    fn prepare(&self, number: u64, bytes: u64, zeroed: bool) -> Prepared {
        let file = path_of(number);
        let first = if zeroed {
            let piece = AlignedBuffer::zeroed(usize::try_from(bytes.min(1 << 20)).unwrap_or(BLOCK_BYTES)).freeze();
            let pieces = (0..bytes.div_ceil(piece.len() as u64)).map(|number| {
                let left = bytes - number * piece.len() as u64;
                piece.slice(..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX)))
            });
            DiskOp::Write { file: file.clone(), at: 0, data: pieces.collect(), sync: WriteSync::Durable }
        } else {
            DiskOp::SetLength { file: file.clone(), length: bytes }
        };
        let first = self.disk.submit(first);
        let disk = Arc::clone(&self.disk);
        let rest = async move {
            first.await?;
            disk.perform(DiskOp::SyncFile(file)).await?;
            disk.perform(DiskOp::SyncDir(RING_DIR.into())).await
        };
        rest.boxed().shared()
    }

    /// What the file's slots wait for; a preparation that failed is tried anew.
    fn prepared(&self, state: &mut RingState, number: u64) -> Prepared {
        let file = state.files.get_mut(&number).expect("places name files that exist");
        if matches!(file.prepared.peek(), Some(Err(_))) {
            file.prepared = self.prepare(number, file.bytes, false);
        }
        file.prepared.clone()
    }
}

fn path_of(number: u64) -> PathBuf {
    Path::new(RING_DIR).join(format!("{number:08}{EXTENSION}"))
}

/// When the write of a slot is answered.
fn answered_when() -> WriteSync {
    if planted::has(Bug::AnswersBeforeDurable) { WriteSync::Cached } else { WriteSync::Durable }
}

/// The session's slots in a file, by the headers on its block boundaries, read from the device. Bodies are bytes of
/// clients, who may have put anything on a boundary: only what has the session's nonce counts, and nothing inside a slot.
async fn scan_file(
    disk: &dyn Disk,
    number: u64,
    bytes: u64,
    session: &Session,
) -> Result<Vec<(SlotId, Place)>, DiskError> {
    let mut found = Vec::new();
    let mut from = 0;
    let mut slot_end = 0;
    while from < bytes {
        let piece = disk.read_direct(path_of(number), from, SCAN_BYTES).await?;
        for (block, content) in piece.chunks(BLOCK_BYTES).enumerate() {
            let at = from + (block * BLOCK_BYTES) as u64;
            if at < slot_end {
                continue;
            }
            let Some(identity) = identity(content) else { continue };
            if (identity.lane, identity.nonce) != (session.lane, session.nonce) {
                continue;
            }
            let id = SlotId { lane: identity.lane, sequence: identity.sequence };
            // How long one of a later version is nobody knows; its head is enough for a refusal.
            let bytes = decode_header(content).map_or(BLOCK_BYTES as u64, |header| u64::from(header.slot_bytes));
            let place = Place { file: number, at, bytes };
            slot_end = at + place.bytes;
            found.push((id, place));
        }
        from += SCAN_BYTES as u64;
    }
    Ok(found)
}

impl SlotStore for FileRing {
    fn put(&self, id: SlotId, bytes: Bytes) -> BoxFuture<'_, Result<Put, DiskError>> {
        assert!(bytes.len().is_multiple_of(BLOCK_BYTES), "slots are whole blocks");
        let (place, prepared) = self.place(id, bytes.len() as u64);
        Box::pin(async move {
            prepared.await?;
            let (file, at) = (path_of(place.file), place.at);
            let here = bytes.len() <= WRITTEN_HERE_BYTES_MAX;
            let write = DiskOp::Write { file, at, data: vec![bytes], sync: answered_when() };
            if here {
                self.disk.submit_blocking(write).await?
            } else {
                self.disk.submit(write).await?
            };
            Ok(Put::Stored)
        })
    }

    fn get(&self, id: SlotId) -> BoxFuture<'_, Result<Option<Bytes>, DiskError>> {
        let place = self.state.lock().slots.get(&id).copied();
        Box::pin(async move {
            let Some(place) = place else { return Ok(None) };
            let length = usize::try_from(place.bytes).unwrap_or(usize::MAX);
            self.disk.read_direct(path_of(place.file), place.at, length).await.map(Some)
        })
    }

    fn present(&self, from: SlotId) -> BoxFuture<'_, Result<Vec<PresentSlot>, DiskError>> {
        let state = self.state.lock();
        let present = state.slots.range(from..).map(|(id, place)| PresentSlot { id: *id, bytes: place.bytes });
        ready(Ok(present.collect())).boxed()
    }

    fn release(&self, below: SlotId) -> BoxFuture<'_, Result<(), DiskError>> {
        let mut surplus = Vec::new();
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            state.slots = state.slots.split_off(&below);
            let current = state.current.map(|(file, _)| file);
            let used: Vec<u64> = state.slots.values().map(|place| place.file).chain(current).collect();
            for number in state.files.keys() {
                if !used.contains(number) && !state.free.contains(number) {
                    state.free.push(*number);
                }
            }
            while state.free.len() > FREE_FILES_MAX {
                surplus.extend(state.free.pop());
            }
            for number in &surplus {
                state.files.remove(number);
            }
        }
        Box::pin(async move {
            for number in surplus {
                self.disk.perform(DiskOp::RemoveFile(path_of(number))).await?;
            }
            Ok(())
        })
    }

    fn limits(&self) -> SlotLimits {
        self.limits
    }

    fn space(&self) -> SlotSpace {
        let state = self.state.lock();
        SlotSpace {
            files: state.files.len() as u64,
            bytes: state.files.values().map(|file| file.bytes).sum(),
            used_bytes: state.slots.values().map(|place| place.bytes).sum(),
        }
    }
}

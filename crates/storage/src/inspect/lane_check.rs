//! Checks the lane as the next start will read it: which slots are whole, and whether what they hold of each partition goes
//! on where its log ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millstream_model::Offset;

use super::{Damage, Finding, length, list, read};
use crate::disk::{BLOCK_BYTES, Disk};
use crate::lane::session::Session;
use crate::lane::slot::{
    PartitionKey, Slot, SlotEntryBody, SlotError, SlotHeader, SlotIdentity, VERSION, decode, decode_header, identity,
};
use crate::segments::SegmentError;
use crate::slots::ring::RING_DIR;

/// How the names of the lane's files end.
const SLOTS_SUFFIX: &str = ".slots";
/// Bytes read at a time while slots are looked for.
const PIECE_BYTES: usize = 1 << 20;

/// What a slot holds of a partition.
#[derive(Clone, Copy, Debug)]
enum Held {
    Batch { base: Offset, next: Offset },
    Reached(Offset),
}

/// A slot with a good head.
#[derive(Debug)]
struct FoundSlot {
    header: SlotHeader,
    file: PathBuf,
    position: u64,
    held: Vec<(PartitionKey, Held)>,
    /// Everything in it is as it was written.
    is_whole: bool,
    /// Partitions whose batches are damaged; none when nobody knows, because the index is.
    lost: Option<Vec<PartitionKey>>,
}

/// What a check of the lane found.
#[derive(Debug, Default)]
pub(crate) struct LaneReport {
    /// Slots that are needed, and were looked at.
    pub(crate) needed: u64,
    /// Slots that were never acknowledged: the next start cuts them off.
    pub(crate) torn: u64,
    /// Damage in what is needed.
    pub(crate) findings: Vec<Finding>,
    /// Damage that hurts nobody.
    pub(crate) notes: Vec<String>,
    /// Why partitions will be offline after the next start.
    pub(crate) offline: BTreeMap<PartitionKey, String>,
}

/// Checks the lane of `session`; `ends` says where the logs end without it.
pub(crate) fn check_lane(
    disk: &dyn Disk,
    session: &Session,
    ends: &BTreeMap<PartitionKey, Offset>,
) -> Result<LaneReport, SegmentError> {
    let slots = find_slots(disk, session)?;
    let mut report = LaneReport::default();
    let low_water = slots.values().map(|slot| slot.header.low_water).max().unwrap_or_default();
    let acked_upto = slots.values().map(|slot| slot.header.acked_upto).max().unwrap_or_default();
    if session.closed {
        let damaged = slots.values().filter(|slot| !slot.is_whole);
        let note = |slot: &FoundSlot| format!("{}, which is not needed any more", damage_of(slot));
        report.notes.extend(damaged.map(note));
        return Ok(report);
    }
    let mut ends = ends.clone();
    let mut after_unknown: Option<Vec<PartitionKey>> = None;
    let end = slots.keys().last().map_or(0, |last| last + 1).max(acked_upto);
    for sequence in low_water..end {
        let slot = slots.get(&sequence);
        let is_whole = slot.is_some_and(|slot| slot.is_whole);
        if !is_whole && sequence >= acked_upto {
            report.torn = slots.range(sequence..).count() as u64;
            break;
        }
        report.needed += 1;
        match slot {
            Some(slot) if !is_whole => report.findings.push(damage_of(slot)),
            Some(_) => {}
            None => {
                let reason = format!("slot {sequence} was acknowledged and is not there");
                report.findings.push(Finding::new(Path::new(RING_DIR), reason));
            }
        }
        let Some(slot) = slot.filter(|slot| slot.lost.is_some()) else {
            after_unknown = Some(Vec::new());
            continue;
        };
        for key in slot.lost.iter().flatten() {
            report.offline.entry(*key).or_insert_with(|| format!("a batch of it in slot {sequence} is damaged"));
        }
        follow(slot, &mut ends, &mut report.offline, &mut after_unknown);
    }
    if let Some(seen) = after_unknown {
        for key in ends.keys().filter(|key| !seen.contains(key)) {
            let reason = "a damaged slot of the lane may have held its newest records".to_owned();
            report.offline.entry(*key).or_insert(reason);
        }
    }
    Ok(report)
}

/// Takes what a slot holds to where the logs end; a gap takes a partition offline.
fn follow(
    slot: &FoundSlot,
    ends: &mut BTreeMap<PartitionKey, Offset>,
    offline: &mut BTreeMap<PartitionKey, String>,
    after_unknown: &mut Option<Vec<PartitionKey>>,
) {
    for (key, held) in &slot.held {
        let end = ends.entry(*key).or_default();
        let gap = match held {
            Held::Batch { base, next } if *next > *end => {
                let gap = *base != *end;
                *end = if gap { *end } else { *next };
                gap.then(|| format!("the lane goes on at offset {base}, the log ends at {end}"))
            }
            Held::Reached(offset) if offset > end => {
                Some(format!("its segments held records up to offset {offset}, they end at {end}"))
            }
            Held::Batch { .. } | Held::Reached(_) => None,
        };
        match gap {
            Some(reason) => drop(offline.entry(*key).or_insert(reason)),
            None => after_unknown.iter_mut().for_each(|seen| seen.push(*key)),
        }
    }
}

fn damage_of(slot: &FoundSlot) -> Finding {
    let sequence = slot.header.sequence;
    let reason = match &slot.lost {
        Some(_) => format!("batches of slot {sequence} are damaged"),
        None => format!("the index of slot {sequence} is damaged"),
    };
    Finding::at(&slot.file, Damage::new(slot.position, reason))
}

/// The session's slots, by their sequence.
fn find_slots(disk: &dyn Disk, session: &Session) -> Result<BTreeMap<u64, FoundSlot>, SegmentError> {
    let mut slots = BTreeMap::new();
    for entry in list(disk, Path::new(RING_DIR))? {
        if entry.is_dir || !entry.name.ends_with(SLOTS_SUFFIX) {
            continue;
        }
        let file = Path::new(RING_DIR).join(entry.name);
        let bytes = length(disk, &file)?.unwrap_or_default();
        let (mut at, mut slot_end) = (0, 0);
        while at < bytes {
            let piece = read(disk, &file, at, PIECE_BYTES)?;
            for (number, block) in piece.chunks(BLOCK_BYTES).enumerate() {
                let position = at + (number * BLOCK_BYTES) as u64;
                if position < slot_end {
                    continue;
                }
                let ours = |slot: &SlotIdentity| (slot.lane, slot.nonce) == (session.lane, session.nonce);
                if identity(block).filter(ours).is_none() {
                    continue;
                }
                let header = match decode_header(block) {
                    Err(SlotError::Newer(found)) => {
                        return Err(SegmentError::Newer { file, found, known: VERSION });
                    }
                    Ok(header) => header,
                    Err(_) => continue,
                };
                slot_end = position + u64::from(header.slot_bytes);
                slots.insert(header.sequence, read_slot(disk, &file, position, header)?);
            }
            at += PIECE_BYTES as u64;
        }
    }
    Ok(slots)
}

fn read_slot(disk: &dyn Disk, file: &Path, position: u64, header: SlotHeader) -> Result<FoundSlot, SegmentError> {
    let bytes = read(disk, file, position, header.slot_bytes as usize)?;
    let (is_whole, held, lost) = match decode(&bytes) {
        Ok(slot) => (true, held(&slot), Some(Vec::new())),
        Err(SlotError::DamagedBody { slot, lost }) => (false, held(&slot), Some(lost)),
        Err(_) => (false, Vec::new(), None),
    };
    Ok(FoundSlot { header, file: file.to_owned(), position, is_whole, held, lost })
}

fn held(slot: &Slot) -> Vec<(PartitionKey, Held)> {
    let one = |body: &SlotEntryBody| match body {
        SlotEntryBody::Batch(batch) => {
            let header = batch.header();
            Some(Held::Batch { base: header.base_offset, next: header.next_offset() })
        }
        SlotEntryBody::Reached(offset) => Some(Held::Reached(*offset)),
        SlotEntryBody::LogStart(_) => None,
    };
    slot.entries.iter().filter_map(|entry| one(&entry.body).map(|held| (entry.key, held))).collect()
}

/// Up to where the slots of all sessions in a directory know of each partition.
pub(super) fn reached_in(
    disk: &dyn Disk,
    dir: &Path,
    reached: &mut BTreeMap<PartitionKey, Offset>,
) -> Result<(), SegmentError> {
    for entry in list(disk, dir)?.into_iter().filter(|entry| entry.name.ends_with(SLOTS_SUFFIX)) {
        let file = dir.join(entry.name);
        let bytes = length(disk, &file)?.unwrap_or_default();
        let mut at = 0;
        while at < bytes {
            let Ok(header) = decode_header(&read(disk, &file, at, BLOCK_BYTES)?) else {
                at += BLOCK_BYTES as u64;
                continue;
            };
            let slot = read_slot(disk, &file, at, header)?;
            for (key, held) in slot.held {
                let upto = match held {
                    Held::Batch { next, .. } => next,
                    Held::Reached(offset) => offset,
                };
                let known: &mut Offset = reached.entry(key).or_default();
                *known = upto.max(*known);
            }
            at += if slot.is_whole { u64::from(header.slot_bytes) } else { BLOCK_BYTES as u64 };
        }
    }
    Ok(())
}

//! The files that only Millstream has, as lines that a person can read: slots of the lane, the checkpoint file, the session
//! file. Words and order follow docs/format; a damaged part is told, and what lies behind it is still shown.

use bytes::Bytes;

use super::Damage;
use crate::disk::BLOCK_BYTES;
use crate::lane::session::Session;
use crate::lane::slot::{SlotEntry, SlotEntryBody, SlotError, SlotHeader, SlotKind, decode, decode_header};
use crate::segments::kafka::checkpoint::{
    ALIGN_BYTES, CheckpointRecord, Round, VERSION, decode_record, is_deleted, split_records, whole_round,
};

/// Which of our files bytes are the start of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnFile {
    Slots,
    Checkpoints,
    Session,
}

impl OwnFile {
    /// By the first bytes, which no file of Kafka's begins with.
    #[must_use]
    pub fn of(start: &[u8]) -> Option<Self> {
        match start.get(..8)? {
            b"MILLSLOT" => Some(Self::Slots),
            b"MILLCKPT" => Some(Self::Checkpoints),
            b"MILLSESS" => Some(Self::Session),
            _ => None,
        }
    }

    /// Tells the file's content line by line, each entry's too with `deep`.
    ///
    /// # Errors
    /// The first damage, when all is told.
    pub fn tell(self, content: &Bytes, deep: bool, line: &mut dyn FnMut(String)) -> Result<(), Damage> {
        match self {
            Self::Slots => tell_slots(content, deep, line),
            Self::Checkpoints => tell_checkpoints(content, deep, line),
            Self::Session => tell_session(content, line),
        }
    }
}

fn tell_session(content: &[u8], line: &mut dyn FnMut(String)) -> Result<(), Damage> {
    let session = Session::decode(content).map_err(|error| Damage::new(0, error.to_string()))?;
    let Session { lane, nonce, generation, closed, rounds } = session;
    let lane = lane.0;
    line(format!("lane: {lane} nonce: {nonce:016x} generation: {generation} closed: {closed} rounds: {rounds}"));
    Ok(())
}

fn tell_checkpoints(content: &Bytes, deep: bool, line: &mut dyn FnMut(String)) -> Result<(), Damage> {
    let mut damage = None;
    let mut at = 0;
    while at < content.len() {
        let place = at as u64;
        match whole_round(&content.slice(at..)) {
            Some(round) if round.version > VERSION => {
                return Err(damage.unwrap_or_else(|| newer("round", round.version, VERSION, place)));
            }
            Some(round) => {
                at += round.bytes;
                tell_round(&round, place, deep, line, &mut damage);
            }
            None => {
                damage.get_or_insert_with(|| Damage::new(place, "no whole round of checkpoints"));
                at += ALIGN_BYTES;
            }
        }
    }
    damage.map_or(Ok(()), Err)
}

fn newer(what: &str, found: u16, known: u16, position: u64) -> Damage {
    Damage::new(position, format!("a {what} of version {found}, which is newer than {known}"))
}

fn tell_round(round: &Round, position: u64, deep: bool, line: &mut dyn FnMut(String), damage: &mut Option<Damage>) {
    let records = split_records(round.payload.clone());
    let (number, size, count) = (round.number, round.bytes, records.len());
    line(format!("round: {number} position: {position} size: {size} records: {count}"));
    for (key, bytes) in records {
        let partition = format!("| topicId: {} partition: {}", key.topic_id, key.index);
        if is_deleted(&bytes) {
            line(format!("{partition} deleted: true"));
            continue;
        }
        match decode_record(bytes) {
            Ok(record) => tell_record(&partition, &record, deep, line),
            Err(error) => {
                line(format!("{partition} unreadable: {error}"));
                damage.get_or_insert_with(|| Damage::new(position, format!("a record of the round: {error}")));
            }
        }
    }
}

fn tell_record(partition: &str, record: &CheckpointRecord, deep: bool, line: &mut dyn FnMut(String)) {
    let CheckpointRecord { volatile, offline, swapped, state, segments, .. } = record;
    let max =
        state.max_timestamp.map_or(String::from("none"), |max| format!("{} batch: {}", max.timestamp, max.base_offset));
    line(format!(
        "{partition} logStart: {} logEnd: {} volatile: {volatile} offline: {offline} swapped: {swapped} \
         segments: {} producers: {} maxTimestamp: {max}",
        state.log_start,
        state.log_end,
        segments.len(),
        state.producers.iter().count(),
    ));
    if !deep {
        return;
    }
    for (epoch, start) in state.epochs.entries() {
        line(format!("|   leaderEpoch: {epoch} startOffset: {start}"));
    }
    for segment in segments {
        line(format!(
            "|   segment: {} nextOffset: {} log: {} index: {} timeindex: {} txnindex: {} maxTimestamp: {}",
            segment.base,
            segment.next,
            segment.log_bytes,
            segment.index_bytes,
            segment.time_index_bytes,
            segment.txn_index_bytes,
            segment.max_timestamp,
        ));
    }
    for (id, entry) in state.producers.iter() {
        let first = entry.transaction_start.map_or(String::from("none"), |first| first.to_string());
        let last = entry.batches.back().map_or(String::from("none"), |batch| batch.last_sequence.0.to_string());
        line(format!(
            "|   producerId: {id} producerEpoch: {} lastSequence: {last} currentTxnFirstOffset: {first}",
            entry.epoch
        ));
    }
}

fn tell_slots(content: &Bytes, deep: bool, line: &mut dyn FnMut(String)) -> Result<(), Damage> {
    let mut damage = None;
    let mut at = 0;
    while at < content.len() {
        let place = at as u64;
        at += match decode(&content.slice(at..)) {
            Ok(slot) => {
                tell_slot(&slot.header, &slot.entries, place, true, deep, line);
                slot.header.slot_bytes as usize
            }
            Err(SlotError::DamagedBody { slot, lost }) => {
                tell_slot(&slot.header, &slot.entries, place, false, deep, line);
                let reason = format!("a slot with damaged batches of {} partitions", lost.len());
                damage.get_or_insert_with(|| Damage::new(place, reason));
                BLOCK_BYTES
            }
            Err(SlotError::DamagedIndex { .. }) => {
                if let Ok(header) = decode_header(&content.slice(at..)) {
                    tell_slot(&header, &[], place, false, deep, line);
                }
                damage.get_or_insert_with(|| Damage::new(place, "a slot whose index is damaged"));
                BLOCK_BYTES
            }
            Err(SlotError::Newer(version)) => {
                damage.get_or_insert_with(|| newer("slot", version, crate::lane::slot::VERSION, place));
                BLOCK_BYTES
            }
            // Zeros that were never written, and what a longer slot of before has left.
            Err(SlotError::NoHeader) => BLOCK_BYTES,
        };
    }
    damage.map_or(Ok(()), Err)
}

fn tell_slot(
    header: &SlotHeader,
    entries: &[SlotEntry],
    position: u64,
    is_valid: bool,
    deep: bool,
    line: &mut dyn FnMut(String),
) {
    let kind = match header.kind {
        SlotKind::Data => "data",
        SlotKind::Mark => "mark",
        SlotKind::Fence => "fence",
    };
    let SlotHeader { lane, sequence, nonce, acked_upto, low_water, slot_bytes, .. } = header;
    line(format!(
        "lane: {} sequence: {sequence} position: {position} size: {slot_bytes} kind: {kind} nonce: {nonce:016x} \
         ackedUpto: {acked_upto} lowWater: {low_water} entries: {} isvalid: {is_valid}",
        lane.0,
        entries.len(),
    ));
    for entry in entries.iter().filter(|_| deep) {
        let what = match &entry.body {
            SlotEntryBody::Batch(batch) => {
                let header = batch.header();
                format!(
                    "batch baseOffset: {} lastOffset: {} size: {} producerId: {} baseSequence: {}",
                    header.base_offset,
                    header.last_offset(),
                    header.size_bytes(),
                    header.producer_id,
                    header.base_sequence.0,
                )
            }
            SlotEntryBody::LogStart(offset) => format!("logStart: {offset}"),
            SlotEntryBody::Reached(offset) => format!("reached: {offset}"),
        };
        line(format!("| topicId: {} partition: {} {what}", entry.key.topic_id, entry.key.index));
    }
}

#[cfg(test)]
mod tests;

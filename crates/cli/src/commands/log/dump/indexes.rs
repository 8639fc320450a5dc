//! Indexes of a segment and Kafka's snapshots of producers; an index is compared with the log beside it.

use std::io::Write as _;

use anyhow::Result;
use millstream_model::batch::{BatchHeader, HEADER_BYTES};
use millstream_model::{Offset, TimestampMs};
use millstream_storage::inspect::Damage;
use millstream_storage::inspect::entries::{
    Entries, SnapshotProducer, TimeEntry, aborted_transactions, offset_entries, snapshot_producers, time_entries,
};

use super::{Dump, OpenedFile};

/// Bytes of an entry, for what is said of places.
const INDEX_ENTRY_BYTES: u64 = 8;
const TIME_INDEX_ENTRY_BYTES: u64 = 12;

impl Dump<'_> {
    pub(super) fn index(&mut self, file: &OpenedFile, base: Offset) -> Result<()> {
        let (entries, damage) = offset_entries(&file.whole()?, base);
        if entries.is_empty() && damage.is_none() {
            writeln!(self.out, "{} is empty.", file.path.display())?;
            return Ok(());
        }
        if self.args.index_sanity_check {
            return self.sanity(file, base, entries.last().map(|last| last.offset), damage);
        }
        let log = file.beside("log")?;
        let mut damage = damage;
        for (number, entry) in used(&entries, base, |entry| entry.offset).iter().enumerate() {
            if !self.args.verify_index_only {
                writeln!(self.out, "offset: {} position: {}", entry.offset, entry.position)?;
            }
            let wrong = match BatchHeader::read(&log.read(entry.position, HEADER_BYTES)?) {
                Ok(header) if header.last_offset() == entry.offset => continue,
                Ok(header) => format!("index offset: {}, log offset: {}", entry.offset, header.last_offset()),
                Err(error) => format!("no batch starts at position {} of the log: {error}", entry.position),
            };
            damage.get_or_insert(Damage { position: number as u64 * INDEX_ENTRY_BYTES, reason: wrong });
        }
        self.check(file, damage.map_or(Ok(()), Err))
    }

    pub(super) fn time_index(&mut self, file: &OpenedFile, base: Offset) -> Result<()> {
        let (entries, mut damage) = time_entries(&file.whole()?, base);
        if self.args.index_sanity_check {
            return self.sanity(file, base, entries.last().map(|last| last.offset), damage);
        }
        let entries = used(&entries, base, |entry| entry.offset);
        if !self.args.verify_index_only {
            for entry in entries {
                writeln!(self.out, "timestamp: {} offset: {}", entry.timestamp, entry.offset)?;
            }
        }
        if let Some(wrong) = wrong_time_entry(&file.beside("log")?, entries)? {
            damage.get_or_insert(wrong);
        }
        self.check(file, damage.map_or(Ok(()), Err))
    }

    /// What decides at a start of Kafka whether an index is built anew: whole entries, the last one beyond the base offset.
    fn sanity(&mut self, file: &OpenedFile, base: Offset, last: Option<Offset>, damage: Option<Damage>) -> Result<()> {
        let damage = damage.or_else(|| {
            let last = last.filter(|last| *last < base)?;
            Some(Damage { position: 0, reason: format!("its last offset is {last}, its segment begins at {base}") })
        });
        if damage.is_none() {
            writeln!(self.out, "{} passed sanity check.", file.path.display())?;
        }
        self.check(file, damage.map_or(Ok(()), Err))
    }

    pub(super) fn aborted(&mut self, file: &OpenedFile) -> Result<()> {
        let (entries, damage) = aborted_transactions(&file.whole()?);
        for entry in entries {
            writeln!(
                self.out,
                "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
                entry.producer_id, entry.first_offset, entry.last_offset, entry.last_stable,
            )?;
        }
        self.check(file, damage.map_or(Ok(()), Err))
    }

    pub(super) fn snapshot(&mut self, file: &OpenedFile) -> Result<()> {
        let (producers, damage): Entries<SnapshotProducer> = snapshot_producers(&file.whole()?);
        for producer in producers {
            let first = producer
                .transaction_start
                .map_or("OptionalLong.empty".to_owned(), |first| format!("OptionalLong[{first}]"));
            write!(
                self.out,
                "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {first} lastTimestamp: {}",
                producer.id, producer.epoch, producer.coordinator_epoch, producer.timestamp,
            )?;
            if producer.last_offset.0 >= 0 {
                let last = producer.last_sequence;
                // Sequences begin anew at 0 behind the largest.
                let first = ((i64::from(last) - i64::from(producer.offset_delta)) & i64::from(i32::MAX)) as i32;
                write!(
                    self.out,
                    " firstSequence: {first} lastSequence: {last} lastOffset: {} offsetDelta: {} timestamp: {}",
                    producer.last_offset, producer.offset_delta, producer.timestamp,
                )?;
            }
            writeln!(self.out)?;
        }
        self.check(file, damage.map_or(Ok(()), Err))
    }
}

/// The entries up to the first that was never written: Kafka makes index files longer than what is in them.
fn used<T>(entries: &[T], base: Offset, offset: impl Fn(&T) -> Offset) -> &[T] {
    let end = entries.iter().skip(1).position(|entry| offset(entry) == base);
    &entries[..end.map_or(entries.len(), |end| end + 1)]
}

/// The first entry that is not the largest timestamp of the log up to the end of a batch.
fn wrong_time_entry(log: &OpenedFile, entries: &[TimeEntry]) -> Result<Option<Damage>> {
    let mut scan = log.batches();
    let mut largest = TimestampMs::NONE;
    let mut entries = entries.iter().enumerate().peekable();
    while let Some(Ok(found)) = scan.next_batch()? {
        let header = found.batch.header();
        largest = largest.max(header.max_timestamp);
        while let Some((number, entry)) = entries.next_if(|(_, entry)| entry.offset <= header.last_offset()) {
            let position = number as u64 * TIME_INDEX_ENTRY_BYTES;
            let reason = if entry.offset != header.last_offset() {
                format!("indexed offset: {}, found log offset: {}", entry.offset, header.last_offset())
            } else if entry.timestamp != largest {
                format!("index timestamp: {}, log timestamp: {largest}", entry.timestamp)
            } else {
                continue;
            };
            return Ok(Some(Damage { position, reason }));
        }
    }
    Ok(entries.next().map(|(number, entry)| Damage {
        position: number as u64 * TIME_INDEX_ENTRY_BYTES,
        reason: format!("indexed offset: {}, the log ends before", entry.offset),
    }))
}

#[cfg(test)]
mod tests {
    use millstream_storage::inspect::entries::OffsetEntry;

    use super::*;

    #[test]
    fn zeros_behind_the_entries_of_a_file_that_was_made_longer_are_none() {
        let entry = |offset| OffsetEntry { offset: Offset(offset), position: 0 };
        let check = |offsets: &[i64], count: usize| {
            let entries: Vec<OffsetEntry> = offsets.iter().map(|offset| entry(*offset)).collect();
            assert_eq!(used(&entries, Offset(5), |entry| entry.offset).len(), count, "{offsets:?}");
        };
        check(&[], 0);
        check(&[5], 1);
        check(&[7, 9], 2);
        check(&[7, 9, 5, 5], 2);
        check(&[5, 5], 1);
    }
}

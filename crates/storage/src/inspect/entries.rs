//! Entries of Kafka's small binary files: offset, time and transaction indexes, and the snapshots of producers that Kafka
//! and `log export` write. Byte tables in docs/format/segment.md.

use millstream_model::crc32c::crc32c;
use millstream_model::{Offset, ProducerEpoch, ProducerId, TimestampMs};

use super::Damage;
use crate::log::transactions::AbortedTransaction;
use crate::segments::kafka::formats::{
    INDEX_ENTRY_BYTES, IndexEntry, TIME_INDEX_ENTRY_BYTES, TXN_INDEX_ENTRY_BYTES, TimeIndexEntry, decode_aborted,
};

/// Bytes of a snapshot before its producers: version, CRC, count.
const SNAPSHOT_HEAD_BYTES: usize = 2 + 4 + 4;
const PRODUCER_BYTES: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;
const SNAPSHOT_VERSION: i16 = 1;

/// An entry of an offset index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    /// Last offset of a batch.
    pub offset: Offset,
    /// Where the batch starts.
    pub position: u64,
}

/// An entry of a time index: no record up to the offset is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    pub timestamp: TimestampMs,
    pub offset: Offset,
}

/// A producer in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    pub last_sequence: i32,
    /// Of the newest batch; negative for none.
    pub last_offset: Offset,
    pub offset_delta: i32,
    pub timestamp: TimestampMs,
    pub coordinator_epoch: i32,
    /// First offset of the open transaction.
    pub transaction_start: Option<Offset>,
}

/// What a file holds, and what is wrong behind the last good entry.
pub type Entries<T> = (Vec<T>, Option<Damage>);

/// The entries of the offset index of a segment that begins at `base`.
#[must_use]
pub fn offset_entries(content: &[u8], base: Offset) -> Entries<OffsetEntry> {
    cut(content, INDEX_ENTRY_BYTES, |bytes| {
        let entry = IndexEntry::decode(bytes);
        let offset = base.0.checked_add(entry.relative_offset.into()).ok_or("its offset is none")?;
        Ok(OffsetEntry { offset: Offset(offset), position: u64::from(entry.position) })
    })
}

/// The entries of the time index of a segment that begins at `base`.
#[must_use]
pub fn time_entries(content: &[u8], base: Offset) -> Entries<TimeEntry> {
    cut(content, TIME_INDEX_ENTRY_BYTES, |bytes| {
        let entry = TimeIndexEntry::decode(bytes);
        let offset = base.0.checked_add(entry.relative_offset.into()).ok_or("its offset is none")?;
        Ok(TimeEntry { timestamp: entry.timestamp, offset: Offset(offset) })
    })
}

/// The entries of a transaction index.
#[must_use]
pub fn aborted_transactions(content: &[u8]) -> Entries<AbortedTransaction> {
    cut(content, TXN_INDEX_ENTRY_BYTES, |bytes| {
        if bytes[..2] != [0, 0] {
            return Err("its version is not 0");
        }
        Ok(decode_aborted(bytes))
    })
}

/// The producers in a snapshot; none of one whose CRC is wrong.
#[must_use]
pub fn snapshot_producers(content: &[u8]) -> Entries<SnapshotProducer> {
    let Some((head, rest)) = content.split_first_chunk::<SNAPSHOT_HEAD_BYTES>() else {
        return (Vec::new(), Some(Damage::new(0, "it is shorter than its head")));
    };
    let version = i16::from_be_bytes([head[0], head[1]]);
    if version != SNAPSHOT_VERSION {
        return (Vec::new(), Some(Damage::new(0, format!("it has version {version}, known is {SNAPSHOT_VERSION}"))));
    }
    if crc32c(&content[6..]).to_be_bytes() != head[2..6] {
        return (Vec::new(), Some(Damage::new(2, "its CRC is not that of its bytes")));
    }
    let count = i32::from_be_bytes([head[6], head[7], head[8], head[9]]);
    let (producers, damage) = cut(rest, PRODUCER_BYTES, |bytes| Ok(producer(bytes)));
    let damage = damage.map(|damage| Damage { position: damage.position + SNAPSHOT_HEAD_BYTES as u64, ..damage });
    let wrong = (usize::try_from(count) != Ok(producers.len())).then(|| Damage::new(6, "its count is wrong"));
    (producers, damage.or(wrong))
}

fn producer(bytes: &[u8]) -> SnapshotProducer {
    let long = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let int = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    SnapshotProducer {
        id: ProducerId(long(0)),
        epoch: ProducerEpoch(i16::from_be_bytes([bytes[8], bytes[9]])),
        last_sequence: int(10),
        last_offset: Offset(long(14)),
        offset_delta: int(22),
        timestamp: TimestampMs(long(26)),
        coordinator_epoch: int(34),
        transaction_start: Some(Offset(long(38))).filter(|first| first.0 >= 0),
    }
}

/// Cuts a file into entries, up to the first bad one.
fn cut<T>(content: &[u8], bytes: usize, decode: impl Fn(&[u8]) -> Result<T, &'static str>) -> Entries<T> {
    let whole = content.chunks_exact(bytes);
    let rest = whole.remainder().len();
    let mut entries = Vec::with_capacity(content.len() / bytes);
    for (number, entry) in whole.enumerate() {
        match decode(entry) {
            Ok(entry) => entries.push(entry),
            Err(reason) => return (entries, Some(Damage::new((number * bytes) as u64, reason))),
        }
    }
    let at = (content.len() - rest) as u64;
    (entries, (rest > 0).then(|| Damage::new(at, format!("{rest} bytes are no whole entry of {bytes}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_end_at_the_first_bad_one_and_name_its_place() {
        let content = [[0, 0, 0, 7, 0, 0, 0, 9], [0, 0, 0, 8, 0, 0, 1, 0]].concat();
        let first = OffsetEntry { offset: Offset(107), position: 9 };
        assert_eq!(
            offset_entries(&content, Offset(100)),
            (vec![first, OffsetEntry { offset: Offset(108), position: 256 }], None)
        );
        let (entries, damage) = offset_entries(&content[..11], Offset(100));
        assert_eq!((entries, damage.map(|damage| damage.position)), (vec![first], Some(8)));
        let mut aborted = vec![0; 68];
        aborted[34] = 1;
        let (entries, damage) = aborted_transactions(&aborted);
        assert_eq!((entries.len(), damage.map(|damage| damage.position)), (1, Some(34)));
    }

    #[test]
    fn a_snapshot_is_believed_when_its_crc_holds() {
        let mut content = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        content.extend([0; PRODUCER_BYTES]);
        let crc = crc32c(&content[6..]);
        content[2..6].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(snapshot_producers(&content).0.len(), 1);
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 1;
            assert!(snapshot_producers(&damaged).1.is_some(), "byte {at}");
            assert!(snapshot_producers(&content[..at]).1.is_some(), "cut at {at}");
        }
    }
}

//! Kafka's small files, byte for byte: entries of the offset, time and transaction indexes, `partition.metadata`,
//! `leader-epoch-checkpoint`, `meta.properties`.

use bytes::Bytes;
use millstream_model::{LeaderEpoch, Offset, ProducerId, TimestampMs, TopicId};
use uuid::Uuid;

use crate::log::transactions::AbortedTransaction;

/// Name of the file with a partition's topic id (KIP-516).
pub(crate) const PARTITION_METADATA_FILE: &str = "partition.metadata";
/// Name of the file with a partition's leader epochs (KIP-101).
pub(crate) const LEADER_EPOCH_FILE: &str = "leader-epoch-checkpoint";
/// Name of the file with the identity of a log directory (KIP-858).
pub(crate) const META_PROPERTIES_FILE: &str = "meta.properties";

/// Bytes of an offset index entry: relative offset and position.
pub(crate) const INDEX_ENTRY_BYTES: usize = 8;
/// Bytes of a time index entry: timestamp and relative offset.
pub(crate) const TIME_INDEX_ENTRY_BYTES: usize = 12;
/// Bytes of a transaction index entry: version, producer id, first, last and last stable offset.
pub(crate) const TXN_INDEX_ENTRY_BYTES: usize = 34;

const _: () =
    assert!(INDEX_ENTRY_BYTES == 4 + 4 && TIME_INDEX_ENTRY_BYTES == 8 + 4 && TXN_INDEX_ENTRY_BYTES == 2 + 4 * 8);

/// An entry of the offset index: the batch that starts at `position` ends with `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) relative_offset: u32,
    pub(crate) position: u32,
}

impl IndexEntry {
    pub(crate) fn encode(self) -> [u8; INDEX_ENTRY_BYTES] {
        (u64::from(self.relative_offset) << 32 | u64::from(self.position)).to_be_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let whole = u64::from_be_bytes(bytes.try_into().expect("entries are cut to their length"));
        Self { relative_offset: (whole >> 32) as u32, position: whole as u32 }
    }
}

/// An entry of the time index: no record up to `offset` is later than `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeIndexEntry {
    pub(crate) timestamp: TimestampMs,
    pub(crate) relative_offset: u32,
}

impl TimeIndexEntry {
    pub(crate) fn encode(self) -> [u8; TIME_INDEX_ENTRY_BYTES] {
        let mut out = [0; TIME_INDEX_ENTRY_BYTES];
        out[..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        out[8..].copy_from_slice(&self.relative_offset.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let (timestamp, offset) = bytes.split_at(8);
        Self {
            timestamp: TimestampMs(i64::from_be_bytes(timestamp.try_into().expect("split at 8"))),
            relative_offset: u32::from_be_bytes(offset.try_into().expect("entries are cut to their length")),
        }
    }
}

/// An entry of the transaction index.
pub(crate) fn encode_aborted(aborted: &AbortedTransaction) -> [u8; TXN_INDEX_ENTRY_BYTES] {
    let mut out = [0; TXN_INDEX_ENTRY_BYTES];
    out[2..10].copy_from_slice(&aborted.producer_id.0.to_be_bytes());
    out[10..18].copy_from_slice(&aborted.first_offset.0.to_be_bytes());
    out[18..26].copy_from_slice(&aborted.last_offset.0.to_be_bytes());
    out[26..34].copy_from_slice(&aborted.last_stable.0.to_be_bytes());
    out
}

/// Reads an entry of the transaction index.
pub(crate) fn decode_aborted(bytes: &[u8]) -> AbortedTransaction {
    let long = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    AbortedTransaction {
        producer_id: ProducerId(long(2)),
        first_offset: Offset(long(10)),
        last_offset: Offset(long(18)),
        last_stable: Offset(long(26)),
    }
}

/// Content of `partition.metadata`.
pub(super) fn partition_metadata(topic_id: TopicId) -> Bytes {
    format!("version: 0\ntopic_id: {topic_id}\n").into()
}

/// The topic id in a `partition.metadata`.
pub(crate) fn topic_id_of(content: &[u8]) -> Option<TopicId> {
    let text = std::str::from_utf8(content).ok()?;
    text.lines().find_map(|line| line.strip_prefix("topic_id: "))?.trim().parse().ok()
}

/// Content of `leader-epoch-checkpoint`.
pub(super) fn leader_epoch_checkpoint(epochs: &[(LeaderEpoch, Offset)]) -> Bytes {
    let mut text = format!("0\n{}\n", epochs.len());
    for (epoch, start) in epochs {
        text.push_str(&format!("{epoch} {start}\n"));
    }
    text.into()
}

/// Version of `meta.properties` that is written, and the latest that is read.
pub(crate) const META_PROPERTIES_VERSION: u32 = 1;

/// Content of `meta.properties`, its directory id drawn by the caller.
pub(crate) fn meta_properties(cluster_id: &str, node_id: i32, directory_id: Uuid) -> Bytes {
    let directory_id = TopicId(directory_id);
    format!(
        "cluster.id={cluster_id}\ndirectory.id={directory_id}\nnode.id={node_id}\nversion={META_PROPERTIES_VERSION}\n"
    )
    .into()
}

/// A value in a properties file.
pub(crate) fn property<'a>(content: &'a str, name: &str) -> Option<&'a str> {
    let lines = content.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_entries_are_kafkas_bytes() {
        let entry = IndexEntry { relative_offset: 0x0102_0304, position: 0x0506_0708 };
        assert_eq!(entry.encode(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(IndexEntry::decode(&entry.encode()), entry);
        let entry = TimeIndexEntry { timestamp: TimestampMs(0x0102), relative_offset: 7 };
        assert_eq!(entry.encode(), [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 7]);
        assert_eq!(TimeIndexEntry::decode(&entry.encode()), entry);
        let aborted = AbortedTransaction {
            producer_id: ProducerId(1),
            first_offset: Offset(2),
            last_offset: Offset(3),
            last_stable: Offset(4),
        };
        let bytes = encode_aborted(&aborted);
        assert_eq!(bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 10);
        assert_eq!((bytes[9], bytes[17], bytes[25], bytes[33]), (1, 2, 3, 4));
        assert_eq!(decode_aborted(&bytes), aborted);
    }

    #[test]
    fn small_files_are_kafkas_text() {
        let id: TopicId = "qk9ZVg0wSBSuSbPQJfwgyA".parse().unwrap();
        assert_eq!(partition_metadata(id), "version: 0\ntopic_id: qk9ZVg0wSBSuSbPQJfwgyA\n");
        assert_eq!(topic_id_of(&partition_metadata(id)), Some(id));
        assert_eq!(topic_id_of(b"version: 0\ntopic_i"), None);
        let epochs = [(LeaderEpoch(0), Offset(0)), (LeaderEpoch(2), Offset(17))];
        assert_eq!(leader_epoch_checkpoint(&epochs), "0\n2\n0 0\n2 17\n");
        let meta = meta_properties("c", 1, Uuid::nil());
        assert_eq!(meta, "cluster.id=c\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAA\nnode.id=1\nversion=1\n");
        assert_eq!(property(std::str::from_utf8(&meta).unwrap(), "node.id"), Some("1"));
    }
}

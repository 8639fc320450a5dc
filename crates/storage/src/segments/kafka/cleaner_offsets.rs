//! `cleaner-offset-checkpoint`: Kafka's file that says up to where each compacted log was cleaned. Nothing depends on it but
//! how much is cleaned again: it is believed when it can be, and written without the checkpoint file knowing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream_model::{Offset, PartitionIndex};

use super::{KAFKA_DIR, KafkaDirectories};
use crate::disk::{DiskError, DiskErrorKind};
use crate::lane::slot::PartitionKey;
use crate::segments::SegmentError;

/// Name of the file.
pub(crate) const CLEANER_OFFSETS_FILE: &str = "cleaner-offset-checkpoint";
const VERSION: &str = "0";

/// What the file says, by topic and partition.
#[derive(Debug, Default)]
pub(super) struct CleanerOffsets(HashMap<(String, PartitionIndex), Offset>);

impl CleanerOffsets {
    /// Reads the file's lines; those that are none of its say nothing.
    fn parse(content: &[u8]) -> Self {
        let text = String::from_utf8_lossy(content);
        let mut lines = text.lines();
        if lines.next() != Some(VERSION) {
            return Self::default();
        }
        let entry = |line: &str| {
            let mut words = line.split(' ');
            let (topic, index, offset) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some(((topic.to_owned(), PartitionIndex(index)), Offset(offset)))
        };
        Self(lines.skip(1).filter_map(entry).collect())
    }

    /// Up to where a log that ends at `log_end` is clean.
    pub(super) fn of(&self, topic: &str, index: PartitionIndex, log_end: Offset) -> Offset {
        let known = self.0.get(&(topic.to_owned(), index)).copied();
        known.filter(|offset| (0..=log_end.0).contains(&offset.0)).unwrap_or(Offset::ZERO)
    }
}

/// The file's content for logs that were cleaned.
fn encode<'a>(cleaned: impl Iterator<Item = (&'a str, PartitionIndex, Offset)>) -> Bytes {
    let lines: Vec<String> = cleaned.map(|(topic, index, offset)| format!("{topic} {index} {offset}\n")).collect();
    format!("{VERSION}\n{}\n{}", lines.len(), lines.concat()).into()
}

fn path() -> PathBuf {
    Path::new(KAFKA_DIR).join(CLEANER_OFFSETS_FILE)
}

impl KafkaDirectories {
    pub(super) async fn read_cleaner_offsets(&self) -> Result<CleanerOffsets, DiskError> {
        let content = self.disk.read_file(path()).await?.unwrap_or_default();
        Ok(CleanerOffsets::parse(&content))
    }

    /// Remembers that a log is clean below `upto`.
    pub(super) async fn compacted(&self, key: PartitionKey, upto: Offset) -> Result<(), SegmentError> {
        match self.partitions.lock().get_mut(&key) {
            Some(files) if files.compacted_upto != upto => files.compacted_upto = upto,
            _ => return Ok(()),
        }
        self.write_cleaner_offsets().await
    }

    pub(super) async fn write_cleaner_offsets(&self) -> Result<(), SegmentError> {
        let content = {
            let partitions = self.partitions.lock();
            let cleaned = partitions.values().filter(|files| files.compacted_upto > Offset::ZERO);
            encode(cleaned.map(|files| (&*files.target.topic, files.target.key.index, files.compacted_upto)))
        };
        match self.disk.replace_file(&path(), content).await {
            // Then the old one tells less than is true.
            Err(error) if error.kind == DiskErrorKind::NoSpace => Ok(()),
            done => Ok(done?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_kafkas() {
        let content = encode([("a-b", PartitionIndex(0), Offset(12)), ("t", PartitionIndex(3), Offset(7))].into_iter());
        assert_eq!(content, "0\n2\na-b 0 12\nt 3 7\n");
        let read = CleanerOffsets::parse(&content);
        assert_eq!(read.of("a-b", PartitionIndex(0), Offset(20)), Offset(12));
        assert_eq!(read.of("t", PartitionIndex(3), Offset(7)), Offset(7));
        assert_eq!(read.of("t", PartitionIndex(0), Offset(7)), Offset(0), "not in it");
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let check = |content: &str, log_end: i64| {
            let read = CleanerOffsets::parse(content.as_bytes());
            assert_eq!(read.of("t", PartitionIndex(0), Offset(log_end)), Offset(0), "{content:?}");
        };
        check("", 100);
        check("1\n1\nt 0 5\n", 100);
        check("0\n1\nt 0 -5\n", 100);
        check("0\n1\nt 0 x\n", 100);
        check("0\n1\nt 0\n", 100);
        check("0\n1\nt 0 5\n", 4);
        check("0\n1\nt\0", 100);
    }
}

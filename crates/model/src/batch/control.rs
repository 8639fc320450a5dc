//! Control records: the markers that end a transaction in each partition it wrote to (KIP-98), and the kinds that only
//! KRaft writes, which readers skip.

use super::{Batch, BatchBuilder, ProducerStamp};
use crate::compression::Compression;
use crate::{ProducerEpoch, ProducerId, Sequence, TimestampMs};

const KEY_VERSION: i16 = 0;
const END_TXN_MARKER_VERSION: i16 = 0;

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlRecordType {
    Abort,
    Commit,
    /// A kind that concerns no reader of records, such as KRaft's leader change.
    Other(i16),
}

impl ControlRecordType {
    const fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::Other(id) => id,
        }
    }
}

/// Why bytes are not a control record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a control record: {0}")]
pub struct InvalidControlRecord(&'static str);

/// A transaction's end marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlRecord {
    pub kind: ControlRecordType,
    /// Epoch of the transaction coordinator that ordered the marker; 0 for kinds that have none.
    pub coordinator_epoch: i32,
}

impl ControlRecord {
    /// Reads a record of a control batch; versions newer than known are read as far as they are known.
    pub fn parse(key: &[u8], value: Option<&[u8]>) -> Result<Self, InvalidControlRecord> {
        let (_version, rest) = split_i16(key).ok_or(InvalidControlRecord("its key is shorter than a version"))?;
        let (kind, _) = split_i16(rest).ok_or(InvalidControlRecord("its key has no type"))?;
        let kind = match kind {
            0 => ControlRecordType::Abort,
            1 => ControlRecordType::Commit,
            other => return Ok(Self { kind: ControlRecordType::Other(other), coordinator_epoch: 0 }),
        };
        let marker = value.and_then(split_i16).and_then(|(_version, rest)| rest.first_chunk());
        let epoch = marker.ok_or(InvalidControlRecord("its value has no coordinator epoch"))?;
        Ok(Self { kind, coordinator_epoch: i32::from_be_bytes(*epoch) })
    }

    /// The batch of this one marker, as the partition's leader appends it.
    pub fn into_batch(self, producer_id: ProducerId, producer_epoch: ProducerEpoch, now: TimestampMs) -> Batch {
        let key = [KEY_VERSION.to_be_bytes(), self.kind.id().to_be_bytes()].concat();
        let mut value = END_TXN_MARKER_VERSION.to_be_bytes().to_vec();
        value.extend_from_slice(&self.coordinator_epoch.to_be_bytes());
        let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence: Sequence::NONE, transactional: true };
        let mut builder = BatchBuilder::new(Compression::None).producer(stamp).control();
        builder.append(now, Some(&key), Some(&value), &[]).expect("a marker is small");
        builder.build()
    }
}

fn split_i16(bytes: &[u8]) -> Option<(i16, &[u8])> {
    let (first, rest) = bytes.split_first_chunk()?;
    Some((i16::from_be_bytes(*first), rest))
}

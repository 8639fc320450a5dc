//! The session file: which lane the next start must replay, and the broker's generation. Durable before the lane's
//! first slot, replaced as a whole. Byte table in docs/format/lane-slot.md.

use std::path::Path;

use bytes::Bytes;
use millstream_model::LeaderEpoch;
use millstream_model::crc32c::crc32c;

use super::slot::LaneId;
use crate::disk::{Disk, DiskError};

/// Where the file lies.
pub(crate) const SESSION_FILE: &str = "lane/session";
/// Bytes of the file.
pub(crate) const SESSION_BYTES: usize = 48;
const MAGIC: [u8; 8] = *b"MILLSESS";
pub(crate) const VERSION: u16 = 1;

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) lane: LaneId,
    pub(crate) nonce: u64,
    /// Added to the leader epochs of all partitions.
    pub(crate) generation: LeaderEpoch,
    /// The session has ended with a checkpoint: there is nothing to replay.
    pub(crate) closed: bool,
    /// Rounds of checkpoints that were finished when the file was written: the checkpoint file has no fewer.
    pub(crate) rounds: u64,
}

/// Why the session file does not say what to replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("{SESSION_FILE} is damaged: restore it from a backup, or move the data directory aside")]
    Damaged,
    #[error("{SESSION_FILE} has version {0}, which is newer than {VERSION}: start the version that wrote it")]
    Newer(u16),
}

impl Session {
    pub(crate) fn encode(self) -> Bytes {
        let mut out = [0; SESSION_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_be_bytes());
        out[10] = u8::from(self.closed);
        out[16..24].copy_from_slice(&self.lane.0.to_be_bytes());
        out[24..32].copy_from_slice(&self.nonce.to_be_bytes());
        out[32..36].copy_from_slice(&self.generation.0.to_be_bytes());
        out[36..44].copy_from_slice(&self.rounds.to_be_bytes());
        let crc = crc32c(&out[..44]);
        out[44..48].copy_from_slice(&crc.to_be_bytes());
        Bytes::copy_from_slice(&out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, SessionError> {
        let bytes: &[u8; SESSION_BYTES] = bytes.try_into().map_err(|_| SessionError::Damaged)?;
        if bytes[0..8] != MAGIC || crc32c(&bytes[..44]).to_be_bytes() != bytes[44..48] {
            return Err(SessionError::Damaged);
        }
        let version = u16::from_be_bytes([bytes[8], bytes[9]]);
        if version > VERSION {
            return Err(SessionError::Newer(version));
        }
        let long = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let generation = i32::from_be_bytes(bytes[32..36].try_into().expect("four bytes"));
        let (lane, nonce, closed) = (LaneId(long(16)), long(24), bytes[10] == 1);
        Ok(Self { lane, nonce, generation: LeaderEpoch(generation), closed, rounds: long(36) })
    }

    /// Replaces the file; durable when this resolves.
    pub(crate) async fn write(self, disk: &dyn Disk) -> Result<(), DiskError> {
        disk.replace_file(Path::new(SESSION_FILE), self.encode()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_these_bytes() {
        let session = Session { lane: LaneId(3), nonce: 0x0102, generation: LeaderEpoch(7), closed: true, rounds: 5 };
        let bytes = session.encode();
        let golden = b"MILLSESS\0\x01\x01\0\0\0\0\0\
            \0\0\0\0\0\0\0\x03\0\0\0\0\0\0\x01\x02\0\0\0\x07\0\0\0\0\0\0\0\x05";
        assert_eq!(&bytes[..44], golden);
        assert_eq!(Session::decode(&bytes), Ok(session));
        let mut damaged = bytes.to_vec();
        damaged[20] ^= 1;
        assert_eq!(Session::decode(&damaged), Err(SessionError::Damaged));
        assert_eq!(Session::decode(&bytes[..47]), Err(SessionError::Damaged));
    }
}

//! Walks the batches of a log file, good ones and bad ones. Reads piece by piece what a callback gives it, and holds no
//! more than a piece and a batch.

use bytes::{Bytes, BytesMut};
use millstream_model::batch::{Batch, BatchHeader, HEADER_BYTES};

use super::Damage;

/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A batch whose frame is whole.
#[derive(Clone, Debug)]
pub struct FoundBatch {
    /// Where in the file it starts.
    pub position: u64,
    pub batch: Batch,
    /// Its CRC is that of its bytes.
    pub is_valid: bool,
}

impl FoundBatch {
    /// Where in the file it ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.position + self.batch.bytes().len() as u64
    }
}

/// A walk over a log file. `read` gives bytes from a position, at most so many, fewer only at the end of the file.
#[derive(Debug)]
pub struct BatchScan<R> {
    read: R,
    /// Where the walk ends.
    length: u64,
    /// Where the window starts: the next batch.
    at: u64,
    window: BytesMut,
}

impl<E, R: FnMut(u64, usize) -> Result<Bytes, E>> BatchScan<R> {
    /// From the start of a file, or of the `length` bytes of it that count.
    pub fn new(read: R, length: u64) -> Self {
        Self { read, length, at: 0, window: BytesMut::new() }
    }

    /// Where the next batch starts.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Goes on at another place, forward.
    pub fn skip_to(&mut self, position: u64) {
        let skipped = usize::try_from(position.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let _ = self.window.split_to(skipped.min(self.window.len()));
        self.at = self.at.max(position);
    }

    /// The next batch, or why none starts here; nothing at the end. After damage the walk stays where it is.
    ///
    /// # Errors
    /// What `read` met.
    pub fn next_batch(&mut self) -> Result<Option<Result<FoundBatch, Damage>>, E> {
        if self.at >= self.length {
            return Ok(None);
        }
        self.fill(HEADER_BYTES)?;
        let left = self.length - self.at;
        let header = match BatchHeader::read(&self.window) {
            Ok(header) => header,
            Err(error) => return Ok(Some(Err(Damage::new(self.at, error.to_string())))),
        };
        let size = header.size_bytes();
        if size as u64 > left {
            let reason = format!("a batch of {size} bytes begins here, {left} bytes are left");
            return Ok(Some(Err(Damage::new(self.at, reason))));
        }
        self.fill(size)?;
        let bytes = match self.window.get(..size) {
            Some(bytes) => Bytes::copy_from_slice(bytes),
            None => return Ok(Some(Err(Damage::new(self.at, "the file ends inside a batch")))),
        };
        let position = self.at;
        let found = match Batch::framed(&bytes) {
            Ok(batch) => FoundBatch { position, batch, is_valid: Batch::parse(bytes).is_ok() },
            Err(error) => return Ok(Some(Err(Damage::new(position, error.to_string())))),
        };
        self.skip_to(found.end());
        Ok(Some(Ok(found)))
    }

    /// Brings so many bytes into the window, if the file has them.
    fn fill(&mut self, bytes: usize) -> Result<(), E> {
        while self.window.len() < bytes {
            let from = self.at + self.window.len() as u64;
            let left = usize::try_from(self.length.saturating_sub(from)).unwrap_or(usize::MAX);
            let piece = (self.read)(from, left.min(PIECE_BYTES))?;
            if piece.is_empty() {
                break;
            }
            self.window.extend_from_slice(&piece);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::convert::Infallible;

    use millstream_model::batch::{BatchBuilder, HeadMut};
    use millstream_model::compression::Compression;
    use millstream_model::{LeaderEpoch, Offset, TimestampMs};

    use super::*;

    /// A batch of one record at `offset`, its value of so many bytes.
    pub(crate) fn batch(offset: i64, bytes: usize) -> Batch {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(TimestampMs(1000 + offset), Some(b"k"), Some(&vec![7; bytes]), &[]).unwrap();
        builder.build().placed(Offset(offset), LeaderEpoch(0))
    }

    fn scan(content: &[u8]) -> Vec<Result<(u64, i64, bool), u64>> {
        let content = Bytes::copy_from_slice(content);
        let length = content.len() as u64;
        let read = |at: u64, bytes: usize| {
            let at = (at as usize).min(content.len());
            // Pieces that end inside heads and bodies.
            Ok::<_, Infallible>(content.slice(at..content.len().min(at + bytes.min(7))))
        };
        let mut scan = BatchScan::new(read, length);
        let mut found = Vec::new();
        while let Ok(Some(next)) = scan.next_batch() {
            match next {
                Ok(one) => found.push(Ok((one.position, one.batch.header().base_offset.0, one.is_valid))),
                Err(damage) => {
                    found.push(Err(damage.position));
                    break;
                }
            }
        }
        found
    }

    #[test]
    fn whole_batches_come_with_their_places() {
        let content = [batch(3, 10).bytes().clone(), batch(4, 200).bytes().clone()].concat();
        let second = batch(3, 10).bytes().len() as u64;
        assert_eq!(scan(&content), [Ok((0, 3, true)), Ok((second, 4, true))]);
        assert_eq!(scan(&[]), []);
    }

    #[test]
    fn a_wrong_crc_is_told_and_the_walk_goes_on() {
        let mut content = [batch(3, 10).bytes().clone(), batch(4, 1).bytes().clone()].concat();
        let second = batch(3, 10).bytes().len();
        content[second - 3] ^= 1;
        assert_eq!(scan(&content), [Ok((0, 3, false)), Ok((second as u64, 4, true))]);
    }

    #[test]
    fn every_cut_is_damage_at_the_start_of_what_is_not_whole() {
        let content = [batch(3, 10).bytes().clone(), batch(4, 1).bytes().clone()].concat();
        let second = batch(3, 10).bytes().len();
        for end in 1..content.len() {
            let expected = match end {
                _ if end < second => vec![Err(0)],
                _ if end == second => vec![Ok((0, 3, true))],
                _ => vec![Ok((0, 3, true)), Err(second as u64)],
            };
            assert_eq!(scan(&content[..end]), expected, "cut at {end}");
        }
    }

    #[test]
    fn a_claimed_length_reserves_no_memory_and_is_damage() {
        let mut bytes = batch(0, 1).bytes().to_vec();
        bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(scan(&bytes), [Err(0)]);
        bytes[8..12].copy_from_slice(&(-5_i32).to_be_bytes());
        assert_eq!(scan(&bytes), [Err(0)]);
    }

    #[test]
    fn a_walk_goes_on_behind_damage_where_it_is_told_to() {
        let mut content =
            batch(0, 30).with_head(|head: &mut HeadMut<'_>| head.set_base_offset(Offset(9))).bytes().to_vec();
        let first = content.len();
        content[16] = 9;
        content.extend_from_slice(batch(10, 5).bytes());
        let bytes = Bytes::from(content);
        let read =
            |at: u64, most: usize| Ok::<_, Infallible>(bytes.slice(at as usize..bytes.len().min(at as usize + most)));
        let mut scan = BatchScan::new(read, bytes.len() as u64);
        assert!(matches!(scan.next_batch(), Ok(Some(Err(damage))) if damage.position == 0));
        scan.skip_to(first as u64);
        assert!(matches!(scan.next_batch(), Ok(Some(Ok(found))) if found.batch.header().base_offset == Offset(10)));
        assert!(matches!(scan.next_batch(), Ok(None)));
    }
}

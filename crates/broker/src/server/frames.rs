//! Cuts what a peer sends into frames: a 32-bit length, then that many bytes. Used by the connection.
//!
//! A claimed length is refused above the listener's limit, and memory is reserved only in step with what has arrived,
//! so that a claim alone costs nothing.

use bytes::{Buf as _, Bytes, BytesMut};
use millstream_protocol::{FrameLengthError, frame_length};

/// Bytes of the length before each frame.
const LENGTH_BYTES: usize = 4;
/// What a read makes room for, beside large frames: more, as long as reads fill it.
const READ_BYTES_MIN: usize = 16 * 1024;
const READ_BYTES_MAX: usize = 256 * 1024;
/// A larger frame has memory of its own.
const OWN_MEMORY_BYTES: usize = 64 * 1024;
/// A frame up to this size gets its room at once; a larger one as it arrives, doubling.
const RESERVED_AT_ONCE_BYTES: usize = 2 * 1024 * 1024;

/// The bytes received and not yet taken as frames.
#[derive(Debug)]
pub(crate) struct FrameBuffer {
    received: BytesMut,
    frame_bytes_max: usize,
    /// What the next read makes room for.
    read_bytes: usize,
}

impl FrameBuffer {
    pub(crate) fn new(frame_bytes_max: usize) -> Self {
        Self { received: BytesMut::new(), frame_bytes_max, read_bytes: READ_BYTES_MIN }
    }

    /// Length of the frame at the front, once its four bytes are there.
    fn claimed(&self) -> Result<Option<usize>, FrameLengthError> {
        let Some(head) = self.received.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        frame_length(*head, self.frame_bytes_max).map(Some)
    }

    /// Bytes of the frame at the front when all of it has arrived, without taking it.
    pub(crate) fn complete(&self) -> Result<Option<&[u8]>, FrameLengthError> {
        Ok(self.claimed()?.and_then(|length| self.received.get(LENGTH_BYTES..LENGTH_BYTES + length)))
    }

    /// Takes the frame at the front, without its length; `None` until all of it has arrived.
    pub(crate) fn take(&mut self) -> Result<Option<Bytes>, FrameLengthError> {
        let Some(length) = self.complete()?.map(<[u8]>::len) else { return Ok(None) };
        self.received.advance(LENGTH_BYTES);
        // All of it is given away as it is: who has a large batch to itself changes its head in place.
        let whole = self.received.len() == length;
        let frame = if whole { std::mem::take(&mut self.received) } else { self.received.split_to(length) };
        Ok(Some(frame.freeze()))
    }

    /// Length of the frame at the front when it is known and the frame has not arrived in full.
    pub(crate) fn incomplete(&self) -> Result<Option<usize>, FrameLengthError> {
        Ok(self.claimed()?.filter(|length| self.received.len() < LENGTH_BYTES + length))
    }

    /// Bytes held that have not been taken.
    pub(crate) fn len(&self) -> usize {
        self.received.len()
    }

    /// Gives the memory back when nothing is held.
    pub(crate) fn release(&mut self) {
        if self.received.is_empty() {
            self.received = BytesMut::new();
        }
    }

    /// The buffer with room for the next read, of not many more bytes than `bytes_max`: for a large frame's own bytes and
    /// no others, so that it has its memory to itself.
    pub(crate) fn room(&mut self, bytes_max: usize) -> Result<&mut BytesMut, FrameLengthError> {
        let held = self.received.len();
        let frame = self.claimed()?.map_or(0, |length| length + LENGTH_BYTES);
        let room = if frame > OWN_MEMORY_BYTES {
            let missing = frame.saturating_sub(held);
            if frame <= RESERVED_AT_ONCE_BYTES { missing } else { missing.min(held) }
        } else {
            self.read_bytes
        };
        self.received.reserve(room.min(bytes_max).max(1));
        Ok(&mut self.received)
    }

    /// Makes the next reads larger while they fill their room, smaller when they bring little.
    pub(crate) fn was_read(&mut self, bytes: usize) {
        if bytes >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        } else if bytes < self.read_bytes / 4 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: &[u8]) -> FrameBuffer {
        let mut frames = FrameBuffer::new(100);
        frames.room(usize::MAX).unwrap().extend_from_slice(bytes);
        frames
    }

    #[test]
    fn frames_are_taken_in_order_and_only_when_whole() {
        let mut frames = buffer(&[0, 0, 0, 1, 7, 0, 0, 0, 2, 8]);
        assert_eq!(frames.take().unwrap().unwrap()[..], [7]);
        assert_eq!(frames.take().unwrap(), None);
        frames.room(usize::MAX).unwrap().extend_from_slice(&[9]);
        assert_eq!(frames.take().unwrap().unwrap()[..], [8, 9]);
        assert_eq!(frames.take().unwrap(), None);
    }

    #[test]
    fn lengths_beyond_the_limit_are_refused() {
        assert_eq!(buffer(&[0, 0, 0, 101]).take(), Err(FrameLengthError::TooLong { bytes: 101, limit: 100 }));
        assert_eq!(buffer(&[0xff, 0, 0, 0]).take(), Err(FrameLengthError::Negative(-0x0100_0000)));
    }

    #[test]
    fn a_large_frame_has_its_memory_to_itself_and_is_moved_once() {
        let frame: Vec<u8> = [&1_000_000_i32.to_be_bytes()[..], &[7; 1_000_000], &[0, 0, 0, 1, 9]].concat();
        let mut frames = FrameBuffer::new(100 << 20);
        let (mut rest, mut places) = (&frame[..], Vec::new());
        let taken = loop {
            let room = frames.room(usize::MAX).unwrap();
            let read = (room.capacity() - room.len()).min(rest.len()).min(60_000);
            room.extend_from_slice(&rest[..read]);
            rest = &rest[read..];
            places.push(room.as_ptr());
            if let Some(frame) = frames.take().unwrap() {
                break frame;
            }
        };
        places.dedup();
        assert!(taken.len() == 1_000_000 && taken.is_unique());
        // From what came with the length to its own memory, unless the allocator could extend that.
        assert!(places.len() <= 2, "{places:?}");
        assert!(rest.ends_with(&[9]) && rest.len() == 5);
    }

    #[test]
    fn a_claim_alone_reserves_little() {
        let mut frames = FrameBuffer::new(100 << 20);
        frames.room(usize::MAX).unwrap().extend_from_slice(&(100_i32 << 20).to_be_bytes());
        assert!(frames.room(usize::MAX).unwrap().capacity() < 1 << 20);
    }
}

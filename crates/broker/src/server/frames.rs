//! Cuts what a peer sends into frames: a 32-bit length, then that many bytes. Used by the connection.
//!
//! A claimed length is refused above the listener's limit, and memory is reserved only in step with what has arrived,
//! so that a claim alone costs nothing.

use bytes::{Buf as _, Bytes, BytesMut};
use millstream_protocol::{FrameLengthError, frame_length};

/// Bytes of the length before each frame.
const LENGTH_BYTES: usize = 4;
/// What a read makes room for when nothing is known about the next frame.
const READ_BYTES: usize = 16 * 1024;
/// A frame up to this size gets its room at once; a larger one as it arrives, doubling.
const RESERVED_AT_ONCE_BYTES: usize = 2 * 1024 * 1024;

/// The bytes received and not yet taken as frames.
#[derive(Debug)]
pub(crate) struct FrameBuffer {
    received: BytesMut,
    frame_bytes_max: usize,
}

impl FrameBuffer {
    pub(crate) fn new(frame_bytes_max: usize) -> Self {
        Self { received: BytesMut::new(), frame_bytes_max }
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
        Ok(Some(self.received.split_to(length).freeze()))
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

    /// The buffer with room for the next read, of not many more bytes than `bytes_max`.
    pub(crate) fn room(&mut self, bytes_max: usize) -> Result<&mut BytesMut, FrameLengthError> {
        let held = self.received.len();
        let missing = match self.claimed()? {
            Some(length) => (length + LENGTH_BYTES).saturating_sub(held),
            None => 0,
        };
        let room = if held + missing <= RESERVED_AT_ONCE_BYTES { missing } else { missing.min(held) };
        self.received.reserve(room.min(bytes_max).max(READ_BYTES));
        Ok(&mut self.received)
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
    fn a_claim_alone_reserves_little() {
        let mut frames = FrameBuffer::new(100 << 20);
        frames.room(usize::MAX).unwrap().extend_from_slice(&(100_i32 << 20).to_be_bytes());
        assert!(frames.room(usize::MAX).unwrap().capacity() < 1 << 20);
    }
}

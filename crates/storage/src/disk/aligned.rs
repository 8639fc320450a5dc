//! Memory aligned to `BLOCK_BYTES`, as direct I/O wants it, without unsafe code: a vector with room to spare.

use bytes::Bytes;

use super::BLOCK_BYTES;

/// A zeroed buffer whose first byte lies on a `BLOCK_BYTES` boundary.
#[derive(Debug)]
pub struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    /// `length` bytes of zero.
    #[must_use]
    pub fn zeroed(length: usize) -> Self {
        let bytes = vec![0; length + BLOCK_BYTES];
        let start = bytes.as_ptr().align_offset(BLOCK_BYTES);
        assert!(start < BLOCK_BYTES, "a byte pointer can always be aligned");
        Self { bytes, start, length }
    }

    /// The buffer's bytes.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }

    /// Gives the memory away without moving it, so that it stays aligned.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from(self.bytes).slice(self.start..self.start + self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frozen_memory_stays_aligned() {
        for length in [0, BLOCK_BYTES, 64 * 1024] {
            let mut buffer = AlignedBuffer::zeroed(length);
            buffer.as_mut_slice().fill(7);
            let bytes = buffer.freeze();
            assert_eq!(bytes.as_ptr().align_offset(BLOCK_BYTES), 0);
            assert_eq!(bytes.len(), length);
            assert!(bytes.iter().all(|byte| *byte == 7));
        }
    }
}

//! Buffers that reads fill, used again and again: fresh memory costs a page fault and zeroing for every 4 KiB, which is
//! more than reading them from the page cache.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Sizes of pooled buffers; a larger read gets memory of its own.
const CLASSES: [usize; 2] = [64 << 10, 1 << 20];
/// Buffers of a class that are kept for use.
const KEPT_MAX: usize = 8;

/// Free buffers, by class.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadBuffers {
    free: Arc<[Mutex<Vec<Vec<u8>>>; CLASSES.len()]>,
}

/// A buffer that goes back when it is dropped.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    length: usize,
    class: Option<usize>,
    pool: ReadBuffers,
}

impl ReadBuffers {
    /// A buffer of `length` bytes with anything in it.
    pub(super) fn take(&self, length: usize) -> ReadBuffer {
        let class = CLASSES.iter().position(|bytes| length <= *bytes);
        let kept = class.and_then(|class| self.free[class].lock().pop());
        let bytes = kept.unwrap_or_else(|| vec![0; class.map_or(length, |class| CLASSES[class])]);
        ReadBuffer { bytes, length, class, pool: self.clone() }
    }
}

impl ReadBuffer {
    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// Its first `length` bytes, to be shared; the memory goes back with the last of them.
    pub(super) fn freeze(mut self, length: usize) -> Bytes {
        self.length = length;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        let Some(class) = self.class else { return };
        let mut free = self.pool.free[class].lock();
        if free.len() < KEPT_MAX {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_with_the_last_slice_of_it() {
        let pool = ReadBuffers::default();
        let mut first = pool.take(100);
        first.as_mut_slice().fill(7);
        let memory = first.bytes.as_ptr();
        let shared = first.freeze(50);
        let slice = shared.slice(10..20);
        drop(shared);
        assert_ne!(pool.take(1).bytes.as_ptr(), memory, "a slice still holds it");
        assert_eq!(slice[..], [7; 10]);
        drop(slice);
        let kept: Vec<ReadBuffer> = (0..2).map(|_| pool.take(1)).collect();
        assert!(kept.iter().any(|buffer| buffer.bytes.as_ptr() == memory));
    }

    #[test]
    fn only_a_few_buffers_of_pooled_sizes_are_kept() {
        let pool = ReadBuffers::default();
        drop((0..3 * KEPT_MAX).map(|_| pool.take(CLASSES[1])).collect::<Vec<_>>());
        drop(pool.take(CLASSES[1] + 1));
        assert_eq!(pool.free.each_ref().map(|free| free.lock().len()), [0, KEPT_MAX]);
    }
}

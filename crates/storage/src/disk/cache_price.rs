//! Whether what is written behind stays in the page cache: as long as that is cheap.
//!
//! The newest batches are in memory for readers, so a large write need not stay in the page cache; a consumer that starts
//! from the beginning is glad of it all the same. New pages cost 0.2 s of CPU per GB where the system has used ones at
//! hand, ten times that where a virtual machine must get them from its host or others' pages must be reclaimed first. So
//! the price is measured, and while it is high, writes pass the cache by.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The price up to which pages are kept, in nanoseconds of CPU per byte.
const PRICE_MAX: f64 = 0.5;
/// While it is higher, one write in so many bytes is kept, to measure it again.
const PROBE_EVERY_BYTES: usize = 64 << 20;

#[derive(Debug, Default)]
pub(super) struct CachePrice {
    high: AtomicBool,
    /// Bytes that passed the cache by since the price was measured.
    passed: AtomicUsize,
}

impl CachePrice {
    /// Whether a write of so many bytes is to stay in the cache.
    pub(super) fn keeps(&self, bytes: usize) -> bool {
        if !self.high.load(Ordering::Relaxed) {
            return true;
        }
        let probe = self.passed.fetch_add(bytes, Ordering::Relaxed) >= PROBE_EVERY_BYTES;
        if probe {
            self.passed.store(0, Ordering::Relaxed);
        }
        probe
    }

    /// Such a write took so much of its thread's time.
    pub(super) fn paid(&self, bytes: usize, time: Duration) {
        let price = time.as_secs_f64() * 1e9 / bytes.max(1) as f64;
        self.high.store(price > PRICE_MAX, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_kept_while_they_are_cheap_and_the_price_is_looked_at_again() {
        let price = CachePrice::default();
        let bytes = 1 << 20;
        assert!(price.keeps(bytes));
        price.paid(bytes, Duration::from_micros(200));
        assert!(price.keeps(bytes));
        price.paid(bytes, Duration::from_millis(2));
        let passed = (0..).take_while(|_| !price.keeps(bytes)).count();
        assert_eq!(passed, PROBE_EVERY_BYTES / bytes);
        assert!(!price.keeps(bytes), "until the probe is paid for");
        price.paid(bytes, Duration::from_micros(200));
        assert!(price.keeps(bytes));
    }
}

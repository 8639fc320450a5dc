//! Exponential back-off (KIP-580): doubles from a first wait to a longest one.

use std::time::Duration;

/// How long to wait before attempt `failures` + 1. Jitter comes from `salt`, anything that differs between callers:
/// 20 % to either side, as in Kafka.
pub(crate) fn backoff(first: Duration, max: Duration, failures: u32, salt: u64) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(max);
    // Fibonacci hashing spreads neighbouring salts evenly.
    let spread = (salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as f64 / f64::from(u32::MAX);
    doubled.mul_f64(0.8 + 0.4 * spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_within_its_jitter_up_to_the_longest() {
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(1));
        for (failures, nominal) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (4_000_000, 1000)] {
            for salt in 0..50 {
                let wait = backoff(first, max, failures, salt).as_millis();
                assert!((nominal * 8 / 10..=nominal * 12 / 10 + 1).contains(&wait), "{failures}: {wait}");
            }
        }
    }
}

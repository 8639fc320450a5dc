//! `Histogram`: latencies in constant memory, merged over connections. Called by every load.
//!
//! Buckets are as wide as 1/128 of their value, so a percentile is at most 0.8 % too high and never too low.

use std::time::Duration;

use crate::report::Latency;

/// Buckets per power of two, as a power of two.
const PRECISION_BITS: u32 = 7;
const LINEAR: u64 = 1 << (PRECISION_BITS + 1);
/// Longer waits, beyond an hour, count in the last bucket.
const LARGEST_NS: u64 = 1 << 42;

/// Counts of latencies.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    total_ns: u128,
    max_ns: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; bucket(LARGEST_NS) + 1], count: 0, total_ns: 0, max_ns: 0 }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns.min(LARGEST_NS))] += 1;
        self.count += 1;
        self.total_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.total_ns += other.total_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// The smallest latency that so many per mille of all do not exceed, in nanoseconds.
    fn per_mille(&self, share: u64) -> u64 {
        let rank = (self.count * share).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_end(index).min(self.max_ns);
            }
        }
        self.max_ns
    }

    /// `None` when nothing was recorded.
    pub(crate) fn summary(&self) -> Option<Latency> {
        let us = |ns: u64| ns as f64 / 1e3;
        (self.count > 0).then(|| Latency {
            count: self.count,
            mean_us: self.total_ns as f64 / self.count as f64 / 1e3,
            p50_us: us(self.per_mille(500)),
            p99_us: us(self.per_mille(990)),
            p999_us: us(self.per_mille(999)),
            max_us: us(self.max_ns),
        })
    }
}

/// The bucket of a value: itself while small, then its leading bits.
fn bucket(ns: u64) -> usize {
    if ns < LINEAR {
        return ns as usize;
    }
    let shift = ns.ilog2() - PRECISION_BITS;
    (u64::from(shift) * (LINEAR / 2) + (ns >> shift)) as usize
}

/// The largest value in a bucket.
fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < LINEAR {
        return bucket;
    }
    let shift = bucket / (LINEAR / 2) - 1;
    let leading = bucket - shift * (LINEAR / 2);
    ((leading + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_ends_less_than_a_percent_above_it() {
        let mut value = 1_u64;
        while value < LARGEST_NS {
            for ns in [value - 1, value, value + 1] {
                let end = upper_end(bucket(ns));
                assert!(end >= ns && end - ns <= ns / 128, "{ns} counts as {end}");
                assert!(ns == 0 || bucket(ns) - bucket(ns - 1) <= 1, "no bucket between {} and {ns}", ns - 1);
            }
            value += value / 37 + 1;
        }
    }

    #[test]
    fn percentiles_are_the_ranks_of_what_was_recorded() {
        let mut histogram = Histogram::new();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        let latency = histogram.summary().unwrap();
        let about = |value: f64, expected: f64| value >= expected && value < expected * 1.008;
        assert!(about(latency.p50_us, 500e3) && about(latency.p99_us, 990e3) && about(latency.p999_us, 999e3));
        assert_eq!((latency.count, latency.max_us, latency.mean_us), (1000, 1e6, 500.5e3));
    }

    #[test]
    fn a_merge_counts_both() {
        let (mut first, mut second) = (Histogram::new(), Histogram::new());
        first.record(Duration::from_nanos(100));
        second.record(Duration::from_hours(2));
        first.merge(&second);
        let latency = first.summary().unwrap();
        assert_eq!((latency.count, latency.p50_us, latency.max_us), (2, 0.1, 7.2e9));
    }

    #[test]
    fn nothing_recorded_is_no_latency() {
        assert!(Histogram::new().summary().is_none());
    }
}

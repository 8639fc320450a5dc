//! Which partition a record goes to: Java's murmur2 of the key, or, without a key, one partition at a time until it
//! has got a batch's worth of bytes (KIP-480, KIP-794).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The partition of a key among `count`, as Java's producer computes it.
pub fn partition_of_key(key: &[u8], count: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff) as i32 % count.max(1)
}

/// 32-bit murmur2 with the seed of Kafka's Java code.
pub(crate) fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (i, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * i);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition that records without keys go to now, for one topic.
#[derive(Debug, Default)]
pub(super) struct Sticky {
    current: Option<i32>,
    bytes: usize,
}

impl Sticky {
    /// Where the next record goes. `candidates` are the partitions that have a leader; there is at least one.
    pub(super) fn choose(
        &mut self,
        candidates: impl FnOnce() -> Vec<i32>,
        record_bytes: usize,
        batch_bytes: usize,
    ) -> i32 {
        let stays = self.current.filter(|_| self.bytes < batch_bytes);
        let partition = stays.unwrap_or_else(|| {
            self.bytes = 0;
            another(&candidates(), self.current)
        });
        self.current = Some(partition);
        self.bytes += record_bytes;
        partition
    }
}

/// Any of them but the last one used, when there is another.
fn another(candidates: &[i32], last: Option<i32>) -> i32 {
    // The standard library seeds each of these at random, which spares a dependency.
    let random = RandomState::new().build_hasher().finish() as usize;
    let others: Vec<_> = candidates.iter().copied().filter(|one| Some(*one) != last).collect();
    if others.is_empty() { candidates[0] } else { others[random % others.len()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        // Of Kafka's own tests (UtilsTest.testMurmur2).
        let check = |text: &str, hash: i32| assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("a-little-bit-long-string", -985_981_536);
        check("a-little-bit-longer-string", -1_486_304_829);
        check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971);
        check("abc", 479_470_107);
    }

    #[test]
    fn records_without_keys_stay_for_a_batch_and_then_move() {
        let mut sticky = Sticky::default();
        let mut seen = Vec::new();
        for _ in 0..50 {
            let first = sticky.choose(|| vec![0, 1, 2], 60, 100);
            assert_eq!(sticky.choose(|| vec![0, 1, 2], 60, 100), first);
            assert_ne!(seen.last(), Some(&first));
            seen.push(first);
        }
        assert!([0, 1, 2].iter().all(|partition| seen.contains(partition)));
        assert_eq!(sticky.choose(|| vec![7], 60, 100), 7);
    }
}

//! The last offset of each key, in bounded memory: 24 bytes per key, whatever its length.
//!
//! Keys are known by 128 bits of a hash whose seed is drawn anew for each map, so nobody can choose two keys that are taken
//! for one; by chance it happens once in 2^128 / n² maps of n keys.

use std::hash::{BuildHasher as _, RandomState};

use millstream_model::Offset;

/// Bytes of one entry: the hash, and the offset plus one.
const ENTRY_BYTES: usize = 24;
const PERCENT: usize = 100;

type Entry = [u64; 3];

const _: () = assert!(size_of::<Entry>() == ENTRY_BYTES);

/// An open hash table of fixed size.
#[derive(Debug)]
pub(super) struct OffsetMap {
    entries: Vec<Entry>,
    used: usize,
    used_max: usize,
    seeds: [RandomState; 2],
}

impl OffsetMap {
    /// A map of at most `bytes_max` bytes, filled to `load_percent`, and no larger than `keys` need; of one key at least.
    pub(super) fn new(bytes_max: usize, load_percent: u32, keys: u64) -> Self {
        // A full table would be searched for ever.
        let load = usize::try_from(load_percent).unwrap_or(PERCENT).clamp(1, PERCENT - 1);
        let wanted = usize::try_from(keys.saturating_add(1)).unwrap_or(usize::MAX).saturating_mul(PERCENT) / load;
        let entries = wanted.saturating_add(1).min(bytes_max / ENTRY_BYTES).max(2);
        let used_max = (entries.saturating_mul(load) / PERCENT).clamp(1, entries - 1);
        let seeds = [RandomState::new(), RandomState::new()];
        Self { entries: vec![[0; 3]; entries], used: 0, used_max, seeds }
    }

    /// Notes the offset of a key; false when it is a new key and there is no room.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        let at = self.find(hash);
        if self.entries[at][2] == 0 {
            if self.used == self.used_max {
                return false;
            }
            self.used += 1;
        }
        self.entries[at] = [hash[0], hash[1], offset.0.cast_unsigned() + 1];
        true
    }

    /// The newest offset of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let [.., offset] = self.entries[self.find(self.hash(key))];
        offset.checked_sub(1).map(|offset| Offset(offset.cast_signed()))
    }

    /// How full it is, of what it may be.
    pub(super) fn percent(&self) -> u64 {
        (self.used * PERCENT / self.used_max) as u64
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.seeds.each_ref().map(|seed| seed.hash_one(key))
    }

    /// The place of the hash, or the free one where it belongs; there is always one.
    fn find(&self, hash: [u64; 2]) -> usize {
        let mut at = ((u128::from(hash[0]) * self.entries.len() as u128) >> 64) as usize;
        loop {
            let [first, second, offset] = self.entries[at];
            if offset == 0 || [first, second] == hash {
                return at;
            }
            at = if at + 1 == self.entries.len() { 0 } else { at + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_offset_that_it_was_given_last() {
        let mut map = OffsetMap::new(1 << 20, 90, 1000);
        for offset in 0..3000_i64 {
            assert!(map.put(&(offset % 1000).to_be_bytes(), Offset(offset)));
        }
        for key in 0..1000_i64 {
            assert_eq!(map.get(&key.to_be_bytes()), Some(Offset(2000 + key)));
        }
        assert_eq!(map.get(b"another"), None);
        assert_eq!(map.get(b""), None);
    }

    #[test]
    fn a_full_map_takes_known_keys_only() {
        let mut map = OffsetMap::new(ENTRY_BYTES * 10, 50, u64::MAX);
        let taken = (0..20_i64).take_while(|key| map.put(&key.to_be_bytes(), Offset(*key))).count();
        assert_eq!((taken, map.percent()), (5, 100));
        assert!(map.put(&0_i64.to_be_bytes(), Offset(7)) && !map.put(b"new", Offset(8)));
        assert_eq!(map.get(&0_i64.to_be_bytes()), Some(Offset(7)));
    }

    #[test]
    fn the_smallest_map_holds_a_key() {
        for (bytes, load, keys) in [(0, 0, 0), (1, 100, 1), (usize::MAX, 1, 1), (24, 90, u64::MAX)] {
            let mut map = OffsetMap::new(bytes, load, keys);
            assert!(map.put(b"key", Offset(0)), "{bytes} {load} {keys}");
            assert_eq!((map.get(b"key"), map.get(b"other")), (Some(Offset(0)), None));
        }
    }

    #[test]
    fn a_map_is_no_larger_than_its_keys_need() {
        assert!(OffsetMap::new(128 << 20, 90, 100).entries.len() < 120);
        assert_eq!(OffsetMap::new(24_000, 90, u64::MAX).entries.len(), 1000);
    }
}

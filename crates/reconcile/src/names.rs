//! Short names derived from content, in the alphabet that Kubernetes uses for generated names. Pure.

/// Kubernetes leaves out vowels and look-alikes, so that no generated name is a word.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A name of `length` characters that stands for `content`: the same content, the same name.
pub(crate) fn short_hash(content: &str, length: usize) -> String {
    let mut hash = fnv1a(content.as_bytes());
    (0..length)
        .map(|_| {
            let digit = (hash % ALPHABET.len() as u64) as usize;
            // Mixing again for each character keeps long names from running out of bits.
            hash = fnv1a(&hash.to_le_bytes());
            char::from(ALPHABET[digit])
        })
        .collect()
}

/// FNV-1a, 64 bit: the hash is in stored names, so it must never change between versions of Rust or of this program.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fixed_for_ever() {
        assert_eq!(short_hash("millstream", 10), short_hash("millstream", 10));
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn other_content_is_another_name() {
        assert_ne!(short_hash("a", 5), short_hash("b", 5));
        assert_eq!(short_hash("a", 9).len(), 9);
    }
}

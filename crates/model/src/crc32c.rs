//! CRC-32C (Castagnoli), the checksum of record batches and of our own slots, at the speed of the machine's vector unit.

use crc_fast::CrcAlgorithm::Crc32Iscsi;

/// Checksum of `bytes`, as Kafka computes it.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(Crc32Iscsi, bytes) as u32
}

/// The checksum of `front ‖ back` from the checksums of both and the length of `back`, without their bytes.
#[must_use]
pub fn crc32c_combine(front: u32, back: u32, back_bytes: u64) -> u32 {
    crc_fast::checksum_combine(Crc32Iscsi, u64::from(front), u64::from(back), back_bytes) as u32
}

/// Checksum of bytes that come in pieces.
#[derive(Clone, Debug)]
pub struct Crc32c(crc_fast::Digest);

impl Crc32c {
    pub fn new() -> Self {
        Self(crc_fast::Digest::new(Crc32Iscsi))
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Checksum of all pieces so far.
    #[must_use]
    pub fn value(&self) -> u32 {
        self.0.finalize() as u32
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One bit at a time, straight from the polynomial: slow and beyond doubt.
    fn bitwise(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
            }
        }
        !crc
    }

    #[test]
    fn the_check_value_of_the_catalogue_comes_out() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    proptest! {
        #[test]
        fn it_equals_the_bitwise_definition(bytes: Vec<u8>) {
            prop_assert_eq!(crc32c(&bytes), bitwise(&bytes));
        }

        #[test]
        fn pieces_and_halves_give_the_checksum_of_the_whole(front: Vec<u8>, back: Vec<u8>) {
            let whole = crc32c(&[&front[..], &back[..]].concat());
            let mut pieces = Crc32c::new();
            pieces.update(&front);
            pieces.update(&back);
            prop_assert_eq!(pieces.value(), whole);
            prop_assert_eq!(crc32c_combine(crc32c(&front), crc32c(&back), back.len() as u64), whole);
        }
    }
}

//! What goes wrong with a simulated disk, and the dice that choose when.

/// A small random generator (xorshift64*): the same seed gives the same run everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator for `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound.max(1)
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The machine stops at this operation, counted from 0.
    pub crash_at: Option<u64>,
    /// This sync, counted from 0, fails: its writes are lost although the page cache shows them.
    pub failing_sync: Option<u64>,
    /// This durable write, counted from 0, is not answered before the power goes.
    pub stuck_write: Option<u64>,
    /// Bytes that all files together may have.
    pub capacity: Option<u64>,
}

/// What becomes of unsynced writes and names when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Lost,
    Kept,
    /// Of every write some sectors, of every directory the first changes.
    Torn,
}

//! What hostile bytes make the decoder allocate. Alone in its binary, because it counts every allocation.

#[path = "wire/cases.rs"]
mod cases;

use std::alloc::System;

use cap::Cap;
use cases::CASES;
use millstream_model::wire::Decoder;
use millstream_model::wire::sample;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// For what is not reserved for the message: the shared count of its bytes.
const BESIDE_BYTES_MAX: usize = 256;

#[test]
fn hostile_bytes_allocate_within_the_budget() {
    for seed in 0..8 {
        sample::check_hostile_bytes(CASES, seed, |case, bytes, decode| {
            let before = ALLOCATOR.total_allocated();
            decode();
            let allocated = ALLOCATOR.total_allocated() - before;
            let limit = Decoder::budget(bytes.len()) + BESIDE_BYTES_MAX;
            assert!(allocated <= limit, "{}, seed {seed}: {allocated} bytes for {}", case.name, bytes.len());
        });
    }
}

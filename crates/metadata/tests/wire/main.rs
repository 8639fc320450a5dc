//! Every metadata record in every version: samples read and write, damaged bytes do no harm.

mod cases;

use cases::CASES;
use millstream_model::wire::sample;
use proptest::prelude::*;

#[test]
fn kafka_writes_the_same_bytes_and_names() {
    let frames = include_str!("../../../../tests/wire/frames.txt");
    sample::check_golden(CASES, frames, &[]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_read_is_written_again_byte_for_byte(seed: u64) {
        sample::check_bytes_return(CASES, seed);
    }

    #[test]
    fn tagged_fields_read_back_and_unknown_ones_are_skipped(seed: u64) {
        sample::check_tagged_fields(CASES, seed);
    }

    #[test]
    fn another_version_is_written_whole_or_refused(seed: u64) {
        sample::check_other_versions(CASES, seed);
    }

    #[test]
    fn damaged_bytes_are_read_or_refused_without_panic(seed: u64) {
        sample::check_hostile_bytes(CASES, seed, |_, _, attempt| attempt());
    }
}

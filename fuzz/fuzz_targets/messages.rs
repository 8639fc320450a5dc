//! Any bytes as any message in any version: read or refused; what can be read can be written and reads back the same.
//! The first two bytes choose the message, the third the version.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/protocol/tests/wire/cases.rs"]
mod cases;

fuzz_target!(|input: &[u8]| {
    let [high, low, version, bytes @ ..] = input else { return };
    let case = &cases::CASES[usize::from(u16::from_be_bytes([*high, *low])) % cases::CASES.len()];
    let (first, last) = case.versions;
    let version = first + i16::from(*version) % (last - first + 1);
    drop((case.read)(bytes.to_vec().into(), version));
});

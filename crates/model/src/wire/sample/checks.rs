//! Properties of messages, each over every version. They panic with the seed where one does not hold.

use bytes::Bytes;

use super::sampler::Seed;
use super::{Case, Written};

fn each_version(cases: &[Case], mut check: impl FnMut(&Case, i16)) {
    for case in cases {
        for version in case.versions() {
            check(case, version);
        }
    }
}

/// Reads a sample, which must be possible.
fn read(case: &Case, bytes: Bytes, version: i16, seed: u64) -> Written {
    (case.read)(bytes, version).unwrap_or_else(|error| panic!("{} version {version}, seed {seed}: {error}", case.name))
}

/// What is read is written again byte for byte.
///
/// # Panics
/// Like the checks below, with the seed, when it is not so.
pub fn check_bytes_return(cases: &[Case], seed: u64) {
    each_version(cases, |case, version| {
        let bytes = case.sample(version, seed, false);
        let written = read(case, bytes.clone(), version, seed);
        assert_eq!(written.bytes, bytes, "{} version {version}, seed {seed}: {}", case.name, written.debug);
    });
}

/// Known tagged fields read back; unknown ones are skipped.
pub fn check_tagged_fields(cases: &[Case], seed: u64) {
    each_version(cases, |case, version| {
        let written = read(case, case.sample(version, seed, true), version, seed);
        let again = read(case, written.bytes.clone(), version, seed);
        assert_eq!(again.bytes, written.bytes, "{} version {version}, seed {seed}", case.name);
    });
}

/// Written in another version, a message is readable there, or refused.
pub fn check_other_versions(cases: &[Case], seed: u64) {
    each_version(cases, |case, version| {
        for (other, bytes) in read(case, case.sample(version, seed, true), version, seed).other_versions {
            if let Ok(bytes) = bytes {
                read(case, bytes, other, seed);
            }
        }
    });
}

/// Damaged, greedy, random and endlessly repeating bytes are read or refused; `around` surrounds each decoding and may
/// measure it. What can be read can be written.
pub fn check_hostile_bytes(cases: &[Case], seed: u64, mut around: impl FnMut(&Case, &Bytes, &mut dyn FnMut())) {
    let mut seed = Seed(seed);
    each_version(cases, |case, version| {
        for bytes in case.hostile(version, seed.next()) {
            around(case, &bytes, &mut || drop((case.decode)(bytes.clone(), version)));
            drop((case.read)(bytes, version));
        }
    });
}

//! Every planted bug is found by the crashes of few seeds, and the seed that found it passes without the bug.

use std::panic::catch_unwind;

use super::random;
use crate::planted::{self, Bug};

/// Seeds within which a bug is found.
const SEEDS_MAX: u64 = 150;

/// The first seed whose run with the bug fails, and what failed.
fn first_failure(bug: Bug) -> Option<(u64, String)> {
    (0..SEEDS_MAX).find_map(|seed| {
        let failed = catch_unwind(|| planted::with(bug, || random::run(seed))).err()?;
        let words = failed.downcast_ref::<String>().cloned();
        Some((seed, words.or_else(|| failed.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()))
    })
}

fn check(bug: Bug) {
    let (seed, words) = first_failure(bug).unwrap_or_else(|| panic!("{SEEDS_MAX} seeds do not find that it {bug:?}"));
    eprintln!("{bug:?} is found by seed {seed}: {words}");
    random::run(seed);
}

#[test]
fn an_answer_before_the_slot_is_durable_is_found() {
    check(Bug::AnswersBeforeDurable);
}

#[test]
fn an_answer_out_of_slot_order_is_found() {
    check(Bug::AnswersOutOfSlotOrder);
}

#[test]
fn producers_that_are_forgotten_at_a_restart_are_found() {
    check(Bug::DropsProducersAtRestart);
}

#[test]
fn an_offset_that_is_given_out_again_after_a_cut_is_found() {
    check(Bug::ReusesOffsetsAfterCut);
}

#[test]
fn a_lane_that_is_trimmed_before_a_segment_is_synced_is_found() {
    check(Bug::TrimsLaneBeforeSync);
}

#[test]
fn a_recovery_that_trusts_the_page_cache_after_a_failed_sync_is_found() {
    check(Bug::TrustsPageCacheAtRecovery);
}

#[test]
fn a_failed_sync_that_is_tried_again_is_found() {
    check(Bug::RetriesFailedSync);
}

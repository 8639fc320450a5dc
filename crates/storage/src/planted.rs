//! Bugs that the tests plant into the engine, to prove that the tests would find them: one variant per bug, asked for at
//! the one place where it would be made. In every other build the answer is a constant `false`, and the place is as if
//! nobody asked. `crash_tests/planted.rs` has the proof for each.

/// A bug that an engine of this kind has had somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A slot is answered when it is in the page cache.
    AnswersBeforeDurable,
    /// A slot is answered when it is durable, though one before it is not.
    AnswersOutOfSlotOrder,
    /// A restart begins with no producers.
    DropsProducersAtRestart,
    /// A recovery cuts, with the torn tail, whole slots that no later one vouches for, and gives their offsets out again.
    ReusesOffsetsAfterCut,
    /// Slots are forgotten when their batches are written to segments, before these are synced.
    TrimsLaneBeforeSync,
    /// A recovery believes what the page cache says of files whose sync failed.
    TrustsPageCacheAtRecovery,
    /// A sync that failed is tried again: it finds clean pages and succeeds.
    RetriesFailedSync,
}

/// Whether the bug is there.
#[cfg(not(test))]
pub(crate) const fn has(_: Bug) -> bool {
    false
}

#[cfg(test)]
pub(crate) use planting::{has, with};

#[cfg(test)]
mod planting {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        /// An engine under simulation runs on the test's own thread.
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    pub(crate) fn has(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Runs `work` on an engine with the bug.
    pub(crate) fn with<R>(bug: Bug, work: impl FnOnce() -> R) -> R {
        struct Unplants;
        impl Drop for Unplants {
            fn drop(&mut self) {
                PLANTED.set(None);
            }
        }
        let _unplants = Unplants;
        PLANTED.set(Some(bug));
        work()
    }
}

//! What an appender holds until its batch is durable: a `Ticket`, which shares the fate of the slot it went into.
//!
//! One fate per slot, so a durable slot wakes exactly those who wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

use crate::StorageError;

const PENDING: u8 = 0;
const DURABLE: u8 = 1;
const NO_SPACE: u8 = 2;
const HALTED: u8 = 3;

/// What becomes of a slot.
#[derive(Debug, Default)]
pub(crate) struct SlotFate {
    state: AtomicU8,
    changed: Notify,
}

impl SlotFate {
    pub(crate) fn durable(&self) {
        self.set(DURABLE);
    }

    /// The slot waits for space: who waits now is told so; the slot may still become durable.
    pub(crate) fn no_space(&self) {
        self.set(NO_SPACE);
    }

    pub(crate) fn halted(&self) {
        self.set(HALTED);
    }

    fn set(&self, state: u8) {
        self.state.store(state, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn verdict(&self) -> Option<Result<(), StorageError>> {
        match self.state.load(Ordering::Acquire) {
            PENDING => None,
            DURABLE => Some(Ok(())),
            NO_SPACE => Some(Err(StorageError::NoSpace)),
            _ => Some(Err(StorageError::Halted)),
        }
    }
}

/// A claim on an appended batch; cheap to clone, and dropping it changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Ticket {
    /// None: durable since before this session.
    fate: Option<Arc<SlotFate>>,
}

impl Ticket {
    pub(crate) fn of(fate: &Arc<SlotFate>) -> Self {
        Self { fate: Some(Arc::clone(fate)) }
    }

    /// Whether the batch is durable already.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.fate.as_ref().is_none_or(|fate| fate.state.load(Ordering::Acquire) == DURABLE)
    }

    /// Waits until the batch and everything before it in the lane is durable (for a partition with
    /// `millstream.durability=os`: written to its segment).
    ///
    /// # Errors
    /// `NoSpace`: the disk is full; the batch may still become durable when there is space again.
    /// `Halted`: the storage failed; nobody knows whether the batch is durable.
    pub async fn durable(&self) -> Result<(), StorageError> {
        let Some(fate) = &self.fate else { return Ok(()) };
        loop {
            let changed = fate.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(verdict) = fate.verdict() {
                return verdict;
            }
            changed.await;
        }
    }
}

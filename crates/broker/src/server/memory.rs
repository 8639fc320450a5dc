//! The broker-wide budgets of memory, over all connections. Requests being served: a connection that finds their budget
//! used up stops reading until others have been answered. Answers that wait for their peer to read them: while they
//! leave little room, fetches answer with fewer records.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budget is counted in units of this size, since a semaphore counts in 32 bits.
const UNIT_BYTES: usize = 1024;

/// Shared by all connections of a broker.
#[derive(Clone, Debug)]
pub(crate) struct RequestMemory {
    units: Arc<Semaphore>,
    units_max: u32,
}

/// Memory taken by one request; returned when dropped.
#[derive(Debug)]
pub(crate) struct RequestMemoryPermit {
    _permit: OwnedSemaphorePermit,
}

impl RequestMemory {
    pub(crate) fn new(bytes: usize) -> Self {
        let units_max = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX).clamp(1, Semaphore::MAX_PERMITS as u32);
        Self { units: Arc::new(Semaphore::new(units_max as usize)), units_max }
    }

    /// Waits until `bytes` of the budget are free. A request larger than the whole budget takes all of it.
    pub(crate) fn take(&self, bytes: usize) -> impl Future<Output = RequestMemoryPermit> + Send + use<> {
        let permit = Arc::clone(&self.units).acquire_many_owned(self.units_of(bytes));
        async move { RequestMemoryPermit { _permit: permit.await.expect("the semaphore is never closed") } }
    }

    /// Takes `bytes` of the budget if they are free at once.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<RequestMemoryPermit> {
        let permit = Arc::clone(&self.units).try_acquire_many_owned(self.units_of(bytes)).ok()?;
        Some(RequestMemoryPermit { _permit: permit })
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units_max)
    }

    /// Bytes not taken at the moment.
    pub(crate) fn free_bytes(&self) -> usize {
        self.units.available_permits() * UNIT_BYTES
    }
}

/// Shared by all connections of a broker.
#[derive(Clone, Debug)]
pub(crate) struct AnswerMemory {
    taken: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// What the unread answers of one connection hold; returned when dropped.
#[derive(Debug)]
pub(crate) struct AnswerMemoryShare {
    memory: AnswerMemory,
    bytes: usize,
}

impl AnswerMemory {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { taken: Arc::default(), bytes_max }
    }

    /// The share of a connection that has no answers yet.
    pub(crate) fn share(&self) -> AnswerMemoryShare {
        AnswerMemoryShare { memory: self.clone(), bytes: 0 }
    }

    /// Bytes not taken at the moment. What is taken may be more than the budget: an answer is never held back.
    pub(crate) fn free_bytes(&self) -> usize {
        self.bytes_max.saturating_sub(self.taken.load(Ordering::Relaxed))
    }
}

impl AnswerMemoryShare {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.memory.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn clear(&mut self) {
        self.memory.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }
}

impl Drop for AnswerMemoryShare {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_request_waits_until_memory_is_returned() {
        let memory = RequestMemory::new(10 * UNIT_BYTES);
        let first = memory.take(6 * UNIT_BYTES).await;
        let mut second = Box::pin(memory.take(5 * UNIT_BYTES));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        second.await;
        assert_eq!(memory.free_bytes(), 10 * UNIT_BYTES);
    }

    #[tokio::test]
    async fn a_request_larger_than_the_budget_is_served_alone() {
        let memory = RequestMemory::new(2 * UNIT_BYTES);
        let _all = memory.take(100 * UNIT_BYTES).await;
        assert_eq!(memory.free_bytes(), 0);
    }

    #[test]
    fn a_connection_that_ends_returns_what_its_answers_held() {
        let memory = AnswerMemory::new(100);
        let mut share = memory.share();
        share.add(30);
        share.add(90);
        assert_eq!(memory.free_bytes(), 0);
        drop(share);
        assert_eq!(memory.free_bytes(), 100);
    }
}

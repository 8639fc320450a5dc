//! `Progress`: how far a load is, for whoever watches it, and the switch that stops it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters that a load moves and another thread reads.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    requests: AtomicU64,
    stopped: AtomicBool,
}

impl Progress {
    pub(crate) fn add(&self, requests: u64, bytes: u64) {
        self.requests.fetch_add(requests, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Record bytes that were answered for.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Requests that were answered.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// No more requests go out; the load ends when those on their way are answered.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

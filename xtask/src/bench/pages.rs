//! The pages that a run writes to: warm, memory that the system has already, given to it as the page cache grows; or cold.
//!
//! A virtual machine gives free memory back to its host, and the first touch of a new page then costs more than writing
//! it: whoever comes first after a pause pays for both. With warm pages each run begins with the same amount of touched
//! memory at hand. A thread holds it in pieces and frees as many as the page cache has taken, a little ahead of it. Before
//! a cold run the page cache is dropped and what is free is given back.

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::measure;

/// So large that the allocator asks the system for each piece and gives it back when it is freed.
const PIECE_BYTES: usize = 64 << 20;
/// What is free beyond what the page cache has taken.
const AHEAD_BYTES: u64 = 768 << 20;
const LOOK_INTERVAL: Duration = Duration::from_millis(4);

/// As long as it takes until the system has given free memory back to a host.
const COLD_PAUSE: Duration = Duration::from_secs(5);
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";
const COMPACT_MEMORY: &str = "/proc/sys/vm/compact_memory";

/// Drops the page cache, joins free memory to large pieces, which alone are given back to a host, and waits until that is
/// done. Needs no restart of the system, but the right to write below /proc/sys.
pub(super) fn cool() -> Result<()> {
    let synced = Command::new("sync").status().context("starting sync")?;
    ensure!(synced.success(), "sync ended with {synced}");
    for file in [DROP_CACHES, COMPACT_MEMORY] {
        fs::write(file, "1").with_context(|| format!("the pages cannot be cooled: writing {file} is refused"))?;
    }
    thread::park_timeout(COLD_PAUSE);
    Ok(())
}

pub(super) struct WarmPages {
    stop: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

impl WarmPages {
    /// Touches memory for so many bytes of page cache, at most half of what is available, and keeps it warm until dropped.
    pub(super) fn hold(bytes: u64) -> Result<Self> {
        let most = measure::memory("MemAvailable:")? / 2;
        let count = usize::try_from((bytes + AHEAD_BYTES).min(most))? / PIECE_BYTES;
        let pieces: Vec<Vec<u8>> = (0..count).map(|_| vec![1; PIECE_BYTES]).collect();
        let cached = measure::memory("Cached:")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let keeper = thread::spawn(move || release(pieces, cached, &stopped));
        Ok(Self { stop, keeper: Some(keeper) })
    }
}

fn release(mut pieces: Vec<Vec<u8>>, cached_before: u64, stopped: &AtomicBool) {
    let all = pieces.len();
    while !pieces.is_empty() && !stopped.load(Ordering::Relaxed) {
        let cached = measure::memory("Cached:").unwrap_or(u64::MAX);
        pieces.truncate(all - freed(cached.saturating_sub(cached_before)).min(all));
        thread::park_timeout(LOOK_INTERVAL);
    }
}

/// How many pieces are free when the page cache has grown by so much.
fn freed(grown: u64) -> usize {
    usize::try_from(grown.saturating_add(AHEAD_BYTES) / PIECE_BYTES as u64).unwrap_or(usize::MAX)
}

impl Drop for WarmPages {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(keeper) = self.keeper.take() {
            keeper.thread().unpark();
            let _ = keeper.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_freed_ahead_of_the_page_cache() {
        assert_eq!((freed(0), freed(64 << 20), freed(1 << 30)), (12, 13, 28));
        assert!(freed(u64::MAX) > 1000);
    }
}

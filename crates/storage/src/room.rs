//! How much room the disk has left, and who may still append.
//!
//! Producers may use the disk down to the reserve and are counted against what was free when it was last looked at, so
//! a burst between two looks does not eat the reserve. Deletes and the broker's own records may use the reserve too.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use crate::log::partition_log::AppendOrigin;

/// How long to wait before a full disk is tried, or looked at, again.
pub(crate) const NO_SPACE_RETRY: Duration = Duration::from_millis(500);

/// Who met a full disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    Lane,
    Segments,
    /// Who writes to segments without the lane.
    Direct,
}

/// Places that an appended byte is written to: the lane, then a segment.
const PLACES: u64 = 2;

#[derive(Debug)]
pub(crate) struct Room {
    /// A write of the lane was refused for want of space and has not succeeded since,
    lane_refused: AtomicBool,
    /// or one of the segments,
    segments_refused: AtomicBool,
    /// or one that went to its segment directly.
    direct_refused: AtomicBool,
    /// Less than the reserve is left, or would be with what producers ask for.
    low: AtomicBool,
    /// Bytes that were free for producers when the disk was last looked at,
    found: AtomicI64,
    /// and what is left of them.
    left: AtomicI64,
}

impl Default for Room {
    /// Boundless until the disk is looked at: a storage in memory never is.
    fn default() -> Self {
        Self {
            lane_refused: AtomicBool::new(false),
            segments_refused: AtomicBool::new(false),
            direct_refused: AtomicBool::new(false),
            low: AtomicBool::new(false),
            found: AtomicI64::new(i64::MAX),
            left: AtomicI64::new(i64::MAX),
        }
    }
}

impl Room {
    /// Whether `bytes` may be appended; counts them.
    pub(crate) fn admits(&self, origin: AppendOrigin, bytes: usize) -> bool {
        if self.is_refused() {
            return false;
        }
        if origin != AppendOrigin::Client {
            return true;
        }
        let bytes = i64::try_from(bytes as u64 * PLACES).unwrap_or(i64::MAX);
        if !self.is_low() && self.left.fetch_sub(bytes, Ordering::Relaxed) < bytes {
            self.set_low(true);
        }
        !self.is_low()
    }

    /// The disk was looked at: of its `usable` bytes, `reserve` are not for producers; `pending` bytes are on their way.
    pub(crate) fn looked(&self, usable: u64, pending: usize, reserve: u64) {
        let taken = reserve.saturating_add(pending as u64 * PLACES);
        let found = i64::try_from(usable.saturating_sub(taken)).unwrap_or(i64::MAX);
        self.found.store(found, Ordering::Relaxed);
        self.left.store(found, Ordering::Relaxed);
        self.set_low(usable <= taken);
    }

    /// Whether much was appended since the disk was looked at, for the room that there was.
    pub(crate) fn is_used_up(&self) -> bool {
        self.left.load(Ordering::Relaxed) < self.found.load(Ordering::Relaxed) / 2
    }

    fn set_low(&self, low: bool) {
        if self.low.swap(low, Ordering::Relaxed) != low {
            if low {
                tracing::error!("the disk is nearly full: producers are refused until there is space");
            } else {
                tracing::info!("the disk has space again: producers are served");
            }
        }
    }

    /// Whether producers are refused so that the reserve stays.
    pub(crate) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Whether nobody may append: a write waits for space.
    pub(crate) fn is_refused(&self) -> bool {
        let flags = [&self.lane_refused, &self.segments_refused, &self.direct_refused];
        flags.iter().any(|flag| flag.load(Ordering::Relaxed))
    }

    /// Notes that a write met a full disk, or that one succeeded again.
    pub(crate) fn set_refused(&self, writer: Writer, refused: bool) {
        let (flag, what) = match writer {
            Writer::Lane => (&self.lane_refused, "lane"),
            Writer::Segments => (&self.segments_refused, "segments"),
            Writer::Direct => (&self.direct_refused, "direct writes"),
        };
        if flag.load(Ordering::Relaxed) == refused {
            return;
        }
        if flag.swap(refused, Ordering::Relaxed) != refused {
            if refused {
                tracing::error!(what, "the disk is full: appends are refused until there is space");
            } else {
                tracing::info!(what, "the disk takes writes again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_between_two_looks_stops_at_the_reserve() {
        let room = Room::default();
        room.looked(1000, 100, 400);
        let admitted = (0..100).filter(|_| room.admits(AppendOrigin::Client, 30)).count();
        assert_eq!(admitted, 400 / 2 / 30);
        assert!(room.is_low() && room.admits(AppendOrigin::Coordinator, 30));
        room.looked(1000, 0, 400);
        assert!(room.admits(AppendOrigin::Client, 30));
        room.looked(400, 0, 400);
        assert!(!room.admits(AppendOrigin::Client, 1));
    }

    #[test]
    fn one_writer_that_succeeds_does_not_speak_for_the_other() {
        let room = Room::default();
        room.set_refused(Writer::Segments, true);
        room.set_refused(Writer::Lane, false);
        assert!(!room.admits(AppendOrigin::Coordinator, 1));
        room.set_refused(Writer::Segments, false);
        assert!(room.admits(AppendOrigin::Client, 1));
    }
}

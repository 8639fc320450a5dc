//! `Limit` says when a load is over, `Quota` counts towards it over all connections, `Pace` keeps a rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::progress::Progress;

/// When a load is over; whatever comes first. Without any, it goes on until it is stopped or out of data.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limit {
    pub bytes: Option<u64>,
    pub requests: Option<u64>,
    pub duration: Option<Duration>,
}

/// What is left to be done, shared by the connections of a load.
#[derive(Debug)]
pub(crate) struct Quota<'a> {
    bytes: AtomicU64,
    requests: AtomicU64,
    pub(crate) begun: Instant,
    pub(crate) deadline: Option<Instant>,
    progress: &'a Progress,
}

impl<'a> Quota<'a> {
    /// The clock starts now.
    pub(crate) fn new(limit: Limit, progress: &'a Progress) -> Self {
        let begun = Instant::now();
        Self {
            bytes: AtomicU64::new(limit.bytes.unwrap_or(u64::MAX)),
            requests: AtomicU64::new(limit.requests.unwrap_or(u64::MAX)),
            begun,
            deadline: limit.duration.map(|duration| begun + duration),
            progress,
        }
    }

    /// Whether one more request may go out.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        !self.progress.is_stopped()
            && self.deadline.is_none_or(|deadline| now < deadline)
            && self.bytes.load(Ordering::Relaxed) > 0
    }

    /// Takes one request that goes out now; `false` when there is none left.
    pub(crate) fn take_request(&self, now: Instant) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.is_open(now) && self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// Counts an answered request and takes the record bytes that it was worth.
    pub(crate) fn answered(&self, bytes: u64) {
        let less = |left: u64| Some(left.saturating_sub(bytes));
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.progress.add(1, bytes);
    }

    /// Ends the load for every connection: one of them has failed.
    pub(crate) fn close(&self) {
        self.progress.stop();
    }
}

/// When one connection's next request is due.
#[derive(Debug)]
pub(crate) struct Pace {
    begun: Instant,
    /// `None`: at once.
    interval: Option<Duration>,
    sent: u32,
}

impl Pace {
    /// A share of a rate in requests per second.
    pub(crate) fn new(begun: Instant, rate: Option<f64>, connections: usize) -> Self {
        let interval = rate.map(|rate| Duration::from_secs_f64(connections as f64 / rate));
        Self { begun, interval, sent: 0 }
    }

    /// When the next request is due; `None` when that is always.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.interval.map(|interval| self.begun + interval * self.sent)
    }

    /// Counts a request. Its latency counts from the returned instant: from when it was due if it could not go
    /// then, so that a stalled broker is charged for those that had to wait as well ("coordinated omission").
    pub(crate) fn sent(&mut self, now: Instant) -> Instant {
        let from = self.due().map_or(now, |due| due.min(now));
        self.sent += 1;
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_ends_with_whatever_comes_first() {
        let progress = Progress::default();
        let limit = Limit { bytes: Some(100), requests: Some(3), duration: Some(Duration::from_secs(60)) };
        let quota = Quota::new(limit, &progress);
        let now = quota.begun;
        assert!(quota.take_request(now) && quota.take_request(now) && quota.take_request(now));
        assert!(!quota.take_request(now), "the requests are used up");
        assert!(quota.is_open(now) && !quota.is_open(now + Duration::from_secs(60)));
        quota.answered(200);
        assert!(!quota.is_open(now), "the bytes are used up");
    }

    #[test]
    fn a_stopped_load_sends_no_more() {
        let progress = Progress::default();
        let quota = Quota::new(Limit::default(), &progress);
        assert!(quota.take_request(quota.begun));
        progress.stop();
        assert!(!quota.take_request(quota.begun));
    }

    #[test]
    fn a_late_request_is_charged_from_when_it_was_due() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun, Some(100.0), 2);
        assert_eq!(pace.sent(begun), begun);
        assert_eq!(pace.due(), Some(begun + Duration::from_millis(20)));
        assert_eq!(pace.sent(begun + Duration::from_millis(500)), begun + Duration::from_millis(20));
        let mut free = Pace::new(begun, None, 2);
        assert_eq!((free.due(), free.sent(begun + Duration::from_secs(1))), (None, begun + Duration::from_secs(1)));
    }
}

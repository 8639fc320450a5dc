//! The names of topics that are being made or deleted. Who makes or deletes topics takes all their names first, waiting
//! for others, and returns them when it is done, a deletion when the logs are out of the way.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The names that somebody has.
#[derive(Debug, Default)]
pub(crate) struct TopicNames {
    taken: Mutex<HashSet<Arc<str>>>,
    returned: Notify,
}

/// Names that one operation has; returned when dropped.
#[derive(Debug)]
pub(crate) struct TakenNames<'a> {
    names: BTreeSet<Arc<str>>,
    from: &'a TopicNames,
}

impl TopicNames {
    /// Waits until nobody has any of the names, and takes them all: who waits has none, so nobody waits in a circle.
    pub(crate) async fn take(&self, names: BTreeSet<Arc<str>>) -> TakenNames<'_> {
        loop {
            // Before the look: a return after it is heard.
            let returned = self.returned.notified();
            if self.take_now(&names) {
                return TakenNames { names, from: self };
            }
            returned.await;
        }
    }

    fn take_now(&self, names: &BTreeSet<Arc<str>>) -> bool {
        let mut taken = self.taken.lock();
        let free = names.iter().all(|name| !taken.contains(name));
        if free {
            taken.extend(names.iter().cloned());
        }
        free
    }
}

impl Drop for TakenNames<'_> {
    fn drop(&mut self) {
        let mut taken = self.from.taken.lock();
        for name in &self.names {
            taken.remove(name);
        }
        drop(taken);
        self.from.returned.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[tokio::test]
    async fn a_name_that_is_taken_is_waited_for_and_others_are_not() {
        let all = TopicNames::default();
        let first = all.take(names(&["a", "b"])).await;
        let mut second = Box::pin(all.take(names(&["b", "c"])));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(all.take(names(&["c"])).now_or_never().is_some(), "who waits has no name");
        drop(first);
        drop(second.await);
        assert!(all.take(names(&["a", "b", "c"])).now_or_never().is_some());
    }
}

//! Reads what strace writes: one system call a line, or two lines when another thread's call ended in between.

use std::collections::HashMap;

/// A system call that has ended; events stand in the order of their ends.
#[derive(Debug)]
pub(crate) struct Event {
    call: String,
}

impl Event {
    /// A write that returns once its bytes are on the device, into the lane.
    pub(crate) fn is_synced_write(&self) -> bool {
        self.call.starts_with("pwritev2(")
            && self.call.contains("/lane/")
            && self.call.contains("RWF_DSYNC")
            && self.has_succeeded()
    }

    /// Bytes that a peer has sent.
    pub(crate) fn is_receipt(&self) -> bool {
        self.call.starts_with("recvfrom(") && self.has_succeeded()
    }

    pub(crate) fn holds(&self, text: &str) -> bool {
        self.call.contains(text)
    }

    fn has_succeeded(&self) -> bool {
        let result = self.call.rsplit_once(" = ").map(|(_, result)| result.trim());
        result.and_then(|result| result.split(' ').next()?.parse::<i64>().ok()).is_some_and(|bytes| bytes > 0)
    }
}

/// The calls of a trace, in the order in which they ended.
pub(crate) fn events(trace: &str) -> Vec<Event> {
    let mut unfinished: HashMap<&str, String> = HashMap::new();
    let mut events = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, begun.trim_end().to_owned());
        } else if let Some((_, rest)) = call.strip_prefix("<... ").and_then(|call| call.split_once(" resumed>")) {
            let begun = unfinished.remove(thread).unwrap_or_default();
            events.push(Event { call: begun + rest });
        } else {
            events.push(Event { call: call.to_owned() });
        }
    }
    events
}

#[test]
fn calls_stand_in_the_order_of_their_ends() {
    let trace = "7 pwritev2(3</d/lane/0>, [{iov_base=\"a\"}], 1, 0, RWF_DSYNC <unfinished ...>\n\
                 8 recvfrom(4, \"b\", 9) = 1\n\
                 7 <... pwritev2 resumed>) = 4096\n\
                 8 recvfrom(4, \"\", 9) = -1 EAGAIN (Resource temporarily unavailable)\n";
    let events = events(trace);
    assert!(events[0].is_receipt() && events[0].holds("b"));
    assert!(events[1].is_synced_write() && events[1].holds("\"a\""));
    assert!(!events[2].is_receipt());
}

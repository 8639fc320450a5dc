//! What brokers in this process let be seen from outside: their log lines, and panics of their threads, which fail the
//! test that meets them.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Mutex, Once};
use std::time::Instant;

use crate::server::PATIENCE;

/// Name of the threads of a broker's own runtime.
pub(crate) const RUNTIME_THREAD: &str = "broker-runtime";

static WATCHING: Once = Once::new();
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Begins to collect what this process's brokers log and where they panic.
pub(crate) fn watch() {
    WATCHING.call_once(|| {
        tracing_subscriber::fmt().with_ansi(false).with_writer(|| Log).init();
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            usual(panic);
            let thread = std::thread::current();
            // A test's thread has the path of its test for a name; those that tests start have none.
            if let Some(name) = thread.name().filter(|name| !name.contains("::")) {
                PANICS.lock().unwrap().push(format!("{name}: {panic}"));
            }
        }));
    });
}

/// Fails the test that holds it when a broker has panicked. Brokers run side by side, so several tests may fail for one.
#[derive(Debug)]
pub(crate) struct NoPanics;

impl Drop for NoPanics {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let panics = PANICS.lock().unwrap().clone();
            assert!(panics.is_empty(), "a broker panicked: {panics:?}");
        }
    }
}

/// The one line that a broker has logged, or logs soon, about the end of this peer's connection.
pub(crate) fn closing_line(peer: SocketAddr) -> String {
    let end = Instant::now() + PATIENCE;
    let named = format!("peer={peer} ");
    loop {
        let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = log.lines().filter(|line| format!("{line} ").contains(&named)).collect();
        match lines[..] {
            [] => assert!(Instant::now() < end, "nothing is logged about {peer}"),
            [line] => return line.to_owned(),
            _ => panic!("more than one line about {peer}: {lines:?}"),
        }
        std::thread::yield_now();
    }
}

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

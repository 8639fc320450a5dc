//! Durability shown, not assumed, on the real broker: its system calls, SIGKILL under load, a full disk, a failing disk.
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod bad_directory;
mod broker;
mod every_call;
mod failed_io;
mod full_disk;
mod gate;
mod history;
mod kill;
mod many_partitions;
mod reading;
mod requirement;
mod small_disk;
mod synced;
mod trace;
mod workload;

use std::io::Write as _;

/// Says something that is seen whether the test fails or not.
fn say(line: &str) {
    // A stderr that is closed has nobody who reads it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

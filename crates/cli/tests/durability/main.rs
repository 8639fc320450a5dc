//! Durability shown, not assumed, on the real broker: its system calls, SIGKILL under load, a full disk, a failing disk.
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod broker;
mod gate;
mod history;
mod kill;
mod synced;
mod trace;
mod workload;

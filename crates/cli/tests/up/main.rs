//! `up`, `apply`, `get`, `delete` and `logs` of the real binary, and kubectl beside them where the machine has one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod applying;
mod detached;
mod harness;
mod lab;
mod running;

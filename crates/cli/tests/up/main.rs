//! `up`, `apply`, `get`, `delete` and `logs` of the real binary, and kubectl beside them where the machine has one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod applying;
mod detached;
mod harness;
mod lab;
mod refused;
mod rollout;
mod running;
#[expect(dead_code, reason = "the tests of durability, whose it is, need more of it")]
#[path = "../durability/small_disk.rs"]
mod small_disk;
mod stopping;

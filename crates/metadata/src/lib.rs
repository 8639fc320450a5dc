//! Cluster state: the store and the typed catalog above it.

#[expect(clippy::too_many_lines, reason = "one statement per field of the record")]
pub mod generated;

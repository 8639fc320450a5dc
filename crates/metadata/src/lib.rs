//! Cluster state: the store it is kept in, the typed catalog above it, and the configs of topics, brokers and groups.
//!
//! The broker is the only caller. It reads an immutable `Image` and never waits for the store to do so; what changes
//! the cluster goes through an operation of `Catalog`, is durable before it takes effect, and fails with Kafka's words.

pub mod catalog;
pub mod configs;
pub mod generated;
pub mod kafka;
pub mod store;

//! The load generator behind `millstream bench` and `cargo xtask bench`: it measures any broker that speaks Kafka's protocol.
//!
//! It costs little CPU itself, so that the broker is what is measured: record batches are built once and sent again and
//! again, answers are looked at by their heads, and each connection is one thread over a non-blocking socket. A load ends
//! with a `Report`, or with the first error: an error answer is counted, stops the load and fails it under Kafka's name.
//! Loads block the calling thread; a `Progress` may be watched from another.

mod assignment;
mod batch;
mod cluster;
mod connection;
mod connections;
mod disk;
mod endtoend;
mod error;
mod fetch;
mod histogram;
mod pipeline;
mod probe;
mod produce;
mod progress;
mod quota;
mod report;
mod topics;

pub use batch::BatchShape;
pub use cluster::{Cluster, NewTopics};
pub use connections::IdleConnections;
pub use disk::DiskProbe;
pub use endtoend::EndToEnd;
pub use error::BenchError;
pub use fetch::{AtEnd, Fetch, Start};
pub use millstream_model::compression::CompressionType;
pub use probe::{Probe, ProbeError};
pub use produce::Produce;
pub use progress::Progress;
pub use quota::Limit;
pub use report::{Latency, Report};

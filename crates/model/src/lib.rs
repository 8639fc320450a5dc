//! The nouns of an event log, shared by every other crate: offsets, epochs, ids, record batches, compression,
//! checksums and the primitive encodings of Kafka's formats.
//!
//! Pure: no I/O, no clock, no randomness, no async. Whatever comes from a socket or a disk is checked here once,
//! into a type, and trusted from then on.

pub mod batch;
pub mod compression;
pub mod crc32c;
mod generated;
pub mod ids;
pub mod offset;
pub mod time;
pub mod wire;

pub use crc32c::{Crc32c, crc32c, crc32c_combine};
pub use generated::consumer_protocol;
pub use ids::{BrokerId, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TopicId};
pub use offset::{LeaderEpoch, Offset};
pub use time::TimestampMs;

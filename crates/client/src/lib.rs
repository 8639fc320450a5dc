//! Producer, consumer and admin client for Apache Kafka, in pure Rust. Speaks to any broker of Kafka 2.1 or newer.
//!
//! `ClientConfig` takes Kafka's property names. `Producer`, `Consumer` and `Admin` each own a `Cluster`: metadata, and
//! one pipelined connection per broker. Whatever a broker answers keeps Kafka's code and message in `Error`.

pub mod admin;
mod backoff;
mod clock;
mod cluster;
pub mod config;
mod connection;
pub mod consumer;
mod consumer_protocol;
mod error;
mod group_offsets;
mod list_offsets;
pub mod producer;
mod topic_partition;

pub use admin::Admin;
pub use cluster::{Broker, ClusterMetadata, PartitionMetadata, TopicMetadata};
pub use config::{ClientConfig, ConfigError};
pub use consumer::{Consumer, ConsumerRecord};
pub use error::Error;
pub use millstream_model::batch::TimestampType;
pub use millstream_model::{Offset, TimestampMs, TopicId};
pub use millstream_protocol::{ApiKey, ErrorCode};
pub use producer::{Delivery, Producer, ProducerRecord, RecordMetadata};
pub use topic_partition::TopicPartition;

//! Producer, consumer and admin client for Apache Kafka, in pure Rust.

//! The lab's microservices: data-producer and data-consumer.
//!
//! Each runs alone, against any Kafka, as `millstream data-producer` and `millstream data-consumer`; `run` ends when it is
//! told to shut down. In event mode they produce to and consume from a topic; in REST mode the consumer asks the producer
//! over HTTP. Both serve `/data`, `/health`, `/health/live`, `/health/ready` and `/metrics`, and take MicroProfile-style
//! configuration, so that the lab's manifests and dashboards work unchanged.

mod broker_watch;
mod config;
pub mod data_consumer;
pub mod data_producer;
mod health;
mod hosts;
mod http;
mod measurement;
mod metrics;
mod rest_client;
mod service_log;
mod settings;

pub use config::Config;
pub use service_log::ServiceLog;
pub use settings::{Mode, SettingsError};

use std::net::SocketAddr;

/// Why a service ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot listen on {address}: {error}; choose another port with QUARKUS_HTTP_PORT")]
    Listen { address: SocketAddr, error: std::io::Error },
    #[error("the HTTP server failed: {0}")]
    Serve(std::io::Error),
    #[error("the configuration of the Kafka client is not valid: {0}")]
    Client(millstream_client::Error),
}

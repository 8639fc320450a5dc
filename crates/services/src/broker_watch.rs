//! Asks every few seconds whether the broker can be reached: that is what readiness shows.

use std::time::Duration;

use millstream_client::{Admin, ClientConfig, Error};
use tokio_util::sync::CancellationToken;

use crate::ServiceError;
use crate::health::Connectivity;
use crate::hosts::Hosts;
use crate::service_log::{ServiceLog, Speaker};
use crate::settings::KafkaSettings;

const PERIOD: Duration = Duration::from_secs(2);
const TIMEOUT_MS: &str = "2000";

const SPEAKER: Speaker = Speaker { logger: "io.sma.rea.mes.kafka", thread: "main" };

/// The client configuration of a channel, with its brokers' names resolved as of now.
pub(crate) async fn client_config(kafka: &KafkaSettings, hosts: &Hosts) -> ClientConfig {
    let mut config = ClientConfig::new(hosts.resolve_servers(&kafka.servers).await);
    for (name, value) in &kafka.properties {
        config.set(name, value);
    }
    config
}

/// Keeps `connectivity` true to the broker until `shutdown`. Errors when the client's configuration is not valid.
pub(crate) async fn watch(
    kafka: &KafkaSettings,
    hosts: &Hosts,
    connectivity: &Connectivity,
    log: &ServiceLog,
    shutdown: &CancellationToken,
) -> Result<(), ServiceError> {
    let mut servers = hosts.resolve_servers(&kafka.servers).await;
    let mut admin = connect(&servers)?;
    let mut was_up: Option<bool> = None;
    loop {
        let Some(answered) = shutdown.run_until_cancelled(admin.describe_cluster()).await else { return Ok(()) };
        connectivity.set(answered.is_ok());
        if was_up.replace(answered.is_ok()) != Some(answered.is_ok()) {
            note(answered.as_ref().err(), kafka, log);
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_none() {
            return Ok(());
        }
        if answered.is_err() {
            // A client tells once of a broker that stays away, so another is made only where it looks elsewhere.
            let now = hosts.resolve_servers(&kafka.servers).await;
            if now != servers {
                (admin, servers) = (connect(&now)?, now);
            }
        }
    }
}

/// Only where to and how, not what a producer or consumer sets: the watch would be told of unknown properties.
fn connect(servers: &str) -> Result<Admin, ServiceError> {
    let config =
        ClientConfig::new(servers).with("request.timeout.ms", TIMEOUT_MS).with("default.api.timeout.ms", TIMEOUT_MS);
    Admin::new(&config).map_err(ServiceError::Client)
}

/// Says in the log that the broker has come or gone.
fn note(failure: Option<&Error>, kafka: &KafkaSettings, log: &ServiceLog) {
    match failure {
        None => log.info(SPEAKER, format_args!("Connected to Kafka at {}", kafka.servers)),
        Some(error) => log.warn(SPEAKER, format_args!("Kafka at {} is away: {error}", kafka.servers)),
    }
}

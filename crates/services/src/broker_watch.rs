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
    let mut admin: Option<Admin> = None;
    let mut was_up: Option<bool> = None;
    loop {
        let answered = async {
            if admin.is_none() {
                admin = Some(Admin::new(&watch_config(kafka, hosts).await).map_err(ServiceError::Client)?);
            }
            let admin = admin.as_ref().expect("it has just been made");
            Ok::<_, ServiceError>(admin.describe_cluster().await.map(|_| ()))
        };
        let Some(answered) = shutdown.run_until_cancelled(answered).await.transpose()? else { return Ok(()) };
        connectivity.set(answered.is_ok());
        if was_up.replace(answered.is_ok()) != Some(answered.is_ok()) {
            note(&answered, kafka, log);
        }
        if answered.is_err() {
            // The name may stand for another address by the next time.
            admin = None;
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_none() {
            return Ok(());
        }
    }
}

/// Only where to and how, not what a producer or consumer sets: the watch would be told of unknown properties.
async fn watch_config(kafka: &KafkaSettings, hosts: &Hosts) -> ClientConfig {
    ClientConfig::new(hosts.resolve_servers(&kafka.servers).await)
        .with("request.timeout.ms", TIMEOUT_MS)
        .with("default.api.timeout.ms", TIMEOUT_MS)
}

/// Says in the log that the broker has come or gone.
fn note(answered: &Result<(), Error>, kafka: &KafkaSettings, log: &ServiceLog) {
    match answered {
        Ok(()) => log.info(SPEAKER, format_args!("Connected to Kafka at {}", kafka.servers)),
        Err(error) => log.warn(SPEAKER, format_args!("Kafka at {} is away: {error}", kafka.servers)),
    }
}

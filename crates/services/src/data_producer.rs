//! data-producer: every two seconds a fresh measurement to the topic, and one at `/data` for whoever asks.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::routing::get;
use millstream_client::{ClientConfig, Producer, ProducerRecord};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::broker_watch::{client_config, watch};
use crate::config::Config;
use crate::health::Connectivity;
use crate::http::Vitals;
use crate::measurement::Measurement;
use crate::metrics::Metrics;
use crate::service_log::{ServiceLog, Speaker};
use crate::settings::{Mode, ProducerSettings};
use crate::{ServiceError, http};

const SPEAKER: Speaker = Speaker { logger: "ch.puz.qua.rea.bou.ReactiveDataProducer", thread: "executor-thread-1" };

/// A measurement that cannot be sent within seconds is of no interest any more: the next is more recent.
const PROPERTIES: [(&str, &str); 3] =
    [("max.block.ms", "5000"), ("request.timeout.ms", "5000"), ("delivery.timeout.ms", "10000")];

/// How long a record that is under way may take at shutdown.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Runs until `shutdown`; a broker that is away is waited for. Errors when the settings are of no use or the port is taken.
pub async fn run(config: Config, mode: Mode, log: ServiceLog, shutdown: CancellationToken) -> Result<(), ServiceError> {
    let settings = ProducerSettings::read(&config)?;
    let messaging = (mode == Mode::Event).then(Connectivity::default);
    let metrics = Arc::new(Metrics::of_producer());
    let vitals = Vitals { messaging: messaging.clone(), metrics: metrics.clone() };
    let (listener, address) = http::listen(settings.common.http).await?;
    settings.common.announce("data-producer", address, &log);
    let router = http::router(vitals, get(|| async { Json(Measurement::random()) }));
    let served = http::serve(listener, router, shutdown.clone());
    let Some(connectivity) = messaging else { return served.await };
    let common = &settings.common;
    let watched = watch(&common.kafka, &common.hosts, &connectivity, &log, &shutdown);
    let produced = produce(&settings, &metrics, &log, &shutdown);
    tokio::try_join!(served, watched, produced).map(|_| ())
}

/// Sends a measurement at each interval until `shutdown`.
async fn produce(
    settings: &ProducerSettings,
    metrics: &Metrics,
    log: &ServiceLog,
    shutdown: &CancellationToken,
) -> Result<(), ServiceError> {
    let mut ticks = tokio::time::interval(settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut config = producer_config(settings).await;
    let mut producer = Producer::new(&config).map_err(ServiceError::Client)?;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        log.info(SPEAKER, "Sending message");
        match shutdown.run_until_cancelled(send(&producer, settings)).await {
            Some(Ok(())) => _ = metrics.records.inc(),
            Some(Err(error)) => {
                metrics.failures.inc();
                log.warn(SPEAKER, format_args!("The measurement was not sent: {error}"));
                let now = producer_config(settings).await;
                // A producer tells once of a broker that stays away, so another is made only where it looks elsewhere, or
                // to begin anew after what trying again does not mend.
                if now != config || !error.is_retriable() {
                    let next = Producer::new(&now).map_err(ServiceError::Client)?;
                    close(std::mem::replace(&mut producer, next), Duration::ZERO).await;
                    config = now;
                }
            }
            None => {}
        }
    }
    close(producer, CLOSE_LIMIT).await;
    Ok(())
}

/// With the brokers' names resolved as of now.
async fn producer_config(settings: &ProducerSettings) -> ClientConfig {
    let mut config = client_config(&settings.common.kafka, &settings.common.hosts).await;
    for (name, value) in PROPERTIES {
        config.set_default(name, value);
    }
    config
}

/// Key and value are the same JSON, as the lab's producer sends it.
async fn send(producer: &Producer, settings: &ProducerSettings) -> Result<(), millstream_client::Error> {
    let json = Measurement::random().json();
    let record = ProducerRecord::new(settings.common.kafka.topic.as_str(), json.clone()).with_key(json);
    producer.send(record).await?.wait().await.map(|_| ())
}

async fn close(producer: Producer, limit: Duration) {
    // What could not be sent has been told where it was waited for.
    let _ = producer.close(limit).await;
}

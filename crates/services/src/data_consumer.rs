//! data-consumer: logs the measurements of the topic, and fetches one from the producer for whoever asks at `/data`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use millstream_client::{ClientConfig, Consumer, ConsumerRecord, Error};
use tokio_util::sync::CancellationToken;

use crate::broker_watch::{client_config, watch};
use crate::config::Config;
use crate::health::Connectivity;
use crate::http::Vitals;
use crate::measurement::Measurement;
use crate::metrics::Metrics;
use crate::service_log::{ServiceLog, Speaker};
use crate::settings::{ConsumerSettings, Mode};
use crate::{ServiceError, http, rest_client};

const SPEAKER: Speaker =
    Speaker { logger: "ch.puz.qua.rea.bou.ReactiveDataConsumer", thread: "vert.x-eventloop-thread-0" };

const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before a consumer that failed is replaced.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// How long committing and leaving the group may take at shutdown.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Runs until `shutdown`; a broker that is away is waited for. Errors when the settings are of no use or the port is taken.
pub async fn run(config: Config, mode: Mode, log: ServiceLog, shutdown: CancellationToken) -> Result<(), ServiceError> {
    let settings = Arc::new(ConsumerSettings::read(&config)?);
    let messaging = (mode == Mode::Event).then(Connectivity::default);
    let metrics = Arc::new(Metrics::of_consumer());
    let vitals = Vitals { messaging: messaging.clone(), metrics: metrics.clone() };
    let (listener, address) = http::listen(settings.common.http).await?;
    settings.common.announce("data-consumer", address, &log);
    let asked = settings.clone();
    let served = http::serve(listener, http::router(vitals, get(move || data(asked))), shutdown.clone());
    let Some(connectivity) = messaging else { return served.await };
    let common = &settings.common;
    let watched = watch(&common.kafka, &common.hosts, &connectivity, &log, &shutdown);
    let consumed = consume(&settings, &connectivity, &metrics, &log, &shutdown);
    tokio::try_join!(served, watched, consumed).map(|_| ())
}

/// What the producer measures now.
async fn data(settings: Arc<ConsumerSettings>) -> Response {
    let host = settings.common.hosts.resolve(&settings.producer_host).await;
    match rest_client::fetch(&host, settings.producer_port).await {
        Ok(measurement) => Json(measurement).into_response(),
        Err(error) => {
            let producer = format!("{}:{}", settings.producer_host, settings.producer_port);
            http::bad_gateway(format!("data-producer at {producer} gave no measurement: {error}"))
        }
    }
}

/// Logs measurements until `shutdown`. A consumer that fails is replaced by another of the same group.
async fn consume(
    settings: &ConsumerSettings,
    connectivity: &Connectivity,
    metrics: &Metrics,
    log: &ServiceLog,
    shutdown: &CancellationToken,
) -> Result<(), ServiceError> {
    let group_id = format!("data-consumer-{:032x}", fastrand::u128(..));
    // A consumer keeps the address that its broker's name stood for when it was made, so it is made when there is one.
    while shutdown.run_until_cancelled(connectivity.wait_until_up()).await.is_some() {
        let mut config = client_config(&settings.common.kafka, &settings.common.hosts).await;
        config.set_default("group.id", &group_id);
        config.set_default("auto.offset.reset", "latest");
        let mut consumer = connect(&config, &settings.common.kafka.topic).map_err(ServiceError::Client)?;
        let polled = shutdown.run_until_cancelled(poll(&mut consumer, metrics, log)).await;
        // The group takes notice of a member that does not leave; what is not committed comes again.
        let _ = tokio::time::timeout(CLOSE_LIMIT, consumer.close()).await;
        if let Some(error) = polled {
            log.warn(SPEAKER, format_args!("Consuming failed, trying again: {error}"));
            shutdown.run_until_cancelled(tokio::time::sleep(RECONNECT_PAUSE)).await;
        }
    }
    Ok(())
}

fn connect(config: &ClientConfig, topic: &str) -> Result<Consumer, Error> {
    let mut consumer = Consumer::new(config)?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

/// Polls until that fails.
async fn poll(consumer: &mut Consumer, metrics: &Metrics, log: &ServiceLog) -> Error {
    loop {
        match consumer.poll(POLL_TIMEOUT).await {
            Ok(records) => records.iter().for_each(|record| receive(record, metrics, log)),
            Err(error) => return error,
        }
    }
}

fn receive(record: &ConsumerRecord, metrics: &Metrics, log: &ServiceLog) {
    match Measurement::parse(record.value.as_deref().unwrap_or_default()) {
        Ok(measurement) => {
            metrics.records.inc();
            log.info(SPEAKER, format_args!("Received reactive message: {}", measurement.json()));
        }
        Err(error) => {
            metrics.failures.inc();
            let ConsumerRecord { topic, partition, offset, .. } = record;
            log.warn(SPEAKER, format_args!("No measurement at offset {offset} of {topic}-{partition}: {error}"));
        }
    }
}

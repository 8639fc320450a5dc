//! `/metrics`: the lab's counters under the lab's names, so that its dashboards work, and the same under plain ones.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The counters of one service.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Records sent, or records received.
    pub(crate) records: Counter,
    /// Sends that failed, or records that are no measurements.
    pub(crate) failures: Counter,
}

impl Metrics {
    /// Counters of the producer.
    pub(crate) fn of_producer() -> Self {
        Self::new(
            "application_ch_puzzle_quarkustechlab_reactiveproducer_boundary_ReactiveDataProducer_producedMessages",
            ("millstream_data_producer_records_sent", "Measurements that the broker has acknowledged"),
            ("millstream_data_producer_send_failures", "Measurements that could not be sent"),
        )
    }

    /// Counters of the consumer.
    pub(crate) fn of_consumer() -> Self {
        Self::new(
            "application_ch_puzzle_quarkustechlab_reactiveconsumer_boundary_ReactiveDataConsumer_consumedMessages",
            ("millstream_data_consumer_records_received", "Measurements received"),
            ("millstream_data_consumer_malformed_records", "Records whose value is no measurement"),
        )
    }

    fn new(lab_name: &str, records_name: (&str, &str), failures_name: (&str, &str)) -> Self {
        let mut registry = Registry::default();
        let (records, failures) = (Counter::default(), Counter::default());
        registry.register(lab_name, records_name.1, records.clone());
        registry.register(records_name.0, records_name.1, records.clone());
        registry.register(failures_name.0, failures_name.1, failures.clone());
        Self { registry, records, failures }
    }

    pub(crate) fn answer(&self) -> Response {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing into a string does not fail");
        ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()
    }
}

//! What `/metrics` shows, with the names of docs/reference/metrics.md. Counters that requests touch are looked up once,
//! when the broker starts; what others count or hold is read when somebody asks.

use std::collections::HashMap;
use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use millstream_protocol::ApiKey;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::Broker;
use crate::api;

/// From 50 µs to 13 s in steps of 4.
const REQUEST_SECONDS_BUCKETS: [f64; 10] =
    [0.000_05, 0.000_2, 0.000_8, 0.003_2, 0.012_8, 0.051_2, 0.204_8, 0.819_2, 3.276_8, 13.107_2];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabels {
    api: &'static str,
}

/// The counters of one API.
#[derive(Debug)]
struct ApiMetrics {
    requests: Counter,
    received_bytes: Counter,
    seconds: Histogram,
}

/// All metrics of one broker.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    apis: HashMap<ApiKey, ApiMetrics>,
    violations: Counter,
}

impl Metrics {
    /// Registers everything; `broker` is asked for its readings whenever somebody looks.
    pub(crate) fn new(broker: Weak<Broker>) -> Self {
        let mut registry = Registry::with_prefix("millstream");
        let requests = Family::<ApiLabels, Counter>::default();
        registry.register("requests", "Requests begun, by API", requests.clone());
        let received = Family::<ApiLabels, Counter>::default();
        registry.register("request_bytes", "Bytes of requests, by API", received.clone());
        let seconds = Family::<ApiLabels, Histogram>::new_with_constructor(|| Histogram::new(REQUEST_SECONDS_BUCKETS));
        registry.register("request_seconds", "Time from a request's arrival to its answer, by API", seconds.clone());
        let violations = Counter::default();
        registry.register("protocol_violations", "Connections closed for what their peer sent", violations.clone());
        let apis = api::served().into_iter().map(|(key, _)| {
            let labels = ApiLabels { api: key.name() };
            let metrics = ApiMetrics {
                requests: requests.get_or_create_owned(&labels),
                received_bytes: received.get_or_create_owned(&labels),
                seconds: seconds.get_or_create_owned(&labels),
            };
            (key, metrics)
        });
        let apis = apis.collect();
        registry.register_collector(Box::new(Readings { broker }));
        Self { registry, apis, violations }
    }

    pub(crate) fn request_begun(&self, api: ApiKey, bytes: usize) {
        if let Some(metrics) = self.apis.get(&api) {
            metrics.requests.inc();
            metrics.received_bytes.inc_by(bytes as u64);
        }
    }

    pub(crate) fn request_answered(&self, api: ApiKey, after: Duration) {
        if let Some(metrics) = self.apis.get(&api) {
            metrics.seconds.observe(after.as_secs_f64());
        }
    }

    pub(crate) fn violation(&self) {
        self.violations.inc();
    }

    /// Everything, as OpenMetrics text.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// What the broker's parts hold or count themselves.
#[derive(Debug)]
struct Readings {
    broker: Weak<Broker>,
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(broker) = self.broker.upgrade() else { return Ok(()) };
        let storage = broker.storage().metrics();
        let cleaner = storage.cleaner;
        let gauges = [
            ("connections", "Connections open now", broker.connections().open() as u64),
            ("topics", "Topics", broker.image().topics().count() as u64),
            ("fetch_sessions", "Incremental fetch sessions (KIP-227)", broker.fetch_sessions().len() as u64),
            ("request_memory_free_bytes", "Request memory not in use", broker.request_memory().free_bytes() as u64),
            ("answer_memory_free_bytes", "Answer memory not in use", broker.answer_memory().free_bytes() as u64),
            ("storage_pending_bytes", "Bytes appended and not yet in segments", storage.pending_bytes),
            ("storage_no_space", "1 while producers are refused for want of disk space", u64::from(storage.no_space)),
            ("cleaner_last_run_ms", "Time that the newest cleaning of a log took", cleaner.last_run_ms),
            ("cleaner_idle_ms", "Time since the cleaner last looked for work or was at it", cleaner.idle_ms),
            ("cleaner_dirty_percent_max", "Largest uncleaned share of a compacted log", cleaner.dirty_percent_max),
            ("cleaner_buffer_percent", "How full the newest cleaning's memory for keys was", cleaner.map_percent),
            ("cleaner_uncleanable_partitions", "Partitions that cannot be cleaned", cleaner.uncleanable_partitions),
        ];
        for (name, help, value) in gauges {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)?;
        }
        let counters = [
            ("appended_batches", "Record batches appended", storage.appended_batches),
            ("appended_bytes", "Bytes of record batches appended", storage.appended_bytes),
            ("lane_slots_written", "Slots written to the lane", storage.slots_written),
            ("lane_bytes_written", "Bytes of slots written to the lane", storage.slot_bytes_written),
            ("storage_checkpoints", "Checkpoints of partitions taken", storage.checkpoints),
            ("cleaner_runs", "Cleanings of logs", cleaner.runs),
            ("cleaner_read_bytes", "Bytes of record batches read to be cleaned", cleaner.read_bytes),
            ("cleaner_written_bytes", "Bytes of record batches that were left of them", cleaner.written_bytes),
        ];
        for (name, help, value) in counters {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        Ok(())
    }
}

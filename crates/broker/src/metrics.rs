//! What `/metrics` shows, with the names of docs/reference/metrics.md. Counters that requests touch are looked up once,
//! when the broker starts; what others count or hold is read when somebody asks.

mod process;
mod readings;
mod shown;

use std::collections::HashMap;
use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use millstream_model::TimestampMs;
use millstream_protocol::ApiKey;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::process::Process;
use self::readings::Readings;
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
    /// Registers everything; `broker`, which starts now, is asked for its readings whenever somebody looks.
    pub(crate) fn new(broker: Weak<Broker>, started: TimestampMs) -> Self {
        let mut all = Registry::default();
        all.register_collector(Box::new(Process { started }));
        let registry = all.sub_registry_with_prefix("millstream");
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
        Self { registry: all, apis, violations }
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

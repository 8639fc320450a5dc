//! Writes readings as metrics: what is asked for when somebody looks, not registered before.

use std::fmt;
use std::time::Duration;

use millstream_storage::{TIME_BUCKETS, TimeDistribution};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// A page of metrics that is being written.
pub(super) struct Shown<'a, 'b>(pub(super) &'a mut DescriptorEncoder<'b>);

impl Shown<'_, '_> {
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A gauge that is not a whole number: seconds, or a share from 0 to 1.
    pub(super) fn decimal(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// A counter of seconds.
    pub(super) fn spent(&mut self, name: &str, help: &str, time: Duration) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(time.as_secs_f64()).encode(metric)
    }

    pub(super) fn times(&mut self, name: &str, help: &str, times: &TimeDistribution) -> fmt::Result {
        encode_times(&mut self.0.encode_descriptor(name, help, None, MetricType::Histogram)?, times)
    }

    /// A metric with one reading for each value of a label.
    pub(super) fn gauges(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.iter().try_for_each(|(of, value)| metric.encode_family(&[(label, *of)])?.encode_gauge(value))
    }

    pub(super) fn counters(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values
            .iter()
            .try_for_each(|(of, value)| ConstCounter::new(*value).encode(metric.encode_family(&[(label, *of)])?))
    }

    pub(super) fn all_times(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, &TimeDistribution)],
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        values.iter().try_for_each(|(of, times)| encode_times(&mut metric.encode_family(&[(label, *of)])?, times))
    }
}

fn encode_times(metric: &mut MetricEncoder<'_>, times: &TimeDistribution) -> fmt::Result {
    let bounds = TIME_BUCKETS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(times.buckets).collect();
    metric.encode_histogram::<NoLabelSet>(times.sum.as_secs_f64(), times.count(), &buckets, None)
}

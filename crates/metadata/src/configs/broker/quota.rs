//! Quotas, metrics and client telemetry.

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::{Is, Null};
use crate::configs::Importance::Low;
use crate::configs::Update::{ClusterWide, ReadOnly};
use crate::configs::Valid::{Any, AtLeast, ListOf};
use crate::configs::reason::{NO_JAVA, OWN_METRICS, QUOTAS_LATER, TELEMETRY_LATER};
use crate::configs::row::{class, int, list, long, string};

/// Sorted by name.
pub(super) const KEYS: &[ConfigKey] = &[
    class("client.quota.callback.class", Null, Any, Low, ReadOnly, NO_JAVA).doc("Class that decides quotas."),
    int("controller.quota.window.num", Is("11"), AtLeast(1), Low, ReadOnly, QUOTAS_LATER)
        .doc("Samples kept for quotas on changes of the cluster."),
    int("controller.quota.window.size.seconds", Is("1"), AtLeast(1), Low, ReadOnly, QUOTAS_LATER)
        .doc("Length of a sample for quotas on changes of the cluster."),
    int("kafka.metrics.polling.interval.secs", Is("10"), AtLeast(1), Low, ReadOnly, OWN_METRICS)
        .doc("Time between polls by Kafka's own metrics reporters."),
    list("kafka.metrics.reporters", Is(""), ListOf(&[]), Low, ReadOnly, NO_JAVA)
        .doc("Classes that report Kafka's own metrics."),
    list("metric.reporters", Is("org.apache.kafka.common.metrics.JmxReporter"), ListOf(&[]), Low, ClusterWide, NO_JAVA)
        .doc("Classes that report metrics."),
    int("metrics.num.samples", Is("2"), AtLeast(1), Low, ReadOnly, OWN_METRICS).doc("Samples kept per metric."),
    string("metrics.recording.level", Is("INFO"), Any, Low, ReadOnly, OWN_METRICS)
        .doc("Detail of the metrics that are recorded."),
    long("metrics.sample.window.ms", Is("30000"), AtLeast(1), Low, ReadOnly, OWN_METRICS)
        .doc("Length of a metric's sample, in milliseconds."),
    int("quota.window.num", Is("11"), AtLeast(1), Low, ReadOnly, QUOTAS_LATER).doc("Samples kept for client quotas."),
    int("quota.window.size.seconds", Is("1"), AtLeast(1), Low, ReadOnly, QUOTAS_LATER)
        .doc("Length of a sample for client quotas."),
    int("telemetry.max.bytes", Is("1048576"), AtLeast(1), Low, ReadOnly, TELEMETRY_LATER)
        .doc("Largest report of metrics that a client may push, in bytes."),
];

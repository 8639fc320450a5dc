//! The validation rules of Strimzi's definitions. They are written there in Common Expression Language; there are nine,
//! so each stands here as a function under its exact text. A test fails when a definition brings a rule that is not here.

use serde_json::Value;

use crate::object::text;

type Rule = (&'static str, fn(&Value) -> bool);

/// Each rule with what must hold.
const RULES: &[Rule] = &[
    ("self.type != 'jmxPrometheusExporter' || has(self.valueFrom)", |value| {
        text(value, "/type") != "jmxPrometheusExporter" || has(value, "valueFrom")
    }),
    ("self.type != 'strimziMetricsReporter'", |value| text(value, "/type") != "strimziMetricsReporter"),
    ("(has(self.type) && self.type != \"topology-label\") || self.topologyKey != \"\"", |value| {
        (has(value, "type") && text(value, "/type") != "topology-label") || !text(value, "/topologyKey").is_empty()
    }),
    ("has(self.type) == false || self.type != \"environment-variable\" || self.envVarName != \"\"", |value| {
        text(value, "/type") != "environment-variable" || !text(value, "/envVarName").is_empty()
    }),
    ("self.type == 'tls' || (!has(self.validityDays) && !has(self.renewalDays))", |value| {
        text(value, "/type") == "tls" || (!has(value, "validityDays") && !has(value, "renewalDays"))
    }),
    ("self.type != 'tls' || (has(self.renewalDays) == has(self.validityDays))", |value| {
        text(value, "/type") != "tls" || has(value, "renewalDays") == has(value, "validityDays")
    }),
    (
        "self.type != 'tls' || !has(self.renewalDays) || !has(self.validityDays) || self.renewalDays < self.validityDays",
        |value| {
            let days = |name: &str| value.get(name).and_then(Value::as_i64);
            match (text(value, "/type"), days("renewalDays"), days("validityDays")) {
                ("tls", Some(renewal), Some(validity)) => renewal < validity,
                _ => true,
            }
        },
    ),
];

/// Whether `value` breaks `rule`.
pub(super) fn is_broken(rule: &str, value: &Value) -> bool {
    RULES.iter().any(|(known, holds)| *known == rule && !holds(value))
}

#[cfg(test)]
pub(super) fn is_known(rule: &str) -> bool {
    RULES.iter().any(|(known, _)| *known == rule)
}

fn has(value: &Value, name: &str) -> bool {
    value.get(name).is_some()
}

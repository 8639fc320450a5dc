use serde_json::json;

use super::*;
use crate::kinds::{DEPLOYMENT, KAFKA, KAFKA_TOPIC, KAFKA_USER, KINDS, POD};

fn admit(kind: &'static Kind, version: &str, mut object: Value) -> (Value, Findings) {
    let mut findings = Findings::default();
    of(kind, version).admit(&mut object, "", &mut findings);
    (object, findings)
}

fn causes(findings: &Findings) -> Vec<String> {
    findings.causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

fn topic(spec: Value) -> Value {
    json!({ "apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic", "metadata": { "name": "t" }, "spec": spec })
}

#[test]
fn every_kind_has_a_schema_of_an_object() {
    for kind in KINDS.iter().filter(|kind| kind.writable) {
        for version in kind.versions {
            assert!(matches!(of(kind, version).shape, Shape::Object { .. }), "{} {version}", kind.kind);
        }
    }
}

#[test]
fn every_pattern_compiles_and_every_rule_is_known() {
    fn walk(value: &Value, patterns: &mut Vec<String>, rules: &mut Vec<String>) {
        if let Some(pattern) = value.get("pattern").and_then(Value::as_str) {
            patterns.push(pattern.to_owned());
        }
        for rule in crate::object::list(value, "/x-kubernetes-validations") {
            rules.push(crate::object::text(rule, "/rule").to_owned());
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|field| walk(field, patterns, rules)),
            Value::Array(items) => items.iter().for_each(|item| walk(item, patterns, rules)),
            _ => {}
        }
    }
    let (mut patterns, mut rules) = (Vec::new(), Vec::new());
    for definition in strimzi::DEFINITIONS {
        walk(&definition.to_value(), &mut patterns, &mut rules);
    }
    assert!(patterns.len() > 20 && rules.len() > 5, "{} patterns, {} rules", patterns.len(), rules.len());
    for pattern in patterns {
        assert!(regex_lite::Regex::new(&pattern).is_ok(), "{pattern}");
    }
    for rule in rules {
        assert!(rules::is_known(&rule), "not implemented: {rule}");
    }
}

#[test]
fn wrong_values_are_reported_with_their_paths() {
    let (_, findings) = admit(&KAFKA_TOPIC, "v1", topic(json!({ "partitions": 0, "replicas": "x" })));
    assert_eq!(
        causes(&findings),
        [
            "spec.partitions: Invalid value: 0: spec.partitions in body should be greater than or equal to 1",
            "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
        ]
    );
}

#[test]
fn unknown_fields_are_pruned_and_named() {
    let (object, findings) = admit(&KAFKA_TOPIC, "v1", topic(json!({ "partitions": 1, "partition": 2 })));
    assert_eq!(findings.unknown, ["spec.partition"]);
    assert_eq!(object["spec"], json!({ "partitions": 1 }));
    assert!(findings.causes.is_empty());
}

#[test]
fn free_form_fields_keep_everything() {
    let config = json!({ "retention.ms": 7_200_000, "segment.bytes": 1, "x": { "y": [1] } });
    let (object, findings) = admit(&KAFKA_TOPIC, "v1beta2", topic(json!({ "config": config })));
    assert!(findings.unknown.is_empty() && findings.causes.is_empty(), "{findings:?}");
    assert_eq!(object["spec"]["config"], config);
}

#[test]
fn a_zookeeper_block_is_legal_in_v1beta2_and_unknown_in_v1() {
    let storage = json!({ "type": "ephemeral" });
    let zookeeper = json!({ "replicas": 1, "storage": storage });
    let kafka = json!({
        "apiVersion": "", "kind": "Kafka", "metadata": { "name": "k" },
        "spec": { "kafka": { "listeners": [{ "name": "plain", "port": 9092, "type": "internal", "tls": false }] },
                  "zookeeper": zookeeper },
    });
    assert!(admit(&KAFKA, "v1beta2", kafka.clone()).1.unknown.is_empty());
    assert_eq!(admit(&KAFKA, "v1", kafka).1.unknown, ["spec.zookeeper"]);
}

#[test]
fn rules_between_fields_hold() {
    let user = |validity: i64| {
        json!({ "metadata": { "name": "u" }, "spec": { "authentication":
            { "type": "tls", "renewalDays": 30, "validityDays": validity } } })
    };
    assert!(admit(&KAFKA_USER, "v1", user(60)).1.causes.is_empty());
    let (_, findings) = admit(&KAFKA_USER, "v1", user(20));
    assert_eq!(findings.causes.len(), 1, "{findings:?}");
    assert!(findings.causes[0].message.contains("must be less than"), "{findings:?}");
}

#[test]
fn one_of_takes_exactly_one_branch() {
    let volume = |source: Value| {
        json!({ "metadata": { "name": "k" }, "spec": { "kafka": { "listeners": [
            { "name": "plain", "port": 9092, "type": "internal", "tls": false }],
            "template": { "kafkaContainer": { "env": [{ "name": "A", "valueFrom": source }] } } } } })
    };
    let secret = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    assert!(admit(&KAFKA, "v1", volume(secret.clone())).1.causes.is_empty());
    let mut both = secret;
    both["configMapKeyRef"] = json!({ "name": "c", "key": "k" });
    let (_, findings) = admit(&KAFKA, "v1", volume(both));
    assert!(findings.causes.iter().any(|cause| cause.message.contains("oneOf")), "{findings:?}");
}

#[test]
fn built_in_defaults_are_set_and_nulls_dropped() {
    let deployment = json!({
        "metadata": { "name": "d", "creationTimestamp": null },
        "spec": { "selector": {}, "template": { "spec": { "containers": [
            { "name": "c", "image": "i", "livenessProbe": { "httpGet": { "port": 80 } } }] } } },
    });
    let (object, findings) = admit(&DEPLOYMENT, "v1", deployment);
    assert!(findings.causes.is_empty(), "{findings:?}");
    assert_eq!(object["spec"]["replicas"], 1);
    assert_eq!(object["spec"]["strategy"]["type"], "RollingUpdate");
    let probe = &object["spec"]["template"]["spec"]["containers"][0]["livenessProbe"];
    assert_eq!((&probe["periodSeconds"], &probe["httpGet"]["path"]), (&json!(10), &json!("/")));
    assert!(object["metadata"].get("creationTimestamp").is_none());
}

#[test]
fn list_entries_are_addressed_by_index() {
    let pod = json!({ "metadata": {}, "spec": { "containers": [{ "name": "a" }, { "nam": "b" }] } });
    let (_, findings) = admit(&POD, "v1", pod);
    assert_eq!(findings.unknown, ["spec.containers[1].nam"]);
    assert_eq!(causes(&findings), ["spec.containers[1].name: Required value"]);
}

#[test]
fn an_empty_list_is_too_short_where_one_entry_is_needed() {
    let pod = json!({ "metadata": {}, "spec": { "containers": [] } });
    let (_, findings) = admit(&POD, "v1", pod);
    assert_eq!(
        causes(&findings),
        ["spec.containers: Invalid value: 0: spec.containers in body should have at least 1 items"]
    );
}

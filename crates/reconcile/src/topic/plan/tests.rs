//! What a KafkaTopic asks for, and in which words it is refused.

use super::*;
use serde_json::json;

fn topic(spec: serde_json::Value) -> KafkaTopic {
    serde_json::from_value(json!({"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "KafkaTopic",
        "metadata": {"name": "manual"}, "spec": spec}))
    .unwrap()
}

fn live(replicas: &[usize], config: &[(&str, &str)]) -> LiveTopic {
    let config = config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    LiveTopic { id: "id".into(), replicas: replicas.to_vec(), config }
}

#[track_caller]
fn check_refused(spec: serde_json::Value, live: &LiveTopic, message: &str) {
    let Ok(Plan::Alter { refusal: Some(refusal), partitions: None, .. }) = plan(&topic(spec), Some(live)) else {
        panic!("not refused")
    };
    assert_eq!((refusal.reason, refusal.message.as_str()), ("NotSupported", message));
}

#[test]
fn a_missing_topic_is_created_with_what_the_resource_says() {
    let topic = topic(json!({"partitions": 1, "replicas": 1, "config": {"retention.ms": 7_200_000, "x": true}}));
    let config = [("retention.ms".into(), "7200000".into()), ("x".into(), "true".into())].into();
    assert_eq!(plan(&topic, None), Ok(Plan::Create { partitions: 1, replicas: 1, config }));
}

#[test]
fn what_the_resource_leaves_open_is_the_brokers_default() {
    let created = plan(&topic(json!({})), None);
    assert_eq!(created, Ok(Plan::Create { partitions: -1, replicas: -1, config: BTreeMap::new() }));
}

#[test]
fn a_topic_that_is_as_it_should_be_needs_nothing() {
    let topic = topic(json!({"partitions": 2, "replicas": 1, "config": {"retention.ms": "5"}}));
    let plan = plan(&topic, Some(&live(&[1, 1], &[("retention.ms", "5")])));
    assert_eq!(plan, Ok(Plan::Alter { partitions: None, set: BTreeMap::new(), reset: vec![], refusal: None }));
}

#[test]
fn drifted_config_is_set_back_and_foreign_config_is_reset() {
    let topic = topic(json!({"config": {"retention.ms": 5}}));
    let Ok(Plan::Alter { set, reset, .. }) =
        plan(&topic, Some(&live(&[1], &[("retention.ms", "9"), ("segment.ms", "1")])))
    else {
        panic!("altered")
    };
    assert_eq!(set, [("retention.ms".to_owned(), "5".to_owned())].into());
    assert_eq!(reset, ["segment.ms"]);
}

#[test]
fn partitions_grow_and_never_shrink() {
    let grown = plan(&topic(json!({"partitions": 3})), Some(&live(&[1], &[])));
    assert!(matches!(grown, Ok(Plan::Alter { partitions: Some(3), refusal: None, .. })));
    check_refused(json!({"partitions": 1}), &live(&[1, 1], &[]), "Decreasing partitions not supported");
}

#[test]
fn a_change_of_replicas_names_the_partitions_that_would_need_it() {
    let message = "Replication factor change not supported, but required for partitions [0, 1]";
    check_refused(json!({"replicas": 2}), &live(&[1, 1], &[]), message);
}

#[test]
fn fewer_partitions_are_refused_before_other_replicas() {
    check_refused(json!({"partitions": 1, "replicas": 1}), &live(&[3, 3], &[]), "Decreasing partitions not supported");
}

#[test]
fn a_renamed_topic_is_refused() {
    let mut topic = topic(json!({"topicName": "new"}));
    topic.status = Some(serde_json::from_value(json!({"topicName": "old"})).unwrap());
    assert_eq!(plan(&topic, None), Err(Refusal::not_supported("Changing spec.topicName is not supported")));
}

#[test]
fn the_oldest_resource_holds_a_topic_that_several_name() {
    let named = |name: &str, time: &str| {
        let mut topic = topic(json!({"topicName": "t"}));
        topic.metadata.name = Some(name.into());
        topic.metadata.creation_timestamp = Some(serde_json::from_value(json!(time)).unwrap());
        topic
    };
    let topics =
        [named("a", "2026-01-02T00:00:00Z"), named("b", "2026-01-01T00:00:00Z"), named("c", "2026-01-01T00:00:00Z")];
    assert_eq!(holder(&topics, "t").unwrap().name_any(), "b");
    assert!(holder(&topics, "other").is_none());
}

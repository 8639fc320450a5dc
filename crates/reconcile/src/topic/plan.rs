//! What a KafkaTopic asks of the topic that Kafka has: pure comparison, no I/O. The words of its refusals are Strimzi's.

use std::collections::BTreeMap;

use kube::ResourceExt as _;

use crate::strimzi::{KafkaTopic, MANAGED_ANNOTATION, PAUSE_ANNOTATION, config_text};

/// Kafka's sign for "the broker's default", for partitions and replicas.
pub(super) const BROKER_DEFAULT: i16 = -1;

/// A topic as Kafka describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LiveTopic {
    /// Kafka's topic id in its text form.
    pub id: String,
    /// Replicas of each partition, by partition.
    pub replicas: Vec<usize>,
    /// Configuration that was set on the topic itself; defaults are not in it.
    pub config: BTreeMap<String, String>,
}

/// What has to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// The topic does not exist.
    Create {
        /// Partitions or the broker's default.
        partitions: i32,
        /// Replicas or the broker's default.
        replicas: i16,
        /// Configuration as text.
        config: BTreeMap<String, String>,
    },
    /// The topic exists; what is empty needs nothing.
    Alter {
        /// More partitions, all in all.
        partitions: Option<i32>,
        /// Configuration to set.
        set: BTreeMap<String, String>,
        /// Configuration to give back to its default.
        reset: Vec<String>,
        /// What cannot be done; the rest is done all the same.
        refusal: Option<Refusal>,
    },
}

/// Why a topic is not what its resource says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    /// One word: `NotSupported`, `ResourceConflict`, `KafkaError`.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

impl Refusal {
    /// Kafka or Strimzi has no way to do it.
    pub(crate) fn not_supported(message: impl Into<String>) -> Self {
        Self { reason: "NotSupported", message: message.into() }
    }

    /// Kafka answered with an error.
    pub(crate) fn kafka_error(message: impl Into<String>) -> Self {
        Self { reason: "KafkaError", message: message.into() }
    }
}

/// The topic's name in Kafka.
pub(crate) fn topic_name(topic: &KafkaTopic) -> String {
    topic.spec.topic_name.clone().unwrap_or_else(|| topic.name_any())
}

/// Whether the topic in Kafka is this resource's to change.
pub(crate) fn is_managed(topic: &KafkaTopic) -> bool {
    topic.annotations().get(MANAGED_ANNOTATION).is_none_or(|value| value != "false")
}

/// Whether the resource is to be left alone.
pub(crate) fn is_paused(topic: &KafkaTopic) -> bool {
    topic.annotations().get(PAUSE_ANNOTATION).is_some_and(|value| value == "true")
}

/// What has to be done so that Kafka has what the resource says.
///
/// # Errors
/// The topic's name changed after it was made.
pub(crate) fn plan(topic: &KafkaTopic, live: Option<&LiveTopic>) -> Result<Plan, Refusal> {
    let known = topic.status.as_ref().and_then(|status| status.topic_name.as_ref());
    if known.is_some_and(|known| *known != topic_name(topic)) {
        return Err(Refusal::not_supported("Changing spec.topicName is not supported"));
    }
    let config = wanted_config(topic)?;
    let Some(live) = live else {
        return Ok(Plan::Create {
            partitions: topic.spec.partitions.unwrap_or(BROKER_DEFAULT.into()),
            replicas: topic.spec.replicas.unwrap_or(BROKER_DEFAULT),
            config,
        });
    };
    let (partitions, refused) = partitions(topic, live);
    let set = config.iter().filter(|(key, value)| live.config.get(*key) != Some(value));
    Ok(Plan::Alter {
        partitions,
        set: set.map(|(key, value)| (key.clone(), value.clone())).collect(),
        reset: live.config.keys().filter(|key| !config.contains_key(*key)).cloned().collect(),
        refusal: refused.or_else(|| replicas_refusal(topic, live)),
    })
}

fn wanted_config(topic: &KafkaTopic) -> Result<BTreeMap<String, String>, Refusal> {
    let text = |(key, value): (&String, &serde_json::Value)| match config_text(value) {
        Some(value) => Ok((key.clone(), value)),
        None => Err(Refusal {
            reason: "InvalidResource",
            message: format!("spec.config.{key}: expected a string, a number or a boolean"),
        }),
    };
    topic.spec.config.iter().map(text).collect()
}

fn partitions(topic: &KafkaTopic, live: &LiveTopic) -> (Option<i32>, Option<Refusal>) {
    let now = i32::try_from(live.replicas.len()).unwrap_or(i32::MAX);
    match topic.spec.partitions {
        Some(wanted) if wanted > now => (Some(wanted), None),
        Some(wanted) if wanted < now && wanted != i32::from(BROKER_DEFAULT) => {
            (None, Some(Refusal::not_supported("Decreasing partitions not supported")))
        }
        _ => (None, None),
    }
}

fn replicas_refusal(topic: &KafkaTopic, live: &LiveTopic) -> Option<Refusal> {
    let wanted = usize::try_from(topic.spec.replicas?).ok()?;
    let different: Vec<usize> =
        (0..live.replicas.len()).filter(|partition| live.replicas[*partition] != wanted).collect();
    if different.is_empty() {
        return None;
    }
    let message = format!("Replication factor change not supported, but required for partitions {different:?}");
    Some(Refusal::not_supported(message))
}

/// The resource that a topic belongs to when several name it: the oldest, then the first by name, as each of them sees it.
pub(crate) fn holder<'t>(topics: &'t [KafkaTopic], name: &str) -> Option<&'t KafkaTopic> {
    let claims =
        topics.iter().filter(|t| topic_name(t) == name && is_managed(t) && t.metadata.deletion_timestamp.is_none());
    claims.min_by_key(|t| (t.metadata.creation_timestamp.as_ref().map(|time| time.0), t.name_any()))
}

#[cfg(test)]
mod tests {
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
        check_refused(
            json!({"partitions": 1, "replicas": 1}),
            &live(&[3, 3], &[]),
            "Decreasing partitions not supported",
        );
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
        let topics = [
            named("a", "2026-01-02T00:00:00Z"),
            named("b", "2026-01-01T00:00:00Z"),
            named("c", "2026-01-01T00:00:00Z"),
        ];
        assert_eq!(holder(&topics, "t").unwrap().name_any(), "b");
        assert!(holder(&topics, "other").is_none());
    }
}

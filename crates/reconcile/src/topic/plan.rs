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
mod tests;

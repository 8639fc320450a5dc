//! `TopicPartition`: a partition by name, printed as Kafka does.

use std::fmt;
use std::sync::Arc;

/// A partition of a topic. Cloning shares the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Partitions gathered by topic, as requests list them; the order of first appearance is kept.
pub(crate) fn by_topic<T>(
    partitions: impl IntoIterator<Item = (TopicPartition, T)>,
) -> indexmap::IndexMap<Arc<str>, Vec<(i32, T)>> {
    let mut topics: indexmap::IndexMap<Arc<str>, Vec<(i32, T)>> = indexmap::IndexMap::new();
    for (partition, value) in partitions {
        topics.entry(partition.topic).or_default().push((partition.partition, value));
    }
    topics
}

//! Topics that go. The write is durable before storage hears of it and removes the data.

use std::collections::HashSet;
use std::sync::Arc;

use millstream_model::TopicId;

use super::image::{Image, Topic};
use super::{Catalog, record};
use crate::store::{StoreError, Write};

/// A topic, by whichever way the request names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TopicSelector {
    Name(String),
    Id(TopicId),
}

/// Why a topic was not deleted; the messages are Kafka's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeleteTopicError {
    #[error("This server does not host this topic-partition.")]
    UnknownName,
    #[error("This server does not host this topic ID.")]
    UnknownId,
}

impl Catalog {
    /// Deletes the topics that are there, in one durable write, and answers each as it was. A topic that is named
    /// twice is deleted once.
    pub async fn delete_topics(
        &self,
        topics: &[TopicSelector],
    ) -> Result<Vec<Result<Arc<Topic>, DeleteTopicError>>, StoreError> {
        let (results, _) = self.change(|image, _| plan(image, topics)).await?;
        Ok(results)
    }
}

fn plan(image: &Image, topics: &[TopicSelector]) -> (Write, Vec<Result<Arc<Topic>, DeleteTopicError>>) {
    let mut write = Write::default();
    let find = |selector: &TopicSelector| match selector {
        TopicSelector::Name(name) => image.topic(name).cloned().ok_or(DeleteTopicError::UnknownName),
        TopicSelector::Id(id) => image.topic_by_id(*id).cloned().ok_or(DeleteTopicError::UnknownId),
    };
    let found: Vec<_> = topics.iter().map(find).collect();
    let mut deleted = HashSet::new();
    for topic in found.iter().flatten() {
        if deleted.insert(topic.id) {
            let key = record::topic_key(&topic.name);
            write.expect(key.clone(), Some(topic.revision));
            write.delete(key);
        }
    }
    (write, found)
}

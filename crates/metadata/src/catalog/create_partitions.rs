//! More partitions for topics that exist.

use std::collections::HashMap;

use millstream_model::BrokerId;

use super::image::{Image, Partition, Topic};
use super::record::{self, TopicRecord};
use super::{AssignmentError, Catalog, PARTITIONS_PER_REQUEST_MAX, placement};
use crate::store::{StoreError, Write};

/// What a topic shall grow to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewPartitions {
    pub topic: String,
    /// Partitions in all.
    pub count: i32,
    /// Replicas of each new partition; `None` to leave that to the catalog.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Why a topic did not grow; the messages are Kafka's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CreatePartitionsError {
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    #[error("Duplicate topic name.")]
    Duplicate,
    #[error("Topic already has {0} partition(s).")]
    Same(usize),
    #[error("The topic {topic} currently has {current} partition(s); {asked} would not be an increase.")]
    Fewer { topic: String, current: usize, asked: i32 },
    #[error("Excessively large number of additional partitions per request.")]
    TooMany,
    #[error(
        "Unable to replicate the partition {asked} time(s): The target replication factor of {asked} cannot be \
         reached because only {brokers} broker(s) are registered or some brokers have all their log directories \
         cordoned."
    )]
    TooFewBrokers { asked: usize, brokers: usize },
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
}

impl Catalog {
    /// Adds partitions to the topics that can take them, in one durable write. With `validate_only` nothing is added.
    pub async fn create_partitions(
        &self,
        topics: &[NewPartitions],
        validate_only: bool,
    ) -> Result<Vec<Result<(), CreatePartitionsError>>, StoreError> {
        let (results, _) = self.change(|image, _| plan(image, topics, validate_only)).await?;
        Ok(results)
    }
}

fn plan(
    image: &Image,
    topics: &[NewPartitions],
    validate_only: bool,
) -> (Write, Vec<Result<(), CreatePartitionsError>>) {
    let mut write = Write::default();
    let mut results = Vec::with_capacity(topics.len());
    let mut added = 0;
    let mut named: HashMap<&str, usize> = HashMap::new();
    for new in topics {
        *named.entry(&new.topic).or_default() += 1;
    }
    for new in topics {
        let grown = if named[new.topic.as_str()] > 1 {
            Err(CreatePartitionsError::Duplicate)
        } else {
            grow(image, new, &mut added)
        };
        results.push(grown.map(|(topic, partitions)| {
            let key = record::topic_key(&topic.name);
            write.expect(key.clone(), Some(topic.revision));
            write.put(key, record::encode(&TopicRecord::new(topic.id, &partitions, &topic.configs)));
        }));
    }
    if validate_only { (Write::default(), results) } else { (write, results) }
}

/// The topic, and all its partitions when it has grown.
fn grow<'a>(
    image: &'a Image,
    new: &NewPartitions,
    added: &mut usize,
) -> Result<(&'a Topic, Vec<Partition>), CreatePartitionsError> {
    let topic = image.topic(&new.topic).ok_or(CreatePartitionsError::UnknownTopic)?;
    let current = topic.partitions.len();
    let asked = usize::try_from(new.count).unwrap_or(0);
    if asked == current {
        return Err(CreatePartitionsError::Same(current));
    }
    let Some(additional) = asked.checked_sub(current) else {
        return Err(CreatePartitionsError::Fewer { topic: new.topic.clone(), current, asked: new.count });
    };
    *added += additional;
    if *added > PARTITIONS_PER_REQUEST_MAX {
        return Err(CreatePartitionsError::TooMany);
    }
    let (brokers, factor) = (image.brokers(), topic.replication_factor());
    let mut partitions = topic.partitions.clone();
    match &new.assignments {
        Some(assignments) if assignments.len() != additional => {
            return Err(AssignmentError::Count { expected: additional, found: assignments.len() }.into());
        }
        Some(assignments) => {
            for replicas in assignments {
                partitions.push(placement::assigned(brokers, replicas, Some(factor))?);
            }
        }
        None if factor > brokers.len() => {
            return Err(CreatePartitionsError::TooFewBrokers { asked: factor, brokers: brokers.len() });
        }
        None => {
            // Go on in the round where the topic's last partition stands.
            let last = topic.partitions.last().map(|partition| partition.leader);
            let place = last.and_then(|last| brokers.iter().position(|broker| *broker == last));
            partitions.extend(placement::place(brokers, place.map_or(0, |place| place + 1), additional, factor));
        }
    }
    Ok((topic, partitions))
}

//! New topics: checked as Kafka's controller checks them, in its order and with its messages.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_model::{BrokerId, PartitionIndex, TopicId};

use super::alter_configs::{AlterConfigsError, check_topic_configs};
use super::image::{Image, Partition, Topic};
use super::record::{self, TopicRecord};
use super::topic_name::{has_metric_name, metric_name};
use super::{
    AssignmentError, Catalog, InvalidTopicNameError, NewUuid, PARTITIONS_PER_REQUEST_MAX, placement, random_id,
    topic_name,
};
use crate::configs::{ConfigValue, Overrides, broker};
use crate::store::{StoreError, Write};

/// The topic under which Kafka keeps its own metadata, and which nobody may make.
const CLUSTER_METADATA: &str = "__cluster_metadata";

/// A topic to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewTopic {
    pub name: String,
    /// -1 for the broker's `num.partitions`, or when assigned.
    pub partitions: i32,
    /// -1 for the broker's `default.replication.factor`, or when assigned.
    pub replication_factor: i16,
    /// Replicas by partition; empty to leave that to the catalog.
    pub assignments: Vec<(PartitionIndex, Vec<BrokerId>)>,
    pub configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: -1, replication_factor: -1, ..Self::default() }
    }
}

/// A topic that was made, or, when only validated, would be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    pub topic: Arc<Topic>,
}

/// Why a topic was not made; the messages are Kafka's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CreateTopicError {
    #[error(transparent)]
    Name(#[from] InvalidTopicNameError),
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collision { name: String, existing: String },
    #[error("Topic '{0}' already exists.")]
    Exists(String),
    #[error("Creation of internal topic {CLUSTER_METADATA} is prohibited.")]
    Prohibited,
    #[error("Duplicate topic name.")]
    Duplicate,
    #[error("A manual partition assignment was specified, but replication factor was not set to -1.")]
    AssignmentAndReplicationFactor,
    #[error("A manual partition assignment was specified, but numPartitions was not set to -1.")]
    AssignmentAndPartitions,
    #[error("Number of partitions was set to an invalid non-positive value.")]
    Partitions,
    #[error("Excessively large number of partitions per request.")]
    TooManyPartitions,
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    ReplicationFactor,
    #[error(
        "Unable to replicate the partition {asked} time(s): The target replication factor of {asked} cannot be \
         reached because only {brokers} broker(s) are registered or some brokers have all their log directories \
         cordoned."
    )]
    TooFewBrokers { asked: i16, brokers: usize },
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    #[error(transparent)]
    Config(#[from] AlterConfigsError),
}

impl Catalog {
    /// Makes the topics that can be made, in one durable write, and says of each what became of it. `receiver` is the
    /// broker whose configs give the defaults. With `validate_only` nothing is made.
    pub async fn create_topics(
        &self,
        receiver: BrokerId,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<Result<CreatedTopic, CreateTopicError>>, StoreError> {
        let (planned, image) =
            self.change(|image, new_uuid| plan(image, new_uuid, receiver, topics, validate_only)).await?;
        let shown = |created: CreatedTopic| match image.topic_by_id(created.topic.id) {
            Some(topic) => CreatedTopic { topic: Arc::clone(topic) },
            None => created,
        };
        Ok(planned.into_iter().map(|result| result.map(shown)).collect())
    }
}

type Planned = Vec<Result<CreatedTopic, CreateTopicError>>;

fn plan(
    image: &Image,
    new_uuid: &mut NewUuid,
    receiver: BrokerId,
    topics: &[NewTopic],
    validate_only: bool,
) -> (Write, Planned) {
    let mut planner = Planner::new(image, receiver, topics);
    let mut results: Planned = Vec::with_capacity(topics.len());
    let mut write = Write::default();
    let mut named: HashMap<&str, usize> = HashMap::new();
    for new in topics {
        *named.entry(&new.name).or_default() += 1;
    }
    for new in topics {
        let result =
            if named[new.name.as_str()] > 1 { Err(CreateTopicError::Duplicate) } else { planner.topic(new, new_uuid) };
        results.push(result.map(|topic| CreatedTopic { topic: Arc::new(topic) }));
    }
    if planner.partitions > PARTITIONS_PER_REQUEST_MAX {
        return (write, topics.iter().map(|_| Err(CreateTopicError::TooManyPartitions)).collect());
    }
    if !validate_only {
        for CreatedTopic { topic } in results.iter().flatten() {
            let key = record::topic_key(&topic.name);
            write.expect(key.clone(), None);
            write.put(key, record::encode(&TopicRecord::new(topic.id, &topic.partitions, &topic.configs)));
        }
    }
    (write, results)
}

/// Plans the topics of one request, one after the other.
struct Planner<'a> {
    image: &'a Image,
    receiver: BrokerId,
    /// Names whose metrics might be another's, by the metrics' name. Empty when the request has no such name.
    metric_names: HashMap<String, &'a str>,
    /// Partitions placed so far in this request.
    partitions: usize,
    /// Where the next leader stands in the round over the brokers.
    next_leader: usize,
}

impl<'a> Planner<'a> {
    fn new(image: &'a Image, receiver: BrokerId, topics: &[NewTopic]) -> Self {
        let mut metric_names = HashMap::new();
        if topics.iter().any(|new| has_metric_name(&new.name)) {
            let names = image.topics().map(|topic| topic.name.as_ref()).filter(|name| has_metric_name(name));
            metric_names.extend(names.map(|name| (metric_name(name), name)));
        }
        Self { image, receiver, metric_names, partitions: 0, next_leader: image.partition_count() }
    }

    fn topic(&mut self, new: &'a NewTopic, new_uuid: &mut NewUuid) -> Result<Topic, CreateTopicError> {
        if new.name == CLUSTER_METADATA {
            return Err(CreateTopicError::Prohibited);
        }
        if self.image.topic(&new.name).is_some() {
            return Err(CreateTopicError::Exists(new.name.clone()));
        }
        topic_name::validate_topic_name(&new.name)?;
        if has_metric_name(&new.name)
            && let Some(existing) = self.metric_names.get(&metric_name(&new.name))
        {
            return Err(CreateTopicError::Collision { name: new.name.clone(), existing: (*existing).to_owned() });
        }
        let configs = self.configs(new)?;
        let partitions = self.partitions_of(new)?;
        if has_metric_name(&new.name) {
            self.metric_names.insert(metric_name(&new.name), &new.name);
        }
        let id: TopicId = random_id(new_uuid);
        let name = new.name.as_str().into();
        Ok(Topic { name, id, partitions, configs, revision: self.image.revision() })
    }

    fn configs(&self, new: &NewTopic) -> Result<Overrides, CreateTopicError> {
        let nulls: Vec<&str> =
            new.configs.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
        if !nulls.is_empty() {
            let message = format!("Null value not supported for topic configs: {}", nulls.join(","));
            return Err(AlterConfigsError::InvalidConfig(message).into());
        }
        let configs: Overrides =
            new.configs.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
        check_topic_configs(&configs)?;
        Ok(configs)
    }

    fn partitions_of(&mut self, new: &NewTopic) -> Result<Vec<Partition>, CreateTopicError> {
        let brokers = self.image.brokers();
        let partitions = if new.assignments.is_empty() {
            let (count, replication_factor) = self.counts(new)?;
            self.partitions += count;
            if self.partitions > PARTITIONS_PER_REQUEST_MAX {
                return Err(CreateTopicError::TooManyPartitions);
            }
            let partitions = placement::place(brokers, self.next_leader, count, replication_factor);
            self.next_leader += count;
            partitions
        } else {
            if new.replication_factor != -1 {
                return Err(CreateTopicError::AssignmentAndReplicationFactor);
            }
            if new.partitions != -1 {
                return Err(CreateTopicError::AssignmentAndPartitions);
            }
            self.partitions += new.assignments.len();
            placement::assigned_topic(brokers, &new.assignments)?
        };
        Ok(partitions)
    }

    /// Partitions and replicas of a topic that is not assigned by hand.
    fn counts(&self, new: &NewTopic) -> Result<(usize, usize), CreateTopicError> {
        if new.replication_factor < -1 || new.replication_factor == 0 {
            return Err(CreateTopicError::ReplicationFactor);
        }
        let asked_partitions = match new.partitions {
            -1 => self.default("num.partitions"),
            partitions => i64::from(partitions),
        };
        let partitions = usize::try_from(asked_partitions).ok().filter(|count| *count > 0);
        let partitions = partitions.ok_or(CreateTopicError::Partitions)?;
        let asked = match new.replication_factor {
            -1 => i16::try_from(self.default("default.replication.factor")).unwrap_or(i16::MAX),
            factor => factor,
        };
        let brokers = self.image.brokers().len();
        let factor = usize::try_from(asked).ok().filter(|factor| (1..=brokers).contains(factor));
        Ok((partitions, factor.ok_or(CreateTopicError::TooFewBrokers { asked, brokers })?))
    }

    fn default(&self, name: &str) -> i64 {
        let key = broker::key(name).expect("the config is in the table");
        match self.image.broker_layers(self.receiver).broker_value(key) {
            Some(ConfigValue::Number(number)) => number,
            other => unreachable!("{name} is a number with a default, not {other:?}"),
        }
    }
}

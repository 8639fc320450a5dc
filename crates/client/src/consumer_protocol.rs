//! What members of a consumer group say inside JoinGroup and SyncGroup: a version, then Kafka's `ConsumerProtocol` messages.

use bytes::Bytes;
use millstream_model::consumer_protocol::{
    AssignmentTopicPartition, ConsumerProtocolAssignment, ConsumerProtocolSubscription, SubscriptionTopicPartition,
};
use millstream_model::wire::{Decode, DecodeError, Decoder, Encode, Encoder, Message};

use crate::TopicPartition;
use crate::topic_partition::by_topic;

/// Versions from 1 on tell the owned partitions, from 2 on the generation in which they were got (KIP-792).
const SUBSCRIPTION_VERSION: i16 = 2;
const ASSIGNMENT_VERSION: i16 = 0;

/// One member's wishes, as its group's leader reads them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Subscription {
    pub(crate) topics: Vec<String>,
    pub(crate) owned: Vec<TopicPartition>,
    /// Generation of `owned`; -1 when unknown.
    pub(crate) generation: i32,
}

pub(crate) fn encode_subscription(subscription: &Subscription) -> Bytes {
    let owned = by_topic(subscription.owned.iter().map(|partition| (partition.clone(), ())));
    let owned = owned.into_iter().map(|(topic, partitions)| SubscriptionTopicPartition {
        topic: topic.to_string(),
        partitions: partitions.into_iter().map(|(partition, ())| partition).collect(),
    });
    let message = ConsumerProtocolSubscription {
        topics: subscription.topics.clone(),
        owned_partitions: owned.collect(),
        generation_id: subscription.generation,
        ..Default::default()
    };
    encode(&message, SUBSCRIPTION_VERSION)
}

pub(crate) fn decode_subscription(bytes: Bytes) -> Result<Subscription, DecodeError> {
    let message: ConsumerProtocolSubscription = decode(bytes)?;
    let owned = message.owned_partitions.iter().map(|topic| (topic.topic.as_str(), &topic.partitions[..]));
    Ok(Subscription { owned: flat(owned), topics: message.topics, generation: message.generation_id })
}

pub(crate) fn encode_assignment(partitions: &[TopicPartition]) -> Bytes {
    let topics = by_topic(partitions.iter().map(|partition| (partition.clone(), ())));
    let topics = topics.into_iter().map(|(topic, partitions)| AssignmentTopicPartition {
        topic: topic.to_string(),
        partitions: partitions.into_iter().map(|(partition, ())| partition).collect(),
    });
    let message = ConsumerProtocolAssignment { assigned_partitions: topics.collect(), user_data: None };
    encode(&message, ASSIGNMENT_VERSION)
}

/// Partitions that a member got; no bytes mean none.
pub(crate) fn decode_assignment(bytes: Bytes) -> Result<Vec<TopicPartition>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let message: ConsumerProtocolAssignment = decode(bytes)?;
    Ok(flat(message.assigned_partitions.iter().map(|topic| (topic.topic.as_str(), &topic.partitions[..]))))
}

fn flat<'a>(topics: impl Iterator<Item = (&'a str, &'a [i32])>) -> Vec<TopicPartition> {
    let topics = topics.map(|(topic, partitions)| (std::sync::Arc::<str>::from(topic), partitions));
    topics.flat_map(|(topic, all)| all.iter().map(move |one| TopicPartition::new(topic.clone(), *one))).collect()
}

fn encode(message: &impl Encode, version: i16) -> Bytes {
    let mut encoder = Encoder::new();
    encoder.i16(version);
    message.encode(&mut encoder, version).expect("every field exists in the version that is written");
    encoder.into_bytes()
}

/// A newer version begins as the newest known one does, so it is read as that one.
fn decode<T: Decode + Message>(bytes: Bytes) -> Result<T, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    let version = decoder.i16()?.min(*T::VERSIONS.end());
    T::decode(&mut decoder, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let owned = vec![TopicPartition::new("a", 1), TopicPartition::new("a", 0), TopicPartition::new("b", 7)];
        let wanted = Subscription { topics: vec!["a".to_owned(), "b".to_owned()], owned: owned.clone(), generation: 4 };
        assert_eq!(decode_subscription(encode_subscription(&wanted)).unwrap(), wanted);
        assert_eq!(decode_assignment(encode_assignment(&owned)).unwrap(), owned);
        assert_eq!(decode_assignment(Bytes::new()).unwrap(), []);
    }

    #[test]
    fn a_newer_version_is_read_as_far_as_it_is_known() {
        let mut bytes = encode_assignment(&[TopicPartition::new("a", 1)]).to_vec();
        bytes[1] = 9;
        bytes.extend_from_slice(b"more");
        assert_eq!(decode_assignment(bytes.into()).unwrap(), [TopicPartition::new("a", 1)]);
    }
}

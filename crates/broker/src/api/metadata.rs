//! Metadata (3), versions 0–13: nodes, topics, partitions and their leaders. Topics by id from version 10 (KIP-516).
//!
//! Asking for a topic that is not there makes it, where `auto.create.topics.enable` and the request (from version 4)
//! allow it.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use millstream_metadata::catalog::{CreateTopicError, Image, Topic, validate_topic_name};
use millstream_model::TopicId;
use millstream_protocol::ErrorCode;
use millstream_protocol::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};

use super::Call;
use super::create_topics::create_error;
use super::operations::{CLUSTER_OPERATIONS, TOPIC_OPERATIONS};
use crate::Broker;
use crate::topic_settings::is_internal;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=13;

/// Version in which an empty list still means every topic.
const EMPTY_MEANS_ALL: i16 = 0;
/// First version whose request says whether topics may be made.
const AUTO_CREATION_FROM: i16 = 4;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: MetadataRequest) -> MetadataResponse {
    let may_create = call.version() < AUTO_CREATION_FROM || request.allow_auto_topic_creation;
    let mut topics = match request.topics {
        None => all_topics(broker),
        Some(asked) if asked.is_empty() && call.version() == EMPTY_MEANS_ALL => all_topics(broker),
        Some(asked) => asked_topics(broker, call, asked, may_create).await,
    };
    if request.include_topic_authorized_operations {
        for topic in topics.iter_mut().filter(|topic| topic.error_code == ErrorCode::None.code()) {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    let nodes = broker.nodes();
    let brokers = nodes.reachable(&call.peer).map(|node| MetadataResponseBroker {
        node_id: node.id.0,
        host: node.host,
        port: node.port,
        rack: node.rack,
    });
    let mut response = MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some(broker.cluster_id().to_owned()),
        controller_id: nodes.controller().0,
        topics,
        ..MetadataResponse::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

fn all_topics(broker: &Broker) -> Vec<MetadataResponseTopic> {
    let image = broker.image();
    image.topics().map(|topic| described(broker, &image, topic)).collect()
}

async fn asked_topics(
    broker: &Broker,
    call: &Call,
    asked: Vec<MetadataRequestTopic>,
    may_create: bool,
) -> Vec<MetadataResponseTopic> {
    let missing = missing_names(&broker.image(), &asked);
    let refusals: HashMap<String, CreateTopicError> = if may_create && broker.settings().auto_create_topics && !missing.is_empty() {
        broker.auto_create(call.node(), missing).await
    } else {
        HashMap::new()
    };
    let image = broker.image();
    let answers = asked.into_iter().map(|asked| {
        let topic_id = TopicId(asked.topic_id);
        match asked.name {
            None => match image.topic_by_id(topic_id) {
                Some(topic) => described(broker, &image, topic),
                None => MetadataResponseTopic {
                    error_code: ErrorCode::UnknownTopicId.code(),
                    topic_id: topic_id.0,
                    ..MetadataResponseTopic::default()
                },
            },
            Some(name) => match image.topic(&name) {
                Some(topic) => described(broker, &image, topic),
                None => {
                    let code = match refusals.get(&name) {
                        Some(error) => create_error(error),
                        None if validate_topic_name(&name).is_err() => ErrorCode::InvalidTopicException,
                        None => ErrorCode::UnknownTopicOrPartition,
                    };
                    MetadataResponseTopic { error_code: code.code(), name: Some(name), ..MetadataResponseTopic::default() }
                }
            },
        }
    });
    answers.collect()
}

/// Each once, in the order of the names.
fn missing_names(image: &Image, asked: &[MetadataRequestTopic]) -> BTreeSet<String> {
    let names = asked.iter().filter_map(|topic| topic.name.as_ref());
    names.filter(|name| image.topic(name).is_none()).cloned().collect()
}

fn described(broker: &Broker, image: &Image, topic: &Topic) -> MetadataResponseTopic {
    let partitions = broker.shown_partitions(image, topic).map(|partition| MetadataResponsePartition {
        partition_index: partition.index,
        leader_id: partition.leader,
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replicas,
        isr_nodes: partition.in_sync,
        offline_replicas: partition.offline,
        ..MetadataResponsePartition::default()
    });
    MetadataResponseTopic {
        name: Some(topic.name.to_string()),
        topic_id: topic.id.0,
        is_internal: is_internal(&topic.name),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}

//! CreateTopics (19), versions 2–7: makes topics, or only says whether they could be made. The answer tells the id
//! (KIP-516) and, from version 5, the configs (KIP-525).

use std::ops::RangeInclusive;

use millstream_metadata::catalog::{AlterConfigsError, CreateTopicError, CreatedTopic, NewTopic};
use millstream_model::{BrokerId, PartitionIndex};
use millstream_protocol::ErrorCode;
use millstream_protocol::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use tracing::error;

use super::Call;
use super::config_entries::source_code;
use super::errors::{alter_configs_error, assignment_error};
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 2..=7;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let topics: Vec<NewTopic> = request.topics.into_iter().map(new_topic).collect();
    let results = match broker.create_topics(call.node(), &topics, request.validate_only).await {
        Ok(outcomes) => {
            let results = topics.into_iter().zip(outcomes).map(|(topic, outcome)| match outcome {
                Ok(created) => created_result(broker, call, &created),
                Err(error) => refused(topic.name, create_error(&error), error.to_string()),
            });
            results.collect()
        }
        Err(error) => {
            error!(%error, "topics could not be made");
            let code = ErrorCode::UnknownServerError;
            topics.into_iter().map(|topic| refused(topic.name, code, error.to_string())).collect()
        }
    };
    CreateTopicsResponse { topics: results, ..CreateTopicsResponse::default() }
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.into_iter().map(|assignment| {
        let replicas = assignment.broker_ids.into_iter().map(BrokerId).collect();
        (PartitionIndex(assignment.partition_index), replicas)
    });
    NewTopic {
        name: topic.name,
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: topic.configs.into_iter().map(|config| (config.name, config.value)).collect(),
    }
}

fn created_result(broker: &Broker, call: &Call, created: &CreatedTopic) -> CreatableTopicResult {
    let topic = &created.topic;
    let entries = broker.image().describe_topic_configs(call.node(), &topic.configs);
    let configs = entries.into_iter().map(|entry| CreatableTopicConfigs {
        name: entry.name,
        value: entry.value,
        read_only: entry.read_only,
        config_source: source_code(entry.source),
        is_sensitive: entry.sensitive,
    });
    CreatableTopicResult {
        name: topic.name.to_string(),
        topic_id: topic.id.0,
        error_message: None,
        num_partitions: topic.partitions.len() as i32,
        replication_factor: topic.replication_factor() as i16,
        configs: Some(configs.collect()),
        ..CreatableTopicResult::default()
    }
}

fn refused(name: String, error: ErrorCode, message: String) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: error.code(),
        error_message: Some(message),
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}

pub(super) fn create_error(error: &CreateTopicError) -> ErrorCode {
    match error {
        CreateTopicError::Name(_) | CreateTopicError::Collision { .. } => ErrorCode::InvalidTopicException,
        CreateTopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
        CreateTopicError::Prohibited
        | CreateTopicError::Duplicate
        | CreateTopicError::AssignmentAndReplicationFactor
        | CreateTopicError::AssignmentAndPartitions => ErrorCode::InvalidRequest,
        CreateTopicError::Partitions => ErrorCode::InvalidPartitions,
        CreateTopicError::TooManyPartitions => ErrorCode::PolicyViolation,
        CreateTopicError::ReplicationFactor | CreateTopicError::TooFewBrokers { .. } => {
            ErrorCode::InvalidReplicationFactor
        }
        CreateTopicError::Assignment(error) => assignment_error(error),
        CreateTopicError::Config(error) => match error {
            // Kafka gives a topic's bad config this code whatever is wrong with it.
            AlterConfigsError::InvalidConfig(_) => ErrorCode::InvalidConfig,
            other => alter_configs_error(other),
        },
    }
}

//! CreatePartitions (37), versions 0–3: gives topics more partitions (KIP-195).

use std::ops::RangeInclusive;

use millstream_metadata::catalog::{CreatePartitionsError, NewPartitions};
use millstream_model::BrokerId;
use millstream_protocol::ErrorCode;
use millstream_protocol::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use tracing::error;

use super::Call;
use super::errors::assignment_error;
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=3;

pub(crate) async fn handle(
    broker: &Broker,
    _call: &Call,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let topics: Vec<NewPartitions> = request.topics.into_iter().map(new_partitions).collect();
    let results = match broker.catalog().create_partitions(&topics, request.validate_only).await {
        Ok(outcomes) => {
            let results = topics.into_iter().zip(outcomes).map(|(topic, outcome)| {
                let refusal = outcome.err().map(|error| (create_partitions_error(&error), error.to_string()));
                result(topic.topic, refusal)
            });
            results.collect()
        }
        Err(error) => {
            error!(%error, "partitions could not be added");
            let failed = |topic: NewPartitions| {
                result(topic.topic, Some((ErrorCode::UnknownServerError, error.to_string())))
            };
            topics.into_iter().map(failed).collect()
        }
    };
    CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
}

fn new_partitions(topic: CreatePartitionsTopic) -> NewPartitions {
    let assignments = topic.assignments.map(|assignments| {
        let replicas = assignments.into_iter().map(|new| new.broker_ids.into_iter().map(BrokerId).collect());
        replicas.collect()
    });
    NewPartitions { topic: topic.name, count: topic.count, assignments }
}

fn result(name: String, refusal: Option<(ErrorCode, String)>) -> CreatePartitionsTopicResult {
    let (error, error_message) = match refusal {
        Some((error, message)) => (error, Some(message)),
        None => (ErrorCode::None, None),
    };
    CreatePartitionsTopicResult { name, error_code: error.code(), error_message }
}

fn create_partitions_error(error: &CreatePartitionsError) -> ErrorCode {
    match error {
        CreatePartitionsError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        CreatePartitionsError::Duplicate => ErrorCode::InvalidRequest,
        CreatePartitionsError::Same(_) | CreatePartitionsError::Fewer { .. } => ErrorCode::InvalidPartitions,
        CreatePartitionsError::TooMany => ErrorCode::PolicyViolation,
        CreatePartitionsError::TooFewBrokers { .. } => ErrorCode::InvalidReplicationFactor,
        CreatePartitionsError::Assignment(error) => assignment_error(error),
    }
}

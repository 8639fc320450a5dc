//! DeleteTopics (20), versions 1–6: removes topics by name, from version 6 by id too. Refused where
//! `delete.topic.enable` is off.

use std::ops::RangeInclusive;

use millstream_metadata::catalog::{DeleteTopicError, TopicSelector};
use millstream_model::TopicId;
use millstream_protocol::ErrorCode;
use millstream_protocol::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use tracing::error;

use super::Call;
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 1..=6;

/// First version that can name topics by id, each in a structure of its own.
const TOPIC_STATES_FROM: i16 = 6;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let asked = if call.version() >= TOPIC_STATES_FROM {
        request.topics
    } else {
        let names = request.topic_names.into_iter();
        names.map(|name| DeleteTopicState { name: Some(name), ..DeleteTopicState::default() }).collect()
    };
    if !broker.settings().delete_topics {
        let refused = |topic: DeleteTopicState| result(topic, Err((ErrorCode::TopicDeletionDisabled, None)));
        return answered(asked.into_iter().map(refused).collect());
    }
    let selectors: Vec<TopicSelector> = asked.iter().map(selector).collect();
    let outcomes = match broker.delete_topics(&selectors).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            error!(%error, "topics could not be deleted");
            let failed = |topic| result(topic, Err((ErrorCode::UnknownServerError, Some(error.to_string()))));
            return answered(asked.into_iter().map(failed).collect());
        }
    };
    let results = asked.into_iter().zip(outcomes).map(|(asked, outcome)| match outcome {
        Ok(topic) => {
            let named = DeleteTopicState { name: Some(topic.name.to_string()), topic_id: topic.id.0 };
            result(named, Ok(()))
        }
        Err(error) => result(asked, Err((delete_error(&error), Some(error.to_string())))),
    });
    answered(results.collect())
}

fn selector(topic: &DeleteTopicState) -> TopicSelector {
    match &topic.name {
        Some(name) => TopicSelector::Name(name.clone()),
        None => TopicSelector::Id(TopicId(topic.topic_id)),
    }
}

fn result(topic: DeleteTopicState, outcome: Result<(), (ErrorCode, Option<String>)>) -> DeletableTopicResult {
    let (error, error_message) = outcome.err().unwrap_or((ErrorCode::None, None));
    DeletableTopicResult { name: topic.name, topic_id: topic.topic_id, error_code: error.code(), error_message }
}

fn answered(responses: Vec<DeletableTopicResult>) -> DeleteTopicsResponse {
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}

fn delete_error(error: &DeleteTopicError) -> ErrorCode {
    match error {
        DeleteTopicError::UnknownName => ErrorCode::UnknownTopicOrPartition,
        DeleteTopicError::UnknownId => ErrorCode::UnknownTopicId,
    }
}

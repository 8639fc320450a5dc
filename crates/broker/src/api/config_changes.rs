//! What both ways of altering configs share: the changes of several resources, each answered for itself.

use millstream_metadata::catalog::{ConfigChange, ConfigOperation, ConfigResource};
use millstream_protocol::ErrorCode;
use tracing::error;

use super::Call;
use super::config_entries::resource;
use super::errors::alter_configs_error;
use crate::Broker;

/// The changes that a request asks for on one resource, or why they make no sense.
pub(super) struct Alteration {
    pub(super) resource_type: i8,
    pub(super) resource_name: String,
    pub(super) operations: Result<Vec<(String, ConfigOperation)>, String>,
    /// Whether configs that are not named go.
    pub(super) replace: bool,
}

/// What became of them.
pub(super) struct Altered {
    pub(super) resource_type: i8,
    pub(super) resource_name: String,
    pub(super) error: ErrorCode,
    pub(super) message: Option<String>,
}

impl Altered {
    fn refuse(&mut self, error: ErrorCode, message: String) {
        self.error = error;
        self.message = Some(message);
    }
}

/// Makes the changes that can be made, in one durable write.
pub(super) async fn alter(
    broker: &Broker,
    call: &Call,
    alterations: Vec<Alteration>,
    validate_only: bool,
) -> Vec<Altered> {
    let mut answers = Vec::with_capacity(alterations.len());
    let (mut changes, mut places) = (Vec::new(), Vec::new());
    for alteration in alterations {
        let mut answer = Altered {
            resource_type: alteration.resource_type,
            resource_name: alteration.resource_name,
            error: ErrorCode::None,
            message: None,
        };
        let named = resource(answer.resource_type, &answer.resource_name).map_err(|error| error.to_string());
        match named.and_then(|resource| Ok((resource, alteration.operations?))) {
            Ok((resource, operations)) => {
                places.push(answers.len());
                changes.push(ConfigChange { resource, operations, replace: alteration.replace });
            }
            Err(message) => answer.refuse(ErrorCode::InvalidRequest, message),
        }
        answers.push(answer);
    }
    let altered = match broker.catalog().alter_configs(call.node(), &changes, validate_only).await {
        Ok(altered) => altered,
        Err(error) => {
            error!(%error, "configs could not be changed");
            for place in places {
                answers[place].refuse(ErrorCode::UnknownServerError, error.to_string());
            }
            return answers;
        }
    };
    for ((place, change), outcome) in places.into_iter().zip(&changes).zip(altered) {
        match outcome {
            Ok(()) if validate_only => {}
            Ok(()) => apply(broker, &change.resource),
            Err(error) => answers[place].refuse(alter_configs_error(&error), error.to_string()),
        }
    }
    answers
}

/// Lets what is running follow the change.
fn apply(broker: &Broker, changed: &ConfigResource) {
    let image = broker.image();
    match changed {
        ConfigResource::Topic(name) => {
            if let Some(topic) = image.topic(name) {
                broker.apply_topic_configs(topic.id);
            }
        }
        ConfigResource::Broker(_) => {
            image.topics().for_each(|topic| broker.apply_topic_configs(topic.id));
            broker.apply_cleaner_configs();
        }
        ConfigResource::Group(_) => {}
    }
}

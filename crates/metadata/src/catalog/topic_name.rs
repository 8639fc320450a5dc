//! Which names a topic may have, as Kafka's Topic class has it.

/// Longest name, in characters: a directory name with the partition's number must fit into 255.
const LENGTH_MAX: usize = 249;

/// The name is none that a topic may have; the message is Kafka's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidTopicNameError {
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(String),
    #[error("Topic name is invalid: the length of '{0}' is longer than the max allowed length {LENGTH_MAX}")]
    TooLong(String),
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Characters(String),
}

/// Checks a name's form.
pub fn validate_topic_name(name: &str) -> Result<(), InvalidTopicNameError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() {
        Err(InvalidTopicNameError::Empty)
    } else if matches!(name, "." | "..") {
        Err(InvalidTopicNameError::Dots(name.to_owned()))
    } else if name.chars().count() > LENGTH_MAX {
        Err(InvalidTopicNameError::TooLong(name.to_owned()))
    } else if !name.bytes().all(legal) {
        Err(InvalidTopicNameError::Characters(name.to_owned()))
    } else {
        Ok(())
    }
}

/// Whether the name has a character that its metrics' name may share with another.
pub(super) fn has_metric_name(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// The name under which the topic's metrics go: two topics must not have the same.
pub(super) fn metric_name(name: &str) -> String {
    name.replace('.', "_")
}

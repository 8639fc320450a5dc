//! Why an operation of the client failed. Whatever a broker answered keeps Kafka's code and message.

use std::time::Duration;

use millstream_protocol::{ApiKey, ErrorCode};

use crate::TopicPartition;
use crate::config::ConfigError;

/// The failure of an operation. Clonable, because one failed request fails every record that it carried.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A broker answered with an error; `message` is the broker's, or Kafka's own for the code.
    #[error("{message}")]
    Kafka { code: ErrorCode, message: String },
    /// No connection came about.
    #[error("connection to {address} could not be established: {reason}")]
    Connect { address: String, reason: String },
    /// The connection was lost before the answer; the request may have been carried out.
    #[error("the connection to {address} was lost: {reason}")]
    Disconnected { address: String, reason: String },
    #[error("timed out after {} ms: {what}", after.as_millis())]
    Timeout { what: String, after: Duration },
    /// The broker serves no version of the API that this client knows.
    #[error("the broker at {address} does not support {}", api.name())]
    UnsupportedApi { api: ApiKey, address: String },
    /// The answer or its records are not what the protocol says.
    #[error("malformed answer from {from}: {reason}")]
    Malformed { from: String, reason: String },
    /// A request that its version cannot express.
    #[error("cannot ask that of this broker: {0}")]
    Inexpressible(String),
    #[error(
        "the record is {bytes} bytes when serialized, which is larger than {limit}, the value of the {config} configuration."
    )]
    RecordTooLarge { bytes: usize, limit: usize, config: &'static str },
    #[error("Undefined offset with no reset policy for partitions: {}", list(.0))]
    NoOffset(Vec<TopicPartition>),
    #[error("fetch position out of range for partitions and no reset policy: {}", list(.0))]
    OffsetOutOfRange(Vec<TopicPartition>),
    /// `poll` came later than `max.poll.interval.ms`, or another member took the partitions.
    #[error("the member is no longer part of the group: {0}")]
    LeftGroup(String),
    #[error("{0}")]
    IllegalState(&'static str),
    #[error("woken up")]
    Wakeup,
    #[error("the client was closed")]
    Closed,
}

impl Error {
    /// The error for a code that is not `None`, with the broker's words where there are any.
    pub(crate) fn kafka(code: ErrorCode, message: Option<&str>) -> Self {
        let message = message.filter(|message| !message.is_empty()).unwrap_or(code.message());
        Self::Kafka { code, message: message.to_owned() }
    }

    /// Kafka's code, when a broker gave one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Kafka { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Kafka { code, .. } => code.is_retriable(),
            Self::Connect { .. } | Self::Disconnected { .. } | Self::Timeout { .. } => true,
            _ => false,
        }
    }

    /// Whether the request went to a broker that may not be the right one any more, or is not there.
    pub(crate) fn is_stale(&self) -> bool {
        match self {
            Self::Kafka { code, .. } => code.is_stale_metadata(),
            Self::Connect { .. } | Self::Disconnected { .. } | Self::Timeout { .. } => true,
            _ => false,
        }
    }
}

/// Errors where a field of an answer holds an error code.
pub(crate) fn check(code: i16, message: Option<&str>) -> Result<(), Error> {
    match error_code(code) {
        ErrorCode::None => Ok(()),
        code => Err(Error::kafka(code, message)),
    }
}

/// The code, or `UnknownServerError` for one of a newer Kafka, as Java reads it.
pub(crate) fn error_code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

fn list(partitions: &[TopicPartition]) -> String {
    let names: Vec<_> = partitions.iter().map(ToString::to_string).collect();
    format!("[{}]", names.join(", "))
}

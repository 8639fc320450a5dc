//! `BenchError`: why a load failed. The command line prints it; the harness stops at it.

use std::io;

use millstream_model::wire::{DecodeError, EncodeError};
use millstream_protocol::ErrorCode;

/// Why a load failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("the connection to {address} broke: {source}")]
    Broken { address: String, source: io::Error },
    #[error("{address} did not answer {api} within {seconds} s")]
    NoAnswer { address: String, api: &'static str, seconds: u64 },
    #[error("{address} does not serve {api} in a version that this load generator speaks")]
    Unsupported { address: String, api: &'static str },
    #[error("an answer of {address} to {api} cannot be read: {reason}")]
    Malformed { address: String, api: &'static str, reason: String },
    /// `count` answers carried an error; the first one is given.
    #[error("{api}: {} ({message}), {count} answer(s) with an error", code_name(*code))]
    Answered { api: &'static str, code: i16, message: String, count: u64 },
    #[error("{what} failed: {source}")]
    Disk { what: String, source: io::Error },
    #[error("{0}")]
    Inexpressible(#[from] EncodeError),
    #[error("{0}")]
    Impossible(String),
}

impl BenchError {
    pub(crate) fn malformed(address: &str, api: &'static str, reason: &DecodeError) -> Self {
        Self::Malformed { address: address.to_owned(), api, reason: reason.to_string() }
    }

    /// `None` for the code of success.
    pub(crate) fn answered(api: &'static str, code: i16, message: Option<&str>) -> Option<Self> {
        if code == ErrorCode::None.code() {
            return None;
        }
        let known = ErrorCode::from_code(code).map_or("no such code in Kafka 4.4", ErrorCode::message);
        let message = message.unwrap_or(known).to_owned();
        Some(Self::Answered { api, code, message, count: 1 })
    }

    /// The code of an error answer.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Answered { code, .. } => ErrorCode::from_code(*code),
            _ => None,
        }
    }
}

fn code_name(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |known| known.name().to_owned())
}

/// The errors in a load's answers: the first, and how many.
#[derive(Debug, Default)]
pub(crate) struct AnswerErrors {
    first: Option<BenchError>,
    count: u64,
}

impl AnswerErrors {
    /// Counts an answer's code; whether it is one of success.
    pub(crate) fn note(&mut self, api: &'static str, code: i16, message: Option<&str>) -> bool {
        let Some(error) = BenchError::answered(api, code, message) else { return true };
        self.first.get_or_insert(error);
        self.count += 1;
        false
    }

    pub(crate) fn into_result(self) -> Result<(), BenchError> {
        match self.first {
            None => Ok(()),
            Some(BenchError::Answered { api, code, message, .. }) => {
                Err(BenchError::Answered { api, code, message, count: self.count })
            }
            Some(other) => Err(other),
        }
    }
}

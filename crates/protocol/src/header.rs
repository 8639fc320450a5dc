//! Headers of requests and responses, and the frames around them.
//!
//! A frame is a 32-bit length, a header and a body. Which header a message has follows from its API key and version:
//! flexible versions (KIP-482) have tagged fields in it. ApiVersions responses never do, because a client that asks
//! for versions cannot know what the broker understands (KIP-511).

use millstream_model::wire::{ArrayLength, DecodeError, Decoder, EncodeError, Encoder};

use crate::ApiKey;

/// The longest frame that is accepted by default, in bytes (`socket.request.max.bytes`).
pub const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

/// The longest frame that is accepted from a peer that must authenticate and has not, in bytes.
pub const FRAME_BYTES_MAX_UNAUTHENTICATED: usize = 64 * 1024;

/// Why a frame's length cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameLengthError {
    #[error("a frame length of {0} is negative")]
    Negative(i32),
    #[error("a frame of {bytes} bytes is longer than the {limit} that are accepted")]
    TooLong { bytes: usize, limit: usize },
}

/// The length in bytes of the header and body that follow a frame's first four bytes.
pub fn frame_length(prefix: [u8; 4], limit: usize) -> Result<usize, FrameLengthError> {
    let claimed = i32::from_be_bytes(prefix);
    match usize::try_from(claimed) {
        Err(_) => Err(FrameLengthError::Negative(claimed)),
        Ok(bytes) if bytes > limit => Err(FrameLengthError::TooLong { bytes, limit }),
        Ok(bytes) => Ok(bytes),
    }
}

/// Why a request's header cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("Kafka has no API key {0}")]
    UnknownApiKey(i16),
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// What stands before every request. The version is as claimed: it may be one that nobody serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    pub api_version: i16,
    /// Chosen by the client; the response repeats it.
    pub correlation_id: i32,
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Reads the header; the decoder then stands at the body.
    pub fn decode(decoder: &mut Decoder) -> Result<Self, HeaderError> {
        let code = decoder.i16()?;
        let api_key = ApiKey::from_code(code).ok_or(HeaderError::UnknownApiKey(code))?;
        let api_version = decoder.i16()?;
        let correlation_id = decoder.i32()?;
        // Never compact: an old broker must be able to read the header of a newer ApiVersions request.
        let client_id = decoder.nullable_string(ArrayLength::Fixed)?;
        if api_key.is_flexible(api_version) {
            decoder.skip_tagged_fields()?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }

    pub fn encode(&self, encoder: &mut Encoder) -> Result<(), EncodeError> {
        encoder.i16(self.api_key.code());
        encoder.i16(self.api_version);
        encoder.i32(self.correlation_id);
        encoder.nullable_string(ArrayLength::Fixed, self.client_id.as_deref())?;
        if self.api_key.is_flexible(self.api_version) {
            encoder.no_tagged_fields();
        }
        Ok(())
    }
}

/// What stands before the response to a request of this key and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Reads the header; the decoder then stands at the body.
    pub fn decode(decoder: &mut Decoder, api_key: ApiKey, api_version: i16) -> Result<Self, DecodeError> {
        let correlation_id = decoder.i32()?;
        if api_key.has_flexible_response_header(api_version) {
            decoder.skip_tagged_fields()?;
        }
        Ok(Self { correlation_id })
    }

    pub fn encode(self, encoder: &mut Encoder, api_key: ApiKey, api_version: i16) {
        encoder.i32(self.correlation_id);
        if api_key.has_flexible_response_header(api_version) {
            encoder.no_tagged_fields();
        }
    }
}

impl ApiKey {
    /// Whether messages of this version have compact lengths and tagged fields (KIP-482).
    pub fn is_flexible(self, version: i16) -> bool {
        self.flexible_from().is_some_and(|from| version >= from)
    }

    fn has_flexible_response_header(self, version: i16) -> bool {
        self != Self::ApiVersions && self.is_flexible(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(api_key: ApiKey, api_version: i16) -> RequestHeader {
        RequestHeader { api_key, api_version, correlation_id: 7, client_id: Some("me".to_owned()) }
    }

    fn request_bytes(header: &RequestHeader) -> Vec<u8> {
        let mut encoder = Encoder::new();
        header.encode(&mut encoder).unwrap();
        encoder.into_bytes().to_vec()
    }

    #[test]
    fn a_flexible_request_header_ends_with_tagged_fields() {
        let fixed = [0, 3, 0, 8, 0, 0, 0, 7, 0, 2, b'm', b'e'];
        assert_eq!(request_bytes(&header(ApiKey::Metadata, 8)), fixed);
        let flexible = [0, 3, 0, 9, 0, 0, 0, 7, 0, 2, b'm', b'e', 0];
        assert_eq!(request_bytes(&header(ApiKey::Metadata, 9)), flexible);
    }

    #[test]
    fn a_request_header_reads_back_also_in_a_version_that_nobody_serves() {
        for (key, version) in [(ApiKey::Produce, 0), (ApiKey::Fetch, 12), (ApiKey::ApiVersions, 99)] {
            let written = header(key, version);
            let mut decoder = Decoder::new(request_bytes(&written).into());
            assert_eq!(RequestHeader::decode(&mut decoder), Ok(written));
            decoder.finish().unwrap();
        }
    }

    #[test]
    fn an_unknown_api_key_is_named() {
        let mut decoder = Decoder::new(vec![0x7f, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff].into());
        assert_eq!(RequestHeader::decode(&mut decoder), Err(HeaderError::UnknownApiKey(0x7fff)));
    }

    #[test]
    fn an_api_versions_response_header_never_has_tagged_fields() {
        let bytes = |key, version| {
            let mut encoder = Encoder::new();
            ResponseHeader { correlation_id: 7 }.encode(&mut encoder, key, version);
            encoder.into_bytes().to_vec()
        };
        assert_eq!(bytes(ApiKey::ApiVersions, 4), [0, 0, 0, 7]);
        assert_eq!(bytes(ApiKey::Metadata, 9), [0, 0, 0, 7, 0]);
    }

    #[test]
    fn frame_lengths_are_bounded() {
        assert_eq!(frame_length(64_i32.to_be_bytes(), 64), Ok(64));
        assert_eq!(frame_length(65_i32.to_be_bytes(), 64), Err(FrameLengthError::TooLong { bytes: 65, limit: 64 }));
        assert_eq!(frame_length((-1_i32).to_be_bytes(), 64), Err(FrameLengthError::Negative(-1)));
    }
}

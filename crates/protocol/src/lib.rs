//! Apache Kafka's wire protocol: frames, headers, the messages of every API, error codes.
//!
//! Messages are generated (`cargo xtask codegen`), one module per API: `list_offsets::ListOffsetsRequest`. The
//! feature `broker` reads requests and writes responses, `client` writes requests and reads responses. Pure: bytes
//! in, structures out, and the other way round.

#[cfg(not(any(feature = "broker", feature = "client")))]
compile_error!("millstream-protocol without its feature `broker` or `client` reads and writes nothing");

mod error_code;
mod generated;
mod header;

pub use error_code::ErrorCode;
pub use generated::api_key::ApiKey;
pub use generated::*;
pub use header::{
    FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNAUTHENTICATED, FrameLengthError, HeaderError, RequestHeader, ResponseHeader,
    frame_length,
};
pub use millstream_model::wire::{Decode, DecodeError, Decoder, Encode, EncodeError, Encoder, Frame, Message, Records};

/// A request: its API and the response that answers it, in the same version.
pub trait Request: Message {
    const API_KEY: ApiKey;
    type Response: Message;
}

/// A whole frame of a request: length, header, body.
#[cfg(feature = "client")]
pub fn frame_request<R: Request + Encode>(
    request: &R,
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Frame, EncodeError> {
    let client_id = client_id.map(str::to_owned);
    let header = RequestHeader { api_key: R::API_KEY, api_version, correlation_id, client_id };
    let mut encoder = Encoder::framed(FRAME_CAPACITY);
    header.encode(&mut encoder)?;
    request.encode(&mut encoder, api_version)?;
    Ok(encoder.into_framed())
}

/// A whole frame of the response to a request of type `R`: length, header, body.
#[cfg(feature = "broker")]
pub fn frame_response<R: Request<Response: Encode>>(
    response: &R::Response,
    api_version: i16,
    correlation_id: i32,
) -> Result<Frame, EncodeError> {
    let mut encoder = Encoder::framed(FRAME_CAPACITY);
    ResponseHeader { correlation_id }.encode(&mut encoder, R::API_KEY, api_version);
    response.encode(&mut encoder, api_version)?;
    Ok(encoder.into_framed())
}

/// Most messages without records fit into this many bytes.
const FRAME_CAPACITY: usize = 256;

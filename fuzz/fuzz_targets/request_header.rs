//! Any bytes as the header of a request: read or refused; what can be read can be written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_protocol::{Decoder, Encoder, RequestHeader};

fuzz_target!(|input: &[u8]| {
    if let Ok(header) = RequestHeader::decode(&mut Decoder::new(input.to_vec().into())) {
        header.encode(&mut Encoder::new()).expect("a client id that was read can be written");
    }
});

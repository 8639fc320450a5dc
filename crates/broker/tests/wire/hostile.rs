//! Peers that break the protocol, by mistake or on purpose: their connection is closed with one line in the log that
//! says whose and why, the broker does not panic, and nobody else notices.

#[path = "../../../protocol/tests/wire/cases.rs"]
mod cases;

use std::net::TcpStream;

use bytes::Bytes;
use millstream_model::batch::{Batch, BatchBuilder, at};
use millstream_model::compression::Compression;
use millstream_model::wire::sample::Case;
use millstream_model::{TimestampMs, crc32c};
use millstream_protocol::api_versions::ApiVersionsRequest;
use millstream_protocol::metadata::MetadataRequest;
use millstream_protocol::{ApiKey, Encoder, RequestHeader};

use crate::observed::closing_line;
use crate::server::{Peer, Server};
use crate::topic;

/// How often each version of each API, and forty times each codec's batch, is damaged; `MILLSTREAM_HOSTILE_ROUNDS` asks for more.
const ROUNDS: u64 = 2;

fn rounds() -> u64 {
    let asked = std::env::var("MILLSTREAM_HOSTILE_ROUNDS").ok();
    asked.map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

/// Sends bytes, then waits until the broker has closed the connection.
fn is_closed_after(server: &Server, bytes: &[u8]) -> Peer {
    let mut peer = server.peer();
    peer.send_bytes(bytes);
    assert!(peer.is_closed(), "{bytes:?}");
    peer
}

fn is_undisturbed(peer: &mut Peer) {
    assert!(peer.ask(&MetadataRequest::default(), 1).is_some(), "the connection of somebody else is closed");
}

#[test]
fn bytes_that_are_no_request_close_their_connection_with_one_line_that_says_why() {
    let server = Server::start(&[]);
    let mut bystander = server.peer();
    let cases: [(&str, &[u8], &str); 9] = [
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "a frame of 1195725856 bytes is longer than the 104857600",
        ),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a frame of 369295618 bytes is longer than"),
        ("a negative length", &[0xff, 0xff, 0xff, 0xff], "a frame length of -1 is negative"),
        ("an oversized length", &[0x7f, 0xff, 0xff, 0xff], "a frame of 2147483647 bytes is longer than"),
        ("an empty frame", &[0, 0, 0, 0], "a request's header"),
        ("a header cut short", &[0, 0, 0, 2, 0, 3], "a request's header"),
        ("an unknown API", &[0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 7, 0xff, 0xff], "Kafka has no API key 32767"),
        ("an unserved API", &[0, 0, 0, 10, 0, 17, 0, 1, 0, 0, 0, 7, 0xff, 0xff], "SaslHandshake is not served"),
        (
            "an unknown version",
            &[0, 0, 0, 11, 0, 3, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0],
            "Metadata version 99 is not served; 0 to 13 are",
        ),
    ];
    for (what, bytes, reason) in cases {
        let peer = is_closed_after(&server, bytes);
        let line = closing_line(peer.local_address());
        assert!(line.contains("connection closed") && line.contains(reason), "{what}: {line}");
    }
    is_undisturbed(&mut bystander);
}

#[test]
fn a_count_that_lies_closes_its_connection_with_one_line_that_names_the_request() {
    let server = Server::start(&[]);
    let mut bystander = server.peer();
    // Metadata version 1 with two thousand million topics.
    let peer = is_closed_after(&server, &[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0x77, 0x35, 0x94, 0x00]);
    let line = closing_line(peer.local_address());
    assert!(line.contains("malformed Metadata version 1"), "{line}");
    is_undisturbed(&mut bystander);
}

#[test]
fn a_peer_that_leaves_in_the_middle_of_a_frame_disturbs_nobody() {
    let server = Server::start(&[]);
    let mut bystander = server.peer();
    let frame = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    for sent in 1..frame.len() {
        let mut peer = server.peer();
        peer.send_bytes(&frame[..sent]);
        peer.end_sending();
        assert!(peer.is_closed(), "{sent} bytes");
    }
    is_undisturbed(&mut bystander);
}

/// A request's whole frame with this body.
fn frame(api_key: ApiKey, api_version: i16, body: &[u8]) -> Vec<u8> {
    let header = RequestHeader { api_key, api_version, correlation_id: 7, client_id: Some("hostile".to_owned()) };
    let mut encoder = Encoder::new();
    header.encode(&mut encoder).unwrap();
    let header = encoder.into_bytes();
    let length = (header.len() + body.len()) as i32;
    [&length.to_be_bytes(), &header[..], body].concat()
}

/// The requests that this broker serves, with what their generator knows of them.
fn served(server: &Server) -> Vec<(ApiKey, &'static Case)> {
    let advertised = server.peer().ask(&ApiVersionsRequest::default(), 0).unwrap().api_keys;
    let case = |api: ApiKey| {
        let name = format!("{}Request", api.name());
        cases::CASES.iter().find(|case| case.name == name).unwrap()
    };
    let apis = advertised.iter().map(|api| ApiKey::from_code(api.api_key).unwrap());
    apis.map(|api| (api, case(api))).collect()
}

#[test]
fn damaged_requests_of_every_version_are_answered_or_end_their_connection() {
    let server = Server::start(&[("auto.create.topics.enable", "false")]);
    let mut bystander = server.peer();
    let rounds = rounds();
    for (api, case) in served(&server) {
        for version in case.versions() {
            for seed in 0..rounds {
                let sound: Bytes = case.sample(version, seed, true);
                for (kind, body) in case.hostile(version, seed).iter().chain([&sound]).enumerate() {
                    let mut peer = server.peer();
                    peer.send_bytes(&frame(api, version, body));
                    // What would be waited for, such as a group's next generation, need not be.
                    peer.end_sending();
                    while peer.receive_bytes().is_some() {}
                    assert!(TcpStream::connect(server.address()).is_ok(), "{api:?} {version}, seed {seed}, {kind}");
                }
            }
        }
        is_undisturbed(&mut bystander);
    }
}

/// Changes a few bytes behind the batch's length and gives it the CRC that belongs to them, so that what stands there
/// is looked at.
fn damaged(batch: &Batch, random: &mut impl FnMut() -> usize) -> Bytes {
    let mut bytes = batch.bytes().to_vec();
    for _ in 0..=random() % 3 {
        let at = at::ATTRIBUTES + random() % (bytes.len() - at::ATTRIBUTES);
        bytes[at] = match random() % 3 {
            0 => bytes[at] ^ (1 << (random() % 8)),
            1 => 0xff,
            _ => random() as u8,
        };
    }
    let crc = crc32c(&bytes[at::ATTRIBUTES..]);
    bytes[at::CRC..at::CRC + 4].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

#[test]
fn damaged_batches_with_a_right_crc_are_taken_or_refused_and_the_log_remains_readable() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    topic::create(&mut peer, &[]);
    let mut state = 7_u64;
    // Knuth's multiplier; the high bits are random enough to choose bytes.
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let codecs = [
        Compression::None,
        Compression::Gzip { level: -1 },
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd { level: 3 },
    ];
    let mut taken = 0;
    for _ in 0..40 * rounds() {
        for codec in codecs {
            let mut builder = BatchBuilder::new(codec);
            for value in ["one", "two", "three"] {
                builder.append(TimestampMs(1_700_000_000_000), Some(b"key"), Some(value.as_bytes()), &[]).unwrap();
            }
            let answer = topic::produce(&mut peer, damaged(&builder.build(), &mut random));
            taken += usize::from(answer.error_code == 0);
        }
    }
    let read = topic::batches_of(topic::fetch(&mut peer, 0, 0, i32::MAX));
    assert_eq!(read.len(), taken, "seed 7");
    assert_eq!(topic::produce(&mut peer, topic::batch(&["sound"])).error_code, 0);
}

/// A peer that has asked for more than the system buffers for it, and has begun to be answered.
fn slow_reader(server: &Server) -> Peer {
    let mut peer = server.peer();
    topic::create(&mut peer, &[]);
    topic::produce(&mut peer, topic::batch(&["x".repeat(1_000_000).as_str()]));
    topic::fetch_without_reading(&mut peer, 64);
    assert!(peer.receive_bytes().is_some());
    peer
}

#[test]
fn a_peer_that_does_not_read_its_answers_is_closed_with_one_line() {
    let server = Server::start(&[("connections.max.idle.ms", "300")]);
    let peer = slow_reader(&server);
    let line = closing_line(peer.local_address());
    assert!(line.contains("its answers are not read"), "{line}");
    is_undisturbed(&mut server.peer());
}

#[test]
fn a_stopping_broker_does_not_wait_for_a_peer_that_does_not_read() {
    let server = Server::start(&[]);
    let _peer = slow_reader(&server);
    server.stop();
}

//! Two other implementations read what we write and write the same bytes: kafka-wire 0.1.0, kafka-protocol 0.18.0.
//!
//! Both have gaps; each is named where it is skipped, and the lists are exact, so that a gap that closes shows.

#[path = "../wire/cases.rs"]
mod cases;
mod kafka_protocol;
mod kafka_wire;

use bytes::Bytes;
use cases::CASES;

const SEEDS: u64 = 24;

/// What a peer makes of a message: nothing when it does not know it in that version, otherwise the bytes it writes.
type Rewrite = fn(name: &str, version: i16, bytes: &Bytes) -> Option<Result<Bytes, String>>;

/// Passes samples of every API's messages through a peer. Returns the names and versions where it does not agree.
fn disagreements(peer: Rewrite) -> Vec<(&'static str, i16)> {
    let mut found = Vec::new();
    for case in CASES.iter().filter(|case| !case.name.starts_with("ConsumerProtocol")) {
        for version in case.versions() {
            let agrees = |seed| {
                let ours =
                    (case.read)(case.sample(version, seed, seed % 2 == 1), version).expect("a sample can be read");
                let theirs = peer(case.name, version, &ours.bytes);
                let agrees = theirs == Some(Ok(ours.bytes));
                if let (false, Some(Err(error))) = (agrees, theirs) {
                    println!("{} {version}, seed {seed}: {error}: {}", case.name, ours.debug);
                }
                agrees
            };
            if !(0..SEEDS).all(agrees) {
                found.push((case.name, version));
            }
        }
    }
    found
}

/// The messages of these APIs, each from a version on.
fn from_versions(apis: &[(&str, i16)]) -> Vec<(&'static str, i16)> {
    let mut messages = Vec::new();
    for case in CASES {
        let api = case.name.trim_end_matches("Request").trim_end_matches("Response");
        let first =
            apis.iter().find(|(name, _)| *name == api || *name == case.name).map_or(i16::MAX, |(_, first)| *first);
        messages.extend(case.versions().filter(|version| *version >= first).map(|version| (case.name, version)));
    }
    messages
}

/// kafka-wire comes from a revision of Kafka beside 4.4.0: StreamsGroupDescribe's tags differ there from what
/// kafka-clients 4.4.0 writes (`tests/wire/frames.txt`), and UnregisterController is not in it.
#[test]
fn kafka_wire_writes_what_we_write() {
    let expected = from_versions(&[("StreamsGroupDescribeResponse", 1), ("UnregisterController", 0)]);
    assert_eq!(disagreements(kafka_wire::rewrite), expected);
}

/// kafka-protocol comes from Kafka 4.1 and lacks what came since.
#[test]
fn kafka_protocol_writes_what_we_write() {
    let expected = from_versions(&[
        ("ListOffsets", 11),
        ("OffsetCommitRequest", 10),
        ("OffsetFetchRequest", 10),
        ("ApiVersions", 5),
        ("WriteTxnMarkers", 2),
        ("TxnOffsetCommit", 6),
        ("DescribeLogDirs", 5),
        ("DeleteGroups", 3),
        ("ShareFetch", 2),
        ("ShareAcknowledge", 2),
        ("AddRaftVoter", 1),
        ("WriteShareGroupState", 1),
        ("ReadShareGroupStateSummary", 1),
        ("StreamsGroupHeartbeat", 0),
        ("StreamsGroupDescribe", 0),
        ("DescribeShareGroupOffsets", 1),
        ("StreamsGroupTopologyDescriptionUpdate", 0),
        ("UnregisterController", 0),
    ]);
    assert_eq!(disagreements(kafka_protocol::rewrite), expected);
}

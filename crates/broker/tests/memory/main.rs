//! What peers can make a broker hold. Alone in its binary, because it counts every allocation; its tests take turns.
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

#[path = "../wire/observed.rs"]
#[expect(dead_code, reason = "the other binary uses more of it")]
mod observed;
#[path = "../wire/server.rs"]
#[expect(dead_code, reason = "the other binary uses more of it")]
mod server;
#[path = "../wire/topic.rs"]
#[expect(dead_code, reason = "the other binary uses more of it")]
mod topic;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cap::Cap;
use millstream_protocol::metadata::MetadataRequest;
use millstream_protocol::produce::ProduceRequest;

use crate::server::{Peer, Server};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);
static TURN: Mutex<()> = Mutex::new(());

const MIB: usize = 1 << 20;

fn turn() -> MutexGuard<'static, ()> {
    // A test that failed says so itself.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn idle_connections_hold_little_and_more_than_max_connections_are_closed() {
    const CONNECTIONS: usize = 2_000;
    const CONNECTION_BYTES_MAX: usize = 8 * 1024;
    let _turn = turn();
    let server = Server::start(&[("max.connections", &CONNECTIONS.to_string())]);
    let before = ALLOCATOR.allocated();
    let mut peers: Vec<Peer> = (0..CONNECTIONS).map(|_| server.peer()).collect();
    assert!(server.peer().is_closed(), "one more than max.connections");
    for peer in &mut peers {
        assert!(peer.ask(&MetadataRequest::default(), 1).is_some());
    }
    let held = ALLOCATOR.allocated().saturating_sub(before) / CONNECTIONS;
    assert!(held <= CONNECTION_BYTES_MAX, "{held} bytes for each connection");
}

#[test]
fn answers_that_nobody_reads_are_bounded_in_all() {
    let _turn = turn();
    let configs = [("queued.max.request.bytes", "8388608")];
    let server = Server::start(&configs);
    let mut writer = server.peer();
    topic::create(&mut writer, &[]);
    for _ in 0..32 {
        let produced = topic::produce(&mut writer, topic::batch(&["x".repeat(MIB - 1000).as_str()]));
        assert_eq!(produced.error_code, 0);
    }
    drop(writer);
    // What was just written is in memory anyway; after a restart each answer is read from disk for itself.
    let server = Server::start_in(server.stop(), &configs);
    let before = ALLOCATOR.allocated();
    let mut peers: Vec<Peer> = (0..20).map(|_| server.peer()).collect();
    for peer in &mut peers {
        topic::fetch_without_reading(peer, 10);
        assert!(peer.receive_bytes().is_some());
    }
    let held = ALLOCATOR.allocated().saturating_sub(before);
    assert!(held <= 100 * MIB, "{held} bytes");
    drop(peers);
    server.stop();
}

#[test]
fn a_flood_of_requests_without_acks_is_bounded() {
    let _turn = turn();
    let server = Server::start(&[("queued.max.request.bytes", "8388608")]);
    topic::create(&mut server.peer(), &[]);
    let records = topic::batch(&["x".repeat(MIB - 1000).as_str()]);
    let flood = ProduceRequest { acks: 0, ..topic::produce_request(records) };
    let before = ALLOCATOR.allocated();
    let mut peers: Vec<Peer> = (0..8).map(|_| server.peer()).collect();
    for _ in 0..100 {
        for peer in &mut peers {
            peer.send(&flood, 9);
            let held = ALLOCATOR.allocated().saturating_sub(before);
            // The storage keeps 64 MiB on their way to segments and 32 MiB for readers.
            assert!(held <= 256 * MIB, "{held} bytes of {} sent", 800 * MIB);
        }
    }
    server.stop();
}

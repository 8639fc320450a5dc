//! No long poll misses its wake-up: an append at any moment around the beginning of a poll ends it.
//!
//! `MILLSTREAM_WAKE_UPS=1000000` makes as many rounds.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{Peer, Server};
use crate::topic::{batch, create, fetch, produce, records_of};

const ROUNDS: i64 = 20_000;
const POLLERS: usize = 2;
/// A poll that missed its wake-up lasts this long, and ends with the records all the same;
const WAIT_MS: i32 = 30_000;
/// one that heard it is answered long before, however busy the machine is.
const HEARD_WITHIN: Duration = Duration::from_secs(20);

/// Polls for one record after the other; says when it begins, and how long each poll took.
fn poll(address: SocketAddr, rounds: i64, begins: &Sender<()>, go_on: &Receiver<()>) {
    let mut peer = Peer::connect(address);
    for offset in 0..rounds {
        begins.send(()).unwrap();
        let started = Instant::now();
        let records = records_of(fetch(&mut peer, offset, WAIT_MS, 1 << 20));
        let took = started.elapsed();
        assert_eq!(records, [(offset, offset.to_string())]);
        assert!(took < HEARD_WITHIN, "the poll for the record at {offset} took {took:?}");
        go_on.recv().unwrap();
    }
}

#[test]
fn no_long_poll_misses_its_wake_up() {
    let rounds = std::env::var("MILLSTREAM_WAKE_UPS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let server = Server::start(&[]);
    let mut peer = server.peer();
    // The page cache is enough: what is looked at is who hears of an append, not when it is durable.
    create(&mut peer, &[("millstream.durability", "os")]);
    let address = server.address();
    let (begins, begun) = channel();
    let pollers: Vec<_> = (0..POLLERS)
        .map(|_| {
            let (go, go_on) = channel();
            let begins = begins.clone();
            (go, thread::spawn(move || poll(address, rounds, &begins, &go_on)))
        })
        .collect();
    for round in 0..rounds {
        for _ in 0..POLLERS {
            begun.recv_timeout(2 * HEARD_WITHIN).expect("every poll ends");
        }
        // From before the polls are sent to after they wait.
        let moment = Instant::now() + Duration::from_micros((round * 7919 % 400) as u64);
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        produce(&mut peer, batch(&[&round.to_string()]));
        for (go, _) in &pollers {
            // A poller that has failed says so when it is joined.
            let _ = go.send(());
        }
    }
    for (_, poller) in pollers {
        poller.join().unwrap();
    }
    drop(peer);
    server.stop();
}

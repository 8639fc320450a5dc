//! The worker threads: one current-thread runtime each, connections pinned to them in turn.

use std::io;
use std::net::TcpStream as StdTcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};

use super::connection::Connection;
use super::peer::Peer;
use crate::Broker;

/// Accepted connections that a worker has not yet taken up; a worker that is that far behind stops the acceptor.
const ACCEPTED_CONNECTIONS_MAX: usize = 256;

/// A connection on its way from the acceptor to its worker.
struct Accepted {
    stream: StdTcpStream,
    peer: Arc<Peer>,
    /// Returned to the listener's count when the connection ends.
    counted: ConnectionGuard,
}

/// Whatever counts a connection while it lives.
pub(super) type ConnectionGuard = Box<dyn Send>;

/// All workers of one broker.
#[derive(Debug)]
pub(crate) struct Workers {
    queues: Vec<mpsc::Sender<Accepted>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicUsize,
}

impl Workers {
    /// Starts `count` threads that serve connections of `broker` until `stop`.
    pub(crate) fn start(broker: &Arc<Broker>, count: usize, stop: &CancellationToken) -> io::Result<Self> {
        let mut queues = Vec::with_capacity(count);
        let mut threads = Vec::with_capacity(count);
        for index in 0..count {
            let (sender, receiver) = mpsc::channel(ACCEPTED_CONNECTIONS_MAX);
            let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
            let (broker, stop) = (Arc::clone(broker), stop.clone());
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || runtime.block_on(serve_queue(receiver, broker, stop)))?;
            queues.push(sender);
            threads.push(thread);
        }
        Ok(Self { queues, threads: Mutex::new(threads), next: AtomicUsize::new(0) })
    }

    /// Hands a connection to the next worker in turn.
    pub(super) async fn hand_over(&self, stream: StdTcpStream, peer: Arc<Peer>, counted: ConnectionGuard) {
        let worker = self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len();
        // A worker is gone only when the broker stops; the connection is closed by being dropped.
        let _ = self.queues[worker].send(Accepted { stream, peer, counted }).await;
    }

    /// Waits until every worker has ended its connections. Blocks; the stop token must have been cancelled.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

async fn serve_queue(mut queue: mpsc::Receiver<Accepted>, broker: Arc<Broker>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = queue.recv() => accepted,
        };
        let Some(accepted) = accepted else { break };
        connections.spawn(serve_connection(accepted, Arc::clone(&broker), stop.clone()));
    }
    connections.close();
    connections.wait().await;
}

async fn serve_connection(accepted: Accepted, broker: Arc<Broker>, stop: CancellationToken) {
    let Accepted { stream, peer, counted: _counted } = accepted;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            debug!(peer = %peer.address, %error, "connection not taken up");
            return;
        }
    };
    let closed = Connection::new(stream, Arc::clone(&broker), Arc::clone(&peer)).serve(stop).await;
    if closed.is_violation() {
        broker.metrics().violation();
        info!(peer = %peer.address, reason = %closed, "connection closed");
    } else {
        debug!(peer = %peer.address, reason = %closed, "connection closed");
    }
}

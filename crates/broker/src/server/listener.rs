//! Listeners: bind, accept, count. A connection over the limits is closed at once, with a line in the log.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millstream_model::BrokerId;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::peer::Peer;
use super::workers::Workers;
use crate::Broker;

/// Connections that the system completes while the acceptor is busy (Kafka's `socket.listen.backlog.size` is 50).
const BACKLOG: i32 = 1024;
/// How long the acceptor rests when the system refuses a connection, mostly for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {address}: the port is in use by another process")]
    InUse { address: SocketAddr },
    #[error("cannot listen on {address}: {source}")]
    Other { address: SocketAddr, source: io::Error },
}

/// A bound socket that does not accept yet.
#[derive(Debug)]
pub(crate) struct BoundListener {
    /// The node that clients reach here; a process may be several (`--nodes`).
    pub(crate) node: BrokerId,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    socket: StdTcpListener,
}

/// Binds a listener; port 0 lets the system choose.
pub(crate) fn bind(node: BrokerId, name: &str, address: SocketAddr) -> Result<BoundListener, BindError> {
    let socket = bind_socket(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        _ => BindError::Other { address, source },
    })?;
    let bound = socket.local_addr().map_err(|source| BindError::Other { address, source })?;
    Ok(BoundListener { node, name: name.to_owned(), address: bound, socket })
}

fn bind_socket(address: SocketAddr) -> io::Result<StdTcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Without it a restart would have to wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// How many connections a node takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) connections_max: usize,
    pub(crate) connections_per_ip_max: usize,
}

/// The connections of a process, counted for each of its nodes in all and per address.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCount {
    by_node: Mutex<HashMap<BrokerId, Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// Counts one connection until it is dropped.
#[derive(Debug)]
struct Counted {
    count: Arc<ConnectionCount>,
    node: BrokerId,
    ip: IpAddr,
}

/// A limit that is reached, by the name of its config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum TooManyConnections {
    #[error("max.connections reached")]
    InAll,
    #[error("max.connections.per.ip reached")]
    FromAddress,
}

impl ConnectionCount {
    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.by_node.lock().values().map(|counts| counts.all).sum()
    }

    fn admit(
        self: &Arc<Self>,
        node: BrokerId,
        ip: IpAddr,
        limits: ConnectionLimits,
    ) -> Result<Counted, TooManyConnections> {
        let mut by_node = self.by_node.lock();
        let counts = by_node.entry(node).or_default();
        let from_ip = counts.by_ip.get(&ip).copied().unwrap_or(0);
        if counts.all >= limits.connections_max {
            return Err(TooManyConnections::InAll);
        }
        if from_ip >= limits.connections_per_ip_max {
            return Err(TooManyConnections::FromAddress);
        }
        counts.all += 1;
        counts.by_ip.insert(ip, from_ip + 1);
        Ok(Counted { count: Arc::clone(self), node, ip })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut by_node = self.count.by_node.lock();
        let counts = by_node.entry(self.node).or_default();
        counts.all -= 1;
        if let Some(from_ip) = counts.by_ip.get_mut(&self.ip) {
            *from_ip -= 1;
            if *from_ip == 0 {
                counts.by_ip.remove(&self.ip);
            }
        }
    }
}

impl BoundListener {
    /// Accepts connections and hands them to the workers until `stop`.
    pub(crate) async fn accept(
        self,
        workers: Arc<Workers>,
        broker: Arc<Broker>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let socket = TcpListener::from_std(self.socket)?;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                accepted = socket.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(listener = %self.name, %error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let limits = broker.connection_limits(self.node);
            let counted = match broker.connections().admit(self.node, address.ip(), limits) {
                Ok(counted) => counted,
                Err(reason) => {
                    warn!(listener = %self.name, peer = %address, %reason, "connection closed");
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let reached = stream.local_addr().unwrap_or(self.address).ip().to_canonical();
            let peer =
                Peer { node: self.node, address, reached, listener: self.name.clone(), software: OnceLock::new() };
            let Ok(stream) = stream.into_std() else { continue };
            workers.hand_over(stream, Arc::new(peer), Box::new(counted)).await;
        }
    }
}

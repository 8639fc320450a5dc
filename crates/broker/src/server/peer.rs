//! Who is at the other end of a connection. Handlers read it; nothing in it is trusted.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use millstream_model::BrokerId;

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The node whose listener the connection came to.
    pub(crate) node: BrokerId,
    /// Where the connection comes from.
    pub(crate) address: SocketAddr,
    /// The address of ours that it was made to.
    pub(crate) reached: IpAddr,
    /// Name of the listener that accepted it, such as `PLAINTEXT`.
    pub(crate) listener: String,
    /// What the client says it is, in ApiVersions from version 3 (KIP-511).
    pub(crate) software: OnceLock<ClientSoftware>,
}

/// Name and version of a client library, as it gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientSoftware {
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Peer {
    /// Host as group members show it: Kafka's form, with a slash before the address.
    pub(crate) fn host(&self) -> String {
        format!("/{}", self.address.ip())
    }
}

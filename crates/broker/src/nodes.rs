//! The nodes of this process as clients see them: one, or several with `--nodes`. Fixed once the listeners are bound.

use std::collections::{BTreeMap, BTreeSet};

use millstream_model::BrokerId;

use crate::server::Peer;

/// Where clients reach a node on one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// As advertised; `None` for the address through which a client has come.
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
}

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: BrokerId,
    pub(crate) rack: Option<String>,
    /// By listener name; a client is told the endpoint of the listener that it came through.
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
}

impl Node {
    fn reached_by(&self, peer: &Peer) -> Option<Reachable> {
        let endpoint = self.endpoints.get(&peer.listener)?;
        let host = endpoint.host.clone().unwrap_or_else(|| peer.reached.to_string());
        Some(Reachable { id: self.id, rack: self.rack.clone(), host, port: i32::from(endpoint.port) })
    }
}

/// A node as the asking client is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Reachable {
    pub(crate) id: BrokerId,
    pub(crate) rack: Option<String>,
    pub(crate) host: String,
    pub(crate) port: i32,
}

/// All nodes, by id.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
}

impl Nodes {
    /// At least one node.
    pub(crate) fn new(mut nodes: Vec<Node>) -> Self {
        assert!(!nodes.is_empty(), "a broker is at least one node");
        nodes.sort_by_key(|node| node.id);
        Self { nodes }
    }

    /// The node that answers for the controller: the first.
    pub(crate) fn controller(&self) -> BrokerId {
        self.nodes[0].id
    }

    /// The nodes that have the listener through which this peer has come.
    pub(crate) fn reachable<'a>(&'a self, peer: &'a Peer) -> impl Iterator<Item = Reachable> + 'a {
        self.nodes.iter().filter_map(|node| node.reached_by(peer))
    }

    /// Those of them that lead what the peer asked another node for (KIP-951).
    pub(crate) fn leading<'a>(
        &'a self,
        leaders: &'a BTreeSet<i32>,
        peer: &'a Peer,
    ) -> impl Iterator<Item = Reachable> + 'a {
        self.nodes.iter().filter(|node| leaders.contains(&node.id.0)).filter_map(|node| node.reached_by(peer))
    }

    /// One node, if it exists and has that listener.
    pub(crate) fn find(&self, id: BrokerId, peer: &Peer) -> Option<Reachable> {
        self.reachable(peer).find(|node| node.id == id)
    }
}

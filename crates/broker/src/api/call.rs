//! What a handler knows of the request besides its body.

use std::sync::Arc;

use millstream_model::BrokerId;
use millstream_protocol::RequestHeader;

use crate::server::Peer;

/// One request of one peer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) header: RequestHeader,
    pub(crate) peer: Arc<Peer>,
}

impl Call {
    /// The version that request and answer are in.
    pub(crate) fn version(&self) -> i16 {
        self.header.api_version
    }

    /// What the client calls itself; empty when it does not say.
    pub(crate) fn client_id(&self) -> &str {
        self.header.client_id.as_deref().unwrap_or_default()
    }

    /// The node that was asked.
    pub(crate) fn node(&self) -> BrokerId {
        self.peer.node
    }
}

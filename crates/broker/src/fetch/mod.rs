//! What a Fetch needs beyond its handler: sessions (KIP-227) and the wait for data.

pub(crate) mod sessions;

//! Runs one conversation with a cluster through millstream-client's admin client.

use millstream_client::{Admin, ClientConfig};

use super::{Failure, bootstrap, properties::Properties};

/// The client's configuration with these properties.
pub(super) fn config(properties: &Properties) -> ClientConfig {
    let mut config = ClientConfig::new(properties.get("bootstrap.servers").cloned().unwrap_or_default());
    for (name, value) in properties {
        config.set(name, value);
    }
    config
}

/// There can be no client: a setting is wrong, or no server's name stands for an address. The tools differ in how they
/// tell of it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", Self::MESSAGE)]
pub(super) struct NoClient {
    pub(super) reason: String,
}

impl NoClient {
    pub(super) const MESSAGE: &str = "Failed to create new KafkaAdminClient";
}

impl From<NoClient> for Failure {
    fn from(error: NoClient) -> Self {
        Self::Message(error.to_string())
    }
}

/// An admin client with nothing sent yet.
pub(super) struct Session(Admin);

impl Session {
    pub(super) fn open(settings: &Properties) -> Result<Self, NoClient> {
        if let Some(servers) = settings.get("bootstrap.servers") {
            bootstrap::resolve(servers).map_err(|reason| NoClient { reason })?;
        }
        Admin::new(&config(settings)).map(Self).map_err(|error| NoClient { reason: error.to_string() })
    }

    /// Runs `talk` to its end.
    pub(super) fn run<T>(self, talk: impl AsyncFnOnce(&Admin) -> T) -> Result<T, Failure> {
        Ok(runtime()?.block_on(async { talk(&self.0).await }))
    }
}

/// A tool does one thing at a time: one thread.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

//! Runs one conversation with a cluster through millstream-client's admin client.

use millstream_client::{Admin, ClientConfig};

use super::{Failure, bootstrap, options::Line, properties::Properties};

/// The client's configuration with these properties.
pub(super) fn config(properties: &Properties) -> ClientConfig {
    let mut config = ClientConfig::new(properties.get("bootstrap.servers").cloned().unwrap_or_default());
    for (name, value) in properties {
        config.set(name, value);
    }
    config
}

/// Runs `talk` with an admin client for the line's servers and settings. Fails when these cannot be read.
pub(super) fn block_on<T>(line: &Line, talk: impl AsyncFnOnce(&Admin) -> T) -> Result<T, Failure> {
    let config = config(&bootstrap::admin_settings(line)?);
    runtime()?.block_on(async {
        let admin = Admin::new(&config).map_err(|error| Failure::Message(error.to_string()))?;
        Ok(talk(&admin).await)
    })
}

/// A tool does one thing at a time: one thread.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

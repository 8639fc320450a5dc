//! A broker over a temporary directory, asked over its sockets.
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod compaction;
mod deleting;
mod dynamic_configs;
mod hostile;
mod log_dirs;
mod metrics;
mod nodes;
mod observed;
mod produce;
mod protocol;
mod records;
mod server;
mod topic;
mod wake_ups;

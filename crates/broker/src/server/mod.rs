//! The network side: listeners accept connections, workers serve them. Owns every connection's task.
//!
//! One current-thread runtime per core; a connection stays on the worker that got it, so that a request is received,
//! served and answered without a hand-over between threads.

mod connection;
mod frames;
mod listener;
mod memory;
mod peer;
mod workers;

pub use listener::BindError;
pub(crate) use listener::{BoundListener, ConnectionCount, ConnectionLimits, bind};
pub(crate) use memory::{AnswerMemory, RequestMemory};
pub(crate) use peer::{ClientSoftware, Peer};
pub(crate) use workers::Workers;

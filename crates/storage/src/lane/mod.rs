//! The lane: one journal per broker session, in which the batches of all partitions lie interleaved in arrival order.
//!
//! `slot` is its format, `LaneCore` its rules without I/O, `ticket` what an appender waits on.

pub(crate) mod core;
pub(crate) mod session;
pub mod slot;
pub(crate) mod ticket;
pub(crate) mod writer;

pub use slot::{LaneId, SlotError};
pub use ticket::Ticket;

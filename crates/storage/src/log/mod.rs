//! The log of one partition, without I/O: offsets, producers, transactions, leader epochs, and the newest batches.
//!
//! `LogState` is what a log's batches amount to; `PartitionLog` keeps it twice, as appended and as settled in segments.

pub(crate) mod config;
pub(crate) mod direct;
pub(crate) mod epochs;
pub(crate) mod partition_log;
pub(crate) mod producers;
pub(crate) mod retention;
pub(crate) mod stamp;
pub(crate) mod state;
pub(crate) mod transactions;

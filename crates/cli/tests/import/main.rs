//! `millstream log import` and `export`: data of a real Apache Kafka comes here and reads equal, ours goes there and reads
//! equal, and what cannot be taken over is refused with a sentence and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod broker;
mod command;
mod kafka;
mod refused;
mod round_trip;
mod unclean;

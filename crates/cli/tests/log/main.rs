//! `millstream log` and `millstream doctor`, as an operator starts them.
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod backup;
mod command;
mod directory;
mod dump;
mod upgrade;

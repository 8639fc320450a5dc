//! `millstream log` and `millstream doctor`, as an operator starts them.

mod backup;
mod command;
mod directory;
mod dump;

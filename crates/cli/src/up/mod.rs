//! The parts of `millstream up`: applying and waiting, where everything is reached, the services' logs, and how it goes
//! to the background. The command itself is `commands/up.rs`.

pub(crate) mod addresses;
pub(crate) mod detached;
pub(crate) mod follow;
pub(crate) mod progress;
pub(crate) mod ready;
pub(crate) mod settle;
pub(crate) mod stop;

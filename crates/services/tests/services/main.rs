//! Both services from outside: over real sockets, with and without a broker.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod event;
mod rest;
mod service;

//! A broker goes away under its clients and comes back: what this project's client, tools and services make of that,
//! seen with the real binary.

#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod client;
mod process;
mod services;
mod tools;

//! The client against a real broker: `MILLSTREAM_TEST_BOOTSTRAP` names it, whether Apache Kafka or Millstream. Without
//! one, what needs a broker says that it is skipped.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod admin;
mod consumer;
mod peer;
mod producer;

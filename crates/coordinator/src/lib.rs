//! Group state machines and their record formats: event and time in, effects out.

#[expect(clippy::too_many_lines, reason = "one statement per field of the record")]
pub mod generated;

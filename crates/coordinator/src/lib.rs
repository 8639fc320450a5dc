//! Group state machines and their record formats: event and time in, effects out.

//! Direct writes

//! What a test needs of the machine: where it is missing the test says so in one line, and with CI=true it fails.

/// Says that a test was not run, and why.
pub(crate) fn missing(what: &str, why: &str) {
    let line = format!("SKIPPED: {what} cannot be had here: {why}");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{line}");
    crate::say(&line);
}

//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell expects of a process that a signal ended: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// A token that is cancelled when the user wants the end.
///
/// # Errors
/// The system takes no signal handlers.
pub(crate) fn on_signal() -> Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let stop = CancellationToken::new();
    let wanted = stop.clone();
    tokio::spawn(async move {
        for orderly in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if orderly {
                wanted.cancel();
            }
        }
        // The children die with this process.
        std::process::exit(INTERRUPTED);
    });
    Ok(stop)
}

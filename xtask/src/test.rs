//! `cargo xtask test`: README's test command.

use std::process::Command;

use anyhow::{Result, ensure};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> Result<()> {
    let status = Command::new(env!("CARGO")).args(["test", "--workspace", "--no-fail-fast"]).status()?;
    ensure!(status.success(), "cargo test failed");
    Ok(())
}

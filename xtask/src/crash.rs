//! `cargo xtask crash`: full disks on a real file system, then many kills of a release broker under load. The trials are
//! the tests `full_disk` and `kill` of the command line's `durability`, of which the ordinary test run does a few; what they
//! prove stands in docs/reference/durability.md.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::workspace;

const TEST: &str = "kill::nothing_acknowledged_is_lost_doubled_or_moved_by_kill_9";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many trials.
    #[arg(long, default_value_t = 300)]
    trials: u64,
    /// The first trial's seed; the others follow it. By default one that nobody has seen.
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let built = workspace::cargo().args(["build", "--release", "-p", "millstream-cli"]).status()?;
    ensure!(built.success(), "the release build ended with {built}");
    let ended = durability(&["full_disk"]).env("MILLSTREAM_LOOP_DEVICES", "1").status()?;
    ensure!(ended.success(), "the full disks ended with {ended}");
    let mut kills = durability(&["--exact", TEST]);
    kills.env("MILLSTREAM_KILL_TRIALS", args.trials.to_string());
    if let Some(seed) = args.seed {
        kills.env("MILLSTREAM_KILL_SEED", seed.to_string());
    }
    let ended = kills.status()?;
    ensure!(ended.success(), "the trials ended with {ended}");
    Ok(())
}

/// The tests of durability that `chosen` chooses, with the release broker.
fn durability(chosen: &[&str]) -> Command {
    let mut test = workspace::cargo();
    test.args(["test", "-p", "millstream-cli", "--test", "durability", "--", "--nocapture"]).args(chosen);
    test.env("MILLSTREAM_BINARY", workspace::target().join("release/millstream"));
    test
}

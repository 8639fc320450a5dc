//! `cargo xtask crash`: many kills of a release broker under load. The trials are the test `kill` of the command line's
//! `durability`, which the ordinary test run does a few of; what they prove stands in docs/reference/durability.md.

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
    let mut test = workspace::cargo();
    test.args(["test", "-p", "millstream-cli", "--test", "durability", "--", "--exact", TEST, "--nocapture"]);
    test.env("MILLSTREAM_BINARY", workspace::target().join("release/millstream"));
    test.env("MILLSTREAM_KILL_TRIALS", args.trials.to_string());
    if let Some(seed) = args.seed {
        test.env("MILLSTREAM_KILL_SEED", seed.to_string());
    }
    let ended = test.status()?;
    ensure!(ended.success(), "the trials ended with {ended}");
    Ok(())
}

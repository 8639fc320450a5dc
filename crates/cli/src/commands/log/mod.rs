//! `millstream log`: what is done to the logs of a data directory. One file per command.

mod backup;
mod dump;
pub(crate) mod stopped;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};

/// Works on the logs in a data directory.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Dump(dump::Args),
    Verify(verify::Args),
    Backup(backup::Args),
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Dump(args) => dump::run(&args),
        Command::Verify(args) => verify::run(args),
        Command::Backup(args) => backup::run(&args),
    }
}

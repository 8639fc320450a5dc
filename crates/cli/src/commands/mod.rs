//! The commands of `millstream`, one file each. To add one: a file here with `Args` (clap) and
//! `run(args) -> anyhow::Result<ExitCode>`, a variant of `Command`, an arm in `run`.
//!
//! A command builds the runtime it needs itself: the broker wants one thread per core, a tool wants one.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::logs;

/// An event-streaming platform that speaks Apache Kafka.
#[derive(Parser, Debug)]
#[command(name = "millstream", version, max_term_width = 120)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    logs: logs::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {}

pub(crate) fn run(line: CommandLine) -> Result<ExitCode> {
    logs::init(&line.logs, line.command.default_log_level());
    match line.command {}
}

impl Command {
    /// What keeps running tells what it does; what answers and ends only complains.
    fn default_log_level(&self) -> &'static str {
        match *self {}
    }
}

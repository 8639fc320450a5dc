//! `millstream log`: what is done to the logs of a data directory. One file per command.

mod backup;
mod directory;
mod dump;
mod export;
mod import;
mod kafka_dirs;
mod plan;
pub(crate) mod progress;
pub(crate) mod stopped;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use millstream_broker::METADATA_FILE;

/// Works on the logs in a data directory.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Import(import::Args),
    Export(export::Args),
    Dump(dump::Args),
    Verify(verify::Args),
    Backup(backup::Args),
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.command {
        Command::Import(args) => runtime.block_on(import::run(args)),
        Command::Export(args) => runtime.block_on(export::run(args)),
        Command::Dump(args) => dump::run(&args),
        Command::Verify(args) => verify::run(args),
        Command::Backup(args) => backup::run(&args),
    }
}

/// The named data directory, or where a broker keeps its own.
fn data_dir(named: Option<PathBuf>) -> Result<PathBuf> {
    named.map_or_else(super::broker::default_data_dir, Ok)
}

/// `1 topic`, `2 topics`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Bytes of the `.log` files in a directory, for the progress; what cannot be read is found when it is copied.
fn log_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let logs = files.filter(|file| file.path().extension().is_some_and(|kind| kind == "log"));
    logs.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

//! The binary `millstream`: reads the command line, sets up logs, and hands over to one command.
//!
//! Started under the name of one of Kafka's scripts it is that tool. stdout carries what was asked for and nothing else;
//! logs and complaints go to stderr.

use std::process::ExitCode;

use clap::Parser;

mod commands;
mod kubectl;
mod logs;
mod manifest;
mod running;
mod tools;
mod up;

/// Small, short-lived allocations from many connections are what this process does; mimalloc is quicker at it than
/// the system's allocator and gives memory back, which keeps the idle footprint small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    if let Some(tool) = tools::started_as(program.as_ref()) {
        logs::init(&logs::Options::default(), commands::QUIET);
        return tools::run(tool, words);
    }
    match commands::run(commands::CommandLine::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

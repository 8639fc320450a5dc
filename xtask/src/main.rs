//! The project's chores, started as `cargo xtask <chore>`: one file or folder per chore.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod brought;
mod cluster;
mod codegen;
mod crash;
mod golden;
mod test;
mod tidy;
mod workspace;

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Chores {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Compare Millstream with Apache Kafka on this machine; writes docs/reference/benchmarks.md.
    Bench(bench::Args),
    /// Write Rust from Kafka's message definitions.
    Codegen(codegen::Args),
    /// Kill a release broker under load, many times.
    Crash(crash::Args),
    /// Record what Kafka's own code writes, for the codec's tests.
    Golden(golden::Args),
    /// Run every test: Rust's own first, then other people's Kafka clients.
    Test(test::Args),
    /// Check the rules of STYLE.md that clippy cannot.
    Tidy,
}

fn main() -> ExitCode {
    let done = match Chores::parse().chore {
        Chore::Bench(args) => bench::run(&args),
        Chore::Codegen(args) => codegen::run(&args),
        Chore::Crash(args) => crash::run(&args),
        Chore::Golden(args) => golden::run(&args),
        Chore::Test(args) => test::run(&args),
        Chore::Tidy => tidy::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

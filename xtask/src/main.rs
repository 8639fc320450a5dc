//! The project's chores, started as `cargo xtask <chore>`: one file or folder per chore.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod codegen;
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
    /// Write Rust from Kafka's message definitions.
    Codegen(codegen::Args),
    /// Record what Kafka's own code writes, for the codec's tests.
    Golden(golden::Args),
    /// Run every test: Rust's own first, then other people's Kafka clients.
    Test(test::Args),
    /// Check the rules of STYLE.md that clippy cannot.
    Tidy,
}

fn main() -> ExitCode {
    let done = match Chores::parse().chore {
        Chore::Codegen(args) => codegen::run(&args),
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

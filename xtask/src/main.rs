//! The project's chores, started as `cargo xtask <chore>`: one file or folder per chore.

use anyhow::Result;
use clap::{Parser, Subcommand};

mod test;

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Chores {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run every test: Rust's own first, then other people's Kafka clients.
    Test(test::Args),
}

fn main() -> Result<()> {
    match Chores::parse().chore {
        Chore::Test(args) => test::run(&args),
    }
}

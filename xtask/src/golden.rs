//! `cargo xtask golden`: records what Kafka's own code writes, for the tests of our codec to compare with.
//!
//! Needs Java and Maven; the recordings are checked in under `tests/wire/`, so that the tests need neither.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use crate::codegen::artifacts::{self, Artifact};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when a recording is not what Kafka's code writes now.
    #[arg(long)]
    check: bool,
}

/// The jars with messages in them.
const MESSAGES: [Artifact; 5] = [
    artifacts::CLIENTS,
    artifacts::GROUP_COORDINATOR,
    artifacts::TRANSACTION_COORDINATOR,
    artifacts::SHARE_COORDINATOR,
    artifacts::METADATA,
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let jars: Vec<PathBuf> = MESSAGES.iter().map(|artifact| artifact.jar(root)).collect::<Result<_>>()?;
    let mut class_path = jars.clone();
    class_path.push(artifacts::SLF4J.jar(root)?);
    let folder = root.join("tests/wire");
    let record = |arguments: &[PathBuf]| java(&folder.join("KafkaFrames.java"), &class_path, arguments);
    for (name, text) in [("frames.txt", record(&jars)?), ("errors.txt", record(&["errors".into()])?)] {
        let path = folder.join(name);
        if !args.check {
            fs::write(&path, text)?;
        } else if fs::read_to_string(&path).ok() != Some(text) {
            bail!("{} is not what Kafka's code writes: run `cargo xtask golden`", path.display());
        }
    }
    Ok(())
}

/// What a Java program prints.
fn java(program: &Path, class_path: &[PathBuf], arguments: &[PathBuf]) -> Result<String> {
    let output = Command::new("java")
        .arg("-cp")
        .arg(env::join_paths(class_path)?)
        .arg(program)
        .args(arguments)
        .output()
        .context("java (17 or newer) is not installed")?;
    ensure!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

//! What the chores know of the checkout: its root, its files, its packages.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The root of the checkout that this binary was built from.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root of the workspace")
}

/// The build folder, `CARGO_TARGET_DIR` honoured.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The binary that the tests of other people's programs are run against, once it is built.
pub(crate) fn binary() -> PathBuf {
    target().join("debug/millstream")
}

/// `cargo`, the one that started us, in the root of the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root());
    command
}

/// Every file that git tracks or would track, relative to the root, with `/` between folders, sorted.
pub(crate) fn files() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let text = String::from_utf8(stdout(&mut git)?).context("a file name is not UTF-8")?;
    let mut files: Vec<String> =
        text.split_terminator('\0').filter(|file| root().join(file).is_file()).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// What `cargo metadata` says of the workspace's own packages.
pub(crate) fn metadata() -> Result<Value> {
    let json = stdout(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    serde_json::from_slice(&json).context("reading cargo metadata")
}

/// Runs a command and gives what it wrote to stdout; its stderr goes to ours.
pub(crate) fn stdout(command: &mut Command) -> Result<Vec<u8>> {
    let output =
        command.stderr(std::process::Stdio::inherit()).output().with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    Ok(output.stdout)
}

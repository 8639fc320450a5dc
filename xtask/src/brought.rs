//! What other people's programs need, fetched through an ordinary package client, once, into the build folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The folder of the programs and of the lists of what they need.
pub(crate) fn clients() -> PathBuf {
    workspace::root().join("tests/clients")
}

/// The jars that a pom names, copied once per content of the pom.
pub(crate) fn jars(pom: &str) -> Result<PathBuf> {
    let pom = clients().join(pom);
    let name = pom.file_name().and_then(|name| name.to_str()).context("a pom has a name")?.replace(".pom.xml", "");
    bring(&format!("kafka-{name}"), &pom, |folder| {
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-ntp", "--color=never", "-f"]).arg(&pom);
        maven.arg("dependency:copy-dependencies").arg(format!("-DoutputDirectory={}", folder.display()));
        succeed(&mut maven)
    })
}

/// A Python environment with the packages of a requirements file.
pub(crate) fn venv(requirements: &str) -> Result<PathBuf> {
    let requirements = clients().join(requirements);
    let name = requirements.file_stem().and_then(|name| name.to_str()).context("a requirements file has a name")?;
    bring(name, &requirements, |folder| {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "-q", "--disable-pip-version-check", "-r"]).arg(&requirements);
        succeed(&mut pip)
    })
}

/// Fills target/clients/NAME by `fill`, unless it was filled from the same `source` before.
fn bring(name: &str, source: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = workspace::target().join("clients").join(name);
    let filled_from = folder.join(".filled-from");
    let wanted = fs::read(source).with_context(|| format!("reading {}", source.display()))?;
    if fs::read(&filled_from).is_ok_and(|filled| filled == wanted) {
        return Ok(folder);
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    println!("bringing {name} for {}", source.display());
    fill(&folder)?;
    fs::write(filled_from, wanted)?;
    Ok(folder)
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

//! The generated files of one crate: formatted, then written or compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::emit::MARK;

#[derive(Debug)]
pub(crate) struct Output {
    /// `src/generated` of the crate, from the workspace's root.
    folder: PathBuf,
    wire: &'static str,
    /// Text by file name.
    files: BTreeMap<String, String>,
}

impl Output {
    /// The files of the crate at `path`, which finds the primitive encodings at `wire`.
    pub(crate) fn new(path: &str, wire: &'static str) -> Self {
        Self { folder: Path::new(path).join("src/generated"), wire, files: BTreeMap::new() }
    }

    /// Adds a module.
    pub(crate) fn add(&mut self, module: &str, text: String) {
        self.files.insert(format!("{module}.rs"), text.replace("@wire@", self.wire));
    }

    fn module_list(&self) -> String {
        let modules = self.files.keys().map(|file| format!("pub mod {};\n", file.trim_end_matches(".rs")));
        format!(
            "{MARK}//! One module per message, or per pair that belongs together.\n\n{}",
            modules.collect::<String>()
        )
    }

    /// Adds `mod.rs` and runs rustfmt over everything.
    pub(crate) fn format(&mut self, root: &Path) -> Result<()> {
        self.files.insert("mod.rs".to_owned(), self.module_list());
        let scratch = root.join("target/codegen").join(&self.folder);
        fs::create_dir_all(&scratch)?;
        for (name, text) in &self.files {
            fs::write(scratch.join(name), text)?;
        }
        let status = Command::new("rustfmt")
            .args(["--edition", "2024", "--config-path"])
            .arg(root)
            .args(self.files.keys().map(|name| scratch.join(name)))
            .status()
            .context("rustfmt")?;
        ensure!(status.success(), "rustfmt refuses the generated code in {}", scratch.display());
        for (name, text) in &mut self.files {
            *text = fs::read_to_string(scratch.join(name))?;
        }
        Ok(())
    }

    /// Replaces the folder's content.
    pub(crate) fn write(&self, root: &Path) -> Result<()> {
        let folder = root.join(&self.folder);
        fs::create_dir_all(&folder)?;
        for stale in self.stale(root)? {
            fs::remove_file(folder.join(stale))?;
        }
        for (name, text) in &self.files {
            fs::write(folder.join(name), text)?;
        }
        Ok(())
    }

    /// Files of the folder that are not among these.
    fn stale(&self, root: &Path) -> Result<Vec<String>> {
        let mut stale = Vec::new();
        for entry in fs::read_dir(root.join(&self.folder))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !self.files.contains_key(&name) {
                stale.push(name);
            }
        }
        Ok(stale)
    }

    fn differing(&self, root: &Path) -> Result<Vec<PathBuf>> {
        let folder = root.join(&self.folder);
        let differs = |name: &&String| fs::read_to_string(folder.join(name)).ok().as_ref() != self.files.get(*name);
        let mut names: Vec<String> = self.files.keys().filter(differs).cloned().collect();
        if folder.is_dir() {
            names.extend(self.stale(root)?);
        }
        Ok(names.into_iter().map(|name| self.folder.join(name)).collect())
    }
}

/// Errors with the list of files that are not what would be written.
pub(crate) fn check(root: &Path, outputs: &[Output]) -> Result<()> {
    let mut differing = Vec::new();
    for output in outputs {
        differing.extend(output.differing(root)?);
    }
    if differing.is_empty() {
        return Ok(());
    }
    for path in &differing {
        eprintln!("{}", path.display());
    }
    bail!("{} generated files are not what `cargo xtask codegen` writes", differing.len())
}

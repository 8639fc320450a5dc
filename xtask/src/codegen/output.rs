//! The generated files of one crate: formatted, then written or compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::emit;
use super::schema::Message;

/// Where a crate's generated modules lie.
const MODULES: &str = "src/generated";
/// Where its tests have the same messages as tables.
const CASES: &str = "tests/wire/cases.rs";

#[derive(Debug)]
pub(crate) struct Output {
    /// The crate's folder, from the workspace's root.
    folder: PathBuf,
    /// The path of `millstream_model::wire` as the crate sees it.
    wire: &'static str,
    /// Text by path inside the crate.
    files: BTreeMap<String, String>,
    /// Every message, with the path of its module as the crate's tests see it.
    messages: Vec<(String, Message)>,
}

impl Output {
    pub(crate) fn new(folder: &str, wire: &'static str) -> Self {
        Self { folder: folder.into(), wire, files: BTreeMap::new(), messages: Vec::new() }
    }

    /// Adds a module with these messages; `parent` is its parent's path as the crate's tests see it.
    pub(crate) fn add(&mut self, parent: &str, module: &str, doc: &str, messages: Vec<Message>) -> Result<()> {
        self.add_text(module, &emit::file(doc, &messages)?);
        self.messages.extend(messages.into_iter().map(|message| (format!("{parent}::{module}"), message)));
        Ok(())
    }

    /// Adds a module.
    pub(crate) fn add_text(&mut self, module: &str, text: &str) {
        self.files.insert(format!("{MODULES}/{module}.rs"), text.replace("@wire@", self.wire));
    }

    /// Adds `mod.rs` and the table of messages, those of `others` included, and runs rustfmt over everything.
    pub(crate) fn finish(mut self, root: &Path, others: Vec<(String, Message)>) -> Result<Self> {
        self.messages.extend(others);
        let modules = self.files.keys().filter_map(|path| Path::new(path).file_stem()?.to_str());
        let list: String = modules.map(|module| format!("pub mod {module};\n")).collect();
        let head = emit::head("One module per message, or per pair that belongs together.");
        self.files.insert(format!("{MODULES}/mod.rs"), format!("{head}{EXPECT_LONG}{list}"));
        if !self.messages.is_empty() {
            self.files.insert(CASES.to_owned(), emit::cases(&self.messages)?);
        }
        self.format(root)?;
        Ok(self)
    }

    /// The messages, for another crate's tests.
    pub(crate) fn take_messages(&mut self) -> Vec<(String, Message)> {
        std::mem::take(&mut self.messages)
    }

    fn format(&mut self, root: &Path) -> Result<()> {
        let scratch = root.join("target/codegen").join(&self.folder);
        for (path, text) in &self.files {
            write_file(&scratch.join(path), text)?;
        }
        let status = Command::new("rustfmt")
            .args(["--edition", "2024", "--config-path"])
            .arg(root)
            .args(self.files.keys().map(|path| scratch.join(path)))
            .status()
            .context("rustfmt")?;
        ensure!(status.success(), "rustfmt refuses the generated code in {}", scratch.display());
        for (path, text) in &mut self.files {
            *text = fs::read_to_string(scratch.join(path))?;
        }
        if !self.files.values().any(|text| has_long_function(text)) {
            let list = self.files.get_mut(&format!("{MODULES}/mod.rs")).context("mod.rs was added")?;
            *list = list.replace(EXPECT_LONG, "");
        }
        Ok(())
    }

    /// Replaces what was generated before.
    pub(crate) fn write(&self, root: &Path) -> Result<()> {
        let folder = root.join(&self.folder);
        for stale in self.stale(root)? {
            fs::remove_file(folder.join(stale))?;
        }
        self.files.iter().try_for_each(|(path, text)| write_file(&folder.join(path), text))
    }

    /// Files among the generated modules that would not be written.
    fn stale(&self, root: &Path) -> Result<Vec<String>> {
        let folder = root.join(&self.folder).join(MODULES);
        let mut stale = Vec::new();
        if folder.is_dir() {
            for entry in fs::read_dir(folder)? {
                let path = format!("{MODULES}/{}", entry?.file_name().to_string_lossy());
                if !self.files.contains_key(&path) {
                    stale.push(path);
                }
            }
        }
        Ok(stale)
    }

    fn differing(&self, root: &Path) -> Result<Vec<PathBuf>> {
        let folder = root.join(&self.folder);
        let differs = |path: &&String| fs::read_to_string(folder.join(path)).ok().as_ref() != self.files.get(*path);
        let mut paths: Vec<String> = self.files.keys().filter(differs).cloned().collect();
        paths.extend(self.stale(root)?);
        Ok(paths.into_iter().map(|path| self.folder.join(path)).collect())
    }
}

/// What clippy is told in `mod.rs` where a message has so many fields that reading them does not fit a screen.
const EXPECT_LONG: &str = "#![expect(clippy::too_many_lines, reason = \"one statement per field of the message\")]\n\n";

/// Whether clippy's `too_many_lines` finds something: it counts the lines of a body that are not empty.
fn has_long_function(text: &str) -> bool {
    text.split("fn ").skip(1).any(|function| {
        let body = function.split("\n    }").next().unwrap_or_default();
        body.lines().skip(1).filter(|line| !line.trim().is_empty()).count() > 70
    })
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| path.display().to_string())
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

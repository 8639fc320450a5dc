//! `cargo xtask tidy`: the rules of STYLE.md that clippy cannot check.
//!
//! Every finding names its file and line and says what to do; all are printed before the chore fails.
//! Generated code (`src/generated/`) is exempt from the rules on length.

use std::{fmt, path::Path};

use anyhow::{Context, Result, bail};

use crate::workspace;

mod dependencies;
mod source;
mod tree;

/// One broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Relative to the root of the project.
    file: String,
    /// Counted from one; zero when the finding is about the file.
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}: {}", self.file, self.what),
        }
    }
}

pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let files = workspace::files()?;
    let architecture = read(&root.join("ARCHITECTURE.md"))?;
    let mut findings = Vec::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        findings.extend(tree::check(file, &text));
        if file.ends_with(".rs") {
            findings.extend(source::check(file, &text, &architecture));
        }
    }
    findings.extend(dependencies::check_directions(&workspace::metadata()?));
    findings.extend(dependencies::check_reasons(&read(&root.join("Cargo.toml"))?));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} to mend in {} files looked at", findings.len(), files.len());
    }
    println!("tidy: {} files, nothing to mend", files.len());
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

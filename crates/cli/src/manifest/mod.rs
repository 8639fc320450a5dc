//! Manifests from files, folders and standard input: YAML or JSON, several documents to a file, `List`s unpacked.
//!
//! Called by `up`, `apply` and `delete`. Everything is read and checked before anything is sent, so a broken file
//! leaves nothing half applied. A complaint names file, line, field and what was expected.

mod node;

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use serde_json::Value;
use serde_saphyr::Spanned;

pub(crate) use node::Lines;
use node::Node;

/// No manifest of a human hand is larger; Kubernetes itself stops at 3 MiB a request.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One object of a manifest file, with where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// The object as JSON: `apiVersion`, `kind` and `metadata.name` are present.
    pub(crate) object: Value,
    source: String,
    lines: Lines,
}

/// Why manifests could not be read; the text is what the user sees.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the path \"{0}\" does not exist")]
    Missing(String),
    #[error("the path \"{path}\" cannot be read: {error}")]
    Unreadable { path: String, error: io::Error },
    #[error("{0}: larger than {FILE_BYTES_MAX} bytes; a manifest is not")]
    TooLarge(String),
    #[error("no manifests (.yaml, .yml, .json) in the folder \"{0}\"")]
    EmptyFolder(String),
    #[error("error parsing {place}: {reason}")]
    Syntax { place: String, reason: String },
    #[error("error parsing {place}: not UTF-8, as YAML has to be")]
    NotText { place: String },
    #[error("no objects in {0}")]
    Empty(String),
    #[error("{place}: {}{expected}", if field.is_empty() { String::new() } else { format!("{field}: ") })]
    Field { place: String, field: &'static str, expected: String },
}

impl Manifest {
    /// `file:line` of a field of this object, of the object itself when the field is empty or unknown.
    pub(crate) fn place(&self, field: &str) -> String {
        match self.lines.of(field).or_else(|| self.lines.of("")) {
            Some(line) => format!("{}:{line}", self.source),
            None => self.source.clone(),
        }
    }

    /// `apiVersion`, for example `kafka.strimzi.io/v1beta2`.
    pub(crate) fn api_version(&self) -> &str {
        self.object["apiVersion"].as_str().unwrap_or_default()
    }

    /// `kind`, for example `KafkaTopic`.
    pub(crate) fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// `metadata.name`.
    pub(crate) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// `metadata.namespace`, when the manifest gives one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.object["metadata"]["namespace"].as_str()
    }

    fn check(object: Value, source: &str, lines: Lines) -> Result<Self, ReadError> {
        let manifest = Self { object, source: source.to_owned(), lines };
        let complain = |field: &'static str, expected: &str| {
            Err(ReadError::Field { place: manifest.place(field), field, expected: expected.to_owned() })
        };
        if !manifest.object.is_object() {
            return complain("", "expected an object with apiVersion, kind and metadata");
        }
        for (field, expected) in [
            ("apiVersion", "required; expected a group and version, such as v1 or kafka.strimzi.io/v1"),
            ("kind", "required; expected a kind, such as KafkaTopic"),
        ] {
            if manifest.object[field].as_str().is_none_or(str::is_empty) {
                return complain(field, expected);
            }
        }
        if !manifest.object["metadata"].is_object() {
            return complain("metadata", "required; expected an object with a name");
        }
        if manifest.object["metadata"]["name"].as_str().is_none_or(str::is_empty) {
            return complain("metadata.name", "required; expected a non-empty string");
        }
        match &manifest.object["metadata"]["namespace"] {
            Value::Null | Value::String(_) => Ok(manifest),
            _ => complain("metadata.namespace", "expected a string"),
        }
    }
}

/// Reads every object of the given paths, in the order of the paths, a folder's files by name. `-` is standard input.
/// Without paths there are none; paths without any object are a mistake.
///
/// # Errors
/// The first thing that is wrong, with file, line and field.
pub(crate) fn read(paths: &[String]) -> Result<Vec<Manifest>, ReadError> {
    let mut manifests = Vec::new();
    for path in paths {
        if path == "-" {
            manifests.extend(parse("stdin", &read_text(io::stdin(), "stdin")?)?);
            continue;
        }
        for file in files_of(path)? {
            let source = file.display().to_string();
            let unreadable = |error| ReadError::Unreadable { path: source.clone(), error };
            let text = read_text(fs::File::open(&file).map_err(unreadable)?, &source)?;
            manifests.extend(parse(&source, &text)?);
        }
    }
    if manifests.is_empty() && !paths.is_empty() {
        let quoted: Vec<String> = paths.iter().map(|path| format!("\"{path}\"")).collect();
        return Err(ReadError::Empty(quoted.join(", ")));
    }
    Ok(manifests)
}

fn files_of(path: &str) -> Result<Vec<PathBuf>, ReadError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ReadError::Missing(path.to_owned()),
        _ => ReadError::Unreadable { path: path.to_owned(), error },
    };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![PathBuf::from(path)]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let manifest = file.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if manifest && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(ReadError::EmptyFolder(path.to_owned()));
    }
    files.sort();
    Ok(files)
}

fn read_text(input: impl Read, source: &str) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    let unreadable = |error| ReadError::Unreadable { path: source.to_owned(), error };
    let read = input.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge(source.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        ReadError::NotText { place: format!("{source}:{line}") }
    })
}

/// The objects of one text; `source` names it in complaints.
///
/// # Errors
/// Bad YAML, or an object without `apiVersion`, `kind` or a name.
pub(crate) fn parse(source: &str, text: &str) -> Result<Vec<Manifest>, ReadError> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    let documents: Vec<Spanned<Node>> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| syntax(source, &error))?;
    let mut manifests = Vec::new();
    for document in documents {
        let (object, lines) = node::split(document);
        if !object.is_null() {
            unpack(object, source, lines, &mut manifests)?;
        }
    }
    Ok(manifests)
}

/// A `List` of whatever kind stands for its items (`kubectl get -o yaml` writes one).
fn unpack(mut object: Value, source: &str, lines: Lines, manifests: &mut Vec<Manifest>) -> Result<(), ReadError> {
    let list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) && object["items"].is_array();
    if !list {
        manifests.push(Manifest::check(object, source, lines)?);
        return Ok(());
    }
    let Value::Array(items) = object["items"].take() else { return Ok(()) };
    for (index, item) in items.into_iter().enumerate() {
        let below = lines.below(&format!("items[{index}]"));
        manifests.push(Manifest::check(item, source, below)?);
    }
    Ok(())
}

fn syntax(source: &str, error: &serde_saphyr::Error) -> ReadError {
    let place = match error.location() {
        Some(at) => format!("{source}:{}:{}", at.line(), at.column()),
        None => source.to_owned(),
    };
    let reason = error.without_snippet().to_string();
    // The place is told already.
    let reason = reason.split(" at line ").next().unwrap_or(&reason).to_owned();
    ReadError::Syntax { place, reason }
}

#[cfg(test)]
mod tests;

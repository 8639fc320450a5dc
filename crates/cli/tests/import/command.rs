//! The two commands as a user runs them, and folders before and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn log(words: &[&str], dirs: &[&Path], data: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.arg("log").args(words).args(dirs).arg("--data-dir").arg(data);
    command.stdin(Stdio::null()).output().unwrap()
}

/// What a command said on stdout; it must have succeeded without a complaint.
fn succeeded(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{}: {complaint}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The complaint of a command that must have failed, with nothing on stdout.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn import(dirs: &[&Path], data: &Path) -> String {
    succeeded(&log(&["import"], dirs, data))
}

pub(crate) fn import_unclean(dir: &Path, data: &Path) -> String {
    succeeded(&log(&["import", "--unclean"], &[dir], data))
}

/// What an import said that was refused; it left nothing behind.
pub(crate) fn import_refused(options: &[&str], dirs: &[&Path], data: &Path) -> String {
    let before = entries(data.parent().unwrap());
    let said = refused(&log(&[&["import"], options].concat(), dirs, data));
    assert_eq!(entries(data.parent().unwrap()), before, "{said}");
    said
}

/// The lines for server.properties.
pub(crate) fn export(dir: &Path, data: &Path, controller: &str) -> String {
    succeeded(&log(&["export", "--controller", controller], &[dir], data))
}

pub(crate) fn export_refused(dir: &Path, data: &Path) -> String {
    let before = entries(dir.parent().unwrap());
    let said = refused(&log(&["export"], &[dir], data));
    assert_eq!(entries(dir.parent().unwrap()), before, "{said}");
    said
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// All files below a folder, with their contents.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for path in entries(dir) {
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// A copy of a folder, to be changed.
pub(crate) fn copied(from: &Path, to: &Path) -> PathBuf {
    fs::create_dir_all(to).unwrap();
    for path in entries(from) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copied(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
    to.to_owned()
}

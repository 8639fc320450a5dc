//! Rules for any text file: nothing that ties the tree to one machine.

use super::Finding;

/// Where packages come from, by the lock file's own key: anything else is one machine's mirror.
const PACKAGE_SOURCES: [&str; 3] = [
    "registry+https://github.com/rust-lang/crates.io-index",
    "https://registry.npmjs.org/",
    "https://repo.maven.apache.org/",
];

pub(super) fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let what = if let Some(path) = machine_path(line) {
            format!("`{path}` exists on one machine only: take it from the environment or from the root of the project")
        } else if names_a_mirror(file, line) {
            "a package source that is not the public registry".to_owned()
        } else if matches!(line, "<<<<<<< HEAD" | "=======" | ">>>>>>> main") && file.ends_with(".rs") {
            "a merge conflict's mark".to_owned()
        } else {
            continue;
        };
        findings.push(Finding { file: file.to_owned(), line: index + 1, what });
    }
    findings
}

/// A path under a home folder of somebody. Split so that this file does not find itself.
fn machine_path(line: &str) -> Option<&str> {
    let starts = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
    for start in starts {
        for (at, _) in line.match_indices(start) {
            let before = line[..at].chars().next_back();
            let after = line[at + start.len()..].chars().next();
            // `path/root/x` and `$HOME/work/x` are parts of other paths; `/home/<user>` and `/work/…` are words about paths.
            let begins = before.is_none_or(|c| !c.is_alphanumeric() && !"_}./-*>".contains(c));
            if begins && after.is_some_and(|c| c.is_alphanumeric() || c == '.') {
                let end = line[at..].find(|c: char| c.is_whitespace() || "\"'`)".contains(c));
                return Some(&line[at..end.map_or(line.len(), |end| at + end)]);
            }
        }
    }
    None
}

fn names_a_mirror(file: &str, line: &str) -> bool {
    let is_lock = file.ends_with("Cargo.lock") || file.ends_with("package-lock.json");
    let is_source = ["source = \"", "\"resolved\": \""].iter().any(|key| line.trim_start().starts_with(key));
    is_lock && is_source && !PACKAGE_SOURCES.iter().any(|source| line.contains(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_one_machine_are_found() {
        for (line, count) in [
            (concat!("see /ro", "ot/.cache/x"), 1),
            (concat!("\"/wo", "rk/shared\""), 1),
            ("/home/<user>/x", 0),
            ("crates/work/x", 0),
            ("target/root/x", 0),
        ] {
            assert_eq!(check("a.md", line).len(), count, "{line}");
        }
    }

    #[test]
    fn lock_files_name_the_public_registries_only() {
        assert_eq!(check("Cargo.lock", "source = \"registry+https://mirror.example/index\"").len(), 1);
        assert_eq!(check("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\"").len(), 0);
    }
}

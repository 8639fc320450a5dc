//! Rules for one Rust file: its head, its length, its name, and words that must not stand in it.

use super::Finding;

const HEAD_LINES_MAX: usize = 12;
const FILE_LINES_MAX: usize = 600;
const INLINE_TEST_LINES_MAX: usize = 100;
const FORBIDDEN_NAMES: [&str; 9] =
    ["util", "utils", "common", "misc", "helper", "helpers", "types", "manager", "managers"];

pub(super) fn check(file: &str, text: &str, architecture: &str) -> Vec<Finding> {
    let mut findings = Findings { file, found: Vec::new() };
    findings.name();
    findings.head(text);
    if !file.contains("/generated/") {
        findings.length(text);
    }
    findings.words(text);
    findings.unsafe_code(text, architecture);
    findings.found
}

struct Findings<'a> {
    file: &'a str,
    found: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, line: usize, what: impl Into<String>) {
        self.found.push(Finding { file: self.file.to_owned(), line, what: what.into() });
    }

    fn name(&mut self) {
        for part in self.file.trim_end_matches(".rs").split('/') {
            let last_word = part.rsplit('_').next().unwrap_or(part);
            if FORBIDDEN_NAMES.contains(&part) || (last_word != part && FORBIDDEN_NAMES.contains(&last_word)) {
                self.add(0, format!("`{part}` says nothing: name the noun, or keep the code beside its only caller"));
            }
        }
    }

    fn head(&mut self, text: &str) {
        let lines = text.lines().take_while(|line| line.starts_with("//!")).count();
        // The tests of a module, beside it: the module's head is theirs.
        if lines == 0 && !self.file.ends_with("/tests.rs") {
            self.add(1, "no `//!` head: say what the file owns, who calls it, what must stay true");
        } else if lines > HEAD_LINES_MAX {
            self.add(1, format!("the head has {lines} lines, {HEAD_LINES_MAX} at most"));
        }
    }

    fn length(&mut self, text: &str) {
        if is_test_file(self.file) {
            return;
        }
        let total = text.lines().count();
        let lines: Vec<&str> = text.lines().collect();
        let begins_tests =
            |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
        let code = lines.windows(2).position(begins_tests).unwrap_or(total);
        if code > FILE_LINES_MAX {
            self.add(0, format!("{code} lines before the tests, {FILE_LINES_MAX} at most: split by noun"));
        }
        if total - code > INLINE_TEST_LINES_MAX {
            let home = self.file.trim_end_matches("/mod.rs").trim_end_matches(".rs");
            self.add(code + 1, format!("{} lines of tests inside: move them to {home}/tests.rs", total - code));
        }
    }

    fn words(&mut self, text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in numbered_code(text) {
            if line.contains("#[allow(") || line.contains("#![allow(") {
                self.add(number, "`allow`: write #[expect(lint, reason = \"…\")], or mend it");
            }
            let above_generated = lines.get(number).is_some_and(|next| next.ends_with("mod generated;"));
            let is_generated = above_generated || self.file.contains("/generated/");
            if line.contains("clippy::too_many_lines") && !is_generated {
                self.add(number, "a function fits a screen: split it instead of excusing it");
            }
            if line.contains("todo!(") || line.contains("unimplemented!(") {
                self.add(number, "nothing ships unfinished: answer with an error that says so");
            }
        }
    }

    fn unsafe_code(&mut self, text: &str, architecture: &str) {
        let Some((number, _)) = numbered_code(text).find(|(_, line)| has_word(line, "unsafe")) else { return };
        if !architecture.contains(self.file) {
            self.add(number, "unsafe code in a file that ARCHITECTURE.md does not list");
        }
        let lines: Vec<&str> = text.lines().collect();
        let blocks: Vec<usize> =
            numbered_code(text).filter(|(_, line)| line.contains("unsafe {")).map(|(number, _)| number).collect();
        for number in blocks {
            let above = &lines[number.saturating_sub(6)..number];
            if !above.iter().any(|line| line.trim_start().starts_with("// SAFETY:")) {
                self.add(number, "an unsafe block without a `// SAFETY:` line above it");
            }
        }
    }
}

fn is_test_file(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/") || file.starts_with("tests/")
}

/// Lines with their numbers, without comments and without what stands between quotes.
fn numbered_code(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, code_of(line))).filter(|(_, line)| !line.is_empty())
}

fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => drop(characters.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && characters.peek() == Some(&'/') => break,
            _ if quoted => {}
            _ => code.push(character),
        }
    }
    code.trim().to_owned()
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(file: &str, text: &str, expected: &[&str]) {
        let found: Vec<String> = check(file, text, "crates/a/src/listed.rs").iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    #[test]
    fn a_well_kept_file_passes() {
        finds("crates/a/src/offset.rs", "//! Offsets.\n\nfn f() {} // todo!() in words\n", &[]);
    }

    #[test]
    fn heads_are_required_and_short() {
        finds("crates/a/src/offset.rs", "fn f() {}\n", &["offset.rs:1: no `//!` head"]);
        finds("crates/a/src/offset/tests.rs", "fn f() {}\n", &[]);
        finds("crates/a/src/offset.rs", &"//! x\n".repeat(13), &["13 lines, 12 at most"]);
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        finds("crates/a/src/util.rs", "//! x\n", &["`util` says nothing"]);
        finds("crates/a/src/offset_manager/mod.rs", "//! x\n", &["`offset_manager` says nothing"]);
        finds("crates/a/src/subtypes.rs", "//! x\n", &[]);
    }

    #[test]
    fn long_files_are_refused_unless_generated_or_tests() {
        let long = format!("//! x\n{}", "fn f() {}\n".repeat(600));
        finds("crates/a/src/offset.rs", &long, &["601 lines before the tests"]);
        finds("crates/a/src/generated/fetch.rs", &long, &[]);
        finds("crates/a/src/offset/tests.rs", &long, &[]);
        let tested = format!("//! x\n#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(98));
        finds("crates/a/src/offset.rs", "//! x\n#[cfg(test)]\nmod tests;\n\nfn f() {}\n", &[]);
        finds("crates/a/src/offset.rs", &tested, &["move them to crates/a/src/offset/tests.rs"]);
    }

    #[test]
    fn forbidden_words_are_found_in_code_only() {
        finds("crates/a/src/x.rs", "//! x\n#[allow(dead_code)]\nfn f() { todo!() }\n", &["x.rs:2", "x.rs:3"]);
        finds("crates/a/src/x.rs", "//! x\nconst S: &str = \"todo!() #[allow(x)]\";\n", &[]);
    }

    #[test]
    fn unsafe_needs_an_entry_and_a_reason() {
        let bare = "//! x\nfn f() { unsafe { g() } }\n";
        finds("crates/a/src/x.rs", bare, &["ARCHITECTURE.md does not list", "without a `// SAFETY:`"]);
        finds("crates/a/src/listed.rs", "//! x\n// SAFETY: g asks for nothing.\nlet a = unsafe { g() };\n", &[]);
        finds("crates/a/src/x.rs", "//! x\n#![expect(unsafe_code, reason = \"y\")]\n", &[]);
    }
}

//! `--help` of a tool, rendered from its table of options.

use std::fmt::Write;

use super::options::{OptionSpec, Takes};

const WIDTH: usize = 100;
const NAME_WIDTH: usize = 40;

/// The options, one after the other by name, with what they take and do.
pub(crate) fn render(options: &[OptionSpec]) -> String {
    let mut sorted: Vec<&OptionSpec> = options.iter().collect();
    sorted.sort_by_key(|option| option.name);
    let mut text = format!("{:NAME_WIDTH$} Description\n{:NAME_WIDTH$} -----------\n", "Option", "------");
    for option in sorted {
        let name = match option.takes {
            Takes::Nothing => format!("--{}", option.name),
            Takes::Value(what) => format!("--{} <{what}>", option.name),
            Takes::Maybe(what) => format!("--{} [{what}]", option.name),
        };
        let mut lines = wrap(option.help, WIDTH - NAME_WIDTH - 1).into_iter();
        if name.len() > NAME_WIDTH {
            writeln!(text, "{name}").expect("a String takes every write");
        } else {
            let first = lines.next().unwrap_or_default();
            writeln!(text, "{name:NAME_WIDTH$} {first}").expect("a String takes every write");
        }
        for line in lines {
            writeln!(text, "{:NAME_WIDTH$} {line}", "").expect("a String takes every write");
        }
    }
    text
}

/// Breaks at spaces; a line break in the text stays one, and what follows it keeps its indentation.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let indent = paragraph.len() - paragraph.trim_start().len();
        let mut line = paragraph[..indent].to_owned();
        for word in paragraph.split_whitespace() {
            if line.trim_start().is_empty() {
                line.push_str(word);
            } else if line.len() + 1 + word.len() <= width {
                line.push(' ');
                line.push_str(word);
            } else {
                lines.push(std::mem::replace(&mut line, format!("{:indent$}{word}", "")));
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::options::{flag, value};

    #[test]
    fn options_stand_by_name_with_wrapped_help() {
        let long =
            "word word word word word word word word word word word word word word word word word word word word";
        let table = [
            value("topic", "topic", long),
            flag("list", "List."),
            value("a-very-long-option-name", "with a long description", "Short."),
        ];
        let rendered = render(&table);
        let lines: Vec<&str> = rendered.lines().collect();
        assert_eq!(lines[2], "--a-very-long-option-name <with a long description>");
        assert_eq!(lines[3].trim(), "Short.");
        assert!(lines[4].starts_with("--list ") && lines[4].ends_with("List."));
        assert!(lines[5].starts_with("--topic <topic> "));
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{rendered}");
    }
}

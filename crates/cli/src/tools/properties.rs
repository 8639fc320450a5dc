//! Java's property files, as `--command-config` and its siblings name them, and `key=value` options.

use std::{collections::BTreeMap, fs, io};

use super::{Failure, options::Line};

/// Properties by name.
pub(crate) type Properties = BTreeMap<String, String>;

/// Reads a property file. Fails when the file cannot be read, with its path in the message.
pub(crate) fn load(path: &str) -> io::Result<Properties> {
    let bytes = fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

/// The properties of the file that an option names; none when the option does not stand in the line.
pub(crate) fn of_option(line: &Line, option: &'static str) -> Result<Properties, Failure> {
    match line.value(option)? {
        Some(path) => Ok(load(path)?),
        None => Ok(Properties::new()),
    }
}

/// `key=value` words; a word without `=` is a key with an empty value.
pub(crate) fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Properties {
    let pairs = words.into_iter().map(|word| word.split_once('=').unwrap_or((word, "")));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The format of java.util.Properties: `#` and `!` begin a comment, `=`, `:` or space ends a key, a backslash at the
/// end of a line joins the next one, `\t`, `\n`, `\uXXXX` and their like stand for characters.
fn parse(text: &str) -> Properties {
    let mut properties = Properties::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start_matches(BLANKS).to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while line.chars().rev().take_while(|&c| c == '\\').count() % 2 == 1 {
            line.pop();
            let Some(next) = lines.next() else { break };
            line.push_str(next.trim_start_matches(BLANKS));
        }
        let (key, value) = split(&line);
        properties.insert(unescape(key), unescape(value));
    }
    properties
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Splits at the first separator that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|&(_, c)| {
        let ends = !escaped && (c == '=' || c == ':' || BLANKS.contains(&c));
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some((end, _)) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(BLANKS);
    (&line[..end], rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANKS))
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_syntax_is_read() {
        let text = "# comment\n! too\n\nacks=all\n  linger.ms : 5\nclient.id x y\nlong=a,\\\n   b\nkey\\=x=1\npath=C\\:\\\\d\\u0041\nempty\nlast=\\";
        let expected = [
            ("acks", "all"),
            ("linger.ms", "5"),
            ("client.id", "x y"),
            ("long", "a,b"),
            ("key=x", "1"),
            ("path", "C:\\dA"),
            ("empty", ""),
            ("last", ""),
        ];
        assert_eq!(
            parse(text),
            from_words([]).into_iter().chain(expected.map(|(k, v)| (k.to_owned(), v.to_owned()))).collect()
        );
    }

    #[test]
    fn words_split_at_the_first_equals_sign() {
        let properties = from_words(["a=b=c", "flag"]);
        assert_eq!(properties["a"], "b=c");
        assert_eq!(properties["flag"], "");
    }
}

//! JSON values as the YAML that kubectl prints: keys in order, lists not indented, strings quoted where Go's YAML
//! library quotes them, long text folded at 80 columns. Pure; `get -o yaml` prints the result.

use std::fmt::Write as _;

use serde_json::Value;

/// A plain or quoted scalar that is wider is folded at a space, as Go's library does.
const LINE_WIDTH: usize = 80;

/// The value as a YAML document, with its closing newline.
pub(crate) fn render(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => mapping(&mut out, value, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        other => {
            scalar(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

fn mapping(out: &mut String, value: &Value, indent: usize) {
    let Some(fields) = value.as_object() else { return };
    let mut keys: Vec<_> = fields.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    for (position, (key, value)) in keys.into_iter().enumerate() {
        // The first key of a list's item stands behind the dash.
        if position > 0 || !out.ends_with("- ") {
            pad(out, indent);
        }
        text(out, key, indent);
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(out, value, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                sequence(out, items, indent);
            }
            other => {
                out.push(' ');
                scalar(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn sequence(out: &mut String, items: &[Value], indent: usize) {
    for (position, item) in items.iter().enumerate() {
        if position > 0 || !out.ends_with("- ") {
            pad(out, indent);
        }
        out.push_str("- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => mapping(out, item, indent + 2),
            Value::Array(inner) if !inner.is_empty() => sequence(out, inner, indent + 2),
            other => {
                scalar(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn scalar(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        Value::String(value) => text(out, value, indent),
        other => out.push_str(&other.to_string()),
    }
}

fn text(out: &mut String, value: &str, indent: usize) {
    if value.contains('\n') && !value.chars().any(unprintable) {
        return block(out, value, indent);
    }
    if value.chars().any(|c| unprintable(c) || c == '\n') || reads_as_other(value) {
        return double_quoted(out, value);
    }
    if needs_quotes(value) {
        fold(out, &format!("'{}'", value.replace('\'', "''")), indent);
    } else {
        fold(out, value, indent);
    }
}

/// A literal block: `|` with `-` when the text does not end in a line break, `+` when it ends in several.
fn block(out: &mut String, value: &str, indent: usize) {
    out.push('|');
    if value.starts_with([' ', '\n']) {
        out.push('2');
    }
    match value.strip_suffix('\n') {
        None => out.push('-'),
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    for line in value.strip_suffix('\n').unwrap_or(value).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
    }
}

fn double_quoted(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\0' => out.push_str("\\0"),
            c if unprintable(c) && u32::from(c) <= 0xff => {
                let _ = write!(out, "\\x{:02X}", u32::from(c));
            }
            c if unprintable(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Breaks at single spaces once the line is full; a YAML reader joins the pieces again.
fn fold(out: &mut String, value: &str, indent: usize) {
    let mut column = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
    let characters: Vec<char> = value.chars().collect();
    for (at, c) in characters.iter().enumerate() {
        let inside = at > 0 && at + 1 < characters.len();
        let single = inside && characters[at + 1] != ' ' && characters[at - 1] != ' ';
        if *c == ' ' && single && column > LINE_WIDTH {
            out.push('\n');
            pad(out, indent);
            column = indent;
        } else {
            out.push(*c);
            column += 1;
        }
    }
}

/// Text that YAML 1.1 would read as something else than text.
fn reads_as_other(value: &str) -> bool {
    let word = matches!(
        value,
        "" | "~"
            | "null"
            | "Null"
            | "NULL"
            | "true"
            | "True"
            | "TRUE"
            | "false"
            | "False"
            | "FALSE"
            | "y"
            | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "on"
            | "On"
            | "ON"
            | "off"
            | "Off"
            | "OFF"
            | "<<"
            | "="
            | ".nan"
            | ".NaN"
            | ".NAN"
            | ".inf"
            | ".Inf"
            | ".INF"
            | "+.inf"
            | "-.inf"
    );
    word || reads_as_number(value) || reads_as_time(value)
}

fn reads_as_number(value: &str) -> bool {
    let plain = value.replace('_', "");
    let unsigned = plain.strip_prefix(['-', '+']).unwrap_or(&plain);
    let radix = |prefix: &str, radix: u32| {
        unsigned.strip_prefix(prefix).is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_digit(radix)))
    };
    if radix("0x", 16) || radix("0b", 2) || radix("0o", 8) {
        return true;
    }
    let digits = unsigned.chars().next().is_some_and(|c| c.is_ascii_digit() || c == '.');
    let sexagesimal =
        value.contains(':') && value.split(':').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    digits && (unsigned.parse::<f64>().is_ok() || sexagesimal)
}

/// `2024-01-01` and `2024-01-01T10:00:00Z` are times to YAML 1.1.
fn reads_as_time(value: &str) -> bool {
    let shape = |at: usize, c: u8| if at == 4 || at == 7 { c == b'-' } else { c.is_ascii_digit() };
    let bytes = value.as_bytes();
    let date = bytes.len() >= 10 && bytes[..10].iter().enumerate().all(|(at, c)| shape(at, *c));
    date && (bytes.len() == 10 || (matches!(bytes[10], b'T' | b't' | b' ') && value[11..].contains(':')))
}

fn needs_quotes(value: &str) -> bool {
    let first = value.chars().next().unwrap_or(' ');
    let second_blank = value.chars().nth(1).is_none_or(|c| c == ' ');
    let indicator = matches!(
        first,
        ' ' | '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
    );
    indicator
        || (matches!(first, '-' | '?' | ':') && second_blank)
        || value.starts_with("---")
        || value.starts_with("...")
        || value.ends_with([' ', ':'])
        || value.contains(": ")
        || value.contains(" #")
}

fn unprintable(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(value: Value, expected: &str) {
        assert_eq!(render(&value), expected);
        let back: Value = serde_saphyr::from_str(&render(&value)).unwrap();
        assert_eq!(back, value, "reads back as it was");
    }

    #[test]
    fn keys_are_in_order_and_lists_are_not_indented() {
        check(
            json!({"b": [{"y": 1, "x": [1, 2]}, [3, [4]]], "a": {"c": {}, "d": []}}),
            "a:\n  c: {}\n  d: []\nb:\n- x:\n  - 1\n  - 2\n  \"y\": 1\n- - 3\n  - - 4\n",
        );
    }

    #[test]
    fn text_that_looks_like_something_else_is_quoted() {
        check(
            json!([
                "true",
                "1",
                "3.3",
                "0644",
                "",
                "null",
                "1e3",
                "500Mi",
                "1:2:3",
                "2024-01-01T10:00:00Z",
                "a: b",
                "- x",
                "-x",
                "*",
                "it's",
                "'q'"
            ]),
            "- \"true\"\n- \"1\"\n- \"3.3\"\n- \"0644\"\n- \"\"\n- \"null\"\n- \"1e3\"\n- 500Mi\n- \"1:2:3\"\n\
             - \"2024-01-01T10:00:00Z\"\n- 'a: b'\n- '- x'\n- -x\n- '*'\n- it's\n- '''q'''\n",
        );
    }

    #[test]
    fn several_lines_are_a_block() {
        check(json!({"a": "x\ny\n", "b": "x\n\ny", "c": "x\n\n"}), "a: |\n  x\n  y\nb: |-\n  x\n\n  y\nc: |+\n  x\n\n");
    }

    #[test]
    fn what_cannot_be_printed_is_escaped() {
        check(json!({"a": "tab\tbell\u{7}"}), "a: \"tab\\tbell\\x07\"\n");
    }

    #[test]
    fn long_text_is_folded_and_reads_back() {
        let words = ["word"; 40].join(" ");
        let text = render(&json!({"message": words}));
        assert!(text.lines().count() > 1, "{text}");
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back["message"], words);
    }
}

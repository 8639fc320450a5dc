//! Java's properties format, in which server.properties is written: one pass, no interpretation of names or values.
//!
//! `key=value`, `key:value` or `key value`; `#` and `!` begin a comment; a backslash escapes a character, `\uXXXX` names
//! one, and at the end of a line joins the next. The last of several values for a key holds, as in Java.

use std::iter::Peekable;
use std::str::Chars;

/// A key with its value, and the line on which it begins (from 1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    pub line: usize,
    pub key: String,
    pub value: String,
}

/// The text is not in the properties format.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: `\\u` must be followed by four hexadecimal digits that name a character")]
pub struct PropertiesError {
    /// From 1.
    pub line: usize,
}

/// All properties of a text, in its order, repetitions included.
pub fn parse(text: &str) -> Result<Vec<Property>, PropertiesError> {
    let mut properties = Vec::new();
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate();
    while let Some((at, line)) = lines.next() {
        let mut logical = trim_start(line).to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while ends_in_a_continuation(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(trim_start(next));
        }
        let line = at + 1;
        let (key, value) = split(&logical).ok_or(PropertiesError { line })?;
        properties.push(Property { line, key, value });
    }
    Ok(properties)
}

fn trim_start(line: &str) -> &str {
    line.trim_start_matches(is_blank)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// An odd number of backslashes at the end: the last one is not itself escaped.
fn ends_in_a_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Key and value of a logical line; `None` for a broken `\u`.
fn split(logical: &str) -> Option<(String, String)> {
    let mut rest = logical.chars().peekable();
    let mut key = String::new();
    while let Some(c) = rest.next_if(|c| !is_blank(*c) && !matches!(c, '=' | ':')) {
        key.push(if c == '\\' { escaped(&mut rest)? } else { c });
    }
    while rest.next_if(|c| is_blank(*c)).is_some() {}
    if rest.next_if(|c| matches!(c, '=' | ':')).is_some() {
        while rest.next_if(|c| is_blank(*c)).is_some() {}
    }
    let mut value = String::new();
    while let Some(c) = rest.next() {
        value.push(if c == '\\' { escaped(&mut rest)? } else { c });
    }
    Some((key, value))
}

/// The character that a backslash and what follows it stand for.
fn escaped(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    Some(match rest.next() {
        Some('t') => '\t',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('f') => '\x0c',
        Some('u') => match code_unit(rest)? {
            high @ 0xd800..0xdc00 => {
                let low = (rest.next()? == '\\' && rest.next()? == 'u').then(|| code_unit(rest)).flatten()?;
                char::decode_utf16([high, low]).next()?.ok()?
            }
            unit => char::from_u32(u32::from(unit))?,
        },
        Some(other) => other,
        // Only a continuation at the end of the text leaves nothing to escape, and that backslash is gone.
        None => '\\',
    })
}

fn code_unit(rest: &mut Peekable<Chars<'_>>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + u16::try_from(rest.next()?.to_digit(16)?).ok()?;
    }
    Some(unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|property| (property.key, property.value)).collect()
    }

    fn check(text: &str, key: &str, value: &str) {
        assert_eq!(pairs(text), [(key.to_owned(), value.to_owned())], "{text:?}");
    }

    #[test]
    fn separators_are_equals_colon_and_blanks() {
        for text in ["a=b", "a:b", "a b", "a = b", "  a : b", "a\tb", "a  =b", "a=b\r\n"] {
            check(text, "a", "b");
        }
        check("a==b", "a", "=b");
        check("a", "a", "");
        check("a=b c ", "a", "b c ");
        check(r"a\=b=c", "a=b", "c");
    }

    #[test]
    fn escapes_stand_for_their_characters() {
        check(r"path=C:\\data\tx", "path", "C:\\data\tx");
        check(r"a=\u00e4\ud83d\ude00", "a", "ä😀");
        check(r"a=\q", "a", "q");
    }

    #[test]
    fn a_backslash_at_the_end_joins_the_next_line() {
        check("listeners=A://:1,\\\n   B://:2", "listeners", "A://:1,B://:2");
        check("a=b\\\\\n", "a", "b\\");
        check("a=b\\", "a", "b");
        check("a=b\\\n#c", "a", "b#c");
    }

    #[test]
    fn comments_and_empty_lines_are_nothing() {
        assert_eq!(pairs("# a=b\n! c=d\n\n   \n"), []);
    }

    #[test]
    fn a_property_knows_its_line() {
        let lines: Vec<usize> = parse("a=1\\\n2\n\nb=3").unwrap().iter().map(|property| property.line).collect();
        assert_eq!(lines, [1, 4]);
    }

    #[test]
    fn a_broken_unicode_escape_names_its_line() {
        for text in ["x=1\na=\\u12", "x=1\na=\\uzzzz", "x=1\na=\\ud83dx", "x=1\na=\\udc00"] {
            assert_eq!(parse(text), Err(PropertiesError { line: 2 }), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_java_escapes_is_read_back(key in "[ -~äü\t\n]{1,12}", value in "[ -~äü\t\n]{0,12}") {
            let escape = |text: &str| text.chars().map(|c| match c {
                '\n' => "\\n".to_owned(),
                'a'..='z' | '0'..='9' => c.to_string(),
                c if c.is_ascii() => format!("\\{c}").replace("\\\t", "\\t"),
                c => format!("\\u{:04x}", u32::from(c)),
            }).collect::<String>();
            let text = format!("{}={}", escape(&key), escape(&value));
            prop_assert_eq!(pairs(&text), [(key, value)]);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}

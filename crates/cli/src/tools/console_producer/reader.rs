//! How the console producer reads a line as a record: what `--reader-property` (once `--property`) sets.

use crate::tools::properties::Properties;

/// A record read from a line. `None` is null.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReadRecord {
    pub(super) headers: Vec<(String, Option<String>)>,
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
}

/// The parts of a line and what separates them.
#[derive(Debug)]
pub(super) struct LineReader {
    parse_key: bool,
    parse_headers: bool,
    ignore_error: bool,
    key_separator: String,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    null_marker: Option<String>,
    line_number: u64,
}

impl LineReader {
    /// Fails with Kafka's sentence when two separators are the same.
    pub(super) fn new(properties: &Properties) -> Result<Self, String> {
        let is = |name: &str| properties.get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let text = |name: &str, default: &str| properties.get(name).map_or(default, String::as_str).to_owned();
        let reader = Self {
            parse_key: is("parse.key"),
            parse_headers: is("parse.headers"),
            ignore_error: is("ignore.error"),
            key_separator: text("key.separator", "\t"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            null_marker: properties.get("null.marker").cloned(),
            line_number: 0,
        };
        reader.check()?;
        Ok(reader)
    }

    fn check(&self) -> Result<(), String> {
        let named = [
            ("headers.delimiter", &self.headers_delimiter),
            ("headers.separator", &self.headers_separator),
            ("headers.key.separator", &self.headers_key_separator),
        ];
        for (index, (first, text)) in named.iter().enumerate() {
            for (second, other) in &named[index + 1..] {
                if text == other {
                    return Err(format!("{first} and {second} may not be equal"));
                }
            }
        }
        let mut marked = vec![("key.separator", &self.key_separator)];
        marked.extend([named[1], named[0], named[2]]);
        match marked.iter().find(|(_, text)| self.is_null(text)) {
            Some((name, _)) => Err(format!("null.marker and {name} may not be equal")),
            None => Ok(()),
        }
    }

    /// The record of the next line. Fails with Kafka's sentence when a separator is missing.
    pub(super) fn read(&mut self, line: &str) -> Result<ReadRecord, String> {
        self.line_number += 1;
        let mut rest = line;
        let headers = self.part(self.parse_headers, line, &mut rest, &self.headers_delimiter, "headers delimiter")?;
        let key = self.part(self.parse_key, line, &mut rest, &self.key_separator, "key separator")?;
        let headers = match headers {
            Some(headers) if !self.is_null(headers) => self.split_headers(headers)?,
            _ => Vec::new(),
        };
        Ok(ReadRecord { headers, key: key.and_then(|key| self.nullable(key)), value: self.nullable(rest) })
    }

    /// Takes what stands before `separator` off `rest`.
    fn part<'a>(
        &self,
        wanted: bool,
        line: &str,
        rest: &mut &'a str,
        separator: &str,
        what: &str,
    ) -> Result<Option<&'a str>, String> {
        if !wanted {
            return Ok(None);
        }
        match rest.split_once(separator) {
            Some((part, behind)) => {
                *rest = behind;
                Ok(Some(part))
            }
            None if self.ignore_error => Ok(None),
            None => Err(format!("No {what} found on line number {}: '{line}'", self.line_number)),
        }
    }

    fn split_headers(&self, headers: &str) -> Result<Vec<(String, Option<String>)>, String> {
        let mut split = Vec::new();
        for pair in headers.split(&self.headers_separator) {
            let Some((key, value)) = pair.split_once(&self.headers_key_separator) else {
                if self.ignore_error {
                    split.push((pair.to_owned(), None));
                    continue;
                }
                let number = self.line_number;
                return Err(format!("No header key separator found in pair '{pair}' on line number {number}"));
            };
            if self.is_null(key) {
                return Err(format!(
                    "Header keys should not be equal to the null marker '{key}' as they can't be null"
                ));
            }
            split.push((key.to_owned(), self.nullable(value)));
        }
        Ok(split)
    }

    fn is_null(&self, text: &str) -> bool {
        self.null_marker.as_deref() == Some(text)
    }

    fn nullable(&self, text: &str) -> Option<String> {
        (!self.is_null(text)).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::properties;

    fn reader(words: &[&str]) -> Result<LineReader, String> {
        LineReader::new(&properties::from_words(words.iter().copied()))
    }

    fn record(headers: &[(&str, Option<&str>)], key: Option<&str>, value: Option<&str>) -> ReadRecord {
        let headers = headers.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
        ReadRecord { headers, key: key.map(str::to_owned), value: value.map(str::to_owned) }
    }

    #[test]
    fn a_line_is_a_value_unless_more_is_asked_for() {
        assert_eq!(reader(&[]).unwrap().read("a\tb").unwrap(), record(&[], None, Some("a\tb")));
        let mut keyed = reader(&["parse.key=true", "key.separator=:"]).unwrap();
        assert_eq!(keyed.read("k:v:w").unwrap(), record(&[], Some("k"), Some("v:w")));
    }

    #[test]
    fn headers_stand_first() {
        let mut all = reader(&["parse.key=true", "parse.headers=true", "null.marker=NULL"]).unwrap();
        let expected = record(&[("h1", Some("a")), ("h1", None)], Some("k"), None);
        assert_eq!(all.read("h1:a,h1:NULL\tk\tNULL").unwrap(), expected);
        assert_eq!(all.read("NULL\tNULL\tv").unwrap(), record(&[], None, Some("v")));
    }

    #[test]
    fn a_missing_separator_is_told_with_its_line() {
        let mut keyed = reader(&["parse.key=true", "key.separator=:"]).unwrap();
        keyed.read("k:v").unwrap();
        assert_eq!(keyed.read("plain").unwrap_err(), "No key separator found on line number 2: 'plain'");
        let mut lenient = reader(&["parse.key=true", "ignore.error=true"]).unwrap();
        assert_eq!(lenient.read("plain").unwrap(), record(&[], None, Some("plain")));
    }

    #[test]
    fn separators_must_differ() {
        assert_eq!(
            reader(&["headers.separator=:"]).unwrap_err(),
            "headers.separator and headers.key.separator may not be equal"
        );
        assert_eq!(reader(&["null.marker=,"]).unwrap_err(), "null.marker and headers.separator may not be equal");
    }
}

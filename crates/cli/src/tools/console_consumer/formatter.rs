//! How the console consumer prints a record: what `--formatter-property` (once `--property`) sets, and the deserializers.

use std::io::{self, Write};

use super::deserializer::{Deserializer, NotDeserialized};
use crate::tools::properties::Properties;

/// What a formatter sees of a record. `None` is null, as on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// `CreateTime` or `LogAppendTime`, and milliseconds; `None` when the record has no timestamp.
    pub(super) timestamp: Option<(&'static str, i64)>,
    pub(super) headers: &'a [(&'a str, Option<&'a [u8]>)],
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
}

/// Why a record was not printed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormatError {
    #[error(transparent)]
    Deserialize(#[from] NotDeserialized),
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// The columns and separators of a line.
#[derive(Debug)]
pub(super) struct Formatter {
    silent: bool,
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    key_deserializer: Deserializer,
    value_deserializer: Deserializer,
    headers_deserializer: Deserializer,
}

impl Formatter {
    /// The formatter of this Java class name with these properties. Fails with a sentence for the user.
    pub(super) fn new(class: &str, properties: &Properties) -> Result<Self, String> {
        let silent = match class.strip_prefix("org.apache.kafka.tools.consumer.") {
            Some("DefaultMessageFormatter" | "LoggingMessageFormatter") => false,
            Some("NoOpMessageFormatter") => true,
            _ => {
                return Err(format!(
                    "{class}: there are DefaultMessageFormatter, LoggingMessageFormatter and NoOpMessageFormatter in org.apache.kafka.tools.consumer"
                ));
            }
        };
        let is = |name: &str, default: bool| {
            properties.get(name).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let text = |name: &str, default: &str| properties.get(name).map_or(default, String::as_str).to_owned();
        let deserializer = |name: &str| properties.get(name).map_or(Ok(Deserializer::Bytes), |class| class.parse());
        Ok(Self {
            silent,
            timestamp: is("print.timestamp", false),
            partition: is("print.partition", false),
            offset: is("print.offset", false),
            delivery: is("print.delivery", false),
            epoch: is("print.epoch", false),
            headers: is("print.headers", false),
            key: is("print.key", false),
            value: is("print.value", true),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer")?,
            value_deserializer: deserializer("value.deserializer")?,
            headers_deserializer: deserializer("headers.deserializer")?,
        })
    }

    /// Writes one record. A record that cannot be deserialized leaves nothing behind.
    pub(super) fn write(&self, record: &Shown<'_>, out: &mut dyn Write) -> Result<(), FormatError> {
        if self.silent {
            return Ok(());
        }
        let columns = self.columns(record)?;
        let mut line = columns.join(self.key_separator.as_bytes());
        if !columns.is_empty() {
            line.extend_from_slice(self.line_separator.as_bytes());
        }
        Ok(out.write_all(&line)?)
    }

    fn columns(&self, record: &Shown<'_>) -> Result<Vec<Vec<u8>>, FormatError> {
        let mut columns: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            let text = record.timestamp.map_or("NO_TIMESTAMP".to_owned(), |(kind, ms)| format!("{kind}:{ms}"));
            columns.push(text.into_bytes());
        }
        if self.partition {
            columns.push(format!("Partition:{}", record.partition).into_bytes());
        }
        if self.offset {
            columns.push(format!("Offset:{}", record.offset).into_bytes());
        }
        if self.delivery {
            columns.push(b"Delivery:NOT_PRESENT".to_vec());
        }
        if self.epoch {
            // Kafka's console consumer drops the epoch on the way to its formatter, so its scripts print this always.
            columns.push(b"Epoch:NOT_PRESENT".to_vec());
        }
        if self.headers {
            columns.push(self.headers(record.headers)?);
        }
        if self.key {
            columns.push(self.text(self.key_deserializer, record.key)?);
        }
        if self.value {
            columns.push(self.text(self.value_deserializer, record.value)?);
        }
        Ok(columns)
    }

    fn headers(&self, headers: &[(&str, Option<&[u8]>)]) -> Result<Vec<u8>, FormatError> {
        if headers.is_empty() {
            return Ok(b"NO_HEADERS".to_vec());
        }
        let mut texts = Vec::with_capacity(headers.len());
        for (key, value) in headers {
            let mut text = format!("{key}:").into_bytes();
            text.extend(self.text(self.headers_deserializer, *value)?);
            texts.push(text);
        }
        Ok(texts.join(self.headers_separator.as_bytes()))
    }

    fn text(&self, deserializer: Deserializer, bytes: Option<&[u8]>) -> Result<Vec<u8>, NotDeserialized> {
        deserializer.text(bytes.unwrap_or(self.null_literal.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::properties;

    const DEFAULT: &str = "org.apache.kafka.tools.consumer.DefaultMessageFormatter";

    fn printed(words: &[&str], record: &Shown<'_>) -> String {
        let formatter = Formatter::new(DEFAULT, &properties::from_words(words.iter().copied())).unwrap();
        let mut out = Vec::new();
        formatter.write(record, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const RECORD: Shown<'_> = Shown {
        partition: 0,
        offset: 2,
        timestamp: Some(("CreateTime", 1_795_401_362_070)),
        headers: &[("h1", Some(b"a")), ("h2", None)],
        key: Some(b"kk"),
        value: Some(b"vv"),
    };

    #[test]
    fn a_record_is_its_value_unless_more_is_asked_for() {
        assert_eq!(printed(&[], &RECORD), "vv\n");
        assert_eq!(printed(&["print.key=true", "key.separator=|"], &RECORD), "kk|vv\n");
        assert_eq!(printed(&["print.value=false"], &RECORD), "");
        assert_eq!(printed(&["print.value=false", "print.key=TRUE"], &RECORD), "kk\n");
    }

    #[test]
    fn every_column_stands_in_kafkas_order() {
        let all =
            ["timestamp", "partition", "offset", "epoch", "headers", "key"].map(|name| format!("print.{name}=true"));
        let words: Vec<&str> = all.iter().map(String::as_str).collect();
        let expected = "CreateTime:1795401362070\tPartition:0\tOffset:2\tEpoch:NOT_PRESENT\th1:a,h2:null\tkk\tvv\n";
        assert_eq!(printed(&words, &RECORD), expected);
        let bare = Shown { headers: &[], timestamp: None, key: None, ..RECORD };
        assert_eq!(
            printed(&words, &bare),
            "NO_TIMESTAMP\tPartition:0\tOffset:2\tEpoch:NOT_PRESENT\tNO_HEADERS\tnull\tvv\n"
        );
    }

    #[test]
    fn values_may_be_deserialized() {
        let record = Shown { value: Some(&[0, 0, 0, 0, 0, 0, 1, 0]), ..RECORD };
        let long = "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer";
        assert_eq!(printed(&[long], &record), "256\n");
        let formatter = Formatter::new(DEFAULT, &properties::from_words([long])).unwrap();
        let error = formatter.write(&RECORD, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "Size of data received by LongDeserializer is not 8");
    }

    #[test]
    fn an_unknown_formatter_is_refused() {
        assert!(Formatter::new("com.example.Mine", &Properties::new()).unwrap_err().starts_with("com.example.Mine: "));
    }
}

//! The option syntax of Kafka's tools: `--topic x`, `--topic=x` and `-topic x` are one; nothing is abbreviated.
//!
//! Each tool is a table of [`OptionSpec`]; [`Line::read`] reads a command line by it, and what it finds wrong it says in
//! the sentence that Kafka's tools say. Why not clap: docs/decisions/0004.

use std::str::FromStr;

use super::Failure;

/// One option of one tool.
#[derive(Debug)]
pub(crate) struct OptionSpec {
    /// Without dashes.
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    /// What it does, for `--help`.
    pub(crate) help: &'static str,
}

/// What may follow an option; the text names the value in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    /// The next word is the value, whatever it looks like.
    Value(&'static str),
    /// The next word is the value unless it looks like an option.
    Maybe(&'static str),
}

/// An option without a value.
pub(crate) const fn flag(name: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec { name, takes: Takes::Nothing, help }
}

/// An option with a value.
pub(crate) const fn value(name: &'static str, what: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec { name, takes: Takes::Value(what), help }
}

/// An option whose value may be left out.
pub(crate) const fn maybe(name: &'static str, what: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec { name, takes: Takes::Maybe(what), help }
}

/// Every tool has these two.
pub(crate) const HELP: OptionSpec = flag("help", "Print this help.");
pub(crate) const VERSION: OptionSpec = flag("version", "Print the version of Kafka whose tools these equal.");

/// What is wrong with a command line, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OptionError {
    #[error("{0} is not a recognized option")]
    Unknown(String),
    #[error("Option {0} requires an argument")]
    NoValue(&'static str),
    #[error("Found multiple arguments for option {0}, but you asked for only one")]
    Repeated(&'static str),
    #[error("Cannot parse argument '{value}' of option {name}")]
    NotParsed { name: &'static str, value: String },
}

/// A command line that was read: which options stood there, with which values.
#[derive(Debug, Default)]
pub(crate) struct Line {
    found: Vec<(&'static str, Option<String>)>,
    /// The words as they came.
    pub(crate) words: Vec<String>,
}

impl Line {
    /// Reads `words` by the table `options`. Words that belong to no option are left aside, as Kafka's tools do.
    pub(crate) fn read(options: &'static [OptionSpec], words: Vec<String>) -> Result<Self, OptionError> {
        let mut found = Vec::new();
        let mut rest = words.iter().peekable();
        while let Some(word) = rest.next() {
            if word == "--" {
                break;
            }
            let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|name| !name.is_empty())
            else {
                continue;
            };
            let (name, joined) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            let Some(option) = options.iter().find(|option| option.name == name) else {
                // A single dash begins a cluster of one-letter options, of which there are none: the first is unknown.
                let unknown = if word.starts_with("--") { name.to_owned() } else { name.chars().take(1).collect() };
                return Err(OptionError::Unknown(unknown));
            };
            let value = match (option.takes, joined) {
                (Takes::Nothing, _) => None,
                (_, Some(joined)) => Some(joined.to_owned()),
                (Takes::Value(_), None) => Some(rest.next().ok_or(OptionError::NoValue(option.name))?.clone()),
                (Takes::Maybe(_), None) => rest.next_if(|next| !next.starts_with('-')).cloned(),
            };
            found.push((option.name, value));
        }
        Ok(Self { found, words })
    }

    /// Whether the option stands in the line, with or without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.found.iter().any(|(found, _)| *found == name)
    }

    /// How many of these stand in the line.
    pub(crate) fn count(&self, names: &[&str]) -> usize {
        names.iter().filter(|name| self.has(name)).count()
    }

    /// Fails with Kafka's sentence when one of these is missing.
    pub(crate) fn require(&self, names: &[&str]) -> Result<(), Failure> {
        match names.iter().find(|name| !self.has(name)) {
            Some(name) => Err(Failure::Usage(format!("Missing required argument \"[{name}]\""))),
            None => Ok(()),
        }
    }

    /// Fails with Kafka's sentence when `used` stands in the line and one of `others` too.
    pub(crate) fn exclude(&self, used: &str, others: &[&str]) -> Result<(), Failure> {
        match others.iter().find(|other| self.has(used) && **other != used && self.has(other)) {
            Some(other) => Err(Failure::Usage(format!("Option \"[{used}]\" can't be used with option \"[{other}]\""))),
            None => Ok(()),
        }
    }

    /// Every value the option was given, in the order of the line.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.found.iter().filter(|(found, _)| *found == name).filter_map(|(_, value)| value.as_deref()).collect()
    }

    /// These options with their values, in the order of the line.
    pub(crate) fn in_order(&self, names: &[&str]) -> Vec<(&'static str, Option<&str>)> {
        let wanted = self.found.iter().filter(|(name, _)| names.contains(name));
        wanted.map(|(name, value)| (*name, value.as_deref())).collect()
    }

    /// The one value of the option; `None` when it does not stand in the line or came without a value.
    pub(crate) fn value(&self, name: &'static str) -> Result<Option<&str>, OptionError> {
        match self.values(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(OptionError::Repeated(name)),
        }
    }

    /// The one value of the option, as a number or another type that reads itself from text.
    pub(crate) fn parsed<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, OptionError> {
        let Some(text) = self.value(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| OptionError::NotParsed { name, value: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[OptionSpec] = &[
        flag("list", ""),
        value("topic", "topic", ""),
        value("partitions", "count", ""),
        maybe("state", "states", ""),
        value("config", "name=value", ""),
    ];

    fn read(words: &[&str]) -> Result<Line, OptionError> {
        Line::read(TABLE, words.iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn the_three_spellings_are_one() {
        for words in [&["--topic", "x"][..], &["--topic=x"], &["-topic", "x"], &["-topic=x"]] {
            assert_eq!(read(words).unwrap().value("topic"), Ok(Some("x")), "{words:?}");
        }
        assert_eq!(read(&["--topic="]).unwrap().value("topic"), Ok(Some("")));
        assert!(read(&["--list=foo"]).unwrap().has("list"));
    }

    #[test]
    fn a_required_value_is_the_next_word_whatever_it_looks_like() {
        let line = read(&["--topic", "--list"]).unwrap();
        assert_eq!((line.value("topic"), line.has("list")), (Ok(Some("--list")), false));
        assert_eq!(read(&["--topic"]).unwrap_err().to_string(), "Option topic requires an argument");
    }

    #[test]
    fn an_optional_value_gives_way_to_an_option() {
        let line = read(&["--state", "--list"]).unwrap();
        assert_eq!((line.has("state"), line.value("state"), line.has("list")), (true, Ok(None), true));
        assert_eq!(read(&["--state", "Stable"]).unwrap().value("state"), Ok(Some("Stable")));
    }

    #[test]
    fn nothing_is_abbreviated() {
        assert_eq!(read(&["--top", "x"]).unwrap_err().to_string(), "top is not a recognized option");
        assert_eq!(read(&["-xy"]).unwrap_err().to_string(), "x is not a recognized option");
    }

    #[test]
    fn other_words_are_left_aside_and_two_dashes_end_the_options() {
        let line = read(&["foo", "-", "--topic", "x", "--", "--list"]).unwrap();
        assert_eq!((line.value("topic"), line.has("list")), (Ok(Some("x")), false));
    }

    #[test]
    fn repetition_is_kept_or_refused_by_who_asks() {
        let line = read(&["--config", "a=b", "--config", "c=d"]).unwrap();
        assert_eq!(line.values("config"), ["a=b", "c=d"]);
        let message = "Found multiple arguments for option config, but you asked for only one";
        assert_eq!(line.value("config").unwrap_err().to_string(), message);
    }

    #[test]
    fn missing_and_contradicting_options_are_told_in_kafkas_words() {
        let line = read(&["--list", "--topic", "x"]).unwrap();
        let Err(Failure::Usage(message)) = line.require(&["topic", "config"]) else { panic!("config is missing") };
        assert_eq!(message, "Missing required argument \"[config]\"");
        let Err(Failure::Usage(message)) = line.exclude("topic", &["topic", "list"]) else {
            panic!("both stand there")
        };
        assert_eq!(message, "Option \"[topic]\" can't be used with option \"[list]\"");
        assert!(line.exclude("state", &["list"]).is_ok());
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        let error = read(&["--partitions", "1.5"]).unwrap().parsed::<i32>("partitions").unwrap_err();
        assert_eq!(error.to_string(), "Cannot parse argument '1.5' of option partitions");
    }
}

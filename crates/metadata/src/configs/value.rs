//! Reads and checks one value as Kafka's ConfigDef does, with its messages; writes it back in Kafka's canonical form.

use std::collections::HashSet;
use std::fmt;

use super::{ConfigKey, Valid, ValueType};

/// A value that its config takes.
#[derive(Clone, PartialEq, Debug)]
pub enum ConfigValue {
    Boolean(bool),
    /// Of the types int, short and long.
    Number(i64),
    Double(f64),
    Text(String),
    /// A list, without its repetitions where the config is a set.
    List(Vec<String>),
}

/// The form that Kafka shows and stores, such as `2.0` and `compact,delete`.
impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Double(value) => f.write_str(&java_double(*value)),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => f.write_str(&values.join(",")),
        }
    }
}

/// A value that its config refuses; the message is Kafka's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidConfigError {
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Value { name: &'static str, value: String, reason: String },
    #[error("Configuration '{name}' values must not be empty.")]
    EmptyItem { name: &'static str },
    #[error("Configuration '{name}' must not be empty. Valid values include: {valid}")]
    EmptyList { name: &'static str, valid: String },
}

/// `Double.toString`: plain between a thousandth and ten million, otherwise with an exponent.
fn java_double(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        format!("{value:?}")
    } else {
        let text = format!("{value:E}");
        let (digits, exponent) = text.split_once('E').unwrap_or((&text, "0"));
        let point = if digits.contains('.') { "" } else { ".0" };
        format!("{digits}{point}E{exponent}")
    }
}

/// `Double.parseDouble`, but for its hexadecimal form: a suffix d or f is allowed, words only as Java writes them.
fn parse_java_double(text: &str) -> Option<f64> {
    if let "NaN" | "Infinity" | "+Infinity" | "-Infinity" = text {
        return text.parse().ok();
    }
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if plain { number.parse().ok() } else { None }
}

impl ConfigKey {
    /// The value that `text` stands for, if this config takes it.
    pub fn parse(&self, text: &str) -> Result<ConfigValue, InvalidConfigError> {
        // Java's trim: everything up to the space.
        let trimmed = text.trim_matches(|c| c <= ' ');
        let value = match self.value_type {
            ValueType::Boolean if trimmed.eq_ignore_ascii_case("true") => ConfigValue::Boolean(true),
            ValueType::Boolean if trimmed.eq_ignore_ascii_case("false") => ConfigValue::Boolean(false),
            ValueType::Boolean => return Err(self.refuse(text, "Expected value to be either true or false")),
            ValueType::Int => self.number(text, trimmed.parse::<i32>().map(i64::from).ok())?,
            ValueType::Short => self.number(text, trimmed.parse::<i16>().map(i64::from).ok())?,
            ValueType::Long => self.number(text, trimmed.parse::<i64>().ok())?,
            ValueType::Double => match parse_java_double(trimmed) {
                Some(value) => ConfigValue::Double(value),
                None => return Err(self.not_a_number(text)),
            },
            ValueType::String | ValueType::Class | ValueType::Password => ConfigValue::Text(trimmed.to_owned()),
            ValueType::List => ConfigValue::List(self.items(trimmed)),
        };
        self.check(&value)?;
        Ok(value)
    }

    fn number(&self, text: &str, parsed: Option<i64>) -> Result<ConfigValue, InvalidConfigError> {
        parsed.map(ConfigValue::Number).ok_or_else(|| self.not_a_number(text))
    }

    fn not_a_number(&self, text: &str) -> InvalidConfigError {
        self.refuse(text, &format!("Not a number of type {}", self.value_type.name()))
    }

    fn refuse(&self, value: impl fmt::Display, reason: &str) -> InvalidConfigError {
        InvalidConfigError::Value { name: self.name, value: value.to_string(), reason: reason.to_owned() }
    }

    /// The items of a list; a set loses its repetitions.
    fn items(&self, trimmed: &str) -> Vec<String> {
        if trimmed.is_empty() {
            return Vec::new();
        }
        let is_set = matches!(self.valid, Valid::ListOf(_) | Valid::NonEmptyListOf(_));
        let mut items = Vec::new();
        let mut known = HashSet::new();
        for item in trimmed.split(',').map(|item| item.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b')) {
            if !is_set || known.insert(item) {
                items.push(item.to_owned());
            }
        }
        items
    }

    fn check(&self, value: &ConfigValue) -> Result<(), InvalidConfigError> {
        let refused = match (self.valid, value) {
            (Valid::AtLeast(least), ConfigValue::Number(number)) => below(*number, least),
            (Valid::Between(least, most), ConfigValue::Number(number)) => {
                below(*number, least).or_else(|| above(*number, most))
            }
            (Valid::BetweenDecimal(least, most), ConfigValue::Double(number)) => {
                below(*number, least).or_else(|| above(*number, most))
            }
            (Valid::BetweenOrMinusOne(least, most), ConfigValue::Number(number)) => (*number != -1
                && !(least..=most).contains(number))
            .then(|| format!("Value must be between {least} and {most} or equal to -1")),
            (Valid::OneOf(allowed), ConfigValue::Text(text)) => one_of(text, allowed),
            (Valid::OneOfAnyCase(allowed), ConfigValue::Text(text)) => {
                let known = allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(text));
                (!known).then(|| format!("String must be one of (case insensitive): {}", allowed.join(", ")))
            }
            (Valid::NonEmpty, ConfigValue::Text(text)) => {
                text.is_empty().then(|| "String must be non-empty".to_owned())
            }
            (Valid::AutoOffsetReset, ConfigValue::Text(text)) => auto_offset_reset(self.name, text),
            (Valid::ListOf(allowed), ConfigValue::List(items)) => return self.check_items(items, allowed, true),
            (Valid::NonEmptyListOf(allowed), ConfigValue::List(items)) => {
                return self.check_items(items, allowed, false);
            }
            (Valid::ThrottledReplicas, ConfigValue::List(items)) => return self.check_replicas(items),
            _ => None,
        };
        refused.map_or(Ok(()), |reason| Err(self.refuse(value, &reason)))
    }

    fn check_items(&self, items: &[String], allowed: &[&str], may_be_empty: bool) -> Result<(), InvalidConfigError> {
        if items.is_empty() && !may_be_empty {
            let valid = match allowed {
                [] => "any non-empty value".to_owned(),
                allowed => format!("[{}]", allowed.join(", ")),
            };
            return Err(InvalidConfigError::EmptyList { name: self.name, valid });
        }
        for item in items {
            if item.is_empty() {
                return Err(InvalidConfigError::EmptyItem { name: self.name });
            }
            if !allowed.is_empty()
                && let Some(reason) = one_of(item, allowed)
            {
                return Err(self.refuse(item, &reason));
            }
        }
        Ok(())
    }

    fn check_replicas(&self, items: &[String]) -> Result<(), InvalidConfigError> {
        let is_replica = |item: &String| {
            let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            item.split_once(':').is_some_and(|(partition, broker)| number(partition) && number(broker))
        };
        if items == ["*"] || items.iter().all(is_replica) {
            return Ok(());
        }
        let reason = format!(
            "{} must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            self.name
        );
        Err(self.refuse(format!("[{}]", items.join(", ")), &reason))
    }
}

fn below<T: PartialOrd + fmt::Display>(number: T, least: T) -> Option<String> {
    (number < least).then(|| format!("Value must be at least {least}"))
}

fn above<T: PartialOrd + fmt::Display>(number: T, most: T) -> Option<String> {
    (number > most).then(|| format!("Value must be no more than {most}"))
}

fn one_of(text: &str, allowed: &[&str]) -> Option<String> {
    (!allowed.contains(&text)).then(|| format!("String must be one of: {}", allowed.join(", ")))
}

fn auto_offset_reset(name: &str, text: &str) -> Option<String> {
    let duration = text.strip_prefix("by_duration:");
    if matches!(text, "latest" | "earliest") || duration.is_some_and(is_iso_duration) {
        return None;
    }
    Some(format!(
        "Invalid value `{text}` for configuration {name}. The value must be either 'earliest', 'latest' or of the \
         format 'by_duration:<PnDTnHnMn.nS>'."
    ))
}

/// A duration such as `P1DT2H3M4.5S`, not negative, with at least one part.
fn is_iso_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    let (Some(days), Some(seconds)) = (parts(date, &['D']), parts(time.unwrap_or(""), &['H', 'M', 'S'])) else {
        return false;
    };
    days + seconds > 0 && time.is_none_or(|time| !time.is_empty())
}

/// How many `<digits><unit>` parts there are, units in the given order; `None` when the text is anything else.
fn parts(mut text: &str, units: &[char]) -> Option<usize> {
    let mut count = 0;
    for unit in units {
        let Some((number, rest)) = text.split_once(*unit) else { continue };
        let digits = if *unit == 'S' { number.replacen('.', "", 1) } else { number.to_owned() };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        (text, count) = (rest, count + 1);
    }
    text.is_empty().then_some(count)
}

//! `Versions`: a range of message versions as the definitions write it (`none`, `3`, `0-4`, `2+`).

use std::fmt;

use anyhow::{Context, Result};

/// An inclusive range of versions; empty when `low > high`, open when `high` is the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) low: i16,
    pub(crate) high: i16,
}

impl Versions {
    pub(crate) const NONE: Self = Self { low: 0, high: -1 };

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let number = |part: &str| part.parse::<i16>().with_context(|| format!("versions `{text}`"));
        if text == "none" {
            Ok(Self::NONE)
        } else if let Some(low) = text.strip_suffix('+') {
            Ok(Self { low: number(low)?, high: i16::MAX })
        } else if let Some((low, high)) = text.split_once('-') {
            Ok(Self { low: number(low)?, high: number(high)? })
        } else {
            number(text).map(|only| Self { low: only, high: only })
        }
    }

    /// As `parse`; absent means no version.
    pub(crate) fn parse_optional(text: Option<&String>) -> Result<Self> {
        text.map_or(Ok(Self::NONE), |text| Self::parse(text))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.low > self.high
    }

    pub(crate) fn intersect(self, other: Self) -> Self {
        let both = Self { low: self.low.max(other.low), high: self.high.min(other.high) };
        if both.is_empty() { Self::NONE } else { both }
    }

    pub(crate) fn contains(self, version: i16) -> bool {
        (self.low..=self.high).contains(&version)
    }

    pub(crate) fn covers(self, other: Self) -> bool {
        self.intersect(other) == other
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = i16> {
        self.low..=self.high
    }

    /// When a message whose version lies in `context` has one of these versions.
    pub(crate) fn within(self, context: Self) -> Condition {
        let here = self.intersect(context);
        if here.is_empty() {
            Condition::Never
        } else if here == context {
            Condition::Always
        } else if here.high == context.high {
            Condition::When(format!("version >= {}", here.low))
        } else if here.low == context.low {
            Condition::When(format!("version <= {}", here.high))
        } else if here.low == here.high {
            Condition::When(format!("version == {}", here.low))
        } else {
            Condition::When(format!("({}..={}).contains(&version)", here.low, here.high))
        }
    }
}

/// As prose: `3`, `0–4`.
impl fmt::Display for Versions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { low, high } if low == high => write!(formatter, "{low}"),
            Self { low, high } if *high == i16::MAX => write!(formatter, "{low}+"),
            Self { low, high } => write!(formatter, "{low}–{high}"),
        }
    }
}

/// A test of a message's version, decided now or left to the generated code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    Never,
    When(String),
}

impl Condition {
    /// The opposite test, for one that is left open.
    pub(crate) fn negated(test: &str) -> String {
        for (operator, opposite) in [(">=", "<"), ("<=", ">"), ("==", "!=")] {
            if test.contains(operator) {
                return test.replace(operator, opposite);
            }
        }
        format!("!{test}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_says_only_what_the_context_leaves_open() {
        let context = Versions { low: 2, high: 9 };
        let check = |text: &str, expected: Condition| {
            assert_eq!(Versions::parse(text).unwrap().within(context), expected, "{text}");
        };
        check("0+", Condition::Always);
        check("none", Condition::Never);
        check("0-1", Condition::Never);
        check("4+", Condition::When("version >= 4".to_owned()));
        check("0-4", Condition::When("version <= 4".to_owned()));
        check("5", Condition::When("version == 5".to_owned()));
        check("3-8", Condition::When("(3..=8).contains(&version)".to_owned()));
    }
}

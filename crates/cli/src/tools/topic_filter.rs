//! Topics by regular expression, as `--topic` and `--include` take them.

use regex_lite::Regex;

/// The topics that the cluster keeps for itself.
pub(crate) const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// A pattern that must match the whole name.
#[derive(Debug)]
pub(crate) struct TopicFilter(Regex);

impl TopicFilter {
    /// Commas stand for "or"; spaces and quotes around are dropped, as Kafka does because property files bring them.
    /// Fails with Kafka's sentence.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let text = text.trim().replace(',', "|").replace(' ', "");
        let text = text.trim_matches(['"', '\'']);
        match Regex::new(&format!("^(?:{text})$")) {
            Ok(regex) => Ok(Self(regex)),
            Err(_) => Err(format!("{text} is an invalid regex.")),
        }
    }

    pub(crate) fn allows(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_must_match() {
        let filter = TopicFilter::new("'t1, t2.*'").unwrap();
        assert_eq!(["t1", "t2x", "xt1", "t11"].map(|topic| filter.allows(topic)), [true, true, false, false]);
    }

    #[test]
    fn a_broken_pattern_is_told_in_kafkas_words() {
        assert_eq!(TopicFilter::new("a(").unwrap_err(), "a( is an invalid regex.");
    }
}

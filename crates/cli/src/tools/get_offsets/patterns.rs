//! Which partitions, and which offsets of them, `get-offsets` is asked for.

use millstream_client::admin::OffsetSpec;

use crate::tools::topic_filter::TopicFilter;

/// Rules of which one must allow a partition.
#[derive(Debug)]
pub(super) struct PartitionFilter(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    topic: TopicFilter,
    partitions: Partitions,
}

#[derive(Debug, PartialEq, Eq)]
enum Partitions {
    /// Empty: all.
    These(Vec<i32>),
    /// From the first, up to but without the second.
    Range(i32, i32),
}

impl PartitionFilter {
    /// From `--topic` and `--partitions`. Fails with Kafka's sentence.
    pub(super) fn of_topic(topic: Option<&str>, partitions: Option<&str>) -> Result<Self, String> {
        let ids = partitions.filter(|ids| !ids.is_empty());
        let ids = ids.map_or(Ok(Vec::new()), |ids| ids.split(',').map(str::parse).collect()).map_err(|_| {
            let received = partitions.unwrap_or_default();
            format!("--partitions expects a comma separated list of numeric partition ids, but received: {received}")
        })?;
        let topic = TopicFilter::new(topic.unwrap_or(".*"))?;
        Ok(Self(vec![Rule { topic, partitions: Partitions::These(ids) }]))
    }

    /// From `--topic-partitions`: `topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3`. Fails with Kafka's sentence.
    pub(super) fn of_patterns(patterns: &str) -> Result<Self, String> {
        Ok(Self(patterns.split(',').map(rule).collect::<Result<_, _>>()?))
    }

    pub(super) fn allows_topic(&self, topic: &str) -> bool {
        self.0.iter().any(|rule| rule.topic.allows(topic))
    }

    pub(super) fn allows(&self, topic: &str, partition: i32) -> bool {
        self.0.iter().any(|rule| rule.topic.allows(topic) && rule.partitions.has(partition))
    }
}

impl Partitions {
    fn has(&self, partition: i32) -> bool {
        match self {
            Self::These(ids) => ids.is_empty() || ids.contains(&partition),
            Self::Range(from, to) => (*from..*to).contains(&partition),
        }
    }
}

fn rule(text: &str) -> Result<Rule, String> {
    let invalid = || format!("Invalid rule specification: {text}");
    let (topic, partitions) = text.split_once(':').map_or((text, ""), |(topic, partitions)| (topic, partitions));
    let number = |digits: &str, absent: i32| {
        if digits.is_empty() { Ok(absent) } else { digits.parse().map_err(|_| invalid()) }
    };
    let partitions = match partitions.split_once('-') {
        None if partitions.is_empty() => Partitions::Range(0, i32::MAX),
        None => Partitions::These(vec![number(partitions, 0)?]),
        Some((from, to)) => Partitions::Range(number(from, 0)?, number(to, i32::MAX)?),
    };
    let topic = TopicFilter::new(if topic.is_empty() { ".*" } else { topic })?;
    Ok(Rule { topic, partitions })
}

/// `--time`: a name, the negative number that stands for it, or a timestamp in ms. Fails with Kafka's sentence.
pub(super) fn offset_spec(text: &str) -> Result<OffsetSpec, String> {
    match text {
        "latest" | "-1" => Ok(OffsetSpec::Latest),
        "earliest" | "-2" => Ok(OffsetSpec::Earliest),
        "max-timestamp" | "-3" => Ok(OffsetSpec::MaxTimestamp),
        "earliest-local" | "-4" => Ok(OffsetSpec::EarliestLocal),
        "latest-tiered" | "-5" => Ok(OffsetSpec::LatestTiered),
        "earliest-pending-upload" => Ok(OffsetSpec::Timestamp(-6)),
        number => number.parse().map(OffsetSpec::Timestamp).map_err(|_| {
            format!("Malformed time argument {text}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(filter: &PartitionFilter, topic: &str) -> Vec<i32> {
        (0..8).filter(|partition| filter.allows(topic, *partition)).collect()
    }

    #[test]
    fn patterns_name_one_partition_a_range_or_all() {
        let filter = PartitionFilter::of_patterns("a:1,b:0-3,c,d:5-,e:-3,:7").unwrap();
        assert_eq!(allowed(&filter, "a"), [1, 7]);
        assert_eq!(allowed(&filter, "b"), [0, 1, 2, 7]);
        assert_eq!(allowed(&filter, "c").len(), 8);
        assert_eq!(allowed(&filter, "d"), [5, 6, 7]);
        assert_eq!(allowed(&filter, "e"), [0, 1, 2, 7]);
        assert_eq!(allowed(&filter, "other"), [7]);
        assert!(filter.allows_topic("other"));
    }

    #[test]
    fn a_topic_and_a_list_of_partitions() {
        let filter = PartitionFilter::of_topic(Some("t.*"), Some("0,2")).unwrap();
        assert_eq!((allowed(&filter, "t1"), allowed(&filter, "x")), (vec![0, 2], vec![]));
        assert!(!filter.allows_topic("x"));
    }

    #[test]
    fn what_is_malformed_is_told_in_kafkas_words() {
        assert_eq!(PartitionFilter::of_patterns("a:x").unwrap_err(), "Invalid rule specification: a:x");
        let message = "--partitions expects a comma separated list of numeric partition ids, but received: 0,x";
        assert_eq!(PartitionFilter::of_topic(None, Some("0,x")).unwrap_err(), message);
        assert!(
            offset_spec("soon").unwrap_err().starts_with("Malformed time argument soon. Please use -1 or latest / ")
        );
    }

    #[test]
    fn a_time_is_a_name_or_a_number() {
        for (text, spec) in [
            ("latest", OffsetSpec::Latest),
            ("-2", OffsetSpec::Earliest),
            ("-3", OffsetSpec::MaxTimestamp),
            ("1795401362070", OffsetSpec::Timestamp(1_795_401_362_070)),
        ] {
            assert_eq!(offset_spec(text), Ok(spec));
        }
    }
}

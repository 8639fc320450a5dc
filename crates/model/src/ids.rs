//! Who and what: brokers, topics, partitions, producers.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $raw);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id! {
    /// Number of a broker in its cluster (`node.id`), from 0.
    BrokerId(i32)
}

number_id! {
    /// Number of a partition in its topic, from 0.
    PartitionIndex(i32)
}

number_id! {
    /// Identity that the broker hands to an idempotent producer (KIP-98); -1 for none.
    ProducerId(i64)
}

number_id! {
    /// Generation of a producer id; a higher one fences the lower (KIP-98); -1 for none.
    ProducerEpoch(i16)
}

number_id! {
    /// Number of a record in the run of one producer id and epoch on one partition, from 0, wrapping after `i32::MAX`.
    Sequence(i32)
}

impl BrokerId {
    /// What Kafka writes where there is no broker, such as the leader of an offline partition.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// A producer without idempotence.
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    /// A producer without idempotence.
    pub const NONE: Self = Self(-1);
}

impl Sequence {
    /// A batch without idempotence.
    pub const NONE: Self = Self(-1);

    /// The sequence `count` records further on, wrapping to 0 after `i32::MAX` as Kafka's does.
    #[must_use]
    pub const fn plus(self, count: i32) -> Self {
        if self.0 > i32::MAX - count { Self(count - (i32::MAX - self.0) - 1) } else { Self(self.0 + count) }
    }
}

/// Identity of a topic for its whole life; a topic made anew under the same name has another (KIP-516).
/// Its text form is Kafka's: 22 characters of URL-safe base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub Uuid);

impl TopicId {
    /// No topic: what requests carry that name topics by name.
    pub const ZERO: Self = Self(Uuid::nil());
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 22 characters of URL-safe base64.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic id `{0}` is not 22 characters of URL-safe base64")]
pub struct ParseTopicIdError(String);

impl FromStr for TopicId {
    type Err = ParseTopicIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        bytes.map(|bytes| Self(Uuid::from_bytes(bytes))).ok_or_else(|| ParseTopicIdError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_id_reads_what_kafka_prints() {
        let id: TopicId = "qk9ZVg0wSBSuSbPQJfwgyA".parse().unwrap();
        assert_eq!(id.to_string(), "qk9ZVg0wSBSuSbPQJfwgyA");
        assert!("too short".parse::<TopicId>().is_err());
    }

    #[test]
    fn sequence_wraps_to_zero_after_the_highest() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
        assert_eq!(Sequence(5).plus(2), Sequence(7));
    }
}

//! The order in which Kafka's tools print what they keep in a Java `HashMap`: by hash, not by name.
//!
//! It looks arbitrary and is exact: scripts that compare outputs see the same lines in the same order. The table has
//! a power of two of buckets and grows when it is three quarters full; within a bucket the order of insertion holds.

/// Java's `String.hashCode`.
pub(crate) fn string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// Java's hash of Kafka's `TopicPartition`.
pub(crate) fn partition_hash(topic: &str, partition: i32) -> i32 {
    31_i32.wrapping_add(partition).wrapping_mul(31).wrapping_add(string_hash(topic))
}

/// Sorts as a `HashMap` made for `capacity` entries (16 when Java is not told) lists what was put into it in this order.
pub(crate) fn sort_as_hash_map<T>(items: &mut [T], capacity: usize, hash: impl Fn(&T) -> i32) {
    let mut buckets = capacity.max(1).next_power_of_two();
    while items.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    items.sort_by_key(|item| {
        let hash = hash(item).cast_unsigned();
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
}

/// What Java makes room for when it is not told.
pub(crate) const DEFAULT_CAPACITY: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(mut names: Vec<&str>, capacity: usize) -> Vec<&str> {
        sort_as_hash_map(&mut names, capacity, |name| string_hash(name));
        names
    }

    /// Recorded from kafka-topics --describe of three topics, which go through two maps.
    #[test]
    fn topics_stand_where_java_puts_them() {
        let topics = sorted(vec!["t1", "t_cfg.x", "tdef"], DEFAULT_CAPACITY);
        assert_eq!(topics, ["t_cfg.x", "tdef", "t1"]);
        assert_eq!(sorted(topics, 3), ["t_cfg.x", "t1", "tdef"]);
    }

    /// Recorded from kafka-consumer-groups --list.
    #[test]
    fn groups_stand_where_java_puts_them() {
        let names = [59330, 17433, 74558, 57049].map(|number| format!("console-consumer-{number}"));
        let expected = [&*names[0], &names[1], "g1", &names[2], &names[3]];
        let mut shuffled = expected.to_vec();
        shuffled.sort_unstable();
        assert_eq!(sorted(shuffled, DEFAULT_CAPACITY), expected);
    }

    /// Recorded from kafka-consumer-groups --reset-offsets of a topic with five partitions.
    #[test]
    fn partitions_stand_where_java_puts_them() {
        let mut partitions = [0, 1, 2, 3, 4];
        sort_as_hash_map(&mut partitions, DEFAULT_CAPACITY, |partition| partition_hash("t1", *partition));
        assert_eq!(partitions, [4, 3, 2, 1, 0]);
    }
}

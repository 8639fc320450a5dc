//! Which partition of `__consumer_offsets` a group belongs to. Every broker and tool must agree on it.

use millstream_model::PartitionIndex;

/// Partition of `__consumer_offsets` that holds the group `group_id`, out of `partition_count` (at least 1): the absolute
/// value of Java's `String.hashCode`, modulo the count. The lowest hash has no absolute value and counts as 0.
pub fn partition_for(group_id: &str, partition_count: i32) -> PartitionIndex {
    let hash = group_id.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    PartitionIndex(hash.checked_abs().unwrap_or(0) % partition_count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_land_where_kafka_puts_them() {
        // Computed with Kafka's own Utils.abs("…".hashCode()) % 50.
        for (group, partition) in VECTORS {
            assert_eq!(partition_for(group, 50), PartitionIndex(*partition), "{group}");
        }
    }

    #[test]
    fn the_lowest_hash_counts_as_zero() {
        assert_eq!(partition_for("polygenelubricants", 50), PartitionIndex(0));
    }

    const VECTORS: &[(&str, i32)] = &[
        ("", 0),
        ("a", 47),
        ("console-consumer-12345", 6),
        ("my-group", 12),
        ("data-consumer", 3),
        ("grüppe", 12),
        ("消费者", 6),
        ("😀-group", 43),
        ("amm-techlab", 27),
        ("connect-cluster", 13),
        ("Aa", 12),
        ("BB", 12),
    ];
}

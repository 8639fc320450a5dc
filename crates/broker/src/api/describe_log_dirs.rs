//! DescribeLogDirs (35), versions 1–5: directories, the space in them (KIP-827) and the bytes of each partition
//! (KIP-113). Directories are never cordoned here (KIP-1066).

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use millstream_protocol::ErrorCode;
use millstream_protocol::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use millstream_storage::LogDirUsage;

use super::Call;
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 1..=5;

pub(crate) async fn handle(broker: &Broker, call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let asked: Option<HashSet<(String, i32)>> = request.topics.map(|topics| {
        let partitions = topics.into_iter().flat_map(|topic| {
            let name = topic.topic;
            topic.partitions.into_iter().map(move |index| (name.clone(), index))
        });
        partitions.collect()
    });
    let image = broker.image();
    // With several nodes over one directory, each shows the partitions that it leads.
    let shown = |topic: &str, index: i32| {
        let partition = image.topic(topic).and_then(|topic| topic.partition(millstream_model::PartitionIndex(index)));
        partition.is_some_and(|partition| partition.leader == call.node())
            && asked.as_ref().is_none_or(|asked| asked.contains(&(topic.to_owned(), index)))
    };
    let directories = broker.storage().log_dirs().await;
    let results = directories.into_iter().map(|directory| described(directory, &shown)).collect();
    DescribeLogDirsResponse { results, ..DescribeLogDirsResponse::default() }
}

fn described(directory: LogDirUsage, shown: &impl Fn(&str, i32) -> bool) -> DescribeLogDirsResult {
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in directory.partitions {
        if shown(&partition.topic, partition.index.0) {
            topics.entry(partition.topic.to_string()).or_default().push(DescribeLogDirsPartition {
                partition_index: partition.index.0,
                partition_size: i64::try_from(partition.bytes).unwrap_or(i64::MAX),
                ..DescribeLogDirsPartition::default()
            });
        }
    }
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic { name, partitions }
    });
    let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let error = if directory.error.is_some() { ErrorCode::KafkaStorageError } else { ErrorCode::None };
    DescribeLogDirsResult {
        error_code: error.code(),
        log_dir: directory.path.display().to_string(),
        topics: topics.collect(),
        total_bytes: directory.space.map_or(-1, |space| bytes(space.total)),
        usable_bytes: directory.space.map_or(-1, |space| bytes(space.usable)),
        ..DescribeLogDirsResult::default()
    }
}

//! The engine through its façade, over both seams' memory implementations.

mod fetch_limits;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_model::batch::{Batch, BatchBuilder, BatchIter, ControlRecord, ControlRecordType, ProducerStamp};
use millstream_model::compression::Compression;
use millstream_model::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId,
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock::{Clock as _, ManualClock};
use crate::*;

const NOW: TimestampMs = TimestampMs(1_000);

pub(crate) fn spec(topic: &str, config: LogConfig) -> PartitionSpec {
    let mut id = [0; 16];
    id[..topic.len().min(16)].copy_from_slice(&topic.as_bytes()[..topic.len().min(16)]);
    PartitionSpec { topic_id: TopicId(Uuid::from_bytes(id)), topic: Arc::from(topic), index: PartitionIndex(0), config }
}

pub(crate) fn batch_of(values: &[&str], timestamp: i64, stamp: ProducerStamp) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None).producer(stamp);
    for value in values {
        builder.append(TimestampMs(timestamp), None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build()
}

pub(crate) fn plain(values: &[&str], timestamp: i64) -> Batch {
    batch_of(values, timestamp, ProducerStamp::NONE)
}

pub(crate) fn stamp(id: i64, epoch: i16, sequence: i32) -> ProducerStamp {
    ProducerStamp {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
        transactional: false,
    }
}

/// Values of all records in `records`, with their offsets.
pub(crate) fn values(records: &[Bytes]) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for batch in records.iter().cloned().flat_map(BatchIter::new) {
        let batch = batch.unwrap();
        let header = *batch.header();
        let bytes = batch.decompressed(1 << 20).unwrap();
        for record in millstream_model::batch::RecordIter::new(&bytes, header.records_count) {
            let record = record.unwrap();
            let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
            found.push((header.base_offset.0 + i64::from(record.offset_delta), value));
        }
    }
    found
}

/// Where Kafka's jars lie, for tests that run its tools; without them says so, and with `CI=true` fails.
pub(crate) fn kafka_libs() -> Option<String> {
    let libs = std::env::var("MILLSTREAM_KAFKA_LIBS").ok();
    if libs.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "MILLSTREAM_KAFKA_LIBS does not name Kafka's jars");
        eprintln!("NOT TESTED: MILLSTREAM_KAFKA_LIBS does not name Kafka's jars");
    }
    libs
}

/// What Kafka's own tool says of the segments and indexes in a directory; it must find nothing wrong.
pub(crate) fn kafka_dump(libs: &str, dir: &Path) -> String {
    let kinds = ["log", "index", "timeindex", "txnindex"];
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_kind = |path: &PathBuf| path.extension().is_some_and(|kind| kinds.iter().any(|known| kind == *known));
    let files: Vec<String> = paths.filter(is_kind).map(|path| path.to_string_lossy().into_owned()).collect();
    assert!(files.len() >= 6, "{files:?}");
    let output = std::process::Command::new("java")
        .args(["-cp", &format!("{libs}/*"), "org.apache.kafka.tools.DumpLogSegments"])
        .args(["--deep-iteration", "--files", &files.join(",")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{complaint}");
    for bad in ["isvalid: false", "Mismatches", "not match", "Found", "invalid", "corrupt"] {
        assert!(!text.contains(bad), "{bad}: {text}");
    }
    text
}

fn memory() -> (Storage, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (Storage::in_memory(clock.clone(), EngineLimits::default()), clock)
}

async fn append(partition: &Arc<Partition>, batch: Batch) -> Appended {
    let appended = partition.append([batch], AppendOrigin::Client, NOW).unwrap();
    appended.durable().await.unwrap();
    appended
}

async fn all(partition: &Arc<Partition>) -> Vec<(i64, String)> {
    let from = partition.offsets().log_start;
    let slice = partition.read(from, 1 << 20, true, ReadUpto::HighWatermark).await.unwrap();
    values(&slice.records)
}

#[tokio::test]
async fn what_is_appended_is_read_once_it_is_durable() {
    let (storage, _clock) = memory();
    let partition = storage.create_partition(spec("t", LogConfig::default()));
    let first = partition.append([plain(&["a", "b"], 10)], AppendOrigin::Client, NOW).unwrap();
    assert_eq!((first.base_offset, first.last_offset), (Offset(0), Offset(1)));
    assert_eq!(partition.offsets().high_watermark, Offset(0), "nothing is visible before it is durable");
    first.ticket.durable().await.unwrap();
    assert_eq!(partition.offsets().high_watermark, Offset(2));
    append(&partition, plain(&["c"], 11)).await;
    assert_eq!(all(&partition).await, [(0, "a".into()), (1, "b".into()), (2, "c".into())]);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn a_repeat_is_answered_with_the_originals_offsets() {
    let (storage, _clock) = memory();
    let partition = storage.create_partition(spec("t", LogConfig::default()));
    for sequence in 0..7 {
        append(&partition, batch_of(&["x"], 10, stamp(5, 0, sequence))).await;
    }
    let repeat = append(&partition, batch_of(&["x"], 10, stamp(5, 0, 4))).await;
    assert!(repeat.repeated);
    assert_eq!(repeat.base_offset, Offset(4));
    assert_eq!(repeat.log_append_time, Some(TimestampMs(10)), "the original's");
    let check = |sequence: i32, epoch: i16| {
        partition.append([batch_of(&["x"], 10, stamp(5, epoch, sequence))], AppendOrigin::Client, NOW).unwrap_err()
    };
    let gap = SequenceError::OutOfOrder { producer: ProducerId(5), found: Sequence(9), last: Sequence(6) };
    assert_eq!(check(9, 0), AppendError::Sequence(gap));
    let long_gone = SequenceError::OutOfOrder { producer: ProducerId(5), found: Sequence(1), last: Sequence(6) };
    assert_eq!(check(1, 0), AppendError::Sequence(long_gone), "older than the last five");
    let new_epoch = SequenceError::OutOfOrder { producer: ProducerId(5), found: Sequence(7), last: Sequence(6) };
    assert_eq!(check(7, 1), AppendError::Sequence(new_epoch), "a new epoch begins at 0");
    append(&partition, batch_of(&["x"], 10, stamp(5, 1, 0))).await;
    let (found, known) = (ProducerEpoch(0), ProducerEpoch(1));
    assert_eq!(check(7, 0), AppendError::Sequence(SequenceError::Fenced { producer: ProducerId(5), found, known }));
    assert_eq!(partition.offsets().log_end, Offset(8));
}

#[tokio::test]
async fn offsets_outside_of_the_log_are_out_of_range() {
    let (storage, _clock) = memory();
    let partition = storage.create_partition(spec("t", LogConfig::default()));
    for value in ["a", "b", "c"] {
        append(&partition, plain(&[value], 10)).await;
    }
    let (start, ticket) = partition.delete_records(Some(Offset(2))).unwrap();
    ticket.durable().await.unwrap();
    assert_eq!(start, Offset(2));
    for (from, readable) in [(1, false), (2, true), (3, true), (4, false)] {
        let read = partition.read(Offset(from), 100, true, ReadUpto::HighWatermark).await;
        assert_eq!(read.is_ok(), readable, "read from {from}");
    }
    let beyond = partition.delete_records(Some(Offset(4))).unwrap_err();
    assert_eq!(beyond, DeleteRecordsError::OutOfRange(Offset(4)));
    assert_eq!(partition.delete_records(None).unwrap().0, Offset(3));
}

#[tokio::test]
async fn the_size_limit_keeps_batches_whole() {
    let (storage, _clock) = memory();
    let partition = storage.create_partition(spec("t", LogConfig::default()));
    let one = append(&partition, plain(&["0123456789"], 10)).await;
    append(&partition, plain(&["0123456789"], 10)).await;
    let bytes = usize::try_from(partition.size_bytes()).unwrap() / 2;
    let check = async |bytes_max: usize, at_least_one: bool, batches: usize| {
        let slice = partition.read(one.base_offset, bytes_max, at_least_one, ReadUpto::HighWatermark).await.unwrap();
        assert_eq!(values(&slice.records).len(), batches, "{bytes_max} bytes, at least one: {at_least_one}");
    };
    check(bytes - 1, false, 0).await;
    check(bytes - 1, true, 1).await;
    check(bytes, false, 1).await;
    check(2 * bytes, false, 2).await;
}

#[tokio::test]
async fn records_are_found_by_timestamp() {
    let (storage, _clock) = memory();
    let partition = storage.create_partition(spec("t", LogConfig::default()));
    for (value, timestamp) in [("a", 10), ("b", 30), ("c", 20), ("d", 40)] {
        append(&partition, plain(&[value], timestamp)).await;
    }
    for (asked, expected) in [(5, Some((0, 10))), (11, Some((1, 30))), (31, Some((3, 40))), (41, None)] {
        let found = partition.offset_for_timestamp(TimestampMs(asked), ReadUpto::HighWatermark).await.unwrap();
        assert_eq!(found.map(|found| (found.offset.0, found.timestamp.0)), expected, "timestamp {asked}");
    }
    let max = partition.offset_of_max_timestamp().await.unwrap().unwrap();
    assert_eq!((max.offset, max.timestamp), (Offset(3), TimestampMs(40)));
}

#[tokio::test]
async fn a_transaction_holds_the_last_stable_offset_until_its_marker() {
    let (storage, _clock) = memory();
    let partition = storage.create_partition(spec("t", LogConfig::default()));
    append(&partition, plain(&["before"], 10)).await;
    let open = ProducerStamp { transactional: true, ..stamp(7, 0, 0) };
    append(&partition, batch_of(&["in"], 10, open)).await;
    append(&partition, plain(&["after"], 10)).await;
    let offsets = partition.offsets();
    assert_eq!((offsets.last_stable, offsets.high_watermark), (Offset(1), Offset(3)));
    let committed = partition.read(Offset(0), 1 << 20, true, ReadUpto::LastStable).await.unwrap();
    assert_eq!(values(&committed.records), [(0, "before".into())]);
    let marker = ControlRecord { kind: ControlRecordType::Abort, coordinator_epoch: 3 };
    let marker = marker.into_batch(ProducerId(7), ProducerEpoch(0), NOW);
    let done = partition.append([marker], AppendOrigin::Coordinator, NOW).unwrap();
    done.ticket.durable().await.unwrap();
    assert_eq!(partition.offsets().last_stable, Offset(4));
    let slice = partition.read(Offset(0), 1 << 20, true, ReadUpto::LastStable).await.unwrap();
    let expected = AbortedTransaction {
        producer_id: ProducerId(7),
        first_offset: Offset(1),
        last_offset: Offset(3),
        last_stable: Offset(4),
    };
    assert_eq!(slice.aborted, [expected]);
}

#[tokio::test]
async fn a_watcher_misses_no_advance() {
    let (storage, _clock) = memory();
    let partition = storage.create_partition(spec("t", LogConfig::default()));
    let waiter = Arc::new(Notify::new());
    let watch = partition.watch(&waiter);
    append(&partition, plain(&["a"], 10)).await;
    waiter.notified().await;
    drop(watch);
    append(&partition, plain(&["b"], 10)).await;
    let silent = futures_util::future::poll_immediate(waiter.notified()).await;
    assert!(silent.is_none(), "a dropped watch is not notified");
}

#[tokio::test]
async fn log_append_time_stamps_the_batch() {
    let (storage, clock) = memory();
    let config =
        LogConfig { timestamp_type: millstream_model::batch::TimestampType::LogAppendTime, ..LogConfig::default() };
    let partition = storage.create_partition(spec("t", config));
    let now = clock.now();
    let appended = partition.append([plain(&["a"], 10)], AppendOrigin::Client, now).unwrap();
    assert_eq!(appended.log_append_time, Some(now));
    appended.durable().await.unwrap();
    let slice = partition.read(Offset(0), 1 << 20, true, ReadUpto::HighWatermark).await.unwrap();
    let batch = BatchIter::new(slice.records[0].clone()).next().unwrap().expect("its CRC was renewed");
    assert_eq!(batch.header().max_timestamp, now);
}

#[tokio::test]
async fn a_deleted_topic_takes_and_gives_nothing() {
    let (storage, _clock) = memory();
    let partition = storage.create_partition(spec("t", LogConfig::default()));
    append(&partition, plain(&["a"], 10)).await;
    storage.delete_topics(&[partition.topic_id()]).await.unwrap();
    assert!(storage.partition(partition.topic_id(), PartitionIndex(0)).is_none());
    let refused = partition.append([plain(&["b"], 10)], AppendOrigin::Client, NOW).unwrap_err();
    assert_eq!(refused, AppendError::Deleted);
    let read = partition.read(Offset(0), 100, true, ReadUpto::HighWatermark).await;
    assert!(matches!(read, Err(ReadError::Deleted)));
    let again = storage.create_partition(spec("t", LogConfig::default()));
    assert_eq!(again.offsets(), LogOffsets::default());
}

#[tokio::test]
async fn without_synced_writes_an_append_waits_for_its_segment_alone() {
    let (storage, _clock) = memory();
    let config = LogConfig { durability: Durability::Os, ..LogConfig::default() };
    let partition = storage.create_partition(spec("t", config));
    append(&partition, plain(&["a"], 10)).await;
    assert_eq!(storage.metrics().slots_written, 0);
    partition.set_config(LogConfig::default());
    let waiting = loop {
        match partition.append([plain(&["b"], 10)], AppendOrigin::Client, NOW) {
            Err(AppendError::Switching) => tokio::task::yield_now().await,
            appended => break appended.unwrap(),
        }
    };
    waiting.ticket.durable().await.unwrap();
    assert_eq!(storage.metrics().slots_written, 1);
    assert_eq!(all(&partition).await, [(0, "a".into()), (1, "b".into())]);
}

#[tokio::test]
async fn epochs_answer_where_they_end() {
    let (storage, _clock) = memory();
    let partition = storage.create_partition(spec("t", LogConfig::default()));
    append(&partition, plain(&["a"], 10)).await;
    assert_eq!(partition.end_of_epoch(LeaderEpoch(0)), (LeaderEpoch(0), Offset(1)));
    assert_eq!(partition.end_of_epoch(LeaderEpoch(1)), (LeaderEpoch::NONE, Offset(-1)));
}

#[tokio::test]
async fn a_closed_storage_refuses_and_has_settled_everything() {
    let (storage, _clock) = memory();
    let partition = storage.create_partition(spec("t", LogConfig::default()));
    let waiting = partition.append([plain(&["a"], 10)], AppendOrigin::Client, NOW).unwrap();
    storage.close().await.unwrap();
    waiting.ticket.durable().await.unwrap();
    assert_eq!(storage.metrics().checkpoints, 1);
    let refused = partition.append([plain(&["b"], 10)], AppendOrigin::Client, NOW).unwrap_err();
    assert_eq!(refused, AppendError::Stopped);
}

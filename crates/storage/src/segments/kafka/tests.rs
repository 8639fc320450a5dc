//! What only Kafka's directories do: damage is found and blamed on the right partition, hints may lie, and Kafka's own
//! tool reads the files where it is present.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use millstream_model::batch::{Batch, BatchIter};
use millstream_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

use super::formats::{IndexEntry, TimeIndexEntry};
use super::*;
use crate::disk::FileDisk;
use crate::disk::simulated::SimulatedDisk;
use crate::lane::Ticket;
use crate::log::config::{Compaction, LogConfig};
use crate::log::producers::ProducerEntry;
use crate::log::state::LogState;
use crate::segments::{Loaded, SegmentStore};
use crate::tests::{kafka_dump, kafka_libs, plain, spec};

fn target(topic: &str) -> SegmentTarget {
    let config = LogConfig { segment_bytes: 1000, index_interval_bytes: 150, ..LogConfig::default() };
    spec(topic, config).target()
}

fn batches(offsets: Range<i64>) -> Vec<Batch> {
    let placed = |offset| plain(&["some value"], 100 + offset).placed(Offset(offset), LeaderEpoch(0));
    offsets.map(placed).collect()
}

/// Appends twenty batches to each topic and takes a checkpoint for each.
async fn filled(disk: Arc<dyn Disk>, topics: &[&str]) -> KafkaDirectories {
    let store = KafkaDirectories::new(disk, 0, None);
    store.load(topics.iter().map(|topic| target(topic)).collect()).await.unwrap();
    for topic in topics {
        let batches = batches(0..20);
        let mut state = LogState::default();
        for batch in &batches {
            state.apply(batch, Ticket::default());
        }
        store
            .append(vec![SegmentRun { target: target(topic), batches, aborted: Vec::new(), read_soon: false }])
            .await
            .unwrap();
        let one = PartitionCheckpoint { target: target(topic), state, volatile: false, offline: false };
        store.checkpoint(vec![one]).await.unwrap();
    }
    store
}

async fn all(store: &KafkaDirectories, topic: &str) -> Vec<i64> {
    let mut read = Vec::new();
    loop {
        let from = ReadFrom::Offset(Offset(read.len() as i64));
        let chunks = store.read(target(topic).key, from, 500).await.unwrap();
        if chunks.is_empty() {
            return read;
        }
        let batches = chunks.into_iter().flat_map(BatchIter::new);
        read.extend(batches.map(|batch| batch.unwrap().header().base_offset.0));
    }
}

#[tokio::test]
async fn index_files_are_hints_that_may_lie() {
    for name in ["index", "timeindex"] {
        let simulated = SimulatedDisk::new(3);
        let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
        let store = filled(Arc::clone(&disk), &["t"]).await;
        let file = Path::new("kafka/t-0").join(format!("{:020}.{name}", 0));
        let entries = simulated.content(&file).unwrap().len();
        assert!(entries > 0);
        for bit in 0..entries as u64 {
            simulated.flip_bit(&file, bit);
            store.cursors.forget();
            assert_eq!(all(&store, "t").await, (0..20).collect::<Vec<_>>());
            let at = ReadFrom::Timestamp { from: Offset(0), timestamp: TimestampMs(113) };
            let found = store.read(target("t").key, at, 1).await.unwrap().remove(0);
            let found = BatchIter::new(found).next().unwrap().unwrap();
            assert_eq!(found.header().base_offset, Offset(13), "{name} with bit {bit} turned");
            simulated.flip_bit(&file, bit);
        }
        disk.perform(DiskOp::RemoveFile(file)).await.unwrap();
        store.cursors.forget();
        assert_eq!(all(&store, "t").await, (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_damaged_checkpoint_blames_only_partitions_that_have_no_newer_one() {
    let simulated = SimulatedDisk::new(3);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    filled(Arc::clone(&disk), &["a", "b", "c"]).await;
    // One round is the empty first file, then one per topic, each on a boundary.
    let rounds = simulated.content(Path::new(checkpoint::CHECKPOINT_FILE)).unwrap();
    let starts: Vec<usize> = (0..rounds.len()).step_by(checkpoint::ALIGN_BYTES).collect();
    let starts: Vec<usize> = starts.into_iter().filter(|at| rounds[*at..].starts_with(b"MILLCKPT")).collect();
    assert_eq!(starts.len(), 4);
    simulated.flip_bit(Path::new(checkpoint::CHECKPOINT_FILE), starts[2] as u64 + 40);
    let report = KafkaDirectories::new(disk, 0, None).load(["a", "b", "c"].map(target).into()).await.unwrap();
    let offline: Vec<bool> = report.logs.iter().map(|log| matches!(log, Loaded::Offline(_))).collect();
    assert_eq!(offline, [true, true, false], "a's record may be older than a lost one, b's is lost");
}

#[tokio::test]
async fn the_checkpoint_file_stays_short_over_deletions_and_restarts() {
    const LENGTH_MAX: u64 = (4 << 20) + (256 << 10);
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(3));
    let mut state = LogState::default();
    for id in 0..2_000 {
        let entry = ProducerEntry {
            epoch: ProducerEpoch(0),
            coordinator_epoch: -1,
            last_timestamp: TimestampMs(0),
            batches: VecDeque::new(),
            transaction_start: None,
        };
        state.producers.restore(ProducerId(id), entry);
    }
    let checkpoint = |topic: &str| PartitionCheckpoint {
        target: target(topic),
        state: state.clone(),
        volatile: false,
        offline: false,
    };
    for _ in 0..10 {
        let store = KafkaDirectories::new(Arc::clone(&disk), 0, None);
        store.load(vec![target("kept")]).await.unwrap();
        store.checkpoint(vec![checkpoint("kept")]).await.unwrap();
        for number in 0..20 {
            let topic = format!("t{number}");
            store.checkpoint(vec![checkpoint(&topic)]).await.unwrap();
            store.edit(vec![SegmentEdit::Remove(target(&topic).key)]).await.unwrap();
            let length = disk.length(checkpoint::CHECKPOINT_FILE.into()).await.unwrap().unwrap();
            assert!(length < LENGTH_MAX, "{length} bytes with one partition");
        }
    }
    let store = KafkaDirectories::new(disk, 0, None);
    let report = store.load(vec![target("kept"), target("t0")]).await.unwrap();
    let producers = |log: &Loaded| match log {
        Loaded::Log(log) => log.state.producers.iter().count(),
        Loaded::Offline(reason) => panic!("{reason}"),
    };
    assert_eq!(report.logs.iter().map(producers).collect::<Vec<_>>(), [2_000, 0], "what was deleted is forgotten");
}

#[tokio::test]
async fn a_log_shorter_than_its_checkpoint_takes_the_partition_offline() {
    let simulated = SimulatedDisk::new(3);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    filled(Arc::clone(&disk), &["a", "b"]).await;
    let file = Path::new("kafka/a-0").join(format!("{:020}.log", 0));
    let length = disk.length(file.clone()).await.unwrap().unwrap();
    disk.perform(DiskOp::SetLength { file, length: length - 1 }).await.unwrap();
    let report = KafkaDirectories::new(disk, 0, None).load(["a", "b"].map(target).into()).await.unwrap();
    assert!(matches!(&report.logs[..], [Loaded::Offline(_), Loaded::Log(_)]));
}

#[tokio::test]
async fn an_index_that_lost_its_end_with_the_power_goes_on_without_a_hole() {
    for whole in [0, 1] {
        let simulated = SimulatedDisk::new(3);
        let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
        let store = filled(Arc::clone(&disk), &["t"]).await;
        let active = store.partitions.lock()[&target("t").key].segments.last().unwrap().clone();
        let path = |file: SegmentFile| file.path(Path::new("kafka/t-0"), active.base);
        assert!(active.index_bytes > 12 && active.time_index_bytes > 17, "{active:?}");
        for (file, length) in [(SegmentFile::Index, whole * 8 + 4), (SegmentFile::TimeIndex, whole * 12 + 5)] {
            disk.perform(DiskOp::SetLength { file: path(file), length }).await.unwrap();
        }
        let store = KafkaDirectories::new(disk, 0, None);
        store.load(vec![target("t")]).await.unwrap();
        let run = SegmentRun { target: target("t"), batches: batches(20..40), aborted: Vec::new(), read_soon: false };
        store.append(vec![run]).await.unwrap();
        let index = simulated.content(&path(SegmentFile::Index)).unwrap();
        let offsets: Vec<u32> = index.chunks(8).map(|entry| IndexEntry::decode(entry).relative_offset).collect();
        let time_index = simulated.content(&path(SegmentFile::TimeIndex)).unwrap();
        let times: Vec<i64> = time_index.chunks(12).map(|entry| TimeIndexEntry::decode(entry).timestamp.0).collect();
        assert!(offsets[0] > 0 && offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
        assert!(times[0] > 0 && times.is_sorted_by(|a, b| a < b), "{times:?}");
        let ended =
            store.partitions.lock()[&target("t").key].segments.iter().find(|one| one.base == active.base).cloned();
        assert_eq!(times.last().copied(), ended.map(|ended| ended.max_timestamp.0), "it ends with the largest");
        assert_eq!(all(&store, "t").await, (0..40).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_segment_from_elsewhere_may_hold_offsets_that_no_index_entry_can_say() {
    let far = i64::from(i32::MAX) + 10;
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(3));
    let log = Path::new("kafka/t-0").join(format!("{:020}.log", 0));
    disk.perform(DiskOp::CreateDir("kafka/t-0".into())).await.unwrap();
    let content = batches(0..3).iter().chain(&batches(far..far + 5)).map(|batch| batch.bytes().clone()).collect();
    disk.write(log, 0, content).await.unwrap();
    let store = KafkaDirectories::new(disk, 0, None);
    let report = store.load(vec![target("t")]).await.unwrap();
    assert!(matches!(&report.logs[..], [Loaded::Log(log)] if log.state.log_end == Offset(far + 5)), "{report:?}");
    for offset in [0, 2, 3, far, far + 4] {
        let found = store.read(target("t").key, ReadFrom::Offset(Offset(offset)), 1).await.unwrap().remove(0);
        let found = BatchIter::new(found).next().unwrap().unwrap();
        assert_eq!(found.header().base_offset.0, if offset == 3 { far } else { offset });
    }
}

#[test]
fn a_position_that_no_index_entry_can_say_gets_none() {
    let mut segment = Segment::new(Offset(0));
    segment.log_bytes = u64::from(u32::MAX) + 1;
    segment.since_index = segment.log_bytes;
    let mut writes = plan::SegmentWrites::new(segment.clone());
    plan::add_batch(&mut segment, &mut writes, batches(7..8)[0].header(), 150);
    assert_eq!((segment.next, segment.index_bytes, writes.index.len()), (Offset(8), 0, 0));
}

#[tokio::test]
async fn unknown_directories_are_moved_aside_and_deleted_ones_removed() {
    let simulated = SimulatedDisk::new(3);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    filled(Arc::clone(&disk), &["a", "b"]).await;
    disk.perform(DiskOp::CreateDir("kafka/gone-0.1234-delete".into())).await.unwrap();
    let report = KafkaDirectories::new(Arc::clone(&disk), 0, None).load(vec![target("b")]).await.unwrap();
    assert_eq!(report.moved_aside, [("kafka/a-0".into(), "aside/a-0.0".into())]);
    let names: Vec<String> = disk.list("kafka".into()).await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["b-0"]);
    assert!(
        disk.length(Path::new("aside/a-0").with_extension("0").join(format!("{:020}.log", 0))).await.unwrap().is_some()
    );
}

#[tokio::test]
async fn a_directory_without_checkpoints_is_taken_over_by_scanning() {
    let simulated = SimulatedDisk::new(3);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    filled(Arc::clone(&disk), &["a"]).await;
    disk.perform(DiskOp::RemoveFile(checkpoint::CHECKPOINT_FILE.into())).await.unwrap();
    let store = KafkaDirectories::new(disk, 0, None);
    let report = store.load(vec![target("a")]).await.unwrap();
    assert!(matches!(&report.logs[..], [Loaded::Log(log)] if log.state.log_end == Offset(20)));
    assert_eq!(all(&store, "a").await, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_files_are_named_as_kafka_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir.path(), 2).unwrap());
    filled(Arc::clone(&disk), &["t"]).await;
    let names: Vec<String> = disk.list("kafka/t-0".into()).await.unwrap().into_iter().map(|entry| entry.name).collect();
    let segments = names.iter().filter(|name| name.ends_with(".log")).count();
    assert!(segments > 1 && names.contains(&format!("{:020}.log", 0)));
    for kind in [".index", ".timeindex"] {
        assert_eq!(names.iter().filter(|name| name.ends_with(kind)).count(), segments, "{names:?}");
    }
    let epochs = disk.read_file("kafka/t-0/leader-epoch-checkpoint".into()).await.unwrap().unwrap();
    assert_eq!(epochs, "0\n1\n0 0\n");
}

#[tokio::test]
async fn what_is_read_is_the_whole_batches_that_fit_however_large_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let simulated: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(3));
    let sizes = [10, 600 << 10, 600 << 10, 3 << 20, 10, 10, 2 << 20, 10];
    let values = sizes.map(|size| "v".repeat(size));
    let batches: Vec<_> =
        (0..).zip(&values).map(|(at, value)| plain(&[value], 7).placed(Offset(at), LeaderEpoch(0))).collect();
    // One that only threads read, and one whose page cache a reactor reads.
    for disk in [simulated, Arc::new(FileDisk::open(dir.path(), 2).unwrap())] {
        let store = KafkaDirectories::new(disk, 0, None);
        let target = spec("t", LogConfig::default()).target();
        store.load(vec![target.clone()]).await.unwrap();
        let run =
            SegmentRun { target: target.clone(), batches: batches.clone(), aborted: Vec::new(), read_soon: false };
        store.append(vec![run]).await.unwrap();
        for (from, bytes_max) in (0..sizes.len()).flat_map(|from| (0..40).map(move |n| (from, n * 200_000))) {
            let read = store.read(target.key, ReadFrom::Offset(Offset(from as i64)), bytes_max).await.unwrap();
            let mut wanted = batches[from].bytes().to_vec();
            for batch in &batches[from + 1..] {
                if wanted.len() + batch.bytes().len() > bytes_max {
                    break;
                }
                wanted.extend_from_slice(batch.bytes());
            }
            assert!(read.concat() == wanted, "{bytes_max} bytes from {from}");
        }
    }
}

#[tokio::test]
async fn a_new_directory_is_durable_with_its_first_checkpoint() {
    for seed in 0..50 {
        let simulated = SimulatedDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
        filled(Arc::clone(&disk), &["t"]).await;
        simulated.power_cycle();
        let store = KafkaDirectories::new(disk, 0, None);
        let report = store.load(vec![target("t")]).await.unwrap();
        assert!(matches!(&report.logs[..], [Loaded::Log(_)]), "seed {seed}: {:?}", report.logs);
        assert_eq!(all(&store, "t").await, (0..20).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[tokio::test]
async fn jitter_closes_segments_earlier_and_those_of_two_partitions_at_different_times() {
    let lengths = async |jitter: u64, topic: &str| {
        let store = KafkaDirectories::new(Arc::new(SimulatedDisk::new(1)), 0, None);
        let config = LogConfig { segment_ms: 50, segment_jitter_ms: jitter, ..LogConfig::default() };
        let target = SegmentTarget { config, ..target(topic) };
        store.load(vec![target.clone()]).await.unwrap();
        // A batch each millisecond, all in one plan and then one by one: both find the same.
        let mut run = SegmentRun { target, batches: batches(0..1000), aborted: Vec::new(), read_soon: false };
        store.append(vec![run.clone()]).await.unwrap();
        for batch in batches(1000..2000) {
            run.batches = vec![batch];
            store.append(vec![run.clone()]).await.unwrap();
        }
        let mut segments = store.segments(self::target(topic).key);
        segments.pop();
        segments.iter().map(|segment| segment.next.since(segment.base)).collect::<Vec<i64>>()
    };
    assert!(lengths(0, "t").await.iter().all(|length| *length == 51));
    for jitter in [20, 1_000_000] {
        let (t, u) = (lengths(jitter, "t").await, lengths(jitter, "u").await);
        let shortest = if jitter == 20 { 32 } else { 2 };
        assert!(t.iter().chain(&u).all(|length| (shortest..=51).contains(length)), "{t:?} {u:?}");
        assert!(t.iter().any(|length| *length != t[0]), "{t:?}");
        assert_ne!(t, u);
        assert_eq!(t, lengths(jitter, "t").await, "a restart changes nothing");
    }
}

#[tokio::test]
async fn a_segment_of_a_compacted_log_is_closed_when_its_records_may_not_stay_uncleaned_any_longer() {
    let closed_after = async |compaction: Option<Compaction>| {
        let store = KafkaDirectories::new(Arc::new(SimulatedDisk::new(1)), 0, None);
        let config = LogConfig { segment_ms: 15, compaction, ..target("t").config };
        let target = SegmentTarget { config, ..target("t") };
        store.load(vec![target.clone()]).await.unwrap();
        let run = SegmentRun { target, batches: batches(0..40), aborted: Vec::new(), read_soon: false };
        store.append(vec![run]).await.unwrap();
        store.segments(self::target("t").key)[0].next.0
    };
    assert_eq!(closed_after(None).await, 12, "its bytes");
    let compaction = |lag_max_ms| Some(Compaction { lag_max_ms, ..Compaction::default() });
    assert_eq!(closed_after(compaction(5)).await, 6);
    assert_eq!(closed_after(compaction(u64::MAX)).await, 12);
}

/// Runs Kafka's `DumpLogSegments` over a log with several segments.
#[tokio::test]
async fn kafkas_own_tool_finds_nothing_wrong_with_the_files() {
    let Some(libs) = kafka_libs() else { return };
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir.path(), 2).unwrap());
    filled(disk, &["t"]).await;
    let text = kafka_dump(&libs, &dir.path().join("kafka/t-0"));
    assert_eq!(text.matches("isvalid: true").count(), 20, "{text}");
}

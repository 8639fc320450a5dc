//! Bits that rot at random places of a data directory: nothing wrong is ever served. What is read is what was written, or the
//! start is refused, the partition is offline, or the read fails with the name of the file.
//!
//! `MILLSTREAM_FLIPS=1000 cargo test -p millstream-storage flips` turns as many bits; `MILLSTREAM_FLIP=N` the one of that seed.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use millstream_model::batch::{BatchIter, ControlRecord, ControlRecordType, ProducerStamp};
use millstream_model::{BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};
use uuid::Uuid;

use crate::clock::ManualClock;
use crate::disk::BLOCK_BYTES;
use crate::disk::simulated::{Dice, SimulatedDisk};
use crate::lane::LaneId;
use crate::lane::slot::{SlotHeader, SlotKind, decode_header};
use crate::log::producers::ProducerEntry;
use crate::tests::{batch_of, spec, stamp, values};
use crate::*;

const FLIPS: u64 = 300;
const NOW: TimestampMs = TimestampMs(1_000);
const TOPICS: [&str; 3] = ["plain", "transactions", "os"];
/// Bytes of the fetches that everything is read with.
const FETCHES: [usize; 3] = [1, 900, 1 << 20];

/// How the session ended that wrote the directory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Closed,
    /// Killed when its records were in segments, and some in a checkpoint.
    Killed,
    /// Killed when its newest records were in the lane only.
    Lagging,
}

/// What a partition has, as its readers see it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    log_start: Offset,
    log_end: Offset,
    /// Value and leader epoch of each offset.
    records: BTreeMap<i64, (String, LeaderEpoch)>,
    /// Producer and first offset, which is all that readers are told.
    aborted: Vec<(ProducerId, Offset)>,
    producers: Vec<(ProducerId, ProducerEntry)>,
    /// Offsets of timestamps.
    by_time: Vec<Option<i64>>,
    epochs: Vec<(LeaderEpoch, Offset)>,
}

struct Directory {
    disk: SimulatedDisk,
    ending: Ending,
    contents: BTreeMap<&'static str, Content>,
}

fn specs() -> Vec<PartitionSpec> {
    let config = |topic| LogConfig {
        durability: if topic == "os" { Durability::Os } else { Durability::Fsync },
        segment_bytes: 2 << 10,
        index_interval_bytes: 300,
        ..LogConfig::default()
    };
    TOPICS.map(|topic| spec(topic, config(topic))).into()
}

async fn open(disk: &SimulatedDisk, nonce: u64, lagging: bool) -> Result<Opened, OpenError> {
    let options = StorageOptions::new("c".into(), BrokerId(1), Uuid::from_u64_pair(7, nonce));
    let settle_after = if lagging { Duration::from_secs(1 << 20) } else { Duration::ZERO };
    let limits =
        EngineLimits { slot_bytes_max: 4 << 10, settle_after, tail_bytes_max: 1 << 10, ..EngineLimits::default() };
    let options = StorageOptions { limits, lane_file_bytes: 64 << 10, background: Background::Tasks, ..options };
    let clock = Arc::new(ManualClock::default());
    let (storage, report) = Storage::open(options, Arc::new(disk.clone()), clock.clone(), specs()).await?;
    Ok(Opened { storage, report, clock })
}

struct Opened {
    storage: Storage,
    report: RecoveryReport,
    clock: Arc<ManualClock>,
}

impl Opened {
    fn partition(&self, topic: &str) -> Arc<Partition> {
        let spec = spec(topic, LogConfig::default());
        self.storage.partition(spec.topic_id, spec.index).unwrap()
    }

    /// Two producers' batches, one to a transaction that is aborted, and some records deleted.
    async fn write(&self, session: i64) {
        for number in 0..12_i64 {
            let time = 100 * session + 10 * number;
            let filler = ".".repeat(40 + 17 * number as usize);
            let values = [format!("{session}-{number}"), filler];
            let values = values.each_ref().map(String::as_str);
            for topic in TOPICS {
                let producer = ProducerStamp {
                    transactional: topic == "transactions",
                    ..stamp(2 * session + number % 2, 0, number as i32 / 2 * 2)
                };
                let partition = self.partition(topic);
                append(&partition, batch_of(&values, time, producer), AppendOrigin::Client).await;
                if topic == "transactions" && number % 4 == 3 {
                    let kind = if number == 3 { ControlRecordType::Commit } else { ControlRecordType::Abort };
                    let marker = ControlRecord { kind, coordinator_epoch: 1 };
                    for id in [2 * session, 2 * session + 1] {
                        let marker = marker.into_batch(ProducerId(id), ProducerEpoch(0), TimestampMs(time));
                        append(&partition, marker, AppendOrigin::Coordinator).await;
                    }
                }
            }
        }
        let plain = self.partition("plain");
        plain.delete_records(Some(Offset(20 * session + 5))).unwrap().1.durable().await.unwrap();
    }

    /// Lets time pass until the lane is idle and has said that its last slot is durable; as long as the clock says no more
    /// than that, no checkpoint is due.
    async fn falls_idle(&self) {
        let before = self.storage.metrics().slots_written;
        for _ in 0..20 {
            self.clock.advance(Duration::from_millis(20));
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        }
        assert!(self.storage.metrics().slots_written > before, "a mark was written");
    }
}

async fn append(partition: &Arc<Partition>, batch: millstream_model::batch::Batch, origin: AppendOrigin) {
    partition.append([batch], origin, NOW).unwrap().durable().await.unwrap();
}

/// A directory that two sessions wrote, the first of them killed.
async fn directory(ending: Ending) -> Directory {
    let disk = SimulatedDisk::new(1);
    let first = open(&disk, 1, false).await.unwrap();
    first.write(0).await;
    first.falls_idle().await;
    first.storage.abort().await;
    let second = open(&disk, 2, ending == Ending::Lagging).await.unwrap();
    second.write(1).await;
    let mut contents = BTreeMap::new();
    for topic in TOPICS {
        contents.insert(topic, content(&second.partition(topic), 1 << 20).await.unwrap());
    }
    match ending {
        Ending::Closed => second.storage.close().await.unwrap(),
        Ending::Killed | Ending::Lagging => {
            second.falls_idle().await;
            second.storage.abort().await;
        }
    }
    Directory { disk, ending, contents }
}

/// Reads all that a partition has, `bytes_max` at a time.
async fn content(partition: &Partition, bytes_max: usize) -> Result<Content, ReadError> {
    let LogOffsets { log_start, log_end, .. } = partition.offsets();
    let mut records = BTreeMap::new();
    let mut from = log_start;
    while from < log_end {
        let slice = partition.read(from, bytes_max, true, ReadUpto::HighWatermark).await?;
        let epochs = slice.records.iter().cloned().flat_map(BatchIter::new).map(|batch| *batch.unwrap().header());
        let epochs: Vec<_> = epochs.map(|header| (header.last_offset(), header.partition_leader_epoch)).collect();
        let found = values(&slice.records);
        let last = found.last().expect("there is something below the end").0;
        assert!(last >= from.0, "what was read from {from} ends at {last}");
        for (offset, value) in found.into_iter().filter(|(offset, _)| *offset >= from.0) {
            let epoch = epochs.iter().find(|(last, _)| last.0 >= offset).expect("it is in a batch").1;
            assert!(records.insert(offset, (value, epoch)).is_none(), "offset {offset} was read twice");
        }
        from = Offset(last + 1);
    }
    let committed = partition.read(log_start, 1 << 20, true, ReadUpto::LastStable).await?;
    let mut by_time = Vec::new();
    for time in (0..250).step_by(35) {
        let found = partition.offset_for_timestamp(TimestampMs(time), ReadUpto::HighWatermark).await?;
        by_time.push(found.map(|found| found.offset.0));
    }
    let aborted = committed.aborted.iter().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect();
    let producers = partition.active_producers();
    let epochs = [0, 1].map(|epoch| partition.end_of_epoch(LeaderEpoch(epoch))).into();
    Ok(Content { log_start, log_end, records, aborted, producers, by_time, epochs })
}

/// What became of a turned bit.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Refused(String),
    /// Some partition is offline, or some read failed.
    Detected(String),
    /// Everything is as it was.
    Harmless,
}

fn names_a_file(words: &str) -> bool {
    ["lane/session", "checkpoint/partitions", "meta.properties", "data directory", ".log", ".txnindex", "kafka/"]
        .iter()
        .any(|name| words.contains(name))
}

async fn outcome(directory: &Directory, disk: &SimulatedDisk) -> Outcome {
    let opened = match open(disk, 3, false).await {
        Ok(opened) => opened,
        Err(error) => {
            assert!(names_a_file(&error.to_string()), "the refusal names no file: {error}");
            return Outcome::Refused(error.to_string());
        }
    };
    let report = &opened.report;
    let damaged = report.slots_damaged + report.slots_torn > 0;
    let mut outcome = if damaged { Outcome::Detected(format!("{report:?}")) } else { Outcome::Harmless };
    for (topic, expected) in &directory.contents {
        let partition = opened.partition(topic);
        if let Some(reason) = partition.offline() {
            outcome = Outcome::Detected(reason);
            continue;
        }
        for bytes_max in FETCHES {
            match content(&partition, bytes_max).await {
                Ok(found) if *topic == "os" && directory.ending != Ending::Closed => assert_begins(&found, expected),
                Ok(found) => assert_eq!(found, *expected, "{topic}, fetches of {bytes_max}"),
                Err(error) => {
                    assert!(names_a_file(&error.to_string()), "the failed read names no file: {error}");
                    outcome = Outcome::Detected(error.to_string());
                }
            }
        }
    }
    outcome
}

/// Without synced writes, what lies behind damage that no checkpoint vouches against is taken for torn, as in Kafka.
fn assert_begins(found: &Content, expected: &Content) {
    assert!(expected.records.iter().take(found.records.len()).eq(found.records.iter()), "os");
    if found.log_end == expected.log_end {
        assert_eq!(found, expected, "os");
    }
}

/// Bytes of a log that hold deleted records alone.
fn deleted_bytes(directory: &Directory, log: &Path) -> u64 {
    let topic =
        TOPICS.into_iter().find(|topic| log.starts_with(format!("kafka/{topic}-0"))).expect("logs are of topics");
    let log_start = directory.contents[topic].log_start;
    let batches = BatchIter::new(directory.disk.content(log).unwrap().into()).map(Result::unwrap);
    let deleted = batches.take_while(|batch| batch.header().last_offset() < log_start);
    deleted.map(|batch| batch.bytes().len() as u64).sum()
}

/// Whether a byte is one of a slot with records of the last session, and not of its padding, which is zero.
fn is_in_needed_slot(directory: &Directory, file: &Path, at: u64) -> bool {
    let content = directory.disk.content(file).unwrap();
    let at = usize::try_from(at).unwrap();
    let mut slots = (0..content.len()).step_by(BLOCK_BYTES).filter_map(|from| {
        let header = decode_header(&content[from..]).ok()?;
        Some((from..from + header.slot_bytes as usize, header))
    });
    let is_needed = |header: &SlotHeader| header.lane == LaneId(2) && header.kind == SlotKind::Data;
    content[at] != 0 && slots.any(|(bytes, header)| bytes.contains(&at) && is_needed(&header))
}

/// Whether a bit there must be found out, as opposed to one in padding, in what is not needed any more, or in a hint.
fn must_be_detected(directory: &Directory, file: &Path, at: u64) -> bool {
    let is = |kind: &str| file.extension().is_some_and(|extension| extension == kind);
    match directory.ending {
        _ if file == Path::new("lane/session") => true,
        Ending::Closed => is("txnindex") || (is("log") && at >= deleted_bytes(directory, file)),
        Ending::Killed => false,
        Ending::Lagging => file.starts_with("lane") && is_in_needed_slot(directory, file, at),
    }
}

async fn turn_bit(directories: &[Directory], seed: u64) -> Outcome {
    let mut dice = Dice::new(seed);
    let directory = &directories[dice.below(directories.len() as u64) as usize];
    let files: Vec<(PathBuf, u64)> = directory.disk.files().into_iter().filter(|(_, bytes)| *bytes > 0).collect();
    let (file, bytes) = &files[dice.below(files.len() as u64) as usize];
    let (at, bit) = (dice.below(*bytes), dice.below(8));
    eprintln!("seed {seed}: bit {bit} of byte {at} of {file:?}, {:?}", directory.ending);
    let disk = directory.disk.fork();
    disk.flip_bits(file, at, 1 << bit);
    let outcome = outcome(directory, &disk).await;
    eprintln!("  {outcome:?}");
    assert!(outcome != Outcome::Harmless || !must_be_detected(directory, file, at), "nobody has noticed");
    outcome
}

#[tokio::test]
async fn a_bit_that_rots_anywhere_is_detected_or_harmless_and_nothing_wrong_is_served() {
    let mut directories = Vec::new();
    for ending in [Ending::Closed, Ending::Killed, Ending::Lagging] {
        let directory = directory(ending).await;
        assert_eq!(outcome(&directory, &directory.disk.fork()).await, Outcome::Harmless, "{ending:?}");
        directories.push(directory);
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match number("MILLSTREAM_FLIP") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MILLSTREAM_FLIPS").unwrap_or(FLIPS),
    };
    let (mut noticed, mut wrong, all) = (0, Vec::new(), seeds.end - seeds.start);
    for seed in seeds {
        match AssertUnwindSafe(turn_bit(&directories, seed)).catch_unwind().await {
            Ok(outcome) => noticed += u64::from(outcome != Outcome::Harmless),
            Err(_) => wrong.push(seed),
        }
    }
    assert_eq!(wrong, [], "seeds");
    eprintln!("{noticed} of {all} turned bits were noticed, the others changed nothing");
    assert!(directories[0].contents["transactions"].aborted.len() > 2, "there is what may be damaged");
    assert!(all < 100 || noticed > all / 6);
}

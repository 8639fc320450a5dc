//! The cleaner at work on a whole storage: whatever was written and however it was cleaned, readers find the last record of
//! each key at its offset, and producers go on where they were. Every choice comes from the seed.
//!
//! `MILLSTREAM_COMPACTION_SEEDS=2000 cargo test -p millstream-storage compaction` runs more seeds than the default.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_model::batch::{
    Batch, BatchBuilder, BatchIter, ControlRecord, ControlRecordType, ProducerStamp, RecordIter,
};
use millstream_model::compression::CompressionType;
use millstream_model::{BrokerId, Offset, PartitionIndex, ProducerEpoch, ProducerId, TimestampMs};
use uuid::Uuid;

use crate::clock::ManualClock;
use crate::disk::Disk;
use crate::disk::simulated::{Dice, SimulatedDisk};
use crate::lane::Ticket;
use crate::tests::{kafka_dump, kafka_libs, spec, stamp};
use crate::*;

const SEEDS: u64 = 25;
const ROUNDS: u64 = 4;
const KEYS: u64 = 9;
const PRODUCERS: u64 = 3;
/// Batches appended between two looks.
const BATCHES: u64 = 60;
/// How long a test waits for what happens in the background.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of so many offsets one is read from.
const READ_FROM_EACH: i64 = 11;

/// A record as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) timestamp: i64,
}

/// A producer that may have a transaction open, with the offsets that it wrote in it.
#[derive(Clone, Debug, Default)]
struct Producer {
    sequence: i32,
    open: Option<Vec<i64>>,
}

/// What was written.
#[derive(Debug, Default)]
struct World {
    records: BTreeMap<i64, Written>,
    aborted: BTreeSet<i64>,
    producers: [Producer; PRODUCERS as usize],
}

pub(super) fn config(delete_retention_ms: u64) -> LogConfig {
    let compaction = Compaction { dirty_share_min_ppm: 0, delete_retention_ms, ..Compaction::default() };
    let (segment_bytes, index_interval_bytes) = (700, 150);
    LogConfig { segment_bytes, index_interval_bytes, compaction: Some(compaction), ..LogConfig::default() }
}

pub(super) fn limits(seed: u64) -> EngineLimits {
    EngineLimits {
        // What the cleaner replaces may be in memory, or not any more.
        tail_bytes_max: if seed.is_multiple_of(2) { 2 << 10 } else { 1 << 20 },
        settle_after: Duration::ZERO,
        checkpoint_interval: Duration::from_millis(20),
        reserve_bytes: 0,
        ..EngineLimits::default()
    }
}

pub(super) fn cleaner(map_bytes_max: usize) -> CleanerSettings {
    CleanerSettings { enabled: true, backoff: Duration::from_millis(10), map_bytes_max, ..CleanerSettings::default() }
}

pub(super) async fn open(disk: &Arc<dyn Disk>, clock: &Arc<ManualClock>, config: LogConfig, seed: u64) -> Storage {
    let nonce = Uuid::from_u64_pair(7, seed);
    let options = StorageOptions::new("c".into(), BrokerId(1), nonce);
    let options =
        StorageOptions { limits: limits(seed), lane_file_bytes: 64 << 10, background: Background::Tasks, ..options };
    Storage::open(options, Arc::clone(disk), clock.clone(), vec![spec("t", config)]).await.unwrap().0
}

pub(super) fn partition(storage: &Storage) -> Arc<Partition> {
    storage.partition(spec("t", LogConfig::default()).topic_id, PartitionIndex(0)).unwrap()
}

/// Lets time pass and everything in the background happen, until the cleaner has nothing to do any more.
pub(super) async fn settle(storage: &Storage, clock: &ManualClock) {
    let mut runs = u64::MAX;
    while storage.metrics().cleaner.runs != runs {
        runs = storage.metrics().cleaner.runs;
        for _ in 0..6 {
            clock.advance(Duration::from_millis(25));
            for _ in 0..120 {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl World {
    async fn append(&mut self, partition: &Arc<Partition>, batch: Batch, origin: AppendOrigin) -> i64 {
        let appended = partition.append([batch], origin, TimestampMs(0)).unwrap();
        appended.durable().await.unwrap();
        appended.base_offset.0
    }

    /// Appends some records of one producer or none, or ends a transaction.
    async fn step(&mut self, partition: &Arc<Partition>, dice: &mut Dice) {
        let number = dice.below(PRODUCERS + 1);
        let Some(producer) = self.producers.get_mut(number as usize) else {
            return self.write(partition, dice, ProducerStamp::NONE).await;
        };
        if producer.open.is_some() && dice.one_in(3) {
            return self.end(partition, number, dice.one_in(2)).await;
        }
        // The first producer has transactions only, the others now and then.
        if producer.open.is_none() && (number == 0 || dice.one_in(3)) {
            producer.open = Some(Vec::new());
        }
        let transactional = producer.open.is_some();
        let stamp = ProducerStamp { transactional, ..stamp(number as i64, 0, producer.sequence) };
        self.write(partition, dice, stamp).await;
    }

    async fn write(&mut self, partition: &Arc<Partition>, dice: &mut Dice, stamp: ProducerStamp) {
        let codec = CompressionType::ALL[dice.below(5) as usize];
        let mut builder = BatchBuilder::new(codec.into()).producer(stamp);
        let records: Vec<Written> = (0..1 + dice.below(4))
            .map(|_| Written {
                key: format!("key {}", dice.below(KEYS)),
                value: (!dice.one_in(5)).then(|| "v".repeat(dice.below(60) as usize)),
                timestamp: 1_000 + dice.below(1_000) as i64,
            })
            .collect();
        for record in &records {
            let (key, value) = (record.key.as_bytes(), record.value.as_ref().map(String::as_bytes));
            builder.append(TimestampMs(record.timestamp), Some(key), value, &[]).unwrap();
        }
        let base = self.append(partition, builder.build(), AppendOrigin::Client).await;
        if let Some(producer) = self.producers.get_mut(usize::try_from(stamp.producer_id.0).unwrap_or(usize::MAX)) {
            producer.sequence += records.len() as i32;
            producer.open.iter_mut().for_each(|open| open.extend(base..base + records.len() as i64));
        }
        self.records.extend((base..).zip(records));
    }

    async fn end(&mut self, partition: &Arc<Partition>, number: u64, abort: bool) {
        let offsets = self.producers[number as usize].open.take().unwrap();
        let kind = if abort { ControlRecordType::Abort } else { ControlRecordType::Commit };
        let control = ControlRecord { kind, coordinator_epoch: 0 };
        let batch = control.into_batch(ProducerId(number as i64), ProducerEpoch(0), TimestampMs(1_500));
        self.append(partition, batch, AppendOrigin::Coordinator).await;
        if abort {
            self.aborted.extend(offsets);
        }
    }

    /// Ends every open transaction, and writes until that lies in a sealed segment.
    async fn end_all(&mut self, partition: &Arc<Partition>, dice: &mut Dice) {
        for number in
            (0..PRODUCERS).filter(|number| self.producers[*number as usize].open.is_some()).collect::<Vec<_>>()
        {
            self.end(partition, number, dice.one_in(2)).await;
        }
        for _ in 0..10 {
            self.write(partition, dice, ProducerStamp::NONE).await;
        }
    }

    /// What a reader of committed records must find from an offset on, below `end`.
    fn last_of_keys(&self, from: i64, end: i64) -> BTreeMap<&str, (i64, &Written)> {
        let committed = self.records.range(from..end.max(from)).filter(|(offset, _)| !self.aborted.contains(offset));
        committed.map(|(offset, written)| (written.key.as_str(), (*offset, written))).collect()
    }
}

/// Offsets and records of a batch.
pub(super) fn records_of(batch: &Batch) -> Vec<(i64, Written)> {
    let header = *batch.header();
    let bytes = batch.decompressed(1 << 20).unwrap();
    let records = RecordIter::new(&bytes, header.records_count);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let written = |record: millstream_model::batch::Record<'_>| Written {
        key: record.key.map(text).unwrap_or_default(),
        value: record.value.map(text),
        timestamp: header.timestamp_of(record.timestamp_delta).0,
    };
    let place = |record: millstream_model::batch::Record<'_>| header.base_offset.0 + i64::from(record.offset_delta);
    records.map(|record| record.unwrap()).map(|record| (place(record), written(record))).collect()
}

fn batches_of(records: &[Bytes]) -> Vec<Batch> {
    records.iter().cloned().flat_map(BatchIter::new).map(|batch| batch.unwrap()).collect()
}

/// What Kafka's consumer makes of one answer to a fetch of committed records.
fn committed_of(slice: &ReadSlice, from: i64) -> Vec<(i64, Written)> {
    let mut aborted = slice.aborted.clone();
    aborted.sort_by_key(|aborted| std::cmp::Reverse(aborted.first_offset));
    let mut aborting = BTreeSet::new();
    let mut found = Vec::new();
    for batch in batches_of(&slice.records) {
        let header = *batch.header();
        while let Some(begun) = aborted.pop_if(|aborted| aborted.first_offset <= header.last_offset()) {
            aborting.insert(begun.producer_id.0);
        }
        if header.attributes.is_control() {
            let control = crate::log::state::control_of(&batch);
            if control.is_some_and(|control| control.kind == ControlRecordType::Abort) {
                aborting.remove(&header.producer_id.0);
            }
        } else if !(header.attributes.is_transactional() && aborting.contains(&header.producer_id.0)) {
            found.extend(records_of(&batch).into_iter().filter(|(offset, _)| *offset >= from));
        }
    }
    found
}

/// All committed records from an offset on, fetched in small pieces.
async fn read_committed(partition: &Arc<Partition>, from: i64) -> Vec<(i64, Written)> {
    let mut next = from;
    let mut found = Vec::new();
    loop {
        let slice = partition.read(Offset(next), 900, true, ReadUpto::LastStable).await.unwrap();
        let Some(last) = batches_of(&slice.records).last().map(|batch| batch.header().next_offset().0) else {
            return found;
        };
        found.extend(committed_of(&slice, next));
        assert!(last > next, "a reader gets on");
        next = last;
    }
}

/// What a reader from any offset finds is what was written, and the last of each key is among it.
async fn check_readers(world: &World, partition: &Arc<Partition>, seed: u64) {
    let offsets = partition.offsets();
    let first = seed as i64 % READ_FROM_EACH;
    for from in (offsets.log_start.0 + first..=offsets.log_end.0).step_by(READ_FROM_EACH as usize) {
        let found = read_committed(partition, from).await;
        assert!(found.is_sorted_by(|one, next| one.0 < next.0), "seed {seed}: offsets rise");
        for (offset, record) in &found {
            assert!(*offset >= from && !world.aborted.contains(offset), "seed {seed}: {offset} was aborted");
            assert_eq!(Some(record), world.records.get(offset), "seed {seed}: record {offset}");
        }
        let found: BTreeMap<i64, Written> = found.into_iter().collect();
        for (key, (offset, written)) in world.last_of_keys(from, offsets.last_stable.0) {
            let is_there = found.get(&offset) == Some(written);
            assert!(is_there || written.value.is_none(), "seed {seed}: {key} of offset {offset} is lost from {from}");
        }
        let newer = world.last_of_keys(from, offsets.last_stable.0);
        let last: BTreeMap<&str, i64> = found.iter().map(|(offset, one)| (one.key.as_str(), *offset)).collect();
        for (key, offset) in last {
            assert_eq!(newer[key].0, offset, "seed {seed}: an older record of {key} came back");
        }
    }
}

/// The producers as the log's batches alone would tell of them.
async fn check_producers(partition: &Arc<Partition>, seed: u64) {
    let mut state = LogState::default();
    let mut from = partition.offsets().log_start;
    loop {
        let slice = partition.read(from, 1 << 20, true, ReadUpto::HighWatermark).await.unwrap();
        let batches = batches_of(&slice.records);
        let Some(last) = batches.last() else { break };
        from = last.header().next_offset();
        batches.iter().for_each(|batch| {
            state.apply(batch, Ticket::default());
        });
    }
    assert_eq!(state.log_end, partition.offsets().log_end, "seed {seed}");
    for (id, live) in partition.active_producers() {
        let told = state.producers.get(id).unwrap_or_else(|| panic!("seed {seed}: producer {id} is forgotten"));
        // A batch's timestamp is that of the records that are left, as in Kafka.
        let newest = |entry: &ProducerEntry| {
            let batch = entry.batches.back().map(|batch| (batch.last_sequence, batch.last_offset, batch.offset_delta));
            (entry.epoch, batch, entry.transaction_start)
        };
        assert_eq!(newest(told), newest(&live), "seed {seed}: producer {id}");
    }
}

async fn run(seed: u64) {
    let mut dice = Dice::new(seed);
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(seed));
    let clock = Arc::new(ManualClock::default());
    let config = config(if dice.one_in(2) { 0 } else { 400 });
    // From room for two keys to room for all.
    let settings = cleaner(1 << (6 + dice.below(6)));
    let mut world = World::default();
    let mut storage = open(&disk, &clock, config.clone(), seed).await;
    for round in 0..ROUNDS {
        storage.set_cleaner(settings);
        for _ in 0..BATCHES {
            world.step(&partition(&storage), &mut dice).await;
            if dice.one_in(8) {
                clock.advance(Duration::from_millis(25));
            }
        }
        if round == ROUNDS - 1 {
            world.end_all(&partition(&storage), &mut dice).await;
        }
        settle(&storage, &clock).await;
        let partition = partition(&storage);
        let metrics = storage.metrics().cleaner;
        // Before, a transaction that was open from the start may have kept the cleaner from everything.
        let cleaned = metrics.runs > 0 && metrics.written_bytes < metrics.read_bytes;
        assert!(cleaned || round < ROUNDS - 1, "seed {seed}: {metrics:?}");
        check_readers(&world, &partition, seed).await;
        check_producers(&partition, seed).await;
        let (offsets, producers, bytes) = (partition.offsets(), partition.active_producers(), partition.size_bytes());
        storage.close().await.unwrap();
        storage = open(&disk, &clock, config.clone(), seed).await;
        let again = self::partition(&storage);
        assert_eq!((again.offsets(), again.size_bytes()), (offsets, bytes), "seed {seed}");
        assert_eq!(again.active_producers(), producers, "seed {seed}");
        check_readers(&world, &again, seed).await;
    }
    storage.close().await.unwrap();
}

#[test]
fn every_reader_finds_the_last_record_of_each_key_whatever_was_written() {
    let seeds = std::env::var("MILLSTREAM_COMPACTION_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(seed));
    }
}

/// A storage on a real disk, in which the world was written and cleaned.
async fn cleaned_on_file_disk(root: &std::path::Path) -> (Storage, World) {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(root, 2).unwrap());
    let clock = Arc::new(ManualClock::default());
    let (mut world, mut dice) = (World::default(), Dice::new(5));
    let storage = open(&disk, &clock, config(1 << 40), 5).await;
    storage.set_cleaner(cleaner(1 << 12));
    for _ in 0..3 {
        for _ in 0..BATCHES {
            world.step(&partition(&storage), &mut dice).await;
        }
        world.end_all(&partition(&storage), &mut dice).await;
        for _ in 0..BATCHES {
            world.write(&partition(&storage), &mut dice, ProducerStamp::NONE).await;
        }
        let until = std::time::Instant::now() + PATIENCE;
        let runs = storage.metrics().cleaner.runs;
        while storage.metrics().cleaner.runs == runs {
            assert!(std::time::Instant::now() < until, "nothing is cleaned");
            clock.advance(Duration::from_millis(25));
            tokio::task::yield_now().await;
        }
    }
    (storage, world)
}

#[tokio::test]
async fn kafkas_own_tool_finds_nothing_wrong_with_a_compacted_log() {
    let Some(libs) = kafka_libs() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (storage, world) = cleaned_on_file_disk(dir.path()).await;
    check_readers(&world, &partition(&storage), 5).await;
    storage.close().await.unwrap();
    drop(storage);
    let text = kafka_dump(&libs, &dir.path().join("kafka/t-0"));
    assert!(text.contains("deleteHorizonMs: OptionalLong["), "tombstones have a horizon: {text}");
    assert!(text.contains("count: 0 "), "a producer's last batch is empty: {text}");
    assert!(text.contains("endTxnMarker: ABORT"), "markers stay: {text}");
}

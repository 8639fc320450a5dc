//! The engine with its cleaner at work over a disk that crashes at a random operation: no acknowledged last record of a key
//! is lost, none comes back, and a repeat is still recognised. Every choice comes from the seed.
//!
//! `MILLSTREAM_COMPACTION_SEEDS=2000 cargo test -p millstream-storage compaction` runs more seeds than the default.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millstream_model::batch::{Batch, BatchBuilder, BatchIter};
use millstream_model::compression::Compression;
use millstream_model::{BrokerId, TimestampMs};
use uuid::Uuid;

use super::tests::{Written, cleaner, config, limits, partition, records_of};
use crate::clock::ManualClock;
use crate::crash_tests::until_crash;
use crate::disk::simulated::{Dice, Faults, SimulatedDisk};
use crate::tests::{spec, stamp};
use crate::*;

const SEEDS: u64 = 40;
const SESSIONS: u64 = 3;
const KEYS: u64 = 6;

/// What the outside world knows.
#[derive(Debug, Default)]
struct Known {
    /// Every record that was ever appended at an offset.
    attempted: BTreeMap<i64, Vec<Written>>,
    /// Offset of the last acknowledged record of each key.
    acknowledged: BTreeMap<String, i64>,
    /// The last acknowledged batch: producer, its first sequence and its offset.
    last: Option<(i64, Batch, i64)>,
    runs: u64,
}

#[derive(Debug)]
struct World {
    seed: u64,
    disk: SimulatedDisk,
    dice: RefCell<Dice>,
    known: RefCell<Known>,
}

impl World {
    fn below(&self, bound: u64) -> u64 {
        self.dice.borrow_mut().below(bound)
    }

    async fn open(&self, clock: &Arc<ManualClock>) -> Storage {
        let nonce = Uuid::from_u64_pair(self.below(1 << 40), self.below(1 << 40));
        let options = StorageOptions::new("c".into(), BrokerId(1), nonce);
        let limits = EngineLimits { checkpoint_bytes: 4 << 10, ..limits(self.seed) };
        let options = StorageOptions { limits, lane_file_bytes: 64 << 10, background: Background::Tasks, ..options };
        let specs = vec![spec("t", config(0))];
        Storage::open(options, Arc::new(self.disk.clone()), clock.clone(), specs).await.unwrap().0
    }

    /// One producer that appends until the end.
    async fn produce(&self, partition: &Arc<Partition>, producer: i64) {
        let mut sequence = 0;
        loop {
            let records: Vec<Written> = (0..1 + self.below(3))
                .map(|_| Written {
                    key: format!("key {}", self.below(KEYS)),
                    value: (self.below(6) > 0).then(|| "v".repeat(self.below(80) as usize)),
                    timestamp: 10,
                })
                .collect();
            let mut builder = BatchBuilder::new(Compression::None).producer(stamp(producer, 0, sequence));
            for record in &records {
                let (key, value) = (record.key.as_bytes(), record.value.as_ref().map(String::as_bytes));
                builder.append(TimestampMs(record.timestamp), Some(key), value, &[]).unwrap();
            }
            let batch = builder.build();
            let appended = match partition.append([batch.clone()], AppendOrigin::Client, TimestampMs(0)) {
                Ok(appended) => appended,
                Err(AppendError::Stopped) => return,
                Err(error) => panic!("append: {error}"),
            };
            sequence += records.len() as i32;
            let places = || records.iter().zip(appended.base_offset.0..);
            for (record, offset) in places() {
                self.known.borrow_mut().attempted.entry(offset).or_default().push(record.clone());
            }
            if appended.durable().await.is_err() {
                return;
            }
            let mut known = self.known.borrow_mut();
            known.acknowledged.extend(places().map(|(record, offset)| (record.key.clone(), offset)));
            known.last = Some((producer, batch, appended.base_offset.0));
        }
    }

    /// A session that ends with a crash, or is killed.
    fn session(&self, number: u64) {
        let clock = Arc::new(ManualClock::default());
        let crash_at = (self.below(4) > 0).then(|| 20 + self.below(400));
        self.disk.set_faults(Faults { crash_at, ..Faults::default() });
        let steps = 200 + self.below(800);
        let map_bytes_max = 1 << (6 + self.below(5));
        let ended = until_crash(&self.disk, &clock, async {
            let storage = self.open(&clock).await;
            storage.set_cleaner(cleaner(map_bytes_max));
            let partition = partition(&storage);
            let steps = async {
                for _ in 0..steps {
                    tokio::task::yield_now().await;
                    self.known.borrow_mut().runs += u64::from(storage.metrics().cleaner.runs > 0);
                }
            };
            tokio::select! {
                () = self.produce(&partition, number as i64) => {}
                () = steps => {}
            }
        });
        if ended.is_none() || self.below(2) == 0 {
            self.disk.power_cycle();
        } else {
            self.disk.restart_process();
        }
    }

    /// Opens, sometimes crashing on the way, and looks at everything.
    fn check(&self) {
        for _ in 0..self.below(3) {
            self.disk.set_faults(Faults { crash_at: Some(self.below(80)), ..Faults::default() });
            let clock = Arc::new(ManualClock::default());
            until_crash(&self.disk, &clock, async { drop(self.open(&clock).await) });
            self.disk.power_cycle();
        }
        self.disk.set_faults(Faults::default());
        let clock = Arc::new(ManualClock::default());
        until_crash(&self.disk, &clock, async {
            let storage = self.open(&clock).await;
            let partition = partition(&storage);
            assert_eq!(partition.offline(), None, "seed {}", self.seed);
            self.check_records(&partition).await;
            self.check_repeat(&partition);
            if self.below(2) == 0 {
                storage.close().await.unwrap();
            }
        })
        .expect("no crash was ordered");
        self.disk.restart_process();
    }

    async fn check_records(&self, partition: &Arc<Partition>) {
        let mut from = partition.offsets().log_start;
        let mut last = BTreeMap::new();
        let mut offsets = BTreeSet::new();
        while from < partition.offsets().log_end {
            let slice = partition.read(from, 2_000, true, ReadUpto::HighWatermark).await.unwrap();
            for batch in slice.records.iter().cloned().flat_map(BatchIter::new).map(|batch| batch.unwrap()) {
                assert!(batch.header().next_offset() > from, "seed {}: offsets rise", self.seed);
                from = batch.header().next_offset();
                for (offset, record) in records_of(&batch) {
                    assert!(self.known.borrow().attempted[&offset].contains(&record), "seed {}: {offset}", self.seed);
                    assert!(offsets.insert(offset), "seed {}: {offset} is there twice", self.seed);
                    last.insert(record.key, offset);
                }
            }
            assert!(!slice.records.is_empty(), "seed {}: nothing at {from} below the log's end", self.seed);
        }
        let known = self.known.borrow();
        for (key, offset) in &known.acknowledged {
            let found = last.get(key).copied().unwrap_or(-1);
            let was_tombstone = known.attempted[offset].iter().any(|record| record.value.is_none());
            let fine = found >= *offset || (found == -1 && was_tombstone);
            assert!(fine, "seed {}: {key} was acknowledged at {offset}, its last is at {found}", self.seed);
        }
    }

    fn check_repeat(&self, partition: &Arc<Partition>) {
        let Some((producer, batch, base)) = self.known.borrow_mut().last.take() else { return };
        let repeat = partition.append([batch], AppendOrigin::Client, TimestampMs(0));
        // A later batch of it may be in the log without having been acknowledged; five are remembered.
        let repeat = repeat.unwrap_or_else(|error| panic!("seed {}: producer {producer}: {error}", self.seed));
        assert!(repeat.repeated && repeat.base_offset.0 == base, "seed {}: {repeat:?}, was at {base}", self.seed);
    }
}

#[test]
fn crashes_lose_no_last_record_of_a_key() {
    let seeds = std::env::var("MILLSTREAM_COMPACTION_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let mut runs = 0;
    for seed in 0..seeds {
        let disk = SimulatedDisk::new(seed);
        let dice = RefCell::new(Dice::new(seed ^ 0xc0de));
        let world = World { seed, disk, dice, known: RefCell::default() };
        for number in 0..SESSIONS {
            world.session(number);
            world.check();
        }
        runs += world.known.borrow().runs;
    }
    assert!(runs > seeds, "the cleaner was at work when the crashes came");
}

//! The engine over a disk that crashes at a random operation: no acknowledged record is lost, no offset is given twice,
//! nothing that a reader saw disappears, repeats are still recognised. Every choice comes from the seed.
//!
//! `MILLSTREAM_CRASH_SEEDS=10000 cargo test -p millstream-storage crash` runs more seeds than the default,
//! `MILLSTREAM_CRASH_SEED=N` one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millstream_model::{BrokerId, Offset, PartitionIndex, TimestampMs};
use tokio::task::LocalSet;
use uuid::Uuid;

use crate::clock::ManualClock;
use crate::disk::simulated::{Dice, Faults, SimulatedDisk};
use crate::tests::{batch_of, spec, stamp, values};
use crate::*;

const SEEDS: u64 = 60;
const PARTITIONS: usize = 4;
/// The last partition is not synced.
const VOLATILE: usize = PARTITIONS - 1;
const PRODUCERS: i64 = 3;

/// What the outside world knows of one partition.
#[derive(Debug, Default)]
struct Known {
    acknowledged: BTreeMap<i64, String>,
    /// Every value that was ever appended at an offset.
    attempted: BTreeMap<i64, BTreeSet<String>>,
    /// What a reader saw as the high watermark.
    seen: i64,
    log_start_asked: i64,
    log_start_acknowledged: i64,
    /// Last acknowledged batch of each producer: sequence, offset, value.
    last: BTreeMap<i64, (i32, i64, String)>,
    /// Next sequence of each producer; after a crash anew, with a new producer id.
    sequences: BTreeMap<i64, i32>,
}

struct World {
    seed: u64,
    disk: SimulatedDisk,
    dice: Dice,
    known: Vec<Known>,
    /// Numbers producer ids: a producer that does not know what became of its batch begins anew.
    incarnation: i64,
    generation: i32,
    appended: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mutation {
    None,
    /// Acknowledges what is in the page cache: what the test must catch.
    AnswerBeforeDurable,
}

fn config(partition: usize) -> LogConfig {
    let durability = if partition == VOLATILE { Durability::Os } else { Durability::Fsync };
    LogConfig { durability, segment_bytes: 2 << 10, index_interval_bytes: 200, ..LogConfig::default() }
}

fn specs() -> Vec<PartitionSpec> {
    let one = |number| PartitionSpec { index: PartitionIndex(number as i32), ..spec("t", config(number)) };
    (0..PARTITIONS).map(one).collect()
}

fn options(dice: &mut Dice) -> StorageOptions {
    let limits = EngineLimits {
        slot_bytes_max: 1 << (10 + dice.below(4)),
        slots_in_flight_max: 1 + dice.below(4) as usize,
        waiting_bytes_max: 1 << 20,
        unsettled_bytes_max: 16 << 10,
        tail_bytes_max: 8 << 10,
        settle_after: Duration::from_millis(dice.below(2) * 5),
        settle_bytes: 4 << 10,
        checkpoint_interval: Duration::from_millis(50),
        checkpoint_bytes: 8 << 10,
        reserve_bytes: 0,
    };
    let nonce = Uuid::from_u64_pair(dice.below(1 << 40), dice.below(1 << 40));
    let (lane_file_bytes, background) = (32 << 10, Background::Tasks);
    StorageOptions { limits, lane_file_bytes, background, ..StorageOptions::new("c".into(), BrokerId(1), nonce) }
}

type Shared = Rc<RefCell<World>>;

/// Runs `work` on a fresh runtime until it ends or the machine stops; what still ran is dropped, as a crash does.
fn until_crash<R>(disk: &SimulatedDisk, clock: &Arc<ManualClock>, work: impl Future<Output = R>) -> Option<R> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let disk = disk.clone();
    let clock = Arc::clone(clock);
    let local = LocalSet::new();
    let ended = local.block_on(&runtime, async move {
        let ticking = async {
            loop {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                clock.advance(Duration::from_millis(5));
            }
        };
        tokio::select! {
            biased;
            () = disk.crashed() => None,
            done = work => Some(done),
            () = ticking => None,
        }
    });
    drop(local);
    runtime.shutdown_background();
    ended
}

async fn open(world: &Shared, clock: &Arc<ManualClock>) -> (Storage, RecoveryReport) {
    let (options, disk) = {
        let mut world = world.borrow_mut();
        (options(&mut world.dice), Arc::new(world.disk.clone()))
    };
    Storage::open(options, disk, clock.clone(), specs()).await.unwrap()
}

/// One client: appends batches and remembers what was acknowledged.
async fn produce(world: Shared, storage: Storage, producer: i64, mutation: Mutation) {
    loop {
        let (number, count, incarnation, wait) = {
            let mut world = world.borrow_mut();
            let number = world.dice.below(PARTITIONS as u64) as usize;
            (number, 1 + world.dice.below(3), world.incarnation, world.dice.below(6))
        };
        for _ in 0..wait {
            tokio::task::yield_now().await;
        }
        let partition = storage.partition(specs()[number].topic_id, PartitionIndex(number as i32)).unwrap();
        let id = incarnation * PRODUCERS + producer;
        let sequence = *world.borrow().known[number].sequences.get(&id).unwrap_or(&0);
        let (values, filler) = {
            let mut world = world.borrow_mut();
            world.appended += count;
            let at = world.appended;
            ((0..count).map(|one| format!("{}-{}", world.seed, at + one)).collect::<Vec<_>>(), world.dice.below(300))
        };
        let values: Vec<String> =
            values.iter().map(|value| format!("{value}{}", ".".repeat(filler as usize))).collect();
        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
        let batch = batch_of(&texts, 10, stamp(id, 0, sequence));
        let appended = match partition.append(&[batch], AppendOrigin::Client, TimestampMs(0)) {
            Ok(appended) => appended,
            Err(AppendError::Stopped) => return,
            Err(AppendError::NoSpace | AppendError::Overloaded | AppendError::Switching) => continue,
            Err(error) => panic!("append: {error}"),
        };
        let base = appended.base_offset.0;
        {
            let mut world = world.borrow_mut();
            let known = &mut world.known[number];
            known.sequences.insert(id, sequence + count as i32);
            for (value, offset) in values.iter().zip(base..) {
                assert!(!known.acknowledged.contains_key(&offset), "offset {offset} was acknowledged before");
                known.attempted.entry(offset).or_default().insert(value.clone());
            }
        }
        if mutation == Mutation::None && appended.ticket.durable().await.is_err() {
            return;
        }
        let mut world = world.borrow_mut();
        let known = &mut world.known[number];
        known.acknowledged.extend((base..).zip(values.iter().cloned()));
        known.last.insert(id, (sequence, base, values.join(",")));
    }
}

/// Looks at watermarks, reads, and sometimes deletes records.
async fn look(world: Shared, storage: Storage) {
    loop {
        let (number, delete) = {
            let mut world = world.borrow_mut();
            (world.dice.below(PARTITIONS as u64) as usize, world.dice.one_in(8))
        };
        let partition = storage.partition(specs()[number].topic_id, PartitionIndex(number as i32)).unwrap();
        let offsets = partition.offsets();
        let seen = std::mem::replace(&mut world.borrow_mut().known[number].seen, offsets.high_watermark.0);
        assert!(offsets.high_watermark.0 >= seen, "the high watermark went back");
        let span = offsets.high_watermark.0 - offsets.log_start.0 + 1;
        let from = Offset(offsets.log_start.0 + world.borrow_mut().dice.below(span as u64) as i64);
        match partition.read(from, 1000, true, ReadUpto::HighWatermark).await {
            Ok(slice) => {
                for (offset, value) in values(&slice.records) {
                    assert!(world.borrow().known[number].attempted[&offset].contains(&value), "read what nobody wrote");
                }
                let end = slice.offsets.high_watermark;
                assert!(from >= end || slice.bytes() > 0, "nothing at {from} below {end}");
            }
            Err(ReadError::OutOfRange { log_start, .. }) => assert!(from < log_start),
            Err(error) => panic!("read at {from}: {error}"),
        }
        if delete && let Ok((start, ticket)) = partition.delete_records(Some(from)) {
            {
                let known = &mut world.borrow_mut().known[number];
                known.log_start_asked = start.0.max(known.log_start_asked);
            }
            if ticket.durable().await.is_err() {
                return;
            }
            let known = &mut world.borrow_mut().known[number];
            known.log_start_acknowledged = start.0.max(known.log_start_acknowledged);
        }
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
}

/// Checks one partition of a recovered storage against what is known. `power` says that unsynced writes may be lost.
async fn check(world: &Shared, storage: &Storage, number: usize, power: bool) {
    let seed = world.borrow().seed;
    let partition = storage.partition(specs()[number].topic_id, PartitionIndex(number as i32)).unwrap();
    assert_eq!(partition.offline(), None, "seed {seed}, partition {number}");
    let offsets = partition.offsets();
    assert_eq!(offsets.high_watermark, offsets.log_end);
    let mut found = BTreeMap::new();
    let mut from = offsets.log_start;
    while from < offsets.log_end {
        let slice = partition.read(from, 3000, true, ReadUpto::HighWatermark).await;
        let slice = slice.unwrap_or_else(|error| panic!("seed {seed}, partition {number} at {from}: {error}"));
        let records = values(&slice.records);
        let last = records.last().unwrap_or_else(|| panic!("seed {seed}, partition {number}: nothing at {from}")).0;
        found.extend(records.into_iter().filter(|(offset, _)| *offset >= offsets.log_start.0));
        from = Offset(last + 1);
    }
    let mut world = world.borrow_mut();
    let known = &mut world.known[number];
    let expected: Vec<i64> = (offsets.log_start.0..offsets.log_end.0).collect();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), expected, "seed {seed}, partition {number}: offsets");
    for (offset, value) in &found {
        assert!(known.attempted[offset].contains(value), "seed {seed}, partition {number}: {offset} holds {value}");
    }
    assert!(offsets.log_start.0 <= known.log_start_asked, "seed {seed}, partition {number}: start");
    let volatile = number == VOLATILE;
    if volatile && power {
        let end = offsets.log_end.0;
        known.acknowledged.retain(|offset, _| *offset < end);
        known.last.clear();
        known.log_start_acknowledged = offsets.log_start.0.min(known.log_start_acknowledged);
    } else {
        assert!(offsets.log_end.0 >= known.seen, "seed {seed}, partition {number}: a reader saw {}", known.seen);
    }
    let volatile_start = volatile && offsets.log_start.0 < known.log_start_acknowledged;
    assert!(
        offsets.log_start.0 >= known.log_start_acknowledged || volatile_start,
        "seed {seed}, partition {number}: log start"
    );
    for (offset, value) in known.acknowledged.range(offsets.log_start.0..) {
        assert_eq!(found.get(offset), Some(value), "seed {seed}, partition {number}: acknowledged {offset} is lost");
    }
    known.seen = offsets.log_end.0;
    let kept = |offset: &i64, values: &mut BTreeSet<String>| *offset < offsets.log_end.0 && !values.is_empty();
    known.attempted.retain(kept);
    for (id, (sequence, base, values)) in std::mem::take(&mut known.last) {
        let texts: Vec<&str> = values.split(',').collect();
        let repeat = batch_of(&texts, 10, stamp(id, 0, sequence));
        // A later batch of the same producer may be in the log without having been acknowledged.
        match partition.append(&[repeat], AppendOrigin::Client, TimestampMs(0)) {
            Ok(repeat) => assert!(
                repeat.repeated && repeat.base_offset.0 == base,
                "seed {seed}, partition {number}: producer {id} sequence {sequence} was at {base}, now {repeat:?}"
            ),
            Err(error) => panic!("seed {seed}, partition {number}: repeat of {id}: {error}"),
        }
    }
}

/// Recovers, crashing again on the way a few times, and checks everything.
fn recover(world: &Shared, power: &mut bool) -> bool {
    let (disk, crashes) = {
        let mut world = world.borrow_mut();
        (world.disk.clone(), world.dice.below(3))
    };
    for _ in 0..crashes {
        let at = world.borrow_mut().dice.below(60);
        disk.set_faults(Faults { crash_at: Some(at), ..Faults::default() });
        let clock = Arc::new(ManualClock::default());
        let opened = until_crash(&disk, &clock, async { open(world, &clock).await.1 });
        if std::env::var("MILLSTREAM_CRASH_SEED").is_ok() {
            eprintln!("crash ordered at {at}: {opened:?}");
        }
        if opened.is_some() {
            // It opened before it could crash: the process is killed instead.
            disk.restart_process();
            continue;
        }
        disk.power_cycle();
        *power = true;
    }
    disk.set_faults(Faults::default());
    let clock = Arc::new(ManualClock::default());
    let clean = until_crash(&disk, &clock, async {
        let (storage, report) = open(world, &clock).await;
        if std::env::var("MILLSTREAM_CRASH_SEED").is_ok() {
            eprintln!("power lost: {power}; {report:?}");
        }
        assert!(report.clean || report.generation.0 > world.borrow().generation, "an unclean start raises the epoch");
        world.borrow_mut().generation = report.generation.0;
        for number in 0..PARTITIONS {
            check(world, &storage, number, *power).await;
        }
        let close = world.borrow_mut().dice.one_in(2);
        if close {
            storage.close().await.unwrap();
        }
        close
    });
    disk.restart_process();
    clean.expect("no crash was ordered")
}

/// One seed: sessions that end badly in different ways, each followed by a recovery.
fn run(seed: u64, mutation: Mutation) {
    let disk = SimulatedDisk::new(seed);
    let known = (0..PARTITIONS).map(|_| Known::default()).collect();
    let dice = Dice::new(seed ^ 0xabcd);
    let generation = -1;
    let world = World { seed, disk: disk.clone(), dice, known, incarnation: 0, generation, appended: 0 };
    let world: Shared = Rc::new(RefCell::new(world));
    for _ in 0..3 {
        let (faults, end, steps) = {
            let mut world = world.borrow_mut();
            let at = world.dice.below(250);
            let faults = match world.dice.below(4) {
                0 => Faults { failing_sync: Some(world.dice.below(12)), ..Faults::default() },
                1 => Faults::default(),
                _ => Faults { crash_at: Some(at), ..Faults::default() },
            };
            (faults, world.dice.below(2), 50 + world.dice.below(300))
        };
        world.borrow_mut().incarnation += 1;
        disk.set_faults(faults);
        let clock = Arc::new(ManualClock::default());
        let ended = until_crash(&disk, &clock, session(&world, &clock, steps, end == 0, mutation));
        if std::env::var("MILLSTREAM_CRASH_SEED").is_ok() {
            eprintln!("session: {faults:?}, {steps} steps, ended: {ended:?}, end {end}");
        }
        let power = ended.is_none() || (end == 1 && faults.failing_sync.is_none());
        if power {
            disk.power_cycle();
        } else {
            disk.restart_process();
        }
        // What a failed sync loses was promised to partitions with synced writes only.
        recover(&world, &mut (power || faults.failing_sync.is_some()));
    }
}

async fn session(world: &Shared, clock: &Arc<ManualClock>, steps: u64, close: bool, mutation: Mutation) {
    let opened = {
        let (options, disk) = {
            let mut world = world.borrow_mut();
            (options(&mut world.dice), Arc::new(world.disk.clone()))
        };
        Storage::open(options, disk, clock.clone(), specs()).await
    };
    let storage = match opened {
        Ok((storage, report)) => {
            world.borrow_mut().generation = report.generation.0;
            storage
        }
        // A sync failed while it was opened: the process ends.
        Err(_) => return,
    };
    for producer in 0..PRODUCERS {
        tokio::task::spawn_local(produce(Rc::clone(world), storage.clone(), producer, mutation));
    }
    tokio::task::spawn_local(look(Rc::clone(world), storage.clone()));
    let working = async {
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = storage.failed() => return,
        () = working => {}
    }
    if close {
        // The sync that was ordered to fail may fail here.
        let _ = storage.close().await;
    }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("MILLSTREAM_CRASH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MILLSTREAM_CRASH_SEEDS").unwrap_or(SEEDS),
    }
}

#[test]
fn crashes_lose_no_acknowledged_record() {
    for seed in seeds() {
        let done = std::panic::catch_unwind(|| run(seed, Mutation::None));
        if let Err(panic) = done {
            eprintln!("failing seed: {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_broker_that_answers_before_the_write_is_durable_is_caught() {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let caught = (0..50).any(|seed| std::panic::catch_unwind(|| run(seed, Mutation::AnswerBeforeDurable)).is_err());
    std::panic::set_hook(quiet);
    assert!(caught, "the crash test cannot fail");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let trace = |seed| {
        let disk = SimulatedDisk::new(seed);
        let clock = Arc::new(ManualClock::default());
        let dice = Dice::new(seed);
        let known = (0..PARTITIONS).map(|_| Known::default()).collect();
        let world = World { seed, disk: disk.clone(), dice, known, incarnation: 0, generation: -1, appended: 0 };
        let world: Shared = Rc::new(RefCell::new(world));
        until_crash(&disk, &clock, session(&world, &clock, 200, false, Mutation::None));
        let known: Vec<_> = world.borrow().known.iter().map(|known| known.acknowledged.clone()).collect();
        (disk.operations(), known)
    };
    for seed in 0..20 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
}

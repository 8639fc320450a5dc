//! The engine over a disk that crashes at a random operation: no acknowledged record is lost, no offset is given twice,
//! nothing that a reader saw disappears, repeats are still recognised. Every choice comes from the seed.
//!
//! `MILLSTREAM_CRASH_SEEDS=10000 cargo test -p millstream-storage crash` runs more seeds than the default,
//! `MILLSTREAM_CRASH_SEED=N` one.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use millstream_model::{BrokerId, Offset, PartitionIndex};
use tokio::task::LocalSet;
use uuid::Uuid;

use super::known::{Known, SentBatch, contents};
use crate::clock::ManualClock;
use crate::disk::simulated::{Dice, Faults, SimulatedDisk};
use crate::tests::{spec, values};
use crate::*;

const SEEDS: u64 = 60;
const PARTITIONS: usize = 4;
/// The last partition is not synced.
const VOLATILE: usize = PARTITIONS - 1;
const PRODUCERS: i64 = 4;
/// Batches that a producer has in flight at a time: as many as an idempotent one may.
const BURST: usize = 5;

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
        slot_bytes_max: 1 << (9 + dice.below(4)),
        direct_bytes_min: 200 << dice.below(6),
        slots_in_flight_max: 1 << dice.below(4),
        waiting_bytes_max: 1 << 20,
        unsettled_bytes_max: 16 << (10 + dice.below(4)),
        tail_bytes_max: 8 << 10,
        settle_after: Duration::from_millis(dice.below(2) * 5),
        settle_bytes: 4 << 10,
        checkpoint_interval: Duration::from_millis(50),
        checkpoint_bytes: 8 << 10,
        scan_bytes_max: 8 << 10,
        reserve_bytes: 0,
    };
    let nonce = Uuid::from_u64_pair(dice.below(1 << 40), dice.below(1 << 40));
    let (lane_file_bytes, background) = (32 << 10, Background::Tasks);
    StorageOptions { limits, lane_file_bytes, background, ..StorageOptions::new("c".into(), BrokerId(1), nonce) }
}

type Shared = Rc<RefCell<World>>;

/// Runs `work` on a fresh runtime until it ends or the machine stops; what still ran is dropped, as a crash does.
pub(crate) fn until_crash<R>(
    disk: &SimulatedDisk,
    clock: &Arc<ManualClock>,
    work: impl Future<Output = R>,
) -> Option<R> {
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

/// One client: appends batches, sometimes several before the first is answered, and remembers what was acknowledged.
async fn produce(world: Shared, storage: Storage, producer: i64) {
    loop {
        let (number, burst, wait) = {
            let dice = &mut world.borrow_mut().dice;
            let burst = if dice.one_in(2) { BURST } else { 1 };
            (dice.below(PARTITIONS as u64) as usize, burst, dice.below(6))
        };
        for _ in 0..wait {
            tokio::task::yield_now().await;
        }
        let partition = storage.partition(specs()[number].topic_id, PartitionIndex(number as i32)).unwrap();
        let mut answers = FuturesUnordered::new();
        for _ in 0..burst {
            match append(&world, &partition, producer) {
                Ok((sent, appended)) => answers.push(answered(&world, number, sent, appended)),
                Err(AppendError::Stopped) => return,
                Err(AppendError::NoSpace | AppendError::Overloaded | AppendError::Switching) => break,
                Err(error) => panic!("append: {error}"),
            }
        }
        while let Some(answer) = answers.next().await {
            if answer.is_err() {
                return;
            }
        }
    }
}

/// Appends a batch; its ticket says when it is durable.
fn append(world: &Shared, partition: &Arc<Partition>, producer: i64) -> Result<(SentBatch, Appended), AppendError> {
    let mut world = world.borrow_mut();
    let number = partition.index().0 as usize;
    let id = world.incarnation * PRODUCERS + producer;
    let (count, filler) = (1 + world.dice.below(3), ".".repeat(world.dice.below(300) as usize));
    world.appended += count;
    let values = (0..count).map(|one| format!("{}-{}{filler}", world.seed, world.appended + one)).collect();
    world.known[number].append(partition, id, values)
}

async fn answered(world: &Shared, number: usize, sent: SentBatch, appended: Appended) -> Result<(), StorageError> {
    appended.durable().await?;
    world.borrow_mut().known[number].acknowledge(sent);
    Ok(())
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
    let place = format!("seed {}, partition {number}", world.borrow().seed);
    let partition = storage.partition(specs()[number].topic_id, PartitionIndex(number as i32)).unwrap();
    let found = contents(&partition, &place).await;
    world.borrow_mut().known[number].check(&partition, &found, power && number == VOLATILE, &place);
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

/// One seed: sessions that end badly in different ways, each followed by a recovery. Answers the disk that saw it all.
pub(super) fn run(seed: u64) -> SimulatedDisk {
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
            let faults = match world.dice.below(6) {
                0 => Faults { failing_sync: Some(world.dice.below(12)), ..Faults::default() },
                1 => Faults { stuck_write: Some(world.dice.below(30)), ..Faults::default() },
                2 => Faults::default(),
                _ => Faults { crash_at: Some(at), ..Faults::default() },
            };
            // What is stuck does not end: then the power goes.
            let end = if faults.stuck_write.is_some() { 1 } else { world.dice.below(2) };
            (faults, end, 50 + world.dice.below(300))
        };
        world.borrow_mut().incarnation += 1;
        disk.set_faults(faults);
        let clock = Arc::new(ManualClock::default());
        let ended = until_crash(&disk, &clock, session(&world, &clock, faults, (steps, end == 0)));
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
    disk
}

async fn session(world: &Shared, clock: &Arc<ManualClock>, faults: Faults, (steps, close): (u64, bool)) {
    let opened = {
        let (options, disk) = {
            let mut world = world.borrow_mut();
            (options(&mut world.dice), Arc::new(world.disk.clone()))
        };
        tokio::select! {
            opened = Storage::open(options, disk, clock.clone(), specs()) => opened,
            // A write that is stuck: the power goes.
            () = yields(10_000) => return,
        }
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
        tokio::task::spawn_local(produce(Rc::clone(world), storage.clone(), producer));
    }
    tokio::task::spawn_local(look(Rc::clone(world), storage.clone()));
    tokio::select! {
        biased;
        reason = storage.failed() => {
            let stopped = faults.crash_at.is_some_and(|at| world.borrow().disk.operations() > at);
            assert!(stopped || faults.failing_sync.is_some(), "seed {}: nothing was wrong: {reason}", world.borrow().seed);
            return;
        }
        () = yields(steps) => {}
    }
    if close {
        // The sync that was ordered to fail may fail here.
        let _ = storage.close().await;
    }
}

async fn yields(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
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
        let done = std::panic::catch_unwind(|| run(seed));
        if let Err(panic) = done {
            eprintln!("failing seed: {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_operations_and_another_seed_others() {
    let trace = |seed| run(seed).trace();
    let traces: Vec<u64> = (0..10).map(trace).collect();
    assert_eq!(traces, (0..10).map(trace).collect::<Vec<_>>());
    assert_ne!(traces[0], traces[1]);
}

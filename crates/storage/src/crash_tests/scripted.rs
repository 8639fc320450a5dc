//! Scripts that are stopped at every single operation of the disk, with what was not synced lost, kept or torn, and whose
//! recovery is stopped again, three deep. `MILLSTREAM_CRASH_STRIDE=1` stops recoveries at each of their operations; by
//! default at every few.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millstream_model::{BrokerId, Offset, TimestampMs, TopicId};
use uuid::Uuid;

use super::known::{Known, contents};
use super::random::until_crash;
use crate::clock::ManualClock;
use crate::disk::simulated::{Dice, Fate, Faults, SimulatedDisk};
use crate::tests::spec;
use crate::*;

/// Of a recovery's operations, one in so many is a place to stop it.
const STRIDE: u64 = 40;
const FATES: [(Fate, Fate); 5] = [
    (Fate::Lost, Fate::Lost),
    (Fate::Kept, Fate::Kept),
    (Fate::Torn, Fate::Torn),
    (Fate::Kept, Fate::Lost),
    (Fate::Lost, Fate::Kept),
];
/// Later than any retention.
const LATE: TimestampMs = TimestampMs(1 << 40);

/// What a script does, to topics by their names.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Appends so many batches and waits for all answers.
    Append(&'static str, usize),
    /// Appends so many batches and waits for none.
    Pend(&'static str, usize),
    /// Moves the log's start to the high watermark.
    DeleteRecords(&'static str),
    /// Drops every segment, all being too old.
    RetainNothing(&'static str),
    /// Deletes the topic and makes one of the same name.
    Recreate(&'static str),
    /// Waits until one more checkpoint was taken, on account of its age.
    Checkpoint,
    Restart,
}

use Step::{Append, Checkpoint, DeleteRecords, Pend, Recreate, Restart, RetainNothing};

/// A broker's disk and catalog, and what the world knows.
#[derive(Clone, Debug)]
struct Machine {
    disk: SimulatedDisk,
    catalog: Vec<PartitionSpec>,
    known: BTreeMap<TopicId, Known>,
    /// Whether what was not synced may be lost.
    lossy: bool,
    written: u64,
    starts: u64,
    generation: i32,
}

type Shared = Rc<RefCell<Machine>>;

impl Machine {
    fn new(topics: &[(&str, Durability)]) -> Self {
        let config = |durability| {
            let retention = Retention { age_max_ms: Some(1), ..Retention::default() };
            LogConfig { durability, segment_bytes: 700, index_interval_bytes: 200, retention, ..LogConfig::default() }
        };
        let catalog: Vec<_> = topics.iter().map(|(topic, durability)| spec(topic, config(*durability))).collect();
        let known = catalog.iter().map(|spec| (spec.topic_id, Known::default())).collect();
        let disk = SimulatedDisk::new(1);
        Self { disk, catalog, known, lossy: false, written: 0, starts: 0, generation: -1 }
    }

    /// Another machine in the same state.
    fn fork(&self) -> Self {
        Self { disk: self.disk.fork(), ..self.clone() }
    }

    fn options(&mut self) -> StorageOptions {
        self.starts += 1;
        let limits = EngineLimits {
            slot_bytes_max: 1 << 10,
            direct_bytes_min: 600,
            slots_in_flight_max: 3,
            waiting_bytes_max: 1 << 20,
            unsettled_bytes_max: 16 << 10,
            tail_bytes_max: 2 << 10,
            settle_after: Duration::from_millis(5),
            settle_bytes: 2 << 10,
            checkpoint_interval: Duration::from_millis(50),
            checkpoint_bytes: 1 << 20,
            scan_bytes_max: 1 << 20,
            reserve_bytes: 0,
        };
        let nonce = Uuid::from_u64_pair(1, self.starts);
        let (lane_file_bytes, background) = (16 << 10, Background::Tasks);
        StorageOptions { limits, lane_file_bytes, background, ..StorageOptions::new("c".into(), BrokerId(1), nonce) }
    }

    fn spec(&self, topic: &str) -> PartitionSpec {
        self.catalog.iter().find(|spec| spec.topic.as_ref() == topic).expect("scripts name topics").clone()
    }
}

async fn open(machine: &Shared, clock: &Arc<ManualClock>) -> Result<(Storage, RecoveryReport), OpenError> {
    let (options, disk, catalog) = {
        let mut machine = machine.borrow_mut();
        (machine.options(), Arc::new(machine.disk.clone()), machine.catalog.clone())
    };
    Storage::open(options, disk, clock.clone(), catalog).await
}

/// Plays a script; ends early when the storage has failed.
async fn play(machine: Shared, clock: Arc<ManualClock>, script: &[Step]) -> Result<(), String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let (mut storage, report) = open(&machine, &clock).await.map_err(|error| words(&error))?;
    machine.borrow_mut().generation = report.generation.0;
    for step in script {
        match *step {
            Append(topic, batches) => append(&machine, &storage, topic, batches, true).await?,
            Pend(topic, batches) => append(&machine, &storage, topic, batches, false).await?,
            DeleteRecords(topic) => {
                let partition = partition(&machine, &storage, topic);
                let (start, ticket) = partition.delete_records(None).map_err(|error| words(&error))?;
                start_moves(&machine, &partition, start, ticket).await?;
            }
            RetainNothing(topic) => {
                let partition = partition(&machine, &storage, topic);
                partition.apply_retention(LATE).map_err(|error| words(&error))?;
                start_moves(&machine, &partition, partition.offsets().log_start, Ticket::default()).await?;
            }
            Recreate(topic) => recreate(&machine, &storage, topic).await?,
            Checkpoint => {
                let before = storage.metrics().checkpoints;
                while storage.metrics().checkpoints == before {
                    tokio::select! {
                        biased;
                        reason = storage.failed() => return Err(reason.to_string()),
                        () = tokio::task::yield_now() => {}
                    }
                }
            }
            Restart => {
                storage.close().await.map_err(|error| words(&error))?;
                storage = open(&machine, &clock).await.map_err(|error| words(&error))?.0;
            }
        }
    }
    Ok(())
}

fn partition(machine: &Shared, storage: &Storage, topic: &str) -> Arc<Partition> {
    let spec = machine.borrow().spec(topic);
    storage.partition(spec.topic_id, spec.index).expect("the catalog has it")
}

/// Appends batches of two producers in turn; they share a topic's offsets, not its sequences.
async fn append(machine: &Shared, storage: &Storage, topic: &str, batches: usize, wait: bool) -> Result<(), String> {
    let partition = partition(machine, storage, topic);
    let id = partition.topic_id();
    let mut sent = Vec::new();
    for number in 0..batches {
        let mut machine = machine.borrow_mut();
        machine.written += 1;
        let values = vec![format!("{}{}", machine.written, ".".repeat(150)), format!("{}+", machine.written)];
        // A start that did not end cleanly begins with other producers: who waits for an answer does not go on.
        let producer = machine.starts as i64 * 2 + number as i64 % 2;
        let known = machine.known.get_mut(&id).expect("it was made with the topic");
        sent.push(known.append(&partition, producer, values).map_err(|error| error.to_string())?);
    }
    if !wait {
        return Ok(());
    }
    for (batch, ticket) in sent {
        ticket.durable().await.map_err(|error| error.to_string())?;
        machine.borrow_mut().known.get_mut(&id).expect("as above").acknowledge(batch);
    }
    let seen = partition.offsets().high_watermark.0;
    machine.borrow_mut().known.get_mut(&id).expect("as above").seen = seen;
    Ok(())
}

async fn start_moves(
    machine: &Shared,
    partition: &Arc<Partition>,
    start: Offset,
    ticket: Ticket,
) -> Result<(), String> {
    let id = partition.topic_id();
    let of_topic = |change: &dyn Fn(&mut Known)| {
        change(machine.borrow_mut().known.get_mut(&id).expect("it was made with the topic"));
    };
    of_topic(&|known| known.log_start_asked = start.0);
    let durable = !ticket.is_durable();
    ticket.durable().await.map_err(|error| error.to_string())?;
    if durable {
        of_topic(&|known| known.log_start_acknowledged = start.0);
    }
    Ok(())
}

/// The catalog knows of each change before the storage does, and durably.
async fn recreate(machine: &Shared, storage: &Storage, topic: &str) -> Result<(), String> {
    let gone = machine.borrow().spec(topic);
    machine.borrow_mut().catalog.retain(|spec| spec.topic_id != gone.topic_id);
    storage.delete_topics(&[gone.topic_id]).await.map_err(|error| error.to_string())?;
    let fresh = {
        let mut machine = machine.borrow_mut();
        machine.written += 1;
        let topic_id = TopicId(Uuid::from_u64_pair(9, machine.written));
        let fresh = PartitionSpec { topic_id, ..gone };
        machine.catalog.push(fresh.clone());
        machine.known.insert(topic_id, Known::default());
        fresh
    };
    storage.create_partition(fresh);
    Ok(())
}

/// Opens and checks everything, and says how many operations the start took.
fn recover(machine: &mut Machine, place: &str) -> u64 {
    let (disk, lossy) = (machine.disk.clone(), machine.lossy);
    disk.set_faults(Faults::default());
    let clock = Arc::new(ManualClock::default());
    let shared: Shared = Rc::new(RefCell::new(machine.clone()));
    let operations = until_crash(&disk, &clock, async {
        let (storage, report) = open(&shared, &clock).await.unwrap_or_else(|error| panic!("{place}: {error}"));
        let operations = disk.operations();
        assert!(report.clean || report.generation.0 > shared.borrow().generation, "{place}: {report:?}");
        shared.borrow_mut().generation = report.generation.0;
        let catalog = shared.borrow().catalog.clone();
        for spec in catalog {
            let place = format!("{place}, {}", spec.topic);
            let partition = storage.partition(spec.topic_id, spec.index).expect("the catalog has it");
            let found = contents(&partition, &place).await;
            let may_lose = lossy && spec.config.durability == Durability::Os;
            let mut machine = shared.borrow_mut();
            let known = machine.known.get_mut(&spec.topic_id).expect("it was made with the topic");
            known.check(&partition, &found, may_lose, &place);
        }
        operations
    });
    *machine = shared.borrow().clone();
    operations.expect("no crash was ordered")
}

/// Stops a start at an operation.
fn stop_start(machine: &mut Machine, at: u64) {
    let (disk, clock) = (machine.disk.clone(), Arc::new(ManualClock::default()));
    disk.set_faults(Faults { crash_at: Some(at), ..Faults::default() });
    let shared: Shared = Rc::new(RefCell::new(machine.clone()));
    // The start is all: one that is done before is killed, as the others are.
    let _ = until_crash(&disk, &clock, async { open(&shared, &clock).await.map(|_| ()) });
    *machine = shared.borrow().clone();
}

/// Recovers; and recovers again after the recovery was stopped at one operation in `stride`, its recovery too, and the next.
fn recover_however_stopped(machine: &Machine, stride: u64, dice: &mut Dice, place: &str) {
    let operations = recover(&mut machine.fork(), place);
    for first in (dice.below(stride)..operations).step_by(usize::try_from(stride).expect("a small number")) {
        let mut one = machine.fork();
        let mut place = place.to_owned();
        for at in [first, dice.below(operations), dice.below(operations)] {
            stop_start(&mut one, at);
            let fate = FATES[dice.below(FATES.len() as u64) as usize];
            one.disk.power_cycle_to(fate.0, fate.1);
            one.lossy = true;
            place = format!("{place}, then at {at} {fate:?}");
            recover(&mut one.fork(), &place);
        }
        // What the last recovery made is as durable as what it found.
        recover(&mut one, &place);
        one.disk.power_cycle_to(Fate::Lost, Fate::Lost);
        recover(&mut one, &format!("{place}, then after it"));
    }
}

fn stride() -> u64 {
    std::env::var("MILLSTREAM_CRASH_STRIDE").ok().and_then(|text| text.parse().ok()).unwrap_or(STRIDE)
}

/// Plays `script` with faults; answers the machine as it was when it stopped, or at the end of the script.
fn played(topics: &[(&str, Durability)], script: &[Step], faults: Faults) -> Machine {
    let machine = Machine::new(topics);
    let disk = machine.disk.clone();
    disk.set_faults(faults);
    let shared: Shared = Rc::new(RefCell::new(machine));
    let clock = Arc::new(ManualClock::default());
    let ended = until_crash(&disk, &clock, play(Rc::clone(&shared), clock.clone(), script));
    let faultless = faults.crash_at.is_none() && faults.failing_sync.is_none();
    assert!(!faultless || ended == Some(Ok(())), "{ended:?}");
    shared.borrow().clone()
}

/// Stops a script at each of its operations.
fn stop_everywhere(topics: &[(&str, Durability)], script: &[Step]) {
    let operations = played(topics, script, Faults::default()).disk.operations();
    assert!(operations > 30, "{operations} operations prove little");
    for at in 0..=operations {
        let stopped = played(topics, script, Faults { crash_at: Some(at), ..Faults::default() });
        let mut dice = Dice::new(at);
        for (writes, names) in FATES {
            let mut machine = stopped.fork();
            machine.disk.power_cycle_to(writes, names);
            machine.lossy = true;
            recover_however_stopped(&machine, stride(), &mut dice, &format!("at {at}, {writes:?} {names:?}"));
        }
    }
}

/// Lets each sync of a script fail. The process comes back on the same page cache, and only then the power goes.
fn fail_every_sync(topics: &[(&str, Durability)], script: &[Step]) {
    let syncs = played(topics, script, Faults::default()).disk.syncs();
    assert!(syncs > 5, "{syncs} syncs prove little");
    for sync in 0..syncs {
        let mut machine = played(topics, script, Faults { failing_sync: Some(sync), ..Faults::default() });
        machine.disk.restart_process();
        machine.lossy = true;
        recover_however_stopped(&machine, stride(), &mut Dice::new(sync), &format!("sync {sync} failed"));
    }
}

const MIXED: [(&str, Durability); 3] =
    [("busy", Durability::Fsync), ("idle", Durability::Fsync), ("os", Durability::Os)];
const EVERYTHING: [Step; 13] = [
    Append("busy", 3),
    Append("idle", 1),
    Append("os", 2),
    Checkpoint,
    Append("busy", 2),
    DeleteRecords("busy"),
    Append("os", 1),
    Restart,
    Append("busy", 2),
    Checkpoint,
    Append("os", 2),
    Pend("busy", 4),
    Append("idle", 1),
];

#[test]
fn a_stop_at_any_operation_loses_nothing() {
    stop_everywhere(&MIXED, &EVERYTHING);
}

#[test]
fn a_failed_sync_then_a_restart_without_reboot_then_a_power_loss_loses_nothing() {
    fail_every_sync(&MIXED, &EVERYTHING);
}

#[test]
fn a_topic_made_anew_while_slots_of_its_namesake_pend_holds_its_own_records_only() {
    let script = [
        Append("again", 3),
        Checkpoint,
        Pend("again", 5),
        Recreate("again"),
        Append("again", 2),
        Pend("idle", 1),
        Checkpoint,
        Append("again", 1),
    ];
    let topics = [("again", Durability::Fsync), ("idle", Durability::Fsync)];
    stop_everywhere(&topics, &script);
    fail_every_sync(&topics, &script);
}

#[test]
fn retention_of_every_segment_and_a_crash_give_no_offset_again() {
    for durability in [Durability::Fsync, Durability::Os] {
        let script = [Append("old", 5), Checkpoint, RetainNothing("old"), Checkpoint, Append("old", 1), Checkpoint];
        stop_everywhere(&[("old", durability)], &script);
        fail_every_sync(&[("old", durability)], &script);
    }
}

#[test]
fn a_checkpoint_on_account_of_its_age_keeps_what_an_idle_partition_has_in_the_lane() {
    let script = [
        Append("idle", 1),
        Append("busy", 3),
        Checkpoint,
        Append("busy", 3),
        Append("idle", 1),
        Checkpoint,
        Append("busy", 4),
        Checkpoint,
        Append("busy", 1),
    ];
    let topics = [("busy", Durability::Fsync), ("idle", Durability::Fsync)];
    stop_everywhere(&topics, &script);
    fail_every_sync(&topics, &script);
}

#[test]
fn the_same_script_gives_the_same_operations() {
    let trace = || played(&MIXED, &EVERYTHING, Faults::default()).disk.trace();
    assert_eq!(trace(), trace());
}

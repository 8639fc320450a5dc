//! One shard at work: the coordinator's state machine, the requests that wait for its answers, its partition's log and
//! its timer. Owned by `Groups`; its tasks end with the broker.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use millstream_coordinator::{
    Answer, AppendError as GroupAppendError, AppendId, Effect, Event, GroupRecord, GroupShard, Now, Replayed, ReplyId,
};
use millstream_model::Offset;
use millstream_model::batch::{Batch, BatchBuilder, BatchIter, RecordIter};
use millstream_model::compression::Compression;
use millstream_storage::clock::Clock;
use millstream_storage::{AppendError, AppendOrigin, Appended, Partition, ReadError, ReadUpto};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tracing::{debug, info, warn};

use super::moment;
use crate::Broker;
use crate::tasks::Tasks;

/// How much of the log is read at once while a shard is loaded.
const LOAD_BYTES: usize = 1024 * 1024;
/// What a compressed batch of the log may hold; records of ours are far smaller.
const LOAD_DECOMPRESSED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Why a shard cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a batch in the log is damaged: {0}")]
    Damaged(String),
}

#[derive(Debug)]
pub(super) struct Shard {
    state: Mutex<State>,
    log: Arc<Partition>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    /// Rings when the next deadline may have changed.
    deadline_changed: Notify,
}

#[derive(Debug)]
struct State {
    machine: GroupShard,
    waiting: HashMap<ReplyId, oneshot::Sender<Answer>>,
    /// The shard's log is gone: it answers nobody any more.
    retired: bool,
}

impl Shard {
    /// Rebuilds the shard from its partition's log and starts its timer.
    pub(super) async fn load(broker: &Broker, log: Arc<Partition>) -> Result<Arc<Self>, LoadError> {
        let clock = Arc::clone(broker.clock());
        let mut machine = GroupShard::new(broker.group_settings());
        replay_log(&mut machine, &log, clock.as_ref()).await?;
        let effects = machine.loaded(now(clock.as_ref()));
        let state = Mutex::new(State { machine, waiting: HashMap::new(), retired: false });
        let tasks = broker.tasks().clone();
        let shard = Arc::new(Self { state, log, clock, tasks, deadline_changed: Notify::new() });
        shard.carry_out(&mut shard.state.lock(), effects);
        shard.tasks.spawn(keep_time(Arc::downgrade(&shard)));
        Ok(shard)
    }

    /// Ends the shard, because its log was deleted. Whoever waits learns that the coordinator is not available.
    pub(super) fn retire(&self) {
        let mut state = self.state.lock();
        state.retired = true;
        state.waiting.clear();
        drop(state);
        self.deadline_changed.notify_one();
    }

    /// Handles a request; the answer comes through the receiver, or never if the broker stops or the shard is retired.
    pub(super) fn call(self: &Arc<Self>, reply: ReplyId, event: Event) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock();
        if !state.retired {
            state.waiting.insert(reply, sender);
            self.handle(&mut state, event);
        }
        receiver
    }

    /// Lets the shard know of something that nobody waits for.
    pub(super) fn tell(self: &Arc<Self>, event: Event) {
        self.handle(&mut self.state.lock(), event);
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&GroupShard) -> T) -> T {
        look(&self.state.lock().machine)
    }

    fn handle(self: &Arc<Self>, state: &mut State, event: Event) {
        let before = state.machine.next_deadline();
        let effects = state.machine.handle(now(self.clock.as_ref()), event);
        self.carry_out(state, effects);
        if state.machine.next_deadline() != before {
            self.deadline_changed.notify_one();
        }
    }

    fn carry_out(self: &Arc<Self>, state: &mut State, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { reply, answer } => {
                    // The client may have gone; the answer is then nobody's.
                    let _ = state.waiting.remove(&reply).map(|sender| sender.send(answer));
                }
                Effect::Append { append, records } => self.append(append, &records),
                Effect::Notice(notice) => info!("{notice}"),
            }
        }
    }

    /// Appends in order, under the shard's lock; the outcome is reported by a task, when it is durable.
    fn append(self: &Arc<Self>, append: AppendId, records: &[GroupRecord]) {
        let wall = self.clock.now();
        let appended = batch_of(records, wall).ok_or(GroupAppendError::TooLarge).and_then(|batch| {
            let appended = self.log.append([batch], AppendOrigin::Coordinator, wall);
            appended.map_err(|error| append_refused(&error))
        });
        let shard = Arc::clone(self);
        self.tasks.spawn(async move { shard.report(append, appended).await });
    }

    async fn report(self: Arc<Self>, append: AppendId, appended: Result<Appended, GroupAppendError>) {
        let outcome = match appended {
            Ok(appended) => appended.durable().await.map_err(|error| {
                warn!(%error, "records of groups were not written");
                GroupAppendError::Unavailable
            }),
            Err(refused) => Err(refused),
        };
        self.tell(Event::AppendDone { append, outcome });
    }
}

fn now(clock: &dyn Clock) -> Now {
    moment(clock.monotonic(), clock.now())
}

/// One batch with all records; `None` when they do not fit.
fn batch_of(records: &[GroupRecord], wall: millstream_model::TimestampMs) -> Option<Batch> {
    let mut builder = BatchBuilder::new(Compression::None);
    for record in records {
        builder.append(wall, Some(&record.key), record.value.as_deref(), &[]).ok()?;
    }
    Some(builder.build())
}

fn append_refused(error: &AppendError) -> GroupAppendError {
    match error {
        AppendError::Deleted => GroupAppendError::NotLeader,
        AppendError::Sequence(_)
        | AppendError::Offline(_)
        | AppendError::NoSpace
        | AppendError::Overloaded
        | AppendError::Switching
        | AppendError::Stopped => GroupAppendError::Unavailable,
    }
}

async fn replay_log(machine: &mut GroupShard, log: &Partition, clock: &dyn Clock) -> Result<(), LoadError> {
    let mut from = log.offsets().log_start;
    loop {
        let slice = log.read(from, LOAD_BYTES, true, ReadUpto::LastStable).await?;
        if slice.records.is_empty() {
            return Ok(());
        }
        for chunk in slice.records {
            for batch in BatchIter::new(chunk) {
                let batch = batch.map_err(|error| LoadError::Damaged(error.to_string()))?;
                from = batch.header().next_offset();
                replay_batch(machine, &batch, now(clock))?;
            }
        }
    }
}

fn replay_batch(machine: &mut GroupShard, batch: &Batch, now: Now) -> Result<(), LoadError> {
    if batch.header().attributes.is_control() {
        return Ok(());
    }
    let base: Offset = batch.header().base_offset;
    let records = batch
        .decompressed(LOAD_DECOMPRESSED_BYTES_MAX)
        .map_err(|error| LoadError::Damaged(format!("at offset {base}: {error}")))?;
    for record in RecordIter::new(&records, batch.header().records_count) {
        let record = record.map_err(|error| LoadError::Damaged(format!("at offset {base}: {error}")))?;
        let Some(key) = record.key else { continue };
        match machine.replay(&records.slice_ref(key), record.value.map(|value| records.slice_ref(value)).as_ref(), now)
        {
            Ok(Replayed::Applied) => {}
            Ok(Replayed::Ignored { record_type }) => {
                debug!(record_type, "a record of another kind of group is passed over");
            }
            // One bad record must not make every other group of the partition unavailable.
            Err(error) => warn!(offset = %base, %error, "a record of a group is passed over"),
        }
    }
    Ok(())
}

/// Ticks the shard when its deadlines come, until it is retired.
async fn keep_time(shard: Weak<Shard>) {
    loop {
        let Some(strong) = shard.upgrade() else { return };
        if strong.state.lock().retired {
            return;
        }
        let deadline = strong.read(GroupShard::next_deadline);
        match deadline {
            Some(deadline) => {
                let rest = now(strong.clock.as_ref()).steady.until(deadline);
                if rest.is_zero() {
                    strong.tell(Event::Tick);
                    continue;
                }
                let sleep = strong.clock.sleep(rest);
                tokio::select! {
                    () = sleep => strong.tell(Event::Tick),
                    () = strong.deadline_changed.notified() => {}
                }
            }
            None => strong.deadline_changed.notified().await,
        }
    }
}

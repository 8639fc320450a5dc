//! Batches that go straight to their segment: everything under `millstream.durability=os`, large runs under `fsync`.
//!
//! Under `os` whoever waits for a batch writes what its partition has gathered, so requests that come together share one
//! write and nobody is woken for it. Synced writes are the storage's own task's: large runs, of which the lane is told how
//! far they reached, and what `flush.messages` asks for under `os`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_model::TimestampMs;
use millstream_model::batch::Batch;
use parking_lot::MutexGuard;

use super::{Batches, Partition};
use crate::lane::Ticket;
use crate::lane::ticket::SlotFate;
use crate::log::config::Durability;
use crate::log::direct::DirectRun;
use crate::log::partition_log::PartitionLog;
use crate::log::transactions::AbortedTransaction;
use crate::room::Writer;
use crate::segments::{SegmentError, SegmentRun};
use crate::shared::Phase;
use crate::tail::TailPiece;

/// Writes that one waiter does for those that come meanwhile, before the storage's own task goes on.
const WRITES_FOR_OTHERS_MAX: usize = 8;

/// A reader that lags behind what memory holds is taken to go on for so long.
const READ_AGAIN_WITHIN: Duration = Duration::from_secs(30);

/// The write of an appended batch: done by who waits for it, or by the storage when nobody does.
#[derive(Debug)]
pub(super) struct DirectWrite {
    partition: Arc<Partition>,
    done: AtomicBool,
}

impl DirectWrite {
    pub(super) fn of(partition: &Arc<Partition>) -> Self {
        Self { partition: Arc::clone(partition), done: AtomicBool::new(false) }
    }

    /// Does the write on this thread, or leaves it to the storage when this thread must not be held up.
    pub(super) fn perform(&self) {
        if !self.done.swap(true, Ordering::Relaxed) {
            self.partition.write_direct_here();
        }
    }
}

impl Drop for DirectWrite {
    fn drop(&mut self) {
        if !*self.done.get_mut() {
            self.partition.shared.direct.add(self.partition.key);
        }
    }
}

/// A write met a full disk: it is to be tried again.
#[derive(Debug)]
pub(crate) struct WaitsForSpace;

/// A direct write that has begun.
#[derive(Debug)]
pub(crate) struct DirectRound {
    run: DirectRun,
    path: Durability,
    /// How it is written: under `Os` too it may be synced.
    durability: Durability,
    /// On the monotonic clock.
    began: Duration,
}

impl Partition {
    /// Leaves batches to be written to their segment without the lane.
    pub(super) fn append_direct(
        self: &Arc<Self>,
        log: &mut PartitionLog,
        batches: Batches,
        bytes: usize,
        append_time: Option<TimestampMs>,
    ) -> (Ticket, Option<DirectWrite>) {
        self.shared.direct.appended(bytes);
        let ticket = batches.into_iter().map(|batch| log.append_direct(batch, append_time)).last();
        let write = match log.path {
            Durability::Os => Some(DirectWrite::of(self)),
            Durability::Fsync => {
                if log.lane_is_settled() {
                    self.shared.direct.add(self.key);
                } else {
                    self.shared.wait_for_lane(self.key);
                }
                None
            }
        };
        (ticket.unwrap_or_default(), write)
    }

    /// What is to be written to the segments, as the log is now.
    pub(crate) fn run(&self, log: &PartitionLog, batches: Vec<Batch>, aborted: Vec<AbortedTransaction>) -> SegmentRun {
        let read_soon = log.segments_read.is_some_and(|at| self.shared.clock.monotonic() < at + READ_AGAIN_WITHIN);
        SegmentRun { target: self.target(log), batches, aborted, read_soon }
    }

    /// Writes what waits, on a thread that must not be held up for long.
    fn write_direct_here(&self) {
        let direct = &self.shared.direct;
        for _ in 0..WRITES_FOR_OTHERS_MAX {
            let began = self.shared.clock.monotonic();
            if !direct.may_write_here(began) {
                break;
            }
            let round = {
                let mut log = self.log.lock();
                if log.next_write_is_synced() {
                    break;
                }
                self.begin_round(&mut log)
            };
            let Some((round, run)) = round else { return };
            let done = self.shared.segments.append_now(run);
            direct.wrote_here(began, self.shared.clock.monotonic());
            if self.end_direct(round, done).is_err() {
                break;
            }
        }
        direct.add(self.key);
    }

    /// Writes what was begun on the disk's threads.
    pub(crate) async fn write_apart(&self, round: DirectRound, run: SegmentRun) -> Result<(), WaitsForSpace> {
        let done = self.shared.segments.append_direct(run, round.durability).await;
        self.end_direct(round, done)
    }

    /// Takes what waits to be written, as it is written, and the right to do that; none when there is nothing, somebody
    /// writes, or what came before through the lane has not settled.
    pub(crate) fn begin_direct(&self) -> Option<(DirectRound, SegmentRun)> {
        self.begin_round(&mut self.log.lock())
    }

    fn begin_round(&self, log: &mut PartitionLog) -> Option<(DirectRound, SegmentRun)> {
        if log.fault.is_some() || self.shared.is_halted() || !log.lane_is_settled() {
            return None;
        }
        let durability = if log.next_write_is_synced() { Durability::Fsync } else { log.path };
        let run = log.direct.begin_write()?;
        let written = self.run(log, run.batches.clone(), run.aborted.clone());
        Some((DirectRound { run, path: log.path, durability, began: self.shared.clock.monotonic() }, written))
    }

    fn end_direct(&self, round: DirectRound, done: Result<(), SegmentError>) -> Result<(), WaitsForSpace> {
        let DirectRound { run, path, durability, began } = round;
        match done {
            Ok(()) => {
                self.shared.room.set_refused(Writer::Direct, false);
                let time = self.shared.clock.monotonic().saturating_sub(began);
                self.shared.counters.wrote_directly(durability, run.bytes, time);
                self.direct_written(&run, path, durability);
                Ok(())
            }
            Err(SegmentError::Disk(error)) if self.shared.waits_for_space(&error) => {
                self.shared.room.set_refused(Writer::Direct, true);
                run.fates().for_each(SlotFate::no_space);
                let mut log = self.log.lock();
                log.direct.put_back(run);
                self.end_write(log);
                Err(WaitsForSpace)
            }
            Err(error) => {
                run.fates().for_each(SlotFate::halted);
                self.shared.halt(&error.to_string());
                self.end_write(self.log.lock());
                Ok(())
            }
        }
    }

    /// What was written is settled, and readers may see it.
    fn direct_written(&self, run: &DirectRun, path: Durability, durability: Durability) {
        let end = run.batches.last().map(|batch| batch.header().next_offset());
        let mut log = self.log.lock();
        for batch in &run.batches {
            log.settled.apply(batch, Ticket::default());
            log.settled.transactions.settle(batch.header().next_offset());
            if log.fault.is_none() {
                log.durable(batch);
            }
        }
        end.into_iter().for_each(|end| log.in_segments(end));
        if durability == Durability::Fsync {
            end.into_iter().for_each(|end| log.synced(end));
        }
        log.notify_watchers();
        let news = !std::mem::replace(&mut log.changed, true);
        self.end_write(log);
        run.fates().for_each(SlotFate::durable);
        self.shared.direct.written(run.bytes);
        if let (Durability::Fsync, Some(end)) = (path, end) {
            self.shared.lane.lock().reached(self.key, end);
            self.shared.lane_work.notify_one();
        }
        self.shared.wrote_beyond_checkpoint(news.then_some(self.key), run.bytes as u64);
        self.shared
            .keep_in_tail(TailPiece { bytes: run.bytes, ends: end.map(|end| (self.key, end)).into_iter().collect() });
    }

    /// Gives the files up, in one step with what the write changed.
    fn end_write(&self, mut log: MutexGuard<'_, PartitionLog>) {
        let awaited = log.direct.end_write();
        drop(log);
        if awaited {
            self.shared.files_free.notify_one();
        }
        if *self.shared.phase.borrow() >= Phase::Draining {
            self.shared.direct.look();
        }
    }

    /// Waits until nobody writes the partition's files, and keeps it so: for the materialiser, until `release_files`.
    pub(crate) async fn keep_files(&self) {
        while !self.log.lock().direct.keep_files() {
            self.shared.files_free.notified().await;
        }
    }

    pub(crate) fn release_files(&self) {
        if self.log.lock().direct.release_files() {
            self.shared.direct.add(self.key);
        }
    }
}

#[cfg(test)]
mod flush_tests;
#[cfg(test)]
mod tests;

//! `Accumulator`: per partition, batches that gather records, that wait for another try, and that are on their way.
//!
//! Order: batches leave a partition in the order in which they were filled. While one waits for another try, no later
//! one leaves, and the ones to be tried again go one at a time, oldest first; so neither a retry nor a failure in the
//! middle of five pipelined requests changes the order. Idempotent batches carry sequences; when one is given up, its
//! partition goes on in a new epoch, from sequence 0, once nothing of the old one is on its way (KIP-360).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use millstream_model::batch::{Batch, BatchBuilder, Header, ProducerStamp, record_bytes};
use millstream_model::compression::Compression;
use millstream_model::{ProducerEpoch, ProducerId, Sequence, TimestampMs};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::partitioner::Sticky;
use crate::{Error, TopicPartition};

/// Where a batch came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AppendedAt {
    pub(super) base_offset: i64,
    /// `NONE` where the records keep their own.
    pub(super) log_append_time: TimestampMs,
}

pub(super) type Outcome = Result<AppendedAt, Error>;

/// Key, value, headers.
pub(super) type Content<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, &'a [Header<'a>]);

/// What `append` tells its caller.
pub(super) struct Appended {
    pub(super) offset_delta: i32,
    pub(super) outcome: watch::Receiver<Option<Outcome>>,
    /// The batch may be ready, or is new, so that its linger must be timed.
    pub(super) wakes: bool,
}

/// Who waits for a batch, and since when.
#[derive(Debug)]
struct Ticket {
    id: u64,
    outcome: watch::Sender<Option<Outcome>>,
    created: Instant,
    memory: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct OpenBatch {
    builder: BatchBuilder,
    ticket: Ticket,
}

/// A batch as it is sent.
#[derive(Debug)]
pub(super) struct SealedBatch {
    pub(super) batch: Batch,
    pub(super) attempts: u32,
    /// Place in its partition's order.
    ordinal: u64,
    /// Not to be sent before.
    due: Instant,
    ticket: Ticket,
}

impl SealedBatch {
    fn base_sequence(&self) -> Sequence {
        self.batch.header().base_sequence
    }
}

/// Producer id, epoch and next sequence of one partition.
#[derive(Clone, Copy, Debug)]
struct Sequencing {
    producer_id: ProducerId,
    epoch: ProducerEpoch,
    next: Sequence,
}

#[derive(Debug, Default)]
struct Queue {
    /// The last one takes records.
    waiting: VecDeque<OpenBatch>,
    /// To be tried again, by ordinal.
    retries: BTreeMap<u64, SealedBatch>,
    in_flight: usize,
    next_ordinal: u64,
    sequencing: Option<Sequencing>,
    /// A sequence was given up, so the next batch needs a new epoch.
    gap: bool,
}

#[derive(Debug)]
pub(super) struct Accumulator {
    batch_bytes: usize,
    compression: Compression,
    queues: HashMap<TopicPartition, Queue>,
    sticky: HashMap<Arc<str>, Sticky>,
    /// Batches without an outcome.
    outstanding: BTreeMap<u64, watch::Receiver<Option<Outcome>>>,
    next_id: u64,
    flushes: usize,
    is_idempotent: bool,
    /// What new partitions and new epochs start from; `None` without idempotence, or while there is no id.
    identity: Option<(ProducerId, ProducerEpoch)>,
}

/// What makes a batch leave, as far as the accumulator does not know it itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    pub(super) now: Instant,
    pub(super) linger: Duration,
    /// Callers wait for memory.
    pub(super) starved: bool,
    pub(super) max_in_flight: usize,
}

impl Accumulator {
    pub(super) fn new(batch_bytes: usize, compression: Compression, is_idempotent: bool) -> Self {
        Self {
            batch_bytes,
            compression,
            queues: HashMap::new(),
            sticky: HashMap::new(),
            outstanding: BTreeMap::new(),
            next_id: 0,
            flushes: 0,
            is_idempotent,
            identity: None,
        }
    }

    /// Where a record without a key goes; `candidates`, asked for when it is time to move on, are not empty.
    pub(super) fn choose_sticky(
        &mut self,
        topic: &Arc<str>,
        candidates: impl FnOnce() -> Vec<i32>,
        bytes: usize,
    ) -> i32 {
        let sticky = match self.sticky.get_mut(topic) {
            Some(sticky) => sticky,
            None => self.sticky.entry(topic.clone()).or_default(),
        };
        sticky.choose(candidates, bytes, self.batch_bytes)
    }

    pub(super) fn append(
        &mut self,
        partition: &TopicPartition,
        timestamp: TimestampMs,
        (key, value, headers): Content<'_>,
        memory: OwnedSemaphorePermit,
    ) -> Result<Appended, Error> {
        let bytes = record_bytes(key, value, headers);
        let queue = match self.queues.get_mut(partition) {
            Some(queue) => queue,
            None => self.queues.entry(partition.clone()).or_default(),
        };
        let room = self.batch_bytes;
        let has_room = |open: &OpenBatch| open.builder.uncompressed_bytes() + bytes <= room;
        let is_new = !queue.waiting.back().is_some_and(has_room);
        if is_new {
            let (outcome, receiver) = watch::channel(None);
            let ticket = Ticket { id: self.next_id, outcome, created: Instant::now(), memory };
            self.outstanding.insert(self.next_id, receiver);
            self.next_id += 1;
            queue.waiting.push_back(OpenBatch { builder: BatchBuilder::new(self.compression), ticket });
        } else if let Some(open) = queue.waiting.back_mut() {
            open.ticket.memory.merge(memory);
        }
        let open = queue.waiting.back_mut().expect("an open batch was there or made");
        let offset_delta = open.builder.append(timestamp, key, value, headers).map_err(|error| {
            let limit = i32::MAX as usize;
            Error::RecordTooLarge { bytes: error.bytes, limit, config: "max.request.size" }
        })?;
        let is_full = open.builder.uncompressed_bytes() >= room;
        Ok(Appended { offset_delta, outcome: open.ticket.outcome.subscribe(), wakes: is_new || is_full })
    }

    pub(super) fn begin_flush(&mut self) -> Vec<watch::Receiver<Option<Outcome>>> {
        self.flushes += 1;
        self.outstanding.values().cloned().collect()
    }

    pub(super) fn end_flush(&mut self) {
        self.flushes -= 1;
    }

    /// The producer id that the broker gave (KIP-98).
    pub(super) fn set_identity(&mut self, producer_id: ProducerId, epoch: ProducerEpoch) {
        self.identity = Some((producer_id, epoch));
    }

    /// Whether batches may be stamped. Without an identity an idempotent producer's must not leave.
    pub(super) fn may_stamp(&self) -> bool {
        !self.is_idempotent || self.identity.is_some()
    }

    /// Gives up everything that has not left: its answers are `Closed`.
    pub(super) fn abandon(&mut self) {
        self.queues.clear();
        self.outstanding.clear();
    }

    /// Partitions that have a batch to send now, and when the next will have one.
    pub(super) fn ready(&self, readiness: &Readiness) -> (Vec<TopicPartition>, Option<Instant>) {
        let mut ready = Vec::new();
        let mut next: Option<Instant> = None;
        for (partition, queue) in &self.queues {
            match queue.due(readiness, self.batch_bytes, self.flushes > 0) {
                Some(due) if due <= readiness.now => ready.push(partition.clone()),
                Some(due) => next = Some(next.map_or(due, |next| next.min(due))),
                None => {}
            }
        }
        (ready, next)
    }

    /// Takes the partition's next batch, which `ready` named, with its sequence where there is an identity.
    pub(super) fn take(&mut self, partition: &TopicPartition) -> Option<SealedBatch> {
        let queue = self.queues.get_mut(partition)?;
        if queue.in_flight == 0 && queue.gap {
            self.identity = queue.start_epoch(self.identity);
        }
        if !self.may_stamp() {
            return None;
        }
        let queue = self.queues.get_mut(partition)?;
        queue.in_flight += 1;
        if let Some((_, retry)) = queue.retries.pop_first() {
            return Some(retry);
        }
        let open = queue.waiting.pop_front()?;
        let ordinal = queue.next_ordinal;
        queue.next_ordinal += 1;
        let stamp = queue.stamp(self.identity, open.builder.records_count());
        let batch = open.builder.producer(stamp).build();
        Some(SealedBatch { batch, attempts: 0, ordinal, due: open.ticket.created, ticket: open.ticket })
    }

    /// The batch was acknowledged.
    pub(super) fn succeed(&mut self, partition: &TopicPartition, batch: SealedBatch, at: AppendedAt) {
        self.landed(partition);
        self.settle(batch.ticket, Ok(at));
    }

    /// The batch is given up.
    pub(super) fn fail(&mut self, partition: &TopicPartition, batch: SealedBatch, error: Error) {
        self.landed(partition);
        if let Some(queue) = self.queues.get_mut(partition) {
            queue.gap |= batch.base_sequence() != Sequence::NONE;
        }
        self.settle(batch.ticket, Err(error));
    }

    /// The batch is to be sent again, after `wait`.
    pub(super) fn retry(&mut self, partition: &TopicPartition, mut batch: SealedBatch, due: Instant) {
        self.landed(partition);
        batch.attempts += 1;
        batch.due = due;
        if let Some(queue) = self.queues.get_mut(partition) {
            queue.retries.insert(batch.ordinal, batch);
        }
    }

    /// The broker does not know the sequences any more: the partition goes on in a new epoch.
    pub(super) fn lose_sequence(&mut self, partition: &TopicPartition) {
        if let Some(queue) = self.queues.get_mut(partition) {
            queue.gap = true;
        }
    }

    /// Whether nothing of the partition is on its way but the batch that is being looked at.
    pub(super) fn is_alone(&self, partition: &TopicPartition, batch: &SealedBatch) -> bool {
        self.queues.get(partition).is_some_and(|queue| {
            queue.in_flight == 1 && queue.retries.first_key_value().is_none_or(|(first, _)| *first > batch.ordinal)
        })
    }

    /// Gives up every batch that is not on its way.
    pub(super) fn fail_waiting(&mut self, error: &Error) {
        let mut tickets = Vec::new();
        for queue in self.queues.values_mut() {
            queue.gap |= !queue.retries.is_empty() && self.is_idempotent;
            tickets.extend(std::mem::take(&mut queue.retries).into_values().map(|retry| retry.ticket));
            tickets.extend(queue.waiting.drain(..).map(|open| open.ticket));
        }
        tickets.into_iter().for_each(|ticket| self.settle(ticket, Err(error.clone())));
    }

    /// Gives up batches that are older than `age` and not on their way.
    pub(super) fn expire(&mut self, now: Instant, age: Duration) {
        let mut expired = Vec::new();
        for (partition, queue) in &mut self.queues {
            while queue.waiting.front().is_some_and(|open| now - open.ticket.created >= age) {
                let open = queue.waiting.pop_front().expect("it was looked at");
                expired.push((partition.clone(), open.builder.records_count(), open.ticket));
            }
            while let Some(first) = queue.retries.first_entry().filter(|first| now - first.get().ticket.created >= age)
            {
                let retry = first.remove();
                queue.gap |= retry.base_sequence() != Sequence::NONE;
                expired.push((partition.clone(), retry.batch.header().records_count, retry.ticket));
            }
        }
        for (partition, count, ticket) in expired {
            let what = format!("Expiring {count} record(s) for {partition}");
            self.settle(ticket, Err(Error::Timeout { what, after: age }));
        }
    }

    /// When the oldest batch that is not on its way expires.
    pub(super) fn next_expiry(&self, age: Duration) -> Option<Instant> {
        let oldest = self.queues.values().flat_map(|queue| {
            let waiting = queue.waiting.front().map(|open| open.ticket.created);
            waiting.into_iter().chain(queue.retries.values().map(|retry| retry.ticket.created))
        });
        oldest.min().map(|created| created + age)
    }

    fn landed(&mut self, partition: &TopicPartition) {
        if let Some(queue) = self.queues.get_mut(partition) {
            queue.in_flight -= 1;
        }
    }

    fn settle(&mut self, ticket: Ticket, outcome: Outcome) {
        self.outstanding.remove(&ticket.id);
        ticket.outcome.send_replace(Some(outcome));
        drop(ticket.memory);
    }
}

impl Queue {
    /// When the next batch may leave; `None` when there is none or it has to wait for another.
    fn due(&self, readiness: &Readiness, batch_bytes: usize, flushing: bool) -> Option<Instant> {
        if let Some((_, retry)) = self.retries.first_key_value() {
            return (self.in_flight == 0).then_some(retry.due);
        }
        let first = self.waiting.front()?;
        if self.in_flight >= readiness.max_in_flight || (self.gap && self.in_flight > 0) {
            return None;
        }
        let is_full = self.waiting.len() > 1 || first.builder.uncompressed_bytes() >= batch_bytes;
        let leaves = is_full || flushing || readiness.starved;
        Some(if leaves { first.ticket.created } else { first.ticket.created + readiness.linger })
    }

    fn stamp(&mut self, identity: Option<(ProducerId, ProducerEpoch)>, records: i32) -> ProducerStamp {
        let Some((producer_id, epoch)) = identity else { return ProducerStamp::NONE };
        let sequencing = self.sequencing.get_or_insert(Sequencing { producer_id, epoch, next: Sequence(0) });
        let base_sequence = sequencing.next;
        sequencing.next = base_sequence.plus(records);
        let Sequencing { producer_id, epoch: producer_epoch, .. } = *sequencing;
        ProducerStamp { producer_id, producer_epoch, base_sequence, transactional: false }
    }

    /// Goes on in a new epoch and gives the batches to be tried again new sequences. Returns the identity that others
    /// start from: this epoch, or none when the epochs are used up or the id is not there yet.
    fn start_epoch(&mut self, identity: Option<(ProducerId, ProducerEpoch)>) -> Option<(ProducerId, ProducerEpoch)> {
        let (producer_id, epoch) = identity?;
        let is_used = self.sequencing.is_none_or(|used| used.producer_id == producer_id && used.epoch == epoch);
        let epoch = match is_used {
            true if epoch.0 >= i16::MAX - 1 => return None,
            true => ProducerEpoch(epoch.0 + 1),
            false => epoch,
        };
        self.gap = false;
        self.sequencing = Some(Sequencing { producer_id, epoch, next: Sequence(0) });
        let mut retries = std::mem::take(&mut self.retries);
        for retry in retries.values_mut() {
            let stamp = self.stamp(Some((producer_id, epoch)), retry.batch.header().records_count);
            retry.batch = retry.batch.with_head(|head| head.set_producer(stamp));
        }
        self.retries = retries;
        Some((producer_id, epoch))
    }
}

#[cfg(test)]
mod tests;

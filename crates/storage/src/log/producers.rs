//! Producer state of a partition (KIP-98): which sequences each producer id has written, so that a retry is answered
//! with its original's offset and a gap or an old epoch is refused, by Kafka's rules.

use std::collections::{BTreeMap, VecDeque};

use millstream_model::batch::BatchHeader;
use millstream_model::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use crate::lane::Ticket;

/// Batches remembered per producer: as many as a producer may have in flight.
pub(crate) const BATCHES_REMEMBERED: usize = 5;

/// One batch of a producer.
#[derive(Clone, Debug)]
pub struct ProducerBatch {
    pub last_sequence: Sequence,
    pub last_offset: Offset,
    /// Last offset less first offset.
    pub offset_delta: i32,
    /// The batch's max timestamp.
    pub timestamp: TimestampMs,
    /// When the batch is durable; batches from a checkpoint are.
    pub(crate) ticket: Ticket,
}

impl ProducerBatch {
    /// Sequence of the batch's first record, wrapping backwards as Kafka's does.
    fn base_sequence(&self) -> Sequence {
        let base = self.last_sequence.0 - self.offset_delta;
        if base >= 0 { Sequence(base) } else { Sequence(i32::MAX - (-base - 1)) }
    }

    /// Offset of the batch's first record.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

impl PartialEq for ProducerBatch {
    /// The ticket is no part of the state: it is only known to the session that appended.
    fn eq(&self, other: &Self) -> bool {
        (self.last_sequence, self.last_offset, self.offset_delta, self.timestamp)
            == (other.last_sequence, other.last_offset, other.offset_delta, other.timestamp)
    }
}

/// What a partition knows of one producer id.
#[derive(Clone, Debug, PartialEq)]
pub struct ProducerEntry {
    pub epoch: ProducerEpoch,
    /// Epoch of the transaction coordinator that wrote the newest marker; -1 for none.
    pub coordinator_epoch: i32,
    /// Time of the newest batch or marker: producers that are silent for long are forgotten.
    pub last_timestamp: TimestampMs,
    /// The newest batches, oldest first, all of `epoch`.
    pub batches: VecDeque<ProducerBatch>,
    /// First offset of the open transaction.
    pub transaction_start: Option<Offset>,
}

/// Why a batch of an idempotent producer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error("out of order sequence number for producer {producer}: {found} (incoming), {last} (current end)")]
    OutOfOrder { producer: ProducerId, found: Sequence, last: Sequence },
    /// INVALID_PRODUCER_EPOCH.
    #[error("epoch {found} of producer {producer} is older than the last seen epoch {known}")]
    Fenced { producer: ProducerId, found: ProducerEpoch, known: ProducerEpoch },
}

/// Producer state of one partition, by producer id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Producers {
    entries: BTreeMap<ProducerId, ProducerEntry>,
}

impl Producers {
    /// All producers by id.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// What is known of a producer.
    #[must_use]
    pub fn get(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&id)
    }

    /// Puts an entry back, from a checkpoint.
    pub fn restore(&mut self, id: ProducerId, entry: ProducerEntry) {
        self.entries.insert(id, entry);
    }

    /// Forgets producers whose newest batch is older than `before` and who have no open transaction
    /// (`producer.id.expiration.ms`).
    pub fn expire(&mut self, before: TimestampMs) {
        self.entries.retain(|_, entry| entry.transaction_start.is_some() || entry.last_timestamp >= before);
    }

    /// The batch that this one repeats, if it is among the last five of its producer.
    #[must_use]
    pub fn duplicate_of(&self, header: &BatchHeader) -> Option<&ProducerBatch> {
        let entry = self.entries.get(&header.producer_id).filter(|entry| entry.epoch == header.producer_epoch)?;
        let repeats = |known: &&ProducerBatch| {
            known.base_sequence() == header.base_sequence && known.last_sequence == header.last_sequence()
        };
        entry.batches.iter().find(repeats)
    }

    /// Whether a client's batch may follow what is known. `before` is the batch that precedes it in the same append.
    ///
    /// # Errors
    /// As Kafka's `ProducerAppendInfo` refuses: an older epoch, a gap, or a new epoch that does not begin at 0.
    /// A producer that is not known (any more) may begin with any sequence.
    pub fn check(&self, header: &BatchHeader, before: Option<&BatchHeader>) -> Result<(), SequenceError> {
        let producer = header.producer_id;
        let before = before.filter(|earlier| earlier.producer_id == producer);
        let known = before.map(|earlier| (earlier.producer_epoch, Some(earlier.last_sequence())));
        let known = known.or_else(|| {
            let entry = self.entries.get(&producer)?;
            Some((entry.epoch, entry.batches.back().map(|batch| batch.last_sequence)))
        });
        let Some((epoch, last)) = known else { return Ok(()) };
        if header.producer_epoch < epoch {
            return Err(SequenceError::Fenced { producer, found: header.producer_epoch, known: epoch });
        }
        let found = header.base_sequence;
        if header.producer_epoch > epoch {
            let last = last.unwrap_or(Sequence::NONE);
            return if found == Sequence(0) {
                Ok(())
            } else {
                Err(SequenceError::OutOfOrder { producer, found, last })
            };
        }
        // After a marker alone the producer has an epoch but no batches: its next batch begins anew, at 0.
        let expected = last.map_or(Sequence(0), |last| last.plus(1));
        if found == expected {
            return Ok(());
        }
        Err(SequenceError::OutOfOrder { producer, found, last: last.unwrap_or(Sequence::NONE) })
    }

    /// Takes a batch of records into account; control batches go through `marker`.
    pub(crate) fn applied(&mut self, header: &BatchHeader, ticket: Ticket) {
        if !header.has_producer_id() {
            return;
        }
        let entry = self.entry(header.producer_id, header.producer_epoch);
        if entry.batches.back().is_some_and(|known| known.last_offset >= header.last_offset()) {
            return;
        }
        if entry.batches.len() == BATCHES_REMEMBERED {
            entry.batches.pop_front();
        }
        entry.batches.push_back(ProducerBatch {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
            ticket,
        });
        entry.last_timestamp = header.max_timestamp;
        if header.attributes.is_transactional() && entry.transaction_start.is_none() {
            entry.transaction_start = Some(header.base_offset);
        }
    }

    /// Takes a transaction's end into account and says where the transaction began, if it wrote here.
    pub(crate) fn marker(&mut self, header: &BatchHeader, coordinator_epoch: i32) -> Option<Offset> {
        let entry = self.entry(header.producer_id, header.producer_epoch);
        entry.coordinator_epoch = coordinator_epoch;
        entry.last_timestamp = header.max_timestamp;
        entry.transaction_start.take()
    }

    /// The producer's entry at `epoch`; a newer epoch forgets the older one's batches.
    fn entry(&mut self, id: ProducerId, epoch: ProducerEpoch) -> &mut ProducerEntry {
        let entry = self.entries.entry(id).or_insert_with(|| ProducerEntry {
            epoch,
            coordinator_epoch: -1,
            last_timestamp: TimestampMs::NONE,
            batches: VecDeque::new(),
            transaction_start: None,
        });
        if entry.epoch != epoch {
            entry.epoch = epoch;
            entry.batches.clear();
        }
        entry
    }
}

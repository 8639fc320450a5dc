//! Recovery: replays the lane of the session that did not end cleanly, from the low-water mark on, one way only: lane to
//! segments, by offset from each partition's checkpoint. There is nothing to truncate.
//!
//! A slot that cannot be read is a torn tail when no later slot vouches for it; else it is bit rot, and the partitions
//! that may have lost records to it go offline. Running it again after a crash gives the same result.

use std::collections::BTreeSet;

use crate::disk::DiskError;
use crate::lane::session::Session;
use crate::lane::slot::{PartitionKey, Slot, SlotEntry, SlotEntryBody, SlotError, decode, decode_header};
use crate::materialiser::Materialiser;
use crate::planted::{self, Bug};
use crate::segments::SegmentError;
use crate::shared::Shared;
use crate::slots::{SlotId, SlotStore};

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) slots: u64,
    pub(crate) batches: u64,
    /// Slots that were never acknowledged and are cut off.
    pub(crate) torn: u64,
    /// Slots that were acknowledged and are damaged or gone.
    pub(crate) damaged: u64,
    /// Entries of topics that do not exist (any more).
    pub(crate) unknown: u64,
    /// Partitions that lost records.
    pub(crate) offline: Vec<PartitionKey>,
}

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Slot(SlotError),
}

/// A replay under way.
pub(crate) struct Replay<'a> {
    shared: &'a Shared,
    slots: &'a dyn SlotStore,
    session: Session,
    done: Replayed,
    /// Partitions with a contiguous batch after the newest slot whose content nobody knows; none when there is no such slot.
    seen_after_loss: Option<BTreeSet<PartitionKey>>,
}

/// Whether an entry shows that the log lacks no record before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contiguous {
    Yes,
    /// A log's start says nothing of its end.
    Unknown,
}

/// Range of slots that count. Its numbers are what headers claim.
#[derive(Debug, Default)]
struct Range {
    /// First slot that is needed.
    low_water: u64,
    /// All slots below were acknowledged.
    acked_upto: u64,
    /// Slots that are there, with this session's nonce.
    present: BTreeSet<u64>,
}

impl Range {
    /// All slots below are looked at.
    fn end(&self) -> u64 {
        if planted::has(Bug::ReusesOffsetsAfterCut) {
            return self.acked_upto;
        }
        self.present.last().map_or(0, |last| last.saturating_add(1)).max(self.acked_upto)
    }

    /// How many acknowledged slots are gone from `sequence` on, if that one is: without going through them, as there may be
    /// any number.
    fn gone_from(&self, sequence: u64) -> Option<u64> {
        let next = self.present.range(sequence..).next().copied().unwrap_or(u64::MAX);
        next.min(self.acked_upto).checked_sub(sequence).filter(|gone| *gone > 0)
    }
}

impl<'a> Replay<'a> {
    pub(crate) fn new(shared: &'a Shared, slots: &'a dyn SlotStore, session: Session) -> Self {
        Self { shared, slots, session, done: Replayed::default(), seen_after_loss: None }
    }

    pub(crate) async fn run(mut self, materialiser: &mut Materialiser) -> Result<Replayed, ReplayError> {
        let range = self.range().await?;
        let end = range.end();
        let mut next = range.low_water;
        while next < end {
            if let Some(gone) = range.gone_from(next) {
                self.done.damaged += gone;
                self.seen_after_loss = Some(BTreeSet::new());
                next += gone;
                continue;
            }
            let sequence = next;
            next += 1;
            let (entries, lost) = match self.slot(sequence, &range).await? {
                Ok(slot) => (slot.entries, Vec::new()),
                Err(SlotError::Newer(version)) => return Err(ReplayError::Slot(SlotError::Newer(version))),
                Err(_) if sequence >= range.acked_upto => {
                    self.done.torn += range.present.range(sequence..).count() as u64;
                    break;
                }
                Err(SlotError::DamagedBody { slot, lost }) => {
                    self.done.damaged += 1;
                    (slot.entries, lost)
                }
                Err(_) => {
                    self.done.damaged += 1;
                    self.seen_after_loss = Some(BTreeSet::new());
                    continue;
                }
            };
            self.done.slots += 1;
            for key in lost {
                self.offline(key, "a batch of it in the lane is damaged");
            }
            let accepted = entries.into_iter().filter(|entry| self.accept(entry)).collect();
            materialiser.replay(accepted).await?;
        }
        self.offline_unseen();
        Ok(self.done)
    }

    /// Looks at all headers for what they say of each other.
    async fn range(&self) -> Result<Range, ReplayError> {
        let mut range = Range::default();
        let lane = self.session.lane;
        for slot in self.slots.present(SlotId { lane, sequence: 0 }).await?.iter().filter(|slot| slot.id.lane == lane) {
            let bytes = self.slots.get(slot.id).await?.unwrap_or_default();
            let header = match decode_header(&bytes) {
                Ok(header) => header,
                // What it holds was acknowledged, perhaps: it must not be passed over.
                Err(error @ SlotError::Newer(_)) => return Err(ReplayError::Slot(error)),
                Err(_) => continue,
            };
            if header.nonce == self.session.nonce {
                range.low_water = range.low_water.max(header.low_water);
                range.acked_upto = range.acked_upto.max(header.acked_upto);
                range.present.insert(header.sequence);
            }
        }
        Ok(range)
    }

    async fn slot(&self, sequence: u64, range: &Range) -> Result<Result<Slot, SlotError>, ReplayError> {
        if !range.present.contains(&sequence) {
            return Ok(Err(SlotError::NoHeader));
        }
        let id = SlotId { lane: self.session.lane, sequence };
        let bytes = self.slots.get(id).await?.unwrap_or_default();
        Ok(decode(&bytes))
    }

    /// Takes an entry into its partition's log, if it is news to it.
    fn accept(&mut self, entry: &SlotEntry) -> bool {
        let Some(partition) = self.shared.partition(entry.key) else {
            self.done.unknown += 1;
            return false;
        };
        if partition.offline().is_some() {
            return false;
        }
        let verdict = partition.with_log(|log| match &entry.body {
            SlotEntryBody::LogStart(offset) => {
                let news = *offset > log.live.log_start;
                log.start_at(*offset);
                Ok((news, Contiguous::Unknown))
            }
            SlotEntryBody::Reached(offset) if *offset > log.live.log_end => {
                Err(format!("its segments held records up to offset {offset}, they end at {}", log.live.log_end))
            }
            // All that came before it through the lane is in the segments below it.
            SlotEntryBody::Reached(_) => Ok((false, Contiguous::Yes)),
            SlotEntryBody::Batch(batch) => {
                let (header, end) = (batch.header(), log.live.log_end);
                if header.last_offset() < end {
                    return Ok((false, Contiguous::Yes));
                }
                if header.base_offset != end {
                    return Err(format!("the lane goes on at offset {}, the log ends at {end}", header.base_offset));
                }
                log.replayed(batch);
                self.done.batches += 1;
                Ok((true, Contiguous::Yes))
            }
        });
        match verdict {
            Ok((news, contiguous)) => {
                if let Some(seen) = self.seen_after_loss.as_mut().filter(|_| contiguous == Contiguous::Yes) {
                    seen.insert(entry.key);
                }
                news
            }
            Err(reason) => {
                self.offline(entry.key, &reason);
                false
            }
        }
    }

    fn offline(&mut self, key: PartitionKey, reason: &str) {
        if let Some(partition) = self.shared.partition(key).filter(|partition| partition.offline().is_none()) {
            partition.take_offline(format!("{reason}; nothing was deleted"));
            self.done.offline.push(key);
        }
    }

    /// After a slot whose content nobody knows: a partition without a later entry may have lost its newest records.
    fn offline_unseen(&mut self) {
        let Some(seen) = self.seen_after_loss.take() else { return };
        let keys: Vec<PartitionKey> = self.shared.partitions.read().keys().copied().collect();
        for key in keys.into_iter().filter(|key| !seen.contains(key)) {
            self.offline(key, "a damaged slot of the lane may have held its newest records");
        }
    }
}

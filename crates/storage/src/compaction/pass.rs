//! One cleaning of one log: compares the keys of its dirty part, copies what stays beside it, and has it swapped in, group
//! of segments by group. In pieces, so that it can stop, yield and keep to its pace between any two.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millstream_model::Offset;
use millstream_model::batch::{Batch, BatchError, BatchIter, MalformedRecord, RecordIter, SelectError};
use millstream_model::compression::DecompressError;

use super::filter::{DECOMPRESSED_BYTES_MAX, LastOfProducers, RecordFilter};
use super::offset_map::OffsetMap;
use super::plan::Plan;
use super::transactions::Transactions;
use super::{CleanerSettings, Cleaning};
use crate::disk::DiskErrorKind;
use crate::lane::slot::PartitionKey;
use crate::log::config::{Compaction, LogConfig};
use crate::log::transactions::AbortedTransaction;
use crate::partition::Partition;
use crate::segments::{ReadFrom, SegmentEdit, SegmentError, SegmentSummary, SegmentTarget, Staging};
use crate::shared::{Phase, Shared};

/// Bytes read at a time; a larger batch is read as a whole.
const PIECE_BYTES: usize = 1 << 20;
/// The longest that a pass waits for its pace before it looks whether it is still wanted.
const PACE_WAIT_MAX: Duration = Duration::from_millis(500);

/// Why a pass ended before its end. Nothing is lost: another one may follow.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
    /// The storage stops.
    #[error("the storage stops")]
    Stopped,
    /// The log, its policy or its segments are not what they were; or there is no space.
    #[error("{0}")]
    GaveUp(&'static str),
    /// The log cannot be cleaned as it is.
    #[error(transparent)]
    Segment(SegmentError),
    #[error("a batch is damaged: {0}")]
    Batch(#[from] BatchError),
    #[error("a batch cannot be read: {0}")]
    Records(#[from] SelectError),
}

impl From<SegmentError> for PassError {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::Disk(error) if error.kind == DiskErrorKind::NoSpace => Self::GaveUp("the disk is full"),
            error => Self::Segment(error),
        }
    }
}

impl From<DecompressError> for PassError {
    fn from(error: DecompressError) -> Self {
        Self::Records(error.into())
    }
}

impl From<MalformedRecord> for PassError {
    fn from(error: MalformedRecord) -> Self {
        Self::Records(error.into())
    }
}

/// A cleaning under way.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    shared: &'a Shared,
    partition: Arc<Partition>,
    key: PartitionKey,
    config: LogConfig,
    settings: CleanerSettings,
    began: Duration,
    /// Bytes read and written since.
    moved_bytes: u64,
}

impl<'a> Pass<'a> {
    pub(super) fn new(shared: &'a Shared, partition: Arc<Partition>) -> Self {
        let key = partition.key();
        let (config, settings) = (partition.config(), *shared.cleaning.settings.borrow());
        Self { shared, partition, key, config, settings, began: shared.clock.monotonic(), moved_bytes: 0 }
    }

    fn cleaning(&self) -> &'a Cleaning {
        &self.shared.cleaning
    }

    /// Cleans what the plan says, or as much of it as the memory for keys allows.
    pub(super) async fn run(mut self, plan: &Plan, compaction: Compaction) -> Result<(), PassError> {
        let aborted = self.partition.with_log(|log| log.aborted().to_vec());
        let (last_offsets, compared_upto) = self.compare(plan, aborted.clone()).await?;
        self.cleaning().map_percent.store(last_offsets.percent(), Ordering::Relaxed);
        let mut filter = RecordFilter {
            last_offsets,
            compared_upto,
            upto: plan.upto,
            now: self.shared.clock.now(),
            delete_retention_ms: compaction.delete_retention_ms,
            transactions: Transactions::new(aborted),
            producers: self.partition.with_log(|log| LastOfProducers::of(&log.live.producers)),
        };
        let (bytes_max, index_bytes_max) = (self.config.segment_bytes.into(), self.config.segment_index_bytes.into());
        for group in plan.groups(compared_upto, bytes_max, index_bytes_max) {
            let copied = self.clean(&group, &mut filter).await;
            if copied.is_err() {
                // What is left of it costs space until the next one; after a failed write that may fail too.
                let _ = self.stage(Staging::Forget).await;
            }
            copied?;
        }
        self.edit(SegmentEdit::Compacted(self.key, compared_upto)).await
    }

    /// Finds the last offset of each key in the dirty part, as far as there is memory, and says how far that is.
    async fn compare(
        &mut self,
        plan: &Plan,
        mut aborted: Vec<AbortedTransaction>,
    ) -> Result<(OffsetMap, Offset), PassError> {
        let keys = u64::try_from(plan.upto.since(plan.first_dirty)).unwrap_or(0);
        let mut map = OffsetMap::new(self.settings.map_bytes_max, self.settings.map_load_percent, keys);
        aborted.retain(|aborted| aborted.last_offset >= plan.first_dirty);
        let mut transactions = Transactions::new(aborted);
        let mut pieces = Pieces::new(plan.first_dirty..plan.upto);
        while let Some(batches) = pieces.next(self).await? {
            for batch in batches {
                if batch.header().attributes.is_control() {
                    transactions.marker(&batch);
                } else if !transactions.batch(batch.header())
                    && let Some(full_at) = put_keys(&mut map, &batch, plan.first_dirty)?
                {
                    return Ok((map, full_at));
                }
            }
        }
        Ok((map, plan.upto))
    }

    /// Copies what stays of a group of segments, and has the copy take their place.
    async fn clean(&mut self, group: &[SegmentSummary], filter: &mut RecordFilter) -> Result<(), PassError> {
        let offsets = group[0].base..group[group.len() - 1].next;
        let mut changed = group.len() > 1;
        let mut kept_aborted = Vec::new();
        self.stage(Staging::Begin(offsets.clone())).await?;
        let mut pieces = Pieces::new(offsets.clone());
        while let Some(read) = pieces.next(self).await? {
            let (mut batches, mut aborted) = (Vec::with_capacity(read.len()), Vec::new());
            self.cleaning().read_bytes.add(bytes_of(read.iter()));
            for batch in read {
                let filtered = filter.filter(batch)?;
                changed |= filtered.changed;
                batches.extend(filtered.batch);
                aborted.extend(filtered.aborted);
            }
            let written = bytes_of(batches.iter());
            self.cleaning().written_bytes.add(written);
            kept_aborted.extend_from_slice(&aborted);
            if !batches.is_empty() {
                self.stage(Staging::Append { batches, aborted }).await?;
            }
            self.keep_pace(written).await?;
        }
        let before = self
            .partition
            .with_log(|log| log.aborted().iter().filter(|aborted| offsets.contains(&aborted.last_offset)).count());
        if !changed && before == kept_aborted.len() {
            return self.stage(Staging::Forget).await;
        }
        self.stage(Staging::Finish).await?;
        self.check_wanted()?;
        // Before the swap: of what is forgotten here nothing was left even in the old segments, while readers of the new
        // one would take a later transaction of the same producer for an aborted one. In memory it may be left.
        self.partition.with_log(|log| {
            log.evict_below(offsets.end);
            log.keep_aborted(&offsets, &kept_aborted);
        });
        self.edit(SegmentEdit::Replace(self.key)).await
    }

    async fn stage(&self, step: Staging) -> Result<(), PassError> {
        let (topic, config) = (Arc::clone(self.partition.topic()), self.config.clone());
        match self.shared.segments.stage(SegmentTarget { key: self.key, topic, config }, step).await {
            Err(SegmentError::Disk(error)) if error.kind == DiskErrorKind::Failed => {
                // It may be the sync of another file, which had to make room among the open ones.
                self.shared.halt(&error.to_string());
                Err(PassError::Stopped)
            }
            staged => Ok(staged?),
        }
    }

    async fn edit(&self, edit: SegmentEdit) -> Result<(), PassError> {
        match self.shared.order(vec![edit], vec![Arc::clone(&self.partition)]).await {
            Ok(Ok(edited)) if edited.iter().any(|one| one.refused) => {
                Err(PassError::GaveUp("its segments have changed, or there is no space"))
            }
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(PassError::Stopped),
        }
    }

    /// Whole batches from `from` on, all of one segment.
    async fn read(&mut self, from: Offset) -> Result<Vec<Batch>, PassError> {
        let chunks = self.shared.segments.read(self.key, ReadFrom::Offset(from), PIECE_BYTES).await?;
        let batches = chunks.into_iter().flat_map(BatchIter::new).collect::<Result<Vec<Batch>, BatchError>>()?;
        self.keep_pace(bytes_of(batches.iter())).await?;
        Ok(batches)
    }

    /// Lets others have their turn, and waits while more was read and written than may be in the time.
    async fn keep_pace(&mut self, bytes: u64) -> Result<(), PassError> {
        self.moved_bytes += bytes;
        tokio::task::yield_now().await;
        loop {
            self.check_wanted()?;
            let now = self.shared.clock.monotonic();
            self.cleaning().seen(now);
            let Some(per_second) = self.cleaning().settings.borrow().bytes_per_second_max else { return Ok(()) };
            let due = self.began + Duration::from_secs_f64(self.moved_bytes as f64 / per_second.max(1) as f64);
            let Some(early) = due.checked_sub(now).filter(|early| !early.is_zero()) else { return Ok(()) };
            let mut phase = self.shared.phase.subscribe();
            tokio::select! {
                _ = phase.wait_for(|phase| *phase != Phase::Running) => {}
                () = self.shared.clock.sleep(early.min(PACE_WAIT_MAX)) => {}
            }
        }
    }

    fn check_wanted(&self) -> Result<(), PassError> {
        if *self.shared.phase.borrow() != Phase::Running || self.shared.is_halted() {
            return Err(PassError::Stopped);
        }
        let is_there = self.shared.partition(self.key).is_some_and(|known| Arc::ptr_eq(&known, &self.partition));
        if !is_there || !self.shared.cleaning.settings.borrow().enabled {
            return Err(PassError::GaveUp("the partition was deleted, or the cleaner was turned off"));
        }
        if self.partition.with_log(|log| log.config.compaction.is_none() || log.fault.is_some()) {
            return Err(PassError::GaveUp("its topic is not compacted any more"));
        }
        Ok(())
    }
}

/// Reads the batches that begin within offsets, piece by piece.
#[derive(Debug)]
struct Pieces {
    offsets: Range<Offset>,
}

impl Pieces {
    fn new(offsets: Range<Offset>) -> Self {
        Self { offsets }
    }

    /// The next batches; none when there are no more.
    async fn next(&mut self, pass: &mut Pass<'_>) -> Result<Option<VecDeque<Batch>>, PassError> {
        if self.offsets.is_empty() {
            return Ok(None);
        }
        let mut batches = VecDeque::from(pass.read(self.offsets.start).await?);
        while batches.back().is_some_and(|batch| batch.header().base_offset >= self.offsets.end) {
            batches.pop_back();
        }
        let Some(last) = batches.back() else { return Ok(None) };
        self.offsets.start = last.header().next_offset();
        Ok(Some(batches))
    }
}

fn bytes_of<'a>(batches: impl Iterator<Item = &'a Batch>) -> u64 {
    batches.map(|batch| batch.bytes().len() as u64).sum()
}

/// Notes the keys of a batch's records from `from` on; at a full map the offset of the first that has no room.
fn put_keys(map: &mut OffsetMap, batch: &Batch, from: Offset) -> Result<Option<Offset>, PassError> {
    let header = batch.header();
    let records = batch.decompressed(DECOMPRESSED_BYTES_MAX)?;
    for record in RecordIter::new(&records, header.records_count) {
        let record = record?;
        let offset = header.base_offset.plus(i64::from(record.offset_delta));
        if let Some(key) = record.key.filter(|_| offset >= from)
            && !map.put(key, offset)
        {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}

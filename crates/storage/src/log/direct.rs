//! What goes from a partition to its segment without the lane: batches at their places, in order, until somebody writes
//! them; and who may change the partition's files meanwhile.

use std::sync::Arc;

use millstream_model::Offset;
use millstream_model::batch::Batch;
use smallvec::SmallVec;

use super::transactions::AbortedTransaction;
use crate::lane::Ticket;
use crate::lane::ticket::SlotFate;

/// Who changes a partition's files: one at a time. What comes through the lane is written by the materialiser alone and
/// meets no direct write: neither begins before what the other has appended is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FilesUse {
    #[default]
    Free,
    /// Direct batches are being written,
    Written,
    /// and the materialiser waits for the end of that.
    Awaited,
    /// The materialiser has them to itself.
    Kept,
}

/// Batches that are written together.
#[derive(Debug, Default)]
pub(crate) struct DirectRun {
    pub(crate) batches: Vec<Batch>,
    /// Transactions that these batches' markers aborted.
    pub(crate) aborted: Vec<AbortedTransaction>,
    pub(crate) bytes: usize,
    fates: SmallVec<[Arc<SlotFate>; 1]>,
}

impl DirectRun {
    pub(crate) fn fates(&self) -> impl Iterator<Item = &SlotFate> {
        self.fates.iter().map(AsRef::as_ref)
    }
}

/// What waits to be written, and the right to write.
#[derive(Debug, Default)]
pub(crate) struct DirectQueue {
    waiting: DirectRun,
    files: FilesUse,
}

impl DirectQueue {
    /// Says when the next batch will be written.
    pub(crate) fn ticket(&mut self) -> Ticket {
        if self.waiting.fates.is_empty() {
            self.waiting.fates.push(Arc::default());
        }
        Ticket::of(&self.waiting.fates[self.waiting.fates.len() - 1])
    }

    /// Takes a batch at its place, and the transaction that it aborts.
    pub(crate) fn push(&mut self, batch: Batch, aborted: Option<AbortedTransaction>) {
        self.waiting.bytes += batch.bytes().len();
        self.waiting.batches.push(batch);
        self.waiting.aborted.extend(aborted);
    }

    /// Offset of the first batch that waits.
    pub(crate) fn first_offset(&self) -> Option<Offset> {
        self.waiting.batches.first().map(|batch| batch.header().base_offset)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.batches.is_empty()
    }

    /// Whether nothing waits and nobody writes.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_empty() && matches!(self.files, FilesUse::Free | FilesUse::Kept)
    }

    /// Takes all that waits, with the right to write it; none when there is nothing or somebody else has the files.
    /// `end_write` must follow.
    pub(crate) fn begin_write(&mut self) -> Option<DirectRun> {
        if self.is_empty() || self.files != FilesUse::Free {
            return None;
        }
        self.files = FilesUse::Written;
        Some(std::mem::take(&mut self.waiting))
    }

    /// Ends a write; says whether the materialiser waits for that, whose the files are then.
    pub(crate) fn end_write(&mut self) -> bool {
        let awaited = self.files == FilesUse::Awaited;
        self.files = if awaited { FilesUse::Kept } else { FilesUse::Free };
        awaited
    }

    /// Puts back what could not be written, before what has come since.
    pub(crate) fn put_back(&mut self, mut run: DirectRun) {
        let since = std::mem::take(&mut self.waiting);
        run.batches.extend(since.batches);
        run.aborted.extend(since.aborted);
        run.bytes += since.bytes;
        run.fates.extend(since.fates);
        self.waiting = run;
    }

    /// Takes everything away, of a partition that is deleted.
    pub(crate) fn clear(&mut self) -> DirectRun {
        std::mem::take(&mut self.waiting)
    }

    /// Takes the files for the materialiser; false when it must wait until a write has ended.
    pub(crate) fn keep_files(&mut self) -> bool {
        self.files = match self.files {
            FilesUse::Free | FilesUse::Kept => FilesUse::Kept,
            FilesUse::Written | FilesUse::Awaited => FilesUse::Awaited,
        };
        self.files == FilesUse::Kept
    }

    /// Gives the files back; says whether batches have come to be written meanwhile.
    pub(crate) fn release_files(&mut self) -> bool {
        assert_eq!(self.files, FilesUse::Kept, "only who has them gives them back");
        self.files = FilesUse::Free;
        !self.is_empty()
    }
}

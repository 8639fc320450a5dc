//! What is checked of settled batches before they are served, beside their CRCs: the leader epoch, which lies outside of
//! the CRC; and where damage lies, for whoever has to mend it.

use std::path::Path;

use millstream_model::batch::BatchHeader;
use millstream_model::{LeaderEpoch, Offset};

use super::reading::damaged;
use super::{Partition, ReadError};
use crate::log::epochs::EpochStarts;
use crate::segments::SegmentError;
use crate::segments::kafka::KAFKA_DIR;

impl Partition {
    /// The error with this partition's directory, if it names no file.
    pub(super) fn place(&self, error: ReadError) -> ReadError {
        match error {
            ReadError::Segment(SegmentError::Damaged { file, position, reason }) if file.as_os_str().is_empty() => {
                let file = Path::new(KAFKA_DIR).join(format!("{}-{}", self.topic, self.key.index));
                ReadError::Segment(SegmentError::Damaged { file, position, reason })
            }
            error => error,
        }
    }
}

/// Checks that a batch was written in the epoch that the log knows for it.
pub(super) fn check_epoch(header: &BatchHeader, epochs: &EpochStarts, log_start: Offset) -> Result<(), ReadError> {
    // A batch may begin below the log's start, where the epochs are forgotten.
    let known = epochs.epoch_at(header.base_offset.max(log_start));
    let found = header.partition_leader_epoch;
    if known == LeaderEpoch::NONE || found == LeaderEpoch::NONE || found == known {
        return Ok(());
    }
    Err(damaged(format!("the batch at {} has leader epoch {found}, not {known}", header.base_offset)))
}

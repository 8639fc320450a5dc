//! The lane and the logs of partitions: local disk or memory.
//!
//! The broker appends to and reads from a `Partition`; what it has acknowledged is durable. Behind: the lane (one journal
//! for all partitions), Kafka's segment files, checkpoints and recovery. Nothing here knows Kafka's wire protocol.

mod background;
mod backup;
pub mod clock;
mod compaction;
#[cfg(test)]
mod crash_tests;
mod direct;
pub mod disk;
pub mod inspect;
pub mod lane;
mod log;
mod materialiser;
mod metrics;
mod open;
mod partition;
mod planted;
mod recovery;
mod room;
pub mod segments;
mod shared;
pub mod slots;
mod storage;
mod tail;
#[cfg(test)]
mod tests;

pub use background::Background;
pub use backup::{BACKUP_DIR, BackupFile};
pub use clock::{Clock, SystemClock};
pub use compaction::{CleanerMetrics, CleanerSettings};
pub use disk::{Disk, DiskMetrics, FileDisk, OpenDiskError, WeakFileSystem};
pub use lane::Ticket;
pub use lane::slot::PartitionKey;
pub use log::config::{Compaction, Durability, EngineLimits, LogConfig};
pub use log::epochs::EpochStarts;
pub use log::partition_log::{AppendOrigin, LogOffsets, ReadUpto};
pub use log::producers::{ProducerBatch, ProducerEntry, Producers, SequenceError};
pub use log::retention::Retention;
pub use log::state::{LogState, TimestampAt};
pub use log::transactions::AbortedTransaction;
pub use metrics::{DirectMetrics, StorageMetrics, TIME_BUCKETS, TimeDistribution};
pub use open::{OpenError, RecoveryReport, StorageOptions};
pub use partition::{
    AppendError, Appended, Batches, DeleteRecordsError, Partition, PartitionSpec, ReadError, ReadSlice,
    TimestampedOffset, Watch,
};
pub use slots::SlotSpace;
pub use storage::{LogDirUsage, PartitionUsage, Storage, StorageError};

//! Kafka's error codes for what can go wrong elsewhere. Codes exist only in this folder; every error of an owner is
//! mapped here once, without a catch-all, so that a new one cannot be forgotten.

use millstream_coordinator::GroupError;
use millstream_metadata::catalog::{AlterConfigsError, AssignmentError};
use millstream_model::batch::{BatchError, RECORD_ERRORS_MAX, RecordError, RecordErrorReason, ValidationError};
use millstream_protocol::ErrorCode;
use millstream_protocol::produce::BatchIndexAndErrorMessage;
use millstream_storage::{AppendError, DeleteRecordsError, ReadError, SequenceError, StorageError};

use super::produce::Refused;
use crate::groups::ShardError;
use crate::partitions::LookupError;

pub(super) fn lookup_error(error: &LookupError) -> ErrorCode {
    match error {
        LookupError::UnknownTopic | LookupError::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        LookupError::UnknownTopicId => ErrorCode::UnknownTopicId,
        LookupError::NotLeader { .. } => ErrorCode::NotLeaderOrFollower,
    }
}

pub(super) fn read_error(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Offline(_) | ReadError::Segment(_) => ErrorCode::KafkaStorageError,
        ReadError::Deleted => ErrorCode::UnknownTopicOrPartition,
    }
}

pub(super) fn storage_error(error: &StorageError) -> ErrorCode {
    match error {
        StorageError::NoSpace | StorageError::Halted | StorageError::Failed(_) => ErrorCode::KafkaStorageError,
    }
}

pub(super) fn append_error(error: &AppendError) -> Refused {
    let code = match error {
        AppendError::Sequence(SequenceError::OutOfOrder { .. }) => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::Sequence(SequenceError::Fenced { .. }) => ErrorCode::InvalidProducerEpoch,
        AppendError::Offline(_) | AppendError::NoSpace | AppendError::Stopped => ErrorCode::KafkaStorageError,
        AppendError::Deleted => ErrorCode::UnknownTopicOrPartition,
        // Both pass; a retriable code makes the client ask again.
        AppendError::Overloaded | AppendError::Switching => ErrorCode::NotLeaderOrFollower,
    };
    Refused::with_message(code, error.to_string())
}

pub(super) fn delete_records_error(error: &DeleteRecordsError) -> ErrorCode {
    match error {
        DeleteRecordsError::OutOfRange(_) => ErrorCode::OffsetOutOfRange,
        DeleteRecordsError::Append(error) => append_error(error).code,
    }
}

pub(super) fn batch_error(error: &BatchError) -> Refused {
    let code = match error {
        BatchError::LengthTooSmall { .. } | BatchError::UnknownMagic { .. } | BatchError::Crc { .. } => {
            ErrorCode::CorruptMessage
        }
        BatchError::Truncated { .. }
        | BatchError::OldMagic { .. }
        | BatchError::UnknownCompression { .. }
        | BatchError::OffsetRange { .. }
        | BatchError::Count { .. } => ErrorCode::InvalidRecord,
    };
    Refused::with_message(code, error.to_string())
}

/// A batch whose records the topic does not take; names the records where Kafka does (KIP-467).
pub(super) fn validation_error(error: &ValidationError, partition: &str) -> Refused {
    match error {
        ValidationError::Rejected { errors, count } => {
            let of_time = |reason: RecordErrorReason| match reason {
                RecordErrorReason::NoKey => false,
                RecordErrorReason::TimestampOutOfRange { .. } | RecordErrorReason::ProducerSetLogAppendTime => true,
            };
            let (code, message) = if errors.iter().any(|error| of_time(error.reason)) {
                (ErrorCode::InvalidTimestamp, "One or more records have been rejected due to invalid timestamp")
            } else {
                let message = format!(
                    "One or more records have been rejected due to {count} record errors in total, and only showing the first three errors at most: {}",
                    first_three(errors, partition)
                );
                return Refused {
                    code: ErrorCode::InvalidRecord,
                    message: Some(message),
                    records: named(errors, partition),
                };
            };
            Refused { code, message: Some(message.to_owned()), records: named(errors, partition) }
        }
        ValidationError::Decompress(_)
        | ValidationError::BaseOffset(_)
        | ValidationError::NoRecords(_)
        | ValidationError::CountAgainstRange { .. }
        | ValidationError::ControlBatch
        | ValidationError::Sequence { .. }
        | ValidationError::Malformed { .. }
        | ValidationError::RecordsRemain(_)
        | ValidationError::OffsetDelta { .. } => Refused::with_message(ErrorCode::InvalidRecord, error.to_string()),
    }
}

/// The beginning of the list, in the form in which Kafka prints it.
fn first_three(errors: &[RecordError], partition: &str) -> String {
    let texts = errors.iter().take(3).map(|error| {
        let (index, message) = (error.batch_index, record_message(error.reason, partition));
        format!("RecordError(batchIndex={index}, message='{message}')")
    });
    format!("[{}]", texts.collect::<Vec<_>>().join(", "))
}

fn record_message(reason: RecordErrorReason, partition: &str) -> String {
    match reason {
        RecordErrorReason::NoKey => format!("{reason} {partition}"),
        RecordErrorReason::TimestampOutOfRange { .. } | RecordErrorReason::ProducerSetLogAppendTime => {
            reason.to_string()
        }
    }
}

fn named(errors: &[RecordError], partition: &str) -> Vec<BatchIndexAndErrorMessage> {
    let named = errors.iter().take(RECORD_ERRORS_MAX).map(|error| BatchIndexAndErrorMessage {
        batch_index: error.batch_index,
        batch_index_error_message: Some(record_message(error.reason, partition)),
    });
    named.collect()
}

pub(super) fn shard_error(error: ShardError) -> ErrorCode {
    match error {
        ShardError::NotAvailable => ErrorCode::CoordinatorNotAvailable,
        ShardError::NotCoordinator => ErrorCode::NotCoordinator,
    }
}

pub(super) fn group_error(error: GroupError) -> ErrorCode {
    match error {
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::GroupIdNotFound => ErrorCode::GroupIdNotFound,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::InvalidRequest => ErrorCode::InvalidRequest,
        GroupError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::UnknownMemberId => ErrorCode::UnknownMemberId,
        GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        GroupError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::InvalidCommitOffsetSize => ErrorCode::InvalidCommitOffsetSize,
        GroupError::GroupMetadataTooLarge => ErrorCode::UnknownServerError,
        GroupError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
    }
}

pub(super) fn assignment_error(error: &AssignmentError) -> ErrorCode {
    match error {
        AssignmentError::NoReplicas
        | AssignmentError::UnknownBroker(_)
        | AssignmentError::BrokerTwice(_)
        | AssignmentError::ReplicaCount { .. }
        | AssignmentError::PartitionTwice(_)
        | AssignmentError::Gap
        | AssignmentError::Count { .. } => ErrorCode::InvalidReplicaAssignment,
    }
}

pub(super) fn alter_configs_error(error: &AlterConfigsError) -> ErrorCode {
    match error {
        AlterConfigsError::InvalidConfig(_) => ErrorCode::InvalidConfig,
        AlterConfigsError::InvalidRequest(_) => ErrorCode::InvalidRequest,
        AlterConfigsError::TopicName(_) => ErrorCode::InvalidTopicException,
        AlterConfigsError::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
    }
}

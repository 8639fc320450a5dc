//! Transactions (KIP-98, KIP-447, KIP-890).

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::Is;
use crate::configs::Importance::{High, Low};
use crate::configs::Update::{ClusterWide, ReadOnly};
use crate::configs::Valid::{Any, AtLeast};
use crate::configs::reason::TRANSACTIONS_LATER;
use crate::configs::row::{boolean, int, short};

/// Sorted by name.
pub(super) const KEYS: &[ConfigKey] = &[
    int("add.partitions.to.txn.retry.backoff.max.ms", Is("100"), AtLeast(0), High, ReadOnly, TRANSACTIONS_LATER)
        .doc("Longest wait before a partition is again added to a transaction on the server's side, in milliseconds."),
    int("add.partitions.to.txn.retry.backoff.ms", Is("20"), AtLeast(1), High, ReadOnly, TRANSACTIONS_LATER)
        .doc("Wait before a partition is again added to a transaction on the server's side, in milliseconds."),
    int(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        Is("10000"),
        AtLeast(1),
        Low,
        ReadOnly,
        TRANSACTIONS_LATER,
    )
    .doc("Time between looks for transactions that took too long, in milliseconds."),
    int("transaction.max.timeout.ms", Is("900000"), AtLeast(1), High, ReadOnly, TRANSACTIONS_LATER)
        .doc("Longest timeout that a producer may ask for its transactions, in milliseconds."),
    boolean("transaction.partition.verification.enable", Is("true"), Any, Low, ClusterWide, TRANSACTIONS_LATER)
        .doc("Whether the broker checks that a partition belongs to the transaction that writes to it."),
    int(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        Is("3600000"),
        AtLeast(1),
        Low,
        ReadOnly,
        TRANSACTIONS_LATER,
    )
    .doc("Time between looks for transactional ids that are no longer used, in milliseconds."),
    int("transaction.state.log.load.buffer.size", Is("5242880"), AtLeast(1), High, ReadOnly, TRANSACTIONS_LATER)
        .doc("Bytes that are read at a time when transaction state is loaded."),
    int("transaction.state.log.min.isr", Is("2"), AtLeast(1), High, ReadOnly, TRANSACTIONS_LATER)
        .doc("In-sync replicas that writes to the transaction topic need."),
    int("transaction.state.log.num.partitions", Is("50"), AtLeast(1), High, ReadOnly, TRANSACTIONS_LATER)
        .doc("Partitions of the transaction topic when it is made."),
    short("transaction.state.log.replication.factor", Is("3"), AtLeast(1), High, ReadOnly, TRANSACTIONS_LATER)
        .doc("Replicas of the transaction topic when it is made."),
    int("transaction.state.log.segment.bytes", Is("104857600"), AtLeast(1), High, ReadOnly, TRANSACTIONS_LATER)
        .doc("Segment size of the transaction topic, in bytes."),
    boolean("transaction.two.phase.commit.enable", Is("false"), Any, Low, ReadOnly, TRANSACTIONS_LATER)
        .doc("Whether producers may prepare transactions for a coordinator of their own."),
    int("transactional.id.expiration.ms", Is("604800000"), AtLeast(1), High, ReadOnly, TRANSACTIONS_LATER)
        .doc("Time after which an unused transactional id is forgotten, in milliseconds."),
];

//! The operations that a client may do, as bits, where a request asks for them (KIP-430). Without an authorizer that is
//! every operation that Kafka's resource of the kind has.

/// Numbers of Kafka's ACL operations.
mod operation {
    pub(super) const READ: i32 = 1 << 3;
    pub(super) const WRITE: i32 = 1 << 4;
    pub(super) const CREATE: i32 = 1 << 5;
    pub(super) const DELETE: i32 = 1 << 6;
    pub(super) const ALTER: i32 = 1 << 7;
    pub(super) const DESCRIBE: i32 = 1 << 8;
    pub(super) const CLUSTER_ACTION: i32 = 1 << 9;
    pub(super) const DESCRIBE_CONFIGS: i32 = 1 << 10;
    pub(super) const ALTER_CONFIGS: i32 = 1 << 11;
    pub(super) const IDEMPOTENT_WRITE: i32 = 1 << 12;
}

use self::operation::{
    ALTER, ALTER_CONFIGS, CLUSTER_ACTION, CREATE, DELETE, DESCRIBE, DESCRIBE_CONFIGS, IDEMPOTENT_WRITE, READ, WRITE,
};

pub(super) const TOPIC_OPERATIONS: i32 =
    READ | WRITE | CREATE | DELETE | ALTER | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;
pub(super) const GROUP_OPERATIONS: i32 = READ | DESCRIBE | DELETE | DESCRIBE_CONFIGS | ALTER_CONFIGS;
pub(super) const CLUSTER_OPERATIONS: i32 =
    CREATE | CLUSTER_ACTION | DESCRIBE_CONFIGS | ALTER_CONFIGS | IDEMPOTENT_WRITE | ALTER | DESCRIBE;

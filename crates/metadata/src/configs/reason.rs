//! Why a config is accepted without effect. The sentences stand in docs/reference/configs.md.

use super::Effect::{self, InPart, None};

pub(super) const ALWAYS_BROKER: Effect = None("every process is a broker that keeps its cluster state itself");
pub(super) const CLEANED_IN_PIECES: Effect =
    None("the cleaner reads and writes in pieces of 1 MiB, or of a batch that is larger");
pub(super) const COMMITS_WAIT: Effect = None("a commit is answered once it is durable, however long that takes");
pub(super) const CONSUMER_PROTOCOL_LATER: Effect =
    None("the consumer group protocol of KIP-848 comes with a later release; classic groups are served");
pub(super) const CONTROLLERS_CLOSED: Effect = InPart("the listeners named here are not opened");
pub(super) const DELETED_AT_ONCE: Effect =
    None("removed files go at once: a read under way is answered as if it had come before the removal, or after");
pub(super) const FLUSHED_ANYWAY: Effect =
    InPart("under `millstream.durability=os`; with `fsync` every write is synced before its answer");
pub(super) const FLUSHED_WHEN_DUE: Effect =
    InPart("as the default of `log.flush.interval.ms`; a sync comes when it is due, not at the next check");
pub(super) const GIVEN_AT_START: Effect =
    InPart("as given at start; what is set while the broker runs is kept and shown only");
pub(super) const KAFKA_TESTS: Effect = None("exists for Kafka's own tests");
pub(super) const LIMITS_LATER: Effect = None("connection limits of this kind come with a later release");
pub(super) const MEMORY_BUDGET: Effect = None("requests in memory are bounded by their bytes, not by their number");
pub(super) const NO_JAVA: Effect = None("Java classes cannot be loaded");
pub(super) const NO_KERBEROS: Effect = None("Kerberos is not served");
pub(super) const NO_POOLS: Effect = None("there is one thread per core and no pool to size");
pub(super) const NO_PREALLOCATION: Effect = None("logs are never preallocated; the journal in front of them is");
pub(super) const NO_PROVIDERS: Effect = None("`${...}` in values is not resolved");
pub(super) const NO_PURGATORY: Effect = None("waiting requests leave no remains that would need a clean-up");
pub(super) const NO_QUORUM: Effect = None("there is no controller quorum: cluster state lies in the metadata store");
pub(super) const NO_REPLICAS: Effect = None("brokers share one storage, so nothing is copied between them");
pub(super) const NO_START_LIMIT: Effect = None("a start takes as long as it takes and says so");
pub(super) const NO_TIERING: Effect = None("there is no tiered storage");
pub(super) const OFFSETS_PLAIN: Effect = None("the offsets topic is stored without compression");
pub(super) const ONE_BACKLOG: Effect = None("listeners have one fixed backlog");
pub(super) const ONE_CLEANER: Effect = InPart("one thread cleans, or none with 0");
pub(super) const ONE_FOLDER: Effect = None("a partition's place is not chosen by the user");
pub(super) const ONE_LZ4_LEVEL: Effect = None("lz4 has one level here, the fast one");
pub(super) const ONLY_PLAINTEXT: Effect = InPart("only PLAINTEXT is served so far");
pub(super) const OWN_BUFFERS: Effect = None("coordinators write through the log's own group commit");
pub(super) const OWN_CHECKPOINTS: Effect = None("checkpoints follow the journal, one every 10 s or 16 MiB");
pub(super) const OWN_INTERVALS: Effect = None("each work on logs begins one interval of its own after the start");
pub(super) const OWN_METRICS: Effect = None("metrics are served at /metrics as plain counters, gauges and histograms");
pub(super) const QUOTAS_LATER: Effect = None("quotas come with a later release");
pub(super) const SECURITY_LATER: Effect = None("TLS, SASL and authorization come with a later release");
pub(super) const SHARE_GROUPS_LATER: Effect = None("share groups come with a later release");
pub(super) const STREAMS_GROUPS_LATER: Effect = None("streams groups come with a later release");
pub(super) const SYSTEM_BUFFERS: Effect = None("socket buffers are left to the system, which sizes them by itself");
pub(super) const TELEMETRY_LATER: Effect = None("client telemetry comes with a later release");
pub(super) const TRANSACTIONS_LATER: Effect = None("transactions come with a later release");

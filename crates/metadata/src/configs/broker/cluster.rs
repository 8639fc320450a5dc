//! The node itself: its number, what new topics get, and what Kafka needs for its controller quorum.

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::{Is, Null, Required};
use crate::configs::Effect::ActedOn;
use crate::configs::Importance::{High, Low, Medium};
use crate::configs::Update::{ClusterWide, ReadOnly};
use crate::configs::Valid::{Any, AtLeast, ListOf, NonEmptyListOf};
use crate::configs::reason::{
    ALWAYS_BROKER, CONTROLLERS_CLOSED, KAFKA_TESTS, NO_JAVA, NO_POOLS, NO_PROVIDERS, NO_QUORUM, NO_REPLICAS,
    NO_START_LIMIT,
};
use crate::configs::row::{boolean, class, int, list, long, string};

/// Sorted by name.
pub(super) const KEYS: &[ConfigKey] = &[
    class("alter.config.policy.class.name", Null, Any, Low, ReadOnly, NO_JAVA)
        .doc("Class that may refuse changes of configs."),
    boolean("auto.create.topics.enable", Is("true"), Any, High, ReadOnly, ActedOn)
        .doc("Whether a topic that a producer or consumer names is made when it does not exist."),
    boolean("auto.leader.rebalance.enable", Is("true"), Any, High, ReadOnly, NO_REPLICAS)
        .doc("Whether leadership moves back to the preferred replica in the background."),
    int("background.threads", Is("10"), AtLeast(1), High, ClusterWide, NO_POOLS).doc("Threads for background work."),
    int("broker.heartbeat.interval.ms", Is("2000"), Any, Medium, ReadOnly, NO_QUORUM)
        .doc("Time between a broker's heartbeats to the controller, in milliseconds."),
    int("broker.id", Is("-1"), Any, High, ReadOnly, ActedOn).doc("Number of this broker; `node.id` by its older name."),
    string("broker.rack", Null, Any, Medium, ReadOnly, ActedOn).doc("Rack in which this broker stands."),
    int("broker.session.timeout.ms", Is("9000"), Any, Medium, ReadOnly, NO_QUORUM)
        .doc("Silence after which the controller takes a broker for gone, in milliseconds."),
    list("config.providers", Is(""), ListOf(&[]), Low, ClusterWide, NO_PROVIDERS)
        .doc("Names of the providers that resolve `${...}` in config values."),
    boolean("controlled.shutdown.enable", Is("true"), Any, Medium, ReadOnly, NO_REPLICAS)
        .doc("Whether leadership moves away before a broker stops."),
    list("controller.listener.names", Required, NonEmptyListOf(&[]), High, ReadOnly, CONTROLLERS_CLOSED)
        .doc("Listeners on which the controller is reached."),
    long("controller.performance.always.log.threshold.ms", Is("2000"), AtLeast(0), Medium, ReadOnly, NO_QUORUM)
        .internal()
        .doc("Duration above which a controller event is always logged, in milliseconds."),
    long("controller.performance.sample.period.ms", Is("60000"), AtLeast(100), Medium, ReadOnly, NO_QUORUM)
        .internal()
        .doc("Time between performance messages of the controller, in milliseconds."),
    int("controller.quorum.append.linger.ms", Is("25"), AtLeast(0), Medium, ReadOnly, NO_QUORUM)
        .doc("Time that the leader of the quorum gathers writes before it syncs them, in milliseconds."),
    boolean("controller.quorum.auto.join.enable", Is("false"), Any, Low, ReadOnly, NO_QUORUM)
        .doc("Whether a controller adds itself to the voters when it starts."),
    list("controller.quorum.bootstrap.servers", Is(""), Any, High, ReadOnly, NO_QUORUM)
        .doc("Addresses at which the quorum is found, as `host:port` items."),
    int("controller.quorum.election.backoff.max.ms", Is("1000"), AtLeast(0), High, ReadOnly, NO_QUORUM)
        .doc("Longest wait before a new election of the quorum's leader, in milliseconds."),
    int("controller.quorum.election.timeout.ms", Is("1000"), AtLeast(0), High, ReadOnly, NO_QUORUM)
        .doc("Time without a leader after which a voter calls an election, in milliseconds."),
    int("controller.quorum.fetch.max.bytes", Is("1048576"), AtLeast(1), Low, ReadOnly, NO_QUORUM)
        .doc("Bytes of the metadata log that one fetch of a voter carries."),
    int("controller.quorum.fetch.snapshot.max.bytes", Is("1048576"), AtLeast(1), Low, ReadOnly, NO_QUORUM)
        .doc("Bytes of a metadata snapshot that one fetch carries."),
    int("controller.quorum.fetch.timeout.ms", Is("2000"), AtLeast(0), High, ReadOnly, NO_QUORUM)
        .doc("Time without a fetch after which a leader or a voter of the quorum is given up, in milliseconds."),
    int("controller.quorum.request.timeout.ms", Is("2000"), AtLeast(0), Medium, ReadOnly, NO_QUORUM)
        .doc("Time that a request between voters may take, in milliseconds."),
    int("controller.quorum.retry.backoff.ms", Is("20"), AtLeast(0), Low, ReadOnly, NO_QUORUM)
        .doc("Wait before a request between voters is tried again, in milliseconds."),
    list("controller.quorum.voters", Is(""), Any, High, ReadOnly, NO_QUORUM)
        .doc("The quorum's voters, as `id@host:port` items."),
    int("controller.socket.timeout.ms", Is("30000"), Any, Medium, ReadOnly, NO_QUORUM)
        .doc("Time that a connection to the controller may stall, in milliseconds."),
    class("create.topic.policy.class.name", Null, Any, Low, ReadOnly, NO_JAVA).doc("Class that may refuse new topics."),
    int("default.replication.factor", Is("1"), Any, Medium, ReadOnly, ActedOn)
        .doc("Replicas of a topic that is made without saying how many."),
    boolean("delete.topic.enable", Is("true"), Any, High, ReadOnly, ActedOn).doc("Whether topics may be deleted."),
    int("initial.broker.registration.timeout.ms", Is("60000"), Any, Medium, ReadOnly, NO_QUORUM)
        .doc("Time that a starting broker has to register with the controller, in milliseconds."),
    long("internal.metadata.delete.delay.millis", Is("60000"), Any, Low, ReadOnly, NO_QUORUM)
        .internal()
        .doc("How long a removed snapshot of the metadata log stays on disk."),
    int("internal.metadata.log.segment.bytes", Null, Any, Low, ReadOnly, NO_QUORUM)
        .internal()
        .doc("Segment size of the metadata log below its floor, for Kafka's own tests."),
    int("internal.metadata.max.batch.size.in.bytes", Is("8388608"), Any, Low, ReadOnly, NO_QUORUM)
        .internal()
        .doc("Largest batch that the controller appends to the metadata log, in bytes."),
    long("leader.imbalance.check.interval.seconds", Is("300"), AtLeast(1), High, ReadOnly, NO_REPLICAS)
        .doc("Time between checks for leadership that left the preferred replica."),
    string("metadata.log.dir", Null, Any, High, ReadOnly, NO_QUORUM)
        .doc("Folder of the metadata log, when it shall not be the first of `log.dirs`."),
    long("metadata.log.max.record.bytes.between.snapshots", Is("20971520"), AtLeast(1), High, ReadOnly, NO_QUORUM)
        .doc("Bytes of metadata records after which a snapshot is made."),
    long("metadata.log.max.snapshot.interval.ms", Is("3600000"), AtLeast(0), High, ReadOnly, NO_QUORUM)
        .doc("Time after which a metadata snapshot is made, in milliseconds."),
    int("metadata.log.segment.bytes", Is("1073741824"), AtLeast(8_388_608), High, ReadOnly, NO_QUORUM)
        .doc("Size of a segment of the metadata log, in bytes."),
    long("metadata.log.segment.ms", Is("604800000"), Any, High, ReadOnly, NO_QUORUM)
        .doc("Age at which a segment of the metadata log is closed, in milliseconds."),
    int("metadata.max.idle.interval.ms", Is("500"), AtLeast(0), Low, ReadOnly, NO_QUORUM)
        .doc("Time between the empty records that an idle controller writes, in milliseconds."),
    long("metadata.max.retention.bytes", Is("104857600"), Any, High, ReadOnly, NO_QUORUM)
        .doc("Size of the metadata log and its snapshots before old ones go, in bytes."),
    long("metadata.max.retention.ms", Is("604800000"), Any, High, ReadOnly, NO_QUORUM)
        .doc("Age at which old metadata segments and snapshots go, in milliseconds."),
    int("node.id", Required, AtLeast(0), High, ReadOnly, ActedOn).doc("Number of this node in the cluster."),
    int("num.partitions", Is("1"), AtLeast(1), Medium, ReadOnly, ActedOn)
        .doc("Partitions of a topic that is made without saying how many."),
    list("process.roles", Required, NonEmptyListOf(&["broker", "controller"]), High, ReadOnly, ALWAYS_BROKER)
        .doc("Whether this process is a broker, a controller, or both."),
    long("server.max.startup.time.ms", Is("9223372036854775807"), AtLeast(0), Medium, ReadOnly, NO_START_LIMIT)
        .internal()
        .doc("Longest time that a start may take, in milliseconds."),
    boolean("unstable.api.versions.enable", Is("false"), Any, High, ReadOnly, KAFKA_TESTS)
        .internal()
        .doc("Whether API versions still in the making are served, for Kafka's own tests."),
    boolean("unstable.feature.versions.enable", Is("false"), Any, High, ReadOnly, KAFKA_TESTS)
        .internal()
        .doc("Whether feature levels still in the making may be used, for Kafka's own tests."),
];

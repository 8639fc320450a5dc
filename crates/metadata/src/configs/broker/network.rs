//! Listeners, connections, requests and their limits.

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::{Is, Null};
use crate::configs::Effect::ActedOn;
use crate::configs::Importance::{High, Low, Medium};
use crate::configs::Update::{ClusterWide, PerBroker, ReadOnly};
use crate::configs::Valid::{Any, AtLeast, ListOf, NonEmptyListOf};
use crate::configs::reason::{
    GIVEN_AT_START, LIMITS_LATER, MEMORY_BUDGET, NO_POOLS, NO_PURGATORY, NO_REPLICAS, ONE_BACKLOG, ONLY_PLAINTEXT,
    SECURITY_LATER, SYSTEM_BUFFERS,
};
use crate::configs::row::{int, list, long, string};

/// Sorted by name.
pub(super) const KEYS: &[ConfigKey] = &[
    list("advertised.listeners", Null, NonEmptyListOf(&[]), High, ReadOnly, ActedOn)
        .doc("Addresses that clients are told to connect to, when they differ from `listeners`."),
    int("connection.failed.authentication.delay.ms", Is("100"), AtLeast(0), Low, ReadOnly, SECURITY_LATER)
        .doc("Time by which the closing of a connection is delayed after failed authentication, in milliseconds."),
    long("connections.max.idle.ms", Is("600000"), Any, Medium, ReadOnly, ActedOn)
        .doc("Silence after which a connection is closed, in milliseconds."),
    list("early.start.listeners", Null, ListOf(&[]), High, ReadOnly, SECURITY_LATER)
        .doc("Listeners that open before the authorizer is ready."),
    int("fetch.max.bytes", Is("57671680"), AtLeast(1024), Medium, ReadOnly, ActedOn)
        .doc("Bytes of records that one fetch answer may carry; the first batch always goes."),
    int("fetch.purgatory.purge.interval.requests", Is("1000"), Any, Medium, ReadOnly, NO_PURGATORY)
        .doc("Fetches between two clean-ups of the waiting list."),
    string("inter.broker.listener.name", Null, Any, Medium, ReadOnly, NO_REPLICAS)
        .doc("Listener over which brokers talk to one another."),
    string(
        "listener.security.protocol.map",
        Is("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Any,
        Low,
        PerBroker,
        ONLY_PLAINTEXT,
    )
    .doc("Security protocol of each listener's name, as `NAME:PROTOCOL` items."),
    list("listeners", Is("PLAINTEXT://:9092"), NonEmptyListOf(&[]), High, PerBroker, GIVEN_AT_START)
        .doc("Addresses on which the broker listens, as `NAME://host:port` items."),
    int("max.connection.creation.rate", Is("2147483647"), AtLeast(0), Medium, ClusterWide, LIMITS_LATER)
        .doc("New connections per second that the broker takes."),
    int("max.connections", Is("2147483647"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .doc("Connections that the broker holds at once."),
    int("max.connections.per.ip", Is("2147483647"), AtLeast(0), Medium, ClusterWide, ActedOn)
        .doc("Connections that one address may hold at once."),
    string("max.connections.per.ip.overrides", Is(""), Any, Medium, ClusterWide, LIMITS_LATER)
        .doc("Limits for single addresses, as `host:count` items."),
    int("max.incremental.fetch.session.cache.slots", Is("1000"), AtLeast(0), Medium, ReadOnly, ActedOn)
        .doc("Incremental fetch sessions that the broker keeps."),
    int("max.request.partition.size.limit", Is("2000"), AtLeast(1), Medium, ReadOnly, ActedOn)
        .doc("Partitions that one DescribeTopicPartitions answer may list."),
    int("num.io.threads", Is("8"), AtLeast(1), High, ClusterWide, NO_POOLS).doc("Threads that serve requests."),
    int("num.network.threads", Is("3"), AtLeast(1), High, ClusterWide, NO_POOLS)
        .doc("Threads that read and write sockets."),
    int("producer.purgatory.purge.interval.requests", Is("1000"), Any, Medium, ReadOnly, NO_PURGATORY)
        .doc("Produce requests between two clean-ups of the waiting list."),
    long("queued.max.request.bytes", Is("-1"), Any, Medium, ReadOnly, ActedOn)
        .doc("Bytes of requests that may wait; -1 is no limit."),
    int("queued.max.requests", Is("500"), AtLeast(1), High, ReadOnly, MEMORY_BUDGET)
        .doc("Requests that may wait before the network threads pause."),
    int("request.timeout.ms", Is("30000"), Any, High, ReadOnly, NO_REPLICAS)
        .doc("Time that the broker's own requests to other brokers may take, in milliseconds."),
    long("socket.connection.setup.timeout.max.ms", Is("30000"), Any, Medium, ReadOnly, NO_REPLICAS)
        .doc("Longest time that the broker waits for a connection to another broker, in milliseconds."),
    long("socket.connection.setup.timeout.ms", Is("10000"), Any, Medium, ReadOnly, NO_REPLICAS)
        .doc("Time that the broker waits at first for a connection to another broker, in milliseconds."),
    int("socket.listen.backlog.size", Is("50"), AtLeast(1), Medium, ReadOnly, ONE_BACKLOG)
        .doc("Connections that may wait to be accepted on a listener."),
    int("socket.receive.buffer.bytes", Is("102400"), Any, High, ReadOnly, SYSTEM_BUFFERS)
        .doc("Receive buffer of a socket in bytes; -1 leaves it to the system."),
    int("socket.request.max.bytes", Is("104857600"), AtLeast(1), High, ReadOnly, ActedOn)
        .doc("Largest request that is read, in bytes."),
    int("socket.send.buffer.bytes", Is("102400"), Any, High, ReadOnly, SYSTEM_BUFFERS)
        .doc("Send buffer of a socket in bytes; -1 leaves it to the system."),
];

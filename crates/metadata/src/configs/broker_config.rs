//! The configs of a broker that something follows from, as values; what topics may override is in `LogConfig`.

use std::path::PathBuf;

use super::listener::{self, Listener, ListenerError};
use super::read::Read;
use super::{ConfigValue, Layers, broker};

/// Fields are named after the configs; units stand in the names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerConfig {
    /// `advertised.listeners`, or the listeners themselves; without the controller's.
    pub advertised_listeners: Vec<Listener>,
    pub auto_create_topics_enable: bool,
    /// Negative for never.
    pub connections_max_idle_ms: i64,
    pub default_replication_factor: i32,
    pub delete_topic_enable: bool,
    pub fetch_max_bytes: i32,
    pub group_initial_rebalance_delay_ms: i32,
    pub group_max_session_timeout_ms: i32,
    pub group_max_size: i32,
    pub group_min_session_timeout_ms: i32,
    /// Without the controller's.
    pub listeners: Vec<Listener>,
    /// `log.dirs`, or `log.dir`, where one of them was given.
    pub log_dirs: Option<Vec<PathBuf>>,
    pub max_connections: i32,
    pub max_connections_per_ip: i32,
    pub max_incremental_fetch_session_cache_slots: i32,
    pub max_request_partition_size_limit: i32,
    pub num_partitions: i32,
    pub offset_metadata_max_bytes: i32,
    pub offsets_commit_timeout_ms: i32,
    pub offsets_retention_check_interval_ms: i64,
    pub offsets_retention_minutes: i32,
    pub offsets_topic_num_partitions: i32,
    /// At least 1; the catalog refuses more than there are brokers.
    pub offsets_topic_replication_factor: i32,
    pub offsets_topic_segment_bytes: i32,
    pub socket_listen_backlog_size: i32,
    /// -1 leaves it to the system.
    pub socket_receive_buffer_bytes: i32,
    pub socket_request_max_bytes: i32,
    /// -1 leaves it to the system.
    pub socket_send_buffer_bytes: i32,
}

impl BrokerConfig {
    /// The configs of a broker with these layers.
    pub fn of(layers: Layers<'_>) -> Result<Self, ListenerError> {
        let mut config = Self::read(&Read(|name| layers.broker_value(broker::key(name)?)))?;
        if layers.given.get("log.dirs").or(layers.given.get("log.dir")).is_none() {
            config.log_dirs = None;
        }
        Ok(config)
    }

    pub(super) fn read<F: Fn(&'static str) -> Option<ConfigValue>>(read: &Read<F>) -> Result<Self, ListenerError> {
        let controllers = read.list_if_set("controller.listener.names").unwrap_or_default();
        let protocols = listener::protocols(&read.text("listener.security.protocol.map"))?;
        let parse = |texts: &[String]| listener::parse(texts, &protocols, &controllers);
        let listeners = parse(&read.list("listeners"))?;
        let advertised = read.list_if_set("advertised.listeners");
        let folders = read.list_if_set("log.dirs").unwrap_or_else(|| read.list("log.dir"));
        Ok(Self {
            advertised_listeners: advertised.map_or(Ok(listeners.clone()), |texts| parse(&texts))?,
            auto_create_topics_enable: read.boolean("auto.create.topics.enable"),
            connections_max_idle_ms: read.long("connections.max.idle.ms"),
            default_replication_factor: read.int("default.replication.factor"),
            delete_topic_enable: read.boolean("delete.topic.enable"),
            fetch_max_bytes: read.int("fetch.max.bytes"),
            group_initial_rebalance_delay_ms: read.int("group.initial.rebalance.delay.ms"),
            group_max_session_timeout_ms: read.int("group.max.session.timeout.ms"),
            group_max_size: read.int("group.max.size"),
            group_min_session_timeout_ms: read.int("group.min.session.timeout.ms"),
            listeners,
            log_dirs: Some(folders.into_iter().map(PathBuf::from).collect()),
            max_connections: read.int("max.connections"),
            max_connections_per_ip: read.int("max.connections.per.ip"),
            max_incremental_fetch_session_cache_slots: read.int("max.incremental.fetch.session.cache.slots"),
            max_request_partition_size_limit: read.int("max.request.partition.size.limit"),
            num_partitions: read.int("num.partitions"),
            offset_metadata_max_bytes: read.int("offset.metadata.max.bytes"),
            offsets_commit_timeout_ms: read.int("offsets.commit.timeout.ms"),
            offsets_retention_check_interval_ms: read.long("offsets.retention.check.interval.ms"),
            offsets_retention_minutes: read.int("offsets.retention.minutes"),
            offsets_topic_num_partitions: read.int("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: read.int("offsets.topic.replication.factor"),
            offsets_topic_segment_bytes: read.int("offsets.topic.segment.bytes"),
            socket_listen_backlog_size: read.int("socket.listen.backlog.size"),
            socket_receive_buffer_bytes: read.int("socket.receive.buffer.bytes"),
            socket_request_max_bytes: read.int("socket.request.max.bytes"),
            socket_send_buffer_bytes: read.int("socket.send.buffer.bytes"),
        })
    }
}

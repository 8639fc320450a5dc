//! What the broker reads from its configs at start, checked and in its own terms. Kafka's names stand beside each.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use millstream_coordinator::GroupSettings;
use millstream_metadata::configs::{ConfigValue, Effect, Layers, Overrides, StaticConfig, StaticConfigError, broker};
use millstream_storage::CleanerSettings;

use crate::listeners::{ListenerError, ListenerSpec, check_ports, listeners_of};
use crate::server::ConnectionLimits;

/// Share of the machine's memory that requests may hold when `queued.max.request.bytes` does not say.
const REQUEST_MEMORY_SHARE: u64 = 4;

/// How a broker is started.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// server.properties, flags and `--set`, the stronger last.
    pub config: StaticConfig,
    /// Where all data lies; `None` to take it from `log.dirs` or `log.dir`, and failing those `data_dir_default`.
    pub data_dir: Option<PathBuf>,
    pub data_dir_default: PathBuf,
    /// How many nodes this process is; at least 1. Node n listens n ports above the first.
    pub nodes: u32,
    /// Where `/metrics`, `/healthz` and `/readyz` are served; `None` for nowhere.
    pub http: Option<SocketAddr>,
}

/// Why a broker cannot be started with its configs. Nothing has been touched.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Config(#[from] StaticConfigError),
    #[error(transparent)]
    Listener(#[from] ListenerError),
    #[error("log.dirs names {} directories; this release keeps its logs in one: name one", .0.len())]
    SeveralLogDirs(Vec<String>),
}

/// What is fixed while the broker runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listeners: Vec<ListenerSpec>,
    pub(crate) data_dir: PathBuf,
    /// `socket.request.max.bytes`.
    pub(crate) socket_request_bytes_max: usize,
    /// `queued.max.request.bytes`.
    pub(crate) request_memory_bytes: usize,
    /// `connections.max.idle.ms`.
    pub(crate) connection_idle_max: Duration,
    /// `fetch.max.bytes`.
    pub(crate) fetch_bytes_max: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub(crate) fetch_sessions_max: usize,
    /// `max.request.partition.size.limit`.
    pub(crate) request_partitions_max: usize,
    /// `auto.create.topics.enable`.
    pub(crate) auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub(crate) delete_topics: bool,
    /// `offsets.topic.num.partitions`.
    pub(crate) offsets_topic_partitions: i32,
    /// `offsets.topic.segment.bytes`.
    pub(crate) offsets_topic_segment_bytes: i32,
    /// `offsets.topic.replication.factor`, as far as there are nodes.
    pub(crate) offsets_topic_replication_factor: i16,
    /// `broker.rack`.
    pub(crate) rack: Option<String>,
    /// `producer.id.expiration.check.interval.ms`.
    pub(crate) producer_expiration_check: Duration,
    /// `log.retention.check.interval.ms`.
    pub(crate) retention_check: Duration,
    pub(crate) groups: GroupSettings,
}

impl Settings {
    /// Checks the configs and reads what the broker needs of them.
    pub(crate) fn read(options: &mut BrokerOptions) -> Result<Self, SettingsError> {
        options.config.check()?;
        let config = &options.config;
        let read = Reader(Layers { dynamic: &Overrides::new(), dynamic_default: &Overrides::new(), given: config });
        let queued = read.number("queued.max.request.bytes");
        let listeners = listeners_of(config)?;
        check_ports(&listeners, options.nodes)?;
        let nodes = i16::try_from(options.nodes.max(1)).unwrap_or(i16::MAX);
        Ok(Self {
            listeners,
            data_dir: data_dir(options)?,
            socket_request_bytes_max: read.size("socket.request.max.bytes"),
            request_memory_bytes: usize::try_from(queued).ok().filter(|&bytes| bytes > 0).unwrap_or_else(memory_share),
            connection_idle_max: read.milliseconds("connections.max.idle.ms"),
            fetch_bytes_max: read.size("fetch.max.bytes"),
            fetch_sessions_max: read.size("max.incremental.fetch.session.cache.slots"),
            request_partitions_max: read.size("max.request.partition.size.limit"),
            auto_create_topics: read.boolean("auto.create.topics.enable"),
            delete_topics: read.boolean("delete.topic.enable"),
            offsets_topic_segment_bytes: read.int("offsets.topic.segment.bytes"),
            offsets_topic_partitions: read.int("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: (read.number("offsets.topic.replication.factor") as i16).min(nodes),
            rack: read.given_text("broker.rack"),
            producer_expiration_check: read.milliseconds("producer.id.expiration.check.interval.ms"),
            retention_check: read.milliseconds("log.retention.check.interval.ms"),
            groups: GroupSettings {
                session_timeout_min_ms: read.int("group.min.session.timeout.ms"),
                session_timeout_max_ms: read.int("group.max.session.timeout.ms"),
                initial_rebalance_delay_ms: read.int("group.initial.rebalance.delay.ms"),
                group_size_max: read.size("group.max.size"),
                offset_metadata_max: read.size("offset.metadata.max.bytes"),
                offsets_retention_ms: read.number("offsets.retention.minutes").saturating_mul(60_000),
                offsets_retention_check_interval_ms: read.number("offsets.retention.check.interval.ms"),
                ..GroupSettings::default()
            },
        })
    }
}

/// The directory that a flag, or else the configs, name. Kafka's logs lie in its folder `kafka`.
fn data_dir(options: &BrokerOptions) -> Result<PathBuf, SettingsError> {
    if let Some(dir) = &options.data_dir {
        return Ok(dir.clone());
    }
    let config = &options.config;
    let named = config.get("log.dirs").or_else(|| config.get("log.dir")).unwrap_or_default();
    let dirs: Vec<String> = named.split(',').map(|dir| dir.trim().to_owned()).filter(|dir| !dir.is_empty()).collect();
    match <[String; 1]>::try_from(dirs) {
        Ok([dir]) => Ok(PathBuf::from(dir)),
        Err(none) if none.is_empty() => Ok(options.data_dir_default.clone()),
        Err(several) => Err(SettingsError::SeveralLogDirs(several)),
    }
}

/// A quarter of the machine's memory.
fn memory_share() -> usize {
    let info = rustix::system::sysinfo();
    let bytes = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit)) / REQUEST_MEMORY_SHARE;
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl ConnectionLimits {
    /// `max.connections` and `max.connections.per.ip` of a node as they are now.
    pub(crate) fn of(node: Layers<'_>) -> Self {
        let read = Reader(node);
        Self {
            connections_max: read.size("max.connections"),
            connections_per_ip_max: read.size("max.connections.per.ip"),
        }
    }
}

/// `producer.id.expiration.ms` as it is now.
pub(crate) fn producer_expiration_ms(node: Layers<'_>) -> i64 {
    Reader(node).number("producer.id.expiration.ms")
}

/// `log.cleaner.*` as they are now.
pub(crate) fn cleaner_settings(node: Layers<'_>) -> CleanerSettings {
    let read = Reader(node);
    let rate = read.double("log.cleaner.io.max.bytes.per.second");
    CleanerSettings {
        enabled: read.boolean("log.cleaner.enable") && read.number("log.cleaner.threads") > 0,
        backoff: read.milliseconds("log.cleaner.backoff.ms"),
        map_bytes_max: read.size("log.cleaner.dedupe.buffer.size"),
        map_load_percent: (read.double("log.cleaner.io.buffer.load.factor") * 100.0) as u32,
        // A number beyond the largest integer, as Kafka's default is, limits nothing.
        bytes_per_second_max: (rate < u64::MAX as f64).then_some(rate as u64),
    }
}

/// Reads checked configs by name, defaults included. The names are those of the table, which says that they have an
/// effect; a wrong one panics in tests.
struct Reader<'a>(Layers<'a>);

impl Reader<'_> {
    fn value(&self, name: &str) -> Option<ConfigValue> {
        let key = broker::key(name).expect("the name stands in the table of configs");
        debug_assert!(!matches!(key.effect, Effect::None(_)), "{name} is read, and said to be without effect");
        self.0.broker_value(key)
    }

    fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(ConfigValue::Number(number)) => number,
            other => unreachable!("{name} is a number with a default, not {other:?}"),
        }
    }

    fn double(&self, name: &str) -> f64 {
        match self.value(name) {
            Some(ConfigValue::Double(number)) => number,
            other => unreachable!("{name} is a double with a default, not {other:?}"),
        }
    }

    fn int(&self, name: &str) -> i32 {
        i32::try_from(self.number(name)).unwrap_or(i32::MAX)
    }

    fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(0)
    }

    /// Kafka takes a negative time for none: never.
    fn milliseconds(&self, name: &str) -> Duration {
        let never = Duration::from_secs(365 * 24 * 3600);
        u64::try_from(self.number(name)).map_or(never, |ms| Duration::from_millis(ms).min(never))
    }

    fn boolean(&self, name: &str) -> bool {
        match self.value(name) {
            Some(ConfigValue::Boolean(value)) => value,
            other => unreachable!("{name} is a boolean with a default, not {other:?}"),
        }
    }

    fn given_text(&self, name: &str) -> Option<String> {
        self.0.given.get(name).map(str::to_owned)
    }
}

/// Where a broker listens when nothing says otherwise: this machine only.
pub(crate) const LOOPBACK: [IpAddr; 2] =
    [IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];

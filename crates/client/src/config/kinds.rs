//! The typed configurations of producer, consumer and admin client: Kafka's names, defaults and rules between values.

use std::time::Duration;

use millstream_model::compression::{Compression, CompressionType};

use super::fields::Width;
use super::{ConfigError, Fields};

/// No broker takes more; it also keeps a batch within the format's 32-bit lengths.
const REQUEST_BYTES_MAX: usize = 1 << 30;

/// What every kind of client needs to reach brokers.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// `bootstrap.servers`, each `host:port`.
    pub bootstrap_servers: Vec<String>,
    pub client_id: String,
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout: Duration,
    pub reconnect_backoff: Duration,
    pub reconnect_backoff_max: Duration,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    pub metadata_max_age: Duration,
    /// How long an operation tries in all: `default.api.timeout.ms`, or `max.block.ms` for a producer.
    pub api_timeout: Duration,
}

impl ClientSettings {
    fn read(fields: &mut Fields<'_>, client_id: &str, api_timeout: Duration) -> Result<Self, ConfigError> {
        let servers = fields.required("bootstrap.servers")?;
        let protocol = fields.text("security.protocol").unwrap_or("PLAINTEXT");
        if protocol != "PLAINTEXT" {
            let reason = "this client speaks PLAINTEXT only, so far";
            return Err(ConfigError::invalid("security.protocol", protocol, reason));
        }
        Ok(Self {
            bootstrap_servers: bootstrap_servers(servers)?,
            client_id: fields.text("client.id").filter(|id| !id.is_empty()).unwrap_or(client_id).to_owned(),
            request_timeout: fields.millis("request.timeout.ms", 30_000)?,
            connect_timeout: {
                fields.millis("socket.connection.setup.timeout.max.ms", 30_000)?;
                fields.millis("socket.connection.setup.timeout.ms", 10_000)?
            },
            reconnect_backoff: fields.millis("reconnect.backoff.ms", 50)?,
            reconnect_backoff_max: fields.millis("reconnect.backoff.max.ms", 1000)?,
            retry_backoff: fields.millis("retry.backoff.ms", 100)?,
            retry_backoff_max: fields.millis("retry.backoff.max.ms", 1000)?,
            metadata_max_age: fields.millis("metadata.max.age.ms", 300_000)?,
            api_timeout,
        })
    }
}

fn bootstrap_servers(text: &str) -> Result<Vec<String>, ConfigError> {
    let servers: Vec<String> = text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Into::into).collect();
    if servers.is_empty() {
        return Err(ConfigError::Conflict("No resolvable bootstrap urls given in bootstrap.servers".to_owned()));
    }
    for server in &servers {
        let port = server.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>()));
        if !matches!(port, Some(Ok(1..))) {
            return Err(ConfigError::Conflict(format!("Invalid url in bootstrap.servers: {server}")));
        }
    }
    Ok(servers)
}

/// Configuration of an `Admin`.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    pub client: ClientSettings,
}

impl AdminConfig {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, ConfigError> {
        fields.number("retries", i64::from(i32::MAX), Width::Int, 0..=i64::from(i32::MAX))?;
        let api_timeout = fields.millis("default.api.timeout.ms", 60_000)?;
        Ok(Self { client: ClientSettings::read(fields, "adminclient-1", api_timeout)? })
    }
}

/// Configuration of a `Producer`.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    pub client: ClientSettings,
    /// 0, 1, or −1 for all.
    pub acks: i16,
    pub enable_idempotence: bool,
    pub linger: Duration,
    pub batch_bytes: usize,
    pub buffer_memory_bytes: usize,
    pub max_request_bytes: usize,
    pub max_in_flight: usize,
    pub retries: u32,
    pub delivery_timeout: Duration,
    /// How long `send` waits for metadata and for buffer memory.
    pub max_block: Duration,
    pub compression: Compression,
    /// `partitioner.ignore.keys`: spread records with keys as if they had none.
    pub ignore_keys: bool,
}

impl ProducerConfig {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, ConfigError> {
        let acks = fields.choice("acks", -1, &[("all", -1), ("-1", -1), ("0", 0), ("1", 1)])?;
        let retries = fields.number("retries", i64::from(i32::MAX), Width::Int, 0..=i64::from(i32::MAX))?;
        let max_in_flight = fields.count("max.in.flight.requests.per.connection", 5, 1)?;
        let max_block = fields.millis("max.block.ms", 60_000)?;
        let client = ClientSettings::read(fields, "producer-1", max_block)?;
        let linger = fields.millis("linger.ms", 5)?;
        if fields.text("transactional.id").is_some() {
            return Err(ConfigError::Conflict("transactional.id: this client has no transactions, so far".to_owned()));
        }
        Ok(Self {
            acks,
            enable_idempotence: idempotence(fields, acks, retries, max_in_flight)?,
            linger,
            batch_bytes: fields.count("batch.size", 16_384, 0)?,
            buffer_memory_bytes: fields.number("buffer.memory", 32 << 20, Width::Long, 0..=i64::MAX)? as usize,
            max_request_bytes: fields.count("max.request.size", 1 << 20, 0)?.min(REQUEST_BYTES_MAX),
            max_in_flight,
            retries: u32::try_from(retries).unwrap_or(u32::MAX),
            delivery_timeout: delivery_timeout(fields, linger, client.request_timeout)?,
            max_block,
            compression: compression(fields)?,
            ignore_keys: fields.flag("partitioner.ignore.keys", false)?,
            client,
        })
    }
}

/// On unless a setting excludes it; asked for by name together with such a setting, it is an error (KIP-679).
fn idempotence(fields: &mut Fields<'_>, acks: i16, retries: i64, in_flight: usize) -> Result<bool, ConfigError> {
    let wanted = fields.flag("enable.idempotence", true)?;
    let asked = fields.is_set("enable.idempotence") && wanted;
    let excluded = if acks != -1 {
        Some("Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.")
    } else if retries == 0 {
        Some("Must set retries to non-zero when using the idempotent producer.")
    } else if in_flight > 5 {
        Some("Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.")
    } else {
        None
    };
    match excluded {
        Some(reason) if asked => Err(ConfigError::Conflict(reason.to_owned())),
        Some(_) => Ok(false),
        None => Ok(wanted),
    }
}

fn delivery_timeout(fields: &mut Fields<'_>, linger: Duration, request: Duration) -> Result<Duration, ConfigError> {
    let given = fields.millis("delivery.timeout.ms", 120_000)?;
    let least = linger.saturating_add(request);
    if given >= least {
        return Ok(given);
    }
    if fields.is_set("delivery.timeout.ms") {
        let reason = "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms";
        return Err(ConfigError::Conflict(reason.to_owned()));
    }
    Ok(least)
}

fn compression(fields: &mut Fields<'_>) -> Result<Compression, ConfigError> {
    let choices = CompressionType::ALL.map(|codec| (codec.name(), codec));
    let codec = fields.choice("compression.type", CompressionType::None, &choices)?;
    let levels = |range: std::ops::RangeInclusive<i32>| i64::from(*range.start())..=i64::from(*range.end());
    let lz4 = i64::from(Compression::LZ4_LEVEL_DEFAULT);
    fields.number("compression.lz4.level", lz4, Width::Int, levels(Compression::LZ4_LEVELS))?;
    let zstd = i64::from(Compression::ZSTD_LEVEL_DEFAULT);
    let zstd = fields.number("compression.zstd.level", zstd, Width::Int, levels(Compression::ZSTD_LEVELS))?;
    let gzip = i64::from(Compression::GZIP_LEVEL_DEFAULT);
    let gzip = match fields.text("compression.gzip.level") {
        Some("-1") => gzip,
        _ => fields.number("compression.gzip.level", gzip, Width::Int, levels(Compression::GZIP_LEVELS))?,
    };
    Ok(match codec {
        CompressionType::Gzip => Compression::Gzip { level: gzip as i32 },
        CompressionType::Zstd => Compression::Zstd { level: zstd as i32 },
        other => other.into(),
    })
}

/// Where a consumer starts without a committed offset, or outside the log (`auto.offset.reset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoOffsetReset {
    Latest,
    Earliest,
    /// An error.
    None,
}

/// Which records a consumer sees (`isolation.level`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
}

impl IsolationLevel {
    pub(crate) const fn id(self) -> i8 {
        self as i8
    }
}

/// How a group's leader shares out partitions (`partition.assignment.strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    Range,
    RoundRobin,
    Sticky,
    CooperativeSticky,
}

impl Assignor {
    const ALL: [(&'static str, &'static str, Self); 4] = [
        ("range", "RangeAssignor", Self::Range),
        ("roundrobin", "RoundRobinAssignor", Self::RoundRobin),
        ("sticky", "StickyAssignor", Self::Sticky),
        ("cooperative-sticky", "CooperativeStickyAssignor", Self::CooperativeSticky),
    ];

    /// The name in the group protocol.
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(protocol, ..)| *protocol == name).map(|(.., assignor)| *assignor)
    }

    /// By Java's class name, with or without its package, or by the protocol's name.
    fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(text);
        Self::ALL.iter().find(|(protocol, class, _)| name == *protocol || name == *class).map(|(.., found)| *found)
    }
}

/// Configuration of a `Consumer`.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    pub client: ClientSettings,
    pub group_id: Option<String>,
    pub group_instance_id: Option<String>,
    pub auto_offset_reset: AutoOffsetReset,
    pub enable_auto_commit: bool,
    pub auto_commit_interval: Duration,
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    pub max_poll_interval: Duration,
    pub max_poll_records: usize,
    pub fetch_min_bytes: i32,
    pub fetch_max_bytes: i32,
    pub fetch_max_wait: Duration,
    pub max_partition_fetch_bytes: i32,
    pub isolation_level: IsolationLevel,
    pub allow_auto_create_topics: bool,
    pub assignors: Vec<Assignor>,
}

impl ConsumerConfig {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, ConfigError> {
        let group_id = fields.text("group.id").filter(|id| !id.is_empty()).map(str::to_owned);
        let api_timeout = fields.millis("default.api.timeout.ms", 60_000)?;
        let client_id =
            group_id.as_ref().map_or_else(|| "consumer-null-1".into(), |group| format!("consumer-{group}-1"));
        let client = ClientSettings::read(fields, &client_id, api_timeout)?;
        let resets = [
            ("latest", AutoOffsetReset::Latest),
            ("earliest", AutoOffsetReset::Earliest),
            ("none", AutoOffsetReset::None),
        ];
        let levels =
            [("read_committed", IsolationLevel::ReadCommitted), ("read_uncommitted", IsolationLevel::ReadUncommitted)];
        // Without a group there is nowhere to commit to; Kafka turns it off likewise.
        let auto_commit = fields.flag("enable.auto.commit", group_id.is_some())? && group_id.is_some();
        Ok(Self {
            client,
            group_instance_id: fields.text("group.instance.id").filter(|id| !id.is_empty()).map(str::to_owned),
            auto_offset_reset: fields.choice("auto.offset.reset", AutoOffsetReset::Latest, &resets)?,
            enable_auto_commit: auto_commit,
            auto_commit_interval: fields.millis("auto.commit.interval.ms", 5000)?,
            session_timeout: fields.millis("session.timeout.ms", 45_000)?,
            heartbeat_interval: fields.millis("heartbeat.interval.ms", 3000)?,
            max_poll_interval: fields.millis("max.poll.interval.ms", 300_000)?,
            max_poll_records: fields.count("max.poll.records", 500, 1)?,
            fetch_min_bytes: fields.count("fetch.min.bytes", 1, 0)? as i32,
            fetch_max_bytes: fields.count("fetch.max.bytes", 50 << 20, 0)? as i32,
            fetch_max_wait: fields.millis("fetch.max.wait.ms", 500)?,
            max_partition_fetch_bytes: fields.count("max.partition.fetch.bytes", 1 << 20, 0)? as i32,
            isolation_level: fields.choice("isolation.level", IsolationLevel::ReadUncommitted, &levels)?,
            allow_auto_create_topics: fields.flag("allow.auto.create.topics", true)?,
            assignors: assignors(fields)?,
            group_id,
        })
    }
}

fn assignors(fields: &mut Fields<'_>) -> Result<Vec<Assignor>, ConfigError> {
    let name = "partition.assignment.strategy";
    let Some(text) = fields.text(name) else { return Ok(vec![Assignor::Range, Assignor::CooperativeSticky]) };
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let found: Option<Vec<_>> = words.map(Assignor::parse).collect();
    let found = found.ok_or_else(|| ConfigError::invalid(name, text, "not an assignor that this client has"))?;
    if found.is_empty() {
        return Err(ConfigError::invalid(name, text, "Configuration can't be empty"));
    }
    Ok(found)
}

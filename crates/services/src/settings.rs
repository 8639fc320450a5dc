//! The settings of both services, read once from the configuration and checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;
use crate::hosts::Hosts;
use crate::service_log::{MAIN, ServiceLog};

/// How measurements travel from producer to consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Through a topic.
    Event,
    /// The consumer asks the producer over HTTP.
    Rest,
}

/// A property whose value is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{property}={value}: expected {expected}")]
pub struct SettingsError {
    property: &'static str,
    value: String,
    expected: &'static str,
}

/// What both services need.
#[derive(Clone, Debug)]
pub(crate) struct CommonSettings {
    pub(crate) http: SocketAddr,
    pub(crate) hosts: Hosts,
    pub(crate) kafka: KafkaSettings,
    /// Tracing was asked for, with this property.
    pub(crate) jaeger: bool,
    jaeger_property: &'static str,
}

/// The channel `data` of the lab's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KafkaSettings {
    pub(crate) servers: String,
    pub(crate) topic: String,
    /// Further properties of the Kafka client, under Kafka's names.
    pub(crate) properties: Vec<(String, String)>,
    /// Properties of the channel that have no meaning here.
    pub(crate) ignored: Vec<String>,
}

/// Settings of data-producer.
#[derive(Clone, Debug)]
pub(crate) struct ProducerSettings {
    pub(crate) common: CommonSettings,
    pub(crate) interval: Duration,
}

/// Settings of data-consumer.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerSettings {
    pub(crate) common: CommonSettings,
    pub(crate) producer_host: String,
    pub(crate) producer_port: u16,
}

/// What differs between the services where both have the same property.
struct Kind {
    /// The channel's prefix.
    channel: &'static str,
    jaeger: &'static str,
    dev_port: u16,
}

const PRODUCER: Kind =
    Kind { channel: "mp.messaging.outgoing.data.", jaeger: "producer.jaeger.enabled", dev_port: 8080 };
const CONSUMER: Kind =
    Kind { channel: "mp.messaging.incoming.data.", jaeger: "consumer.jaeger.enabled", dev_port: 8081 };

const INTERVAL_PROPERTY: &str = "producer.interval.ms";
const INTERVAL_DEFAULT_MS: u64 = 2_000;
const TOPIC_DEFAULT: &str = "manual";

impl ProducerSettings {
    pub(crate) fn read(config: &Config) -> Result<Self, SettingsError> {
        let milliseconds = parse(config, INTERVAL_PROPERTY, "a positive number of milliseconds", positive)?;
        let interval = Duration::from_millis(milliseconds.unwrap_or(INTERVAL_DEFAULT_MS));
        Ok(Self { common: CommonSettings::read(config, &PRODUCER)?, interval })
    }
}

impl ConsumerSettings {
    pub(crate) fn read(config: &Config) -> Result<Self, SettingsError> {
        let producer_host = if is_dev(config) { "localhost" } else { "data-producer" };
        let port = parse(config, "application.data-producer.port", "a port", |text| text.parse().ok())?;
        Ok(Self {
            common: CommonSettings::read(config, &CONSUMER)?,
            producer_host: config.get("application.data-producer.url").unwrap_or(producer_host).to_owned(),
            producer_port: port.unwrap_or(8080),
        })
    }
}

impl CommonSettings {
    fn read(config: &Config, kind: &Kind) -> Result<Self, SettingsError> {
        // Loopback unless somebody asks for more: nobody authenticates here.
        let host = parse(config, "quarkus.http.host", "an IP address or localhost", address)?;
        let port = parse(config, "quarkus.http.port", "a port", |text| text.parse().ok())?;
        let port = port.unwrap_or(if is_dev(config) { kind.dev_port } else { 8080 });
        let jaeger = parse(config, kind.jaeger, "true or false", |text| text.parse().ok())?;
        Ok(Self {
            http: SocketAddr::new(host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port),
            hosts: Hosts::new(config.get("MILLSTREAM_HOSTS").map(PathBuf::from)),
            kafka: KafkaSettings::read(config, kind.channel),
            jaeger: jaeger.unwrap_or(false),
            jaeger_property: kind.jaeger,
        })
    }
}

impl CommonSettings {
    /// The first lines of a service's log: where it listens, and which settings do nothing.
    pub(crate) fn announce(&self, service: &str, address: SocketAddr, log: &ServiceLog) {
        let version = env!("CARGO_PKG_VERSION");
        log.info(MAIN, format_args!("{service} {version} started. Listening on: http://{address}"));
        if self.jaeger {
            log.warn(MAIN, format_args!("{}=true: tracing is not served yet, nothing is traced", self.jaeger_property));
        }
        for name in &self.kafka.ignored {
            log.warn(MAIN, format_args!("the channel's property {name} has no effect"));
        }
    }
}

impl KafkaSettings {
    /// A property of the channel goes before one of all channels (`kafka.…`), and that before the default.
    fn read(config: &Config, channel: &str) -> Self {
        let default = if is_dev(config) { "localhost:9092" } else { "amm-techlab-kafka-bootstrap:9092" };
        let servers =
            config.get(&format!("{channel}bootstrap.servers")).or_else(|| config.get("kafka.bootstrap.servers"));
        let mut settings = Self {
            servers: servers.unwrap_or(default).to_owned(),
            topic: config.get(&format!("{channel}topic")).unwrap_or(TOPIC_DEFAULT).to_owned(),
            properties: Vec::new(),
            ignored: Vec::new(),
        };
        for (name, value) in config.with_prefix("kafka.").chain(config.with_prefix(channel)) {
            match meaning(name) {
                Meaning::OfTheClient => settings.properties.push((name.to_owned(), value.to_owned())),
                Meaning::ReadHere => {}
                Meaning::None => settings.ignored.push(name.to_owned()),
            }
        }
        settings
    }
}

enum Meaning {
    OfTheClient,
    ReadHere,
    None,
}

/// What a property of the channel is to this service. The lab names Java classes that turn records into measurements;
/// ours knows how. Names with a hyphen belong to the framework that the lab uses, not to Kafka.
fn meaning(name: &str) -> Meaning {
    match name {
        "bootstrap.servers" | "topic" | "connector" => Meaning::ReadHere,
        "key.serializer" | "value.serializer" | "key.deserializer" | "value.deserializer" => Meaning::ReadHere,
        name if name.contains('-') => Meaning::None,
        _ => Meaning::OfTheClient,
    }
}

fn is_dev(config: &Config) -> bool {
    config.profile() == "dev"
}

fn positive(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number > 0)
}

fn address(text: &str) -> Option<IpAddr> {
    if text == "localhost" { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { text.parse().ok() }
}

fn parse<T>(
    config: &Config,
    property: &'static str,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, SettingsError> {
    let Some(value) = config.get(property) else { return Ok(None) };
    let parsed = read(value.trim());
    parsed.map(Some).ok_or_else(|| SettingsError { property, value: value.to_owned(), expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        Config::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn defaults_are_those_of_the_lab_but_on_loopback() {
        let consumer = ConsumerSettings::read(&config(&[])).unwrap();
        assert_eq!(consumer.common.http.to_string(), "127.0.0.1:8080");
        assert_eq!(consumer.common.kafka.servers, "amm-techlab-kafka-bootstrap:9092");
        assert_eq!(consumer.common.kafka.topic, "manual");
        assert_eq!((consumer.producer_host.as_str(), consumer.producer_port), ("data-producer", 8080));
        assert_eq!(ProducerSettings::read(&config(&[])).unwrap().interval, Duration::from_secs(2));
    }

    #[test]
    fn the_dev_profile_is_for_one_machine() {
        let dev = config(&[("QUARKUS_PROFILE", "dev")]);
        let consumer = ConsumerSettings::read(&dev).unwrap();
        assert_eq!(consumer.common.http.to_string(), "127.0.0.1:8081");
        assert_eq!(consumer.common.kafka.servers, "localhost:9092");
        assert_eq!(consumer.producer_host, "localhost");
        assert_eq!(ProducerSettings::read(&dev).unwrap().common.http.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn the_labs_config_map_is_understood() {
        let consumer = ConsumerSettings::read(&config(&[
            ("kafka.bootstrap.servers", "broker:9092"),
            ("consumer.jaeger.enabled", "true"),
            ("mp.messaging.incoming.data.connector", "smallrye-kafka"),
            ("mp.messaging.incoming.data.topic", "other"),
            ("mp.messaging.incoming.data.group.id", "readers"),
            ("mp.messaging.incoming.data.health-enabled", "true"),
            (
                "mp.messaging.incoming.data.value.deserializer",
                "ch.puzzle.quarkustechlab.reactiveconsumer.control.SensorMeasurementDeserializer",
            ),
        ]));
        let consumer = consumer.unwrap();
        assert!(consumer.common.jaeger);
        let expected = KafkaSettings {
            servers: "broker:9092".to_owned(),
            topic: "other".to_owned(),
            properties: vec![("group.id".to_owned(), "readers".to_owned())],
            ignored: vec!["health-enabled".to_owned()],
        };
        assert_eq!(consumer.common.kafka, expected);
    }

    #[test]
    fn values_of_no_use_name_the_property_and_what_was_expected() {
        let check = |variable: &str, value: &str, message: &str| {
            let error = ProducerSettings::read(&config(&[(variable, value)])).unwrap_err();
            assert_eq!(error.to_string(), message);
        };
        check("QUARKUS_HTTP_PORT", "80800", "quarkus.http.port=80800: expected a port");
        check("QUARKUS_HTTP_HOST", "nowhere", "quarkus.http.host=nowhere: expected an IP address or localhost");
        check("producer.jaeger.enabled", "yes", "producer.jaeger.enabled=yes: expected true or false");
        check("PRODUCER_INTERVAL_MS", "0", "producer.interval.ms=0: expected a positive number of milliseconds");
    }
}

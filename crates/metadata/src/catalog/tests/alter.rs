//! Configs: changed, refused, shown.

use super::*;
use crate::configs::ConfigEntry;

fn set(text: &str) -> ConfigOperation {
    ConfigOperation::Set(text.to_owned())
}

fn append(text: &str) -> ConfigOperation {
    ConfigOperation::Append(text.to_owned())
}

fn subtract(text: &str) -> ConfigOperation {
    ConfigOperation::Subtract(text.to_owned())
}

fn of_topic(name: &str) -> ConfigResource {
    ConfigResource::Topic(name.to_owned())
}

const THIS: ConfigResource = ConfigResource::Broker(Some(ONE));
const ALL: ConfigResource = ConfigResource::Broker(None);

async fn alter(
    catalog: &Catalog,
    resource: ConfigResource,
    name: &str,
    operation: ConfigOperation,
) -> Result<(), AlterConfigsError> {
    let change = ConfigChange { resource, operations: vec![(name.to_owned(), operation)], replace: false };
    catalog.alter_configs(ONE, &[change], false).await.unwrap().remove(0)
}

/// A cluster with the topic `t1`.
async fn with_topic(given: &[(&str, &str)]) -> Catalog {
    let catalog = cluster_on(&MemoryStore::new(), 1, given).await;
    create(&catalog, topic("t1", 3, 1)).await.unwrap();
    catalog
}

/// `name=value SOURCE [SYNONYM_SOURCE:name=value …]`.
fn shown(entry: &ConfigEntry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonyms = entry.synonyms.iter().map(|s| format!("{:?}:{}={}", s.source, s.name, text(&s.value)));
    format!("{}={} {:?} {:?}", entry.name, text(&entry.value), entry.source, synonyms.collect::<Vec<_>>())
}

fn topic_config(catalog: &Catalog, config: &str) -> String {
    let image = catalog.image();
    let entries = image.describe_topic_configs(ONE, &image.topic("t1").unwrap().configs);
    shown(entries.iter().find(|entry| entry.name == config).unwrap())
}

fn broker_config(catalog: &Catalog, config: &str) -> String {
    shown(catalog.image().describe_broker_configs(ONE).iter().find(|entry| entry.name == config).unwrap())
}

#[tokio::test]
async fn configs_of_new_topics_are_refused_in_kafkas_words() {
    let catalog = cluster(1).await;
    for (config, value, message) in [
        ("no.such", "1", "Unknown topic config name: no.such"),
        ("retention.ms", "abc", "Invalid value abc for configuration retention.ms: Not a number of type LONG"),
        ("retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"),
        ("cleanup.policy", "compact,", "Configuration 'cleanup.policy' values must not be empty."),
        (
            "remote.storage.enable",
            "true",
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
             storage.",
        ),
    ] {
        assert_eq!(refusal(&catalog, with_config("t", config, value)).await, message);
    }
    let lags = [("min.compaction.lag.ms", "100"), ("max.compaction.lag.ms", "50")];
    let configs = lags.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).to_vec();
    assert_eq!(
        refusal(&catalog, NewTopic { configs, ..NewTopic::named("t") }).await,
        "conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (50)"
    );
    let null = NewTopic { configs: vec![("retention.ms".to_owned(), None)], ..NewTopic::named("t") };
    assert_eq!(refusal(&catalog, null).await, "Null value not supported for topic configs: retention.ms");
    create(&catalog, with_config("t", "cleanup.policy", " compact , delete ")).await.unwrap();
    assert!(catalog.image().log_config(ONE, &catalog.image().topic("t").unwrap().configs).cleanup_compact);
}

#[tokio::test]
async fn changes_of_a_topic_are_refused_in_kafkas_words() {
    let catalog = with_topic(&[]).await;
    let name_of = "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', \
                   '_' and '-'";
    let not_a_list = "Can't APPEND to key retention.ms because its type is not LIST.";
    for (resource, config, operation, message) in [
        ("t1", "no.such", set("1"), "Unknown topic config name: no.such"),
        ("t1", "retention.ms", set("x"), "Invalid value x for configuration retention.ms: Not a number of type LONG"),
        ("t1", "retention.ms", append("1"), not_a_list),
        ("t1", "no.such", subtract("1"), "Can't SUBTRACT to key no.such because its type is not LIST."),
        ("t1", "cleanup.policy", append(""), "Configuration 'cleanup.policy' values must not be empty."),
        ("nope", "retention.ms", set("1"), "The topic 'nope' does not exist."),
        ("nope", "no.such", set("1"), "Unknown topic config name: no.such"),
        ("a b", "retention.ms", set("1"), name_of),
        ("", "retention.ms", set("1"), "Default topic resources are not allowed."),
    ] {
        let error = alter(&catalog, of_topic(resource), config, operation).await.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert!(catalog.image().topic("t1").unwrap().configs.is_empty());
    for harmless in ["no.such", "retention.ms"] {
        assert_eq!(alter(&catalog, of_topic("t1"), harmless, ConfigOperation::Delete).await, Ok(()));
    }
}

#[tokio::test]
async fn a_value_that_is_too_long_is_refused_before_it_is_looked_at() {
    let catalog = with_topic(&[]).await;
    let message = "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.";
    let long = "0:1,".repeat(9000);
    let replicas = "leader.replication.throttled.replicas";
    for operation in [set(&long), append(&long), subtract(&long)] {
        assert_eq!(alter(&catalog, of_topic("t1"), replicas, operation).await.unwrap_err().to_string(), message);
    }
    assert_eq!(refusal(&catalog, with_config("t2", replicas, &long)).await, message);
    let half: String = (0..3500).map(|n| format!("{n}:1")).collect::<Vec<_>>().join(",");
    alter(&catalog, of_topic("t1"), replicas, append(&half)).await.unwrap();
    let more = half.replace(":1", ":2");
    assert_eq!(alter(&catalog, of_topic("t1"), replicas, append(&more)).await.unwrap_err().to_string(), message);
}

#[tokio::test]
async fn lists_grow_from_the_default_and_shrink() {
    let catalog = with_topic(&[]).await;
    let default = "Default:log.cleanup.policy=delete";
    for (operation, value) in
        [(append("compact"), "delete,compact"), (subtract("delete"), "compact"), (subtract("compact"), "")]
    {
        alter(&catalog, of_topic("t1"), "cleanup.policy", operation).await.unwrap();
        let synonyms = format!("[\"DynamicTopic:cleanup.policy={value}\", \"{default}\"]");
        assert_eq!(topic_config(&catalog, "cleanup.policy"), format!("cleanup.policy={value} DynamicTopic {synonyms}"));
    }
    alter(&catalog, of_topic("t1"), "cleanup.policy", ConfigOperation::Delete).await.unwrap();
    assert_eq!(topic_config(&catalog, "cleanup.policy"), format!("cleanup.policy=delete Default [\"{default}\"]"));
}

#[tokio::test]
async fn a_list_grows_from_the_default_whatever_the_broker_sets() {
    let catalog = with_topic(&[("log.cleanup.policy", "compact")]).await;
    alter(&catalog, of_topic("t1"), "cleanup.policy", append("compact")).await.unwrap();
    assert_eq!(catalog.image().topic("t1").unwrap().configs["cleanup.policy"], "delete,compact");
}

#[tokio::test]
async fn a_broker_config_changes_the_topics_that_do_not_set_it() {
    let catalog = with_topic(&[("log.retention.hours", "168")]).await;
    assert_eq!(topic_config(&catalog, "retention.ms"), "retention.ms=604800000 Default []");
    for resource in [THIS, ALL] {
        alter(&catalog, resource.clone(), "log.retention.ms", set("77777")).await.unwrap();
        alter(&catalog, resource, "log.roll.ms", set("5555")).await.unwrap();
    }
    assert_eq!(
        topic_config(&catalog, "retention.ms"),
        "retention.ms=77777 DynamicBroker [\"DynamicBroker:log.retention.ms=77777\", \
         \"DynamicDefaultBroker:log.retention.ms=77777\", \"StaticBroker:log.retention.hours=168\", \
         \"Default:log.retention.hours=168\"]"
    );
    assert_eq!(
        topic_config(&catalog, "segment.ms"),
        "segment.ms=5555 DynamicBroker [\"DynamicBroker:log.roll.ms=5555\", \"DynamicDefaultBroker:log.roll.ms=5555\", \
         \"Default:log.roll.hours=168\"]"
    );
    let image = catalog.image();
    assert_eq!(image.log_config(ONE, &image.topic("t1").unwrap().configs).segment_ms, 5_555);
}

#[tokio::test]
async fn hours_and_minutes_become_milliseconds() {
    for (given, retention_ms) in [
        (vec![("log.retention.hours", "2")], 7_200_000),
        (vec![("log.retention.hours", "2"), ("log.retention.minutes", "3")], 180_000),
        (vec![("log.retention.ms", "-1"), ("log.retention.minutes", "3")], -1),
        (vec![("log.retention.hours", "-1")], -1),
        (vec![], 604_800_000),
    ] {
        let catalog = with_topic(&given).await;
        let image = catalog.image();
        let key = crate::configs::topic::key("retention.ms").unwrap();
        let value = image.broker_layers(ONE).resource_value(key, &Default::default()).unwrap();
        assert_eq!(value.to_string(), retention_ms.to_string(), "{given:?}");
    }
}

#[tokio::test]
async fn changes_of_a_broker_are_refused_in_kafkas_words() {
    let catalog = cluster(2).await;
    let secure = "These security configs can be dynamically updated only per-listener using the listener prefix: \
                  [ssl.keystore.location]";
    let per_broker = "Cannot update these configs at default cluster level, broker id must be specified:";
    let keystore = "listener.name.external.ssl.keystore.location";
    let other = ConfigResource::Broker(Some(BrokerId(2)));
    for (resource, config, operation, message) in [
        (
            THIS,
            "log.retention.ms",
            set("x"),
            "Invalid value x for configuration log.retention.ms: Not a number of type LONG",
        ),
        (THIS, "num.partitions", set("3"), "Cannot update these configs dynamically: [num.partitions]"),
        (THIS, "ssl.keystore.location", set("/x"), secure),
        (THIS, "log.retention.ms", append("1"), "Config value append is not allowed for config key: log.retention.ms"),
        (
            THIS,
            "message.max.bytes",
            set("-1"),
            "Invalid value -1 for configuration message.max.bytes: Value must be at least 0",
        ),
        (ALL, keystore, set("/x"), &format!("{per_broker} [{keystore}]")),
        (ALL, "listeners", set("PLAINTEXT://:1"), &format!("{per_broker} [listeners]")),
        (other, "log.retention.ms", set("1"), "Unexpected broker id, expected 1, but received 2"),
    ] {
        let error = alter(&catalog, resource, config, operation).await.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    for (config, value) in [(keystore, "/x"), ("no.such", "1"), ("leader.replication.throttled.rate", "1")] {
        alter(&catalog, THIS, config, set(value)).await.unwrap();
    }
    assert_eq!(broker_config(&catalog, "no.such"), "no.such=null DynamicBroker [\"DynamicBroker:no.such=null\"]");
}

#[tokio::test]
async fn a_broker_is_shown_as_kafka_shows_it() {
    let catalog = with_topic(&[("log.retention.hours", "168"), ("log.dirs", "/data"), ("super.users", "User:x")]).await;
    for (config, line) in [
        ("broker.id", "broker.id=1 StaticBroker [\"StaticBroker:broker.id=1\", \"Default:broker.id=-1\"]"),
        ("node.id", "node.id=1 StaticBroker [\"StaticBroker:node.id=1\"]"),
        ("log.dirs", "log.dirs=/data StaticBroker [\"StaticBroker:log.dirs=/data\"]"),
        ("log.retention.ms", "log.retention.ms=null Default []"),
        ("log.flush.interval.ms", "log.flush.interval.ms=null Default []"),
        ("sasl.jaas.config", "sasl.jaas.config=null Default []"),
        ("super.users", "super.users=null StaticBroker [\"StaticBroker:super.users=null\"]"),
        ("listeners", "listeners=PLAINTEXT://:9092 Default [\"Default:listeners=PLAINTEXT://:9092\"]"),
    ] {
        assert_eq!(broker_config(&catalog, config), line);
    }
    let image = catalog.image();
    let entries = image.describe_broker_configs(ONE);
    let entry = |name: &str| entries.iter().find(|entry| entry.name == name);
    assert!(entry("num.partitions").unwrap().read_only && !entry("log.retention.ms").unwrap().read_only);
    assert!(entry("super.users").unwrap().sensitive && entry("sasl.jaas.config").unwrap().sensitive);
    assert!(entry("leader.replication.throttled.rate").is_none() && entry("unstable.api.versions.enable").is_none());
}

#[tokio::test]
async fn the_broker_without_a_number_shows_what_is_set_for_all() {
    let catalog = cluster(1).await;
    alter(&catalog, ALL, "log.cleanup.policy", append("compact")).await.unwrap();
    alter(&catalog, THIS, "log.retention.ms", set("5")).await.unwrap();
    let entries: Vec<String> = catalog.image().describe_default_broker_configs().iter().map(shown).collect();
    let line = "log.cleanup.policy=delete,compact DynamicDefaultBroker \
                [\"DynamicDefaultBroker:log.cleanup.policy=delete,compact\"]";
    assert_eq!(entries, [line]);
}

#[tokio::test]
async fn groups_have_configs_of_their_own() {
    let catalog = cluster(1).await;
    let group = |name: &str| ConfigResource::Group(name.to_owned());
    for (name, config, operation, message) in [
        ("g1", "no.such", set("1"), "Unknown group config name: no.such"),
        (
            "g1",
            "share.delivery.count.limit",
            set("1"),
            "Invalid value 1 for configuration share.delivery.count.limit: Value must be at least 2",
        ),
        (
            "g1",
            "consumer.session.timeout.ms",
            append("1"),
            "Can't APPEND to key consumer.session.timeout.ms because its type is not LIST.",
        ),
        (
            "g1",
            "consumer.session.timeout.ms",
            set("50"),
            "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.",
        ),
        (
            "g1",
            "streams.num.standby.replicas",
            set("9"),
            "streams.num.standby.replicas must be less than or equal to 2",
        ),
        ("", "consumer.session.timeout.ms", set("50000"), "Default group resources are not allowed."),
    ] {
        let error = alter(&catalog, group(name), config, operation).await.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    alter(&catalog, group("a/b c"), "consumer.session.timeout.ms", set("50000")).await.unwrap();
    let entries = catalog.image().describe_group_configs(ONE, "a/b c");
    let line = "consumer.session.timeout.ms=50000 DynamicGroup [\"DynamicGroup:consumer.session.timeout.ms=50000\", \
                \"Default:group.consumer.session.timeout.ms=45000\"]";
    assert_eq!(shown(entries.iter().find(|entry| entry.name == "consumer.session.timeout.ms").unwrap()), line);
    let own = "share.auto.offset.reset=latest Default [\"Default:share.auto.offset.reset=latest\"]";
    assert_eq!(shown(entries.iter().find(|entry| entry.name == "share.auto.offset.reset").unwrap()), own);
    alter(&catalog, group("a/b c"), "consumer.session.timeout.ms", ConfigOperation::Delete).await.unwrap();
    assert_eq!(catalog.image().group_set("a/b c").revision, None);
}

#[tokio::test]
async fn the_older_request_replaces_all_configs() {
    let catalog = with_topic(&[]).await;
    alter(&catalog, of_topic("t1"), "retention.ms", set("5")).await.unwrap();
    let operations = vec![("segment.ms".to_owned(), set("7"))];
    let change = ConfigChange { resource: of_topic("t1"), operations, replace: true };
    assert_eq!(catalog.alter_configs(ONE, &[change], false).await.unwrap(), [Ok(())]);
    let configs = catalog.image().topic("t1").unwrap().configs.clone();
    assert_eq!(configs.into_iter().collect::<Vec<_>>(), [("segment.ms".to_owned(), "7".to_owned())]);
}

#[tokio::test]
async fn one_bad_operation_leaves_the_resource_as_it_was() {
    let catalog = with_topic(&[]).await;
    let operations = vec![("retention.ms".to_owned(), set("5")), ("segment.ms".to_owned(), set("x"))];
    let bad = ConfigChange { resource: of_topic("t1"), operations, replace: false };
    let twice = ConfigChange {
        resource: of_topic("t2"),
        operations: vec![("retention.ms".to_owned(), set("5")), ("retention.ms".to_owned(), ConfigOperation::Delete)],
        replace: false,
    };
    let answers = catalog.alter_configs(ONE, &[bad, twice], false).await.unwrap();
    assert!(matches!(answers[0], Err(AlterConfigsError::InvalidConfig(_))), "{answers:?}");
    assert_eq!(answers[1].as_ref().unwrap_err().to_string(), "Error due to duplicate config keys");
    assert!(catalog.image().topic("t1").unwrap().configs.is_empty());
}

#[tokio::test]
async fn validating_a_change_makes_none() {
    let catalog = with_topic(&[]).await;
    let change = |value: &str| ConfigChange {
        resource: of_topic("t1"),
        operations: vec![("retention.ms".to_owned(), set(value))],
        replace: false,
    };
    assert_eq!(catalog.alter_configs(ONE, &[change("5")], true).await.unwrap(), [Ok(())]);
    assert!(catalog.alter_configs(ONE, &[change("x")], true).await.unwrap()[0].is_err());
    assert!(catalog.image().topic("t1").unwrap().configs.is_empty());
}

/// The line that `kafka-configs --describe` prints.
fn line(entry: &ConfigEntry) -> String {
    let source = |source| match source {
        ConfigSource::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
        ConfigSource::DynamicGroup => "DYNAMIC_GROUP_CONFIG",
        ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
        ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
        ConfigSource::Default => "DEFAULT_CONFIG",
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonyms = entry.synonyms.iter().map(|s| format!("{}:{}={}", source(s.source), s.name, text(&s.value)));
    let synonyms = synonyms.collect::<Vec<_>>().join(", ");
    format!("  {}={} sensitive={} synonyms={{{synonyms}}}", entry.name, text(&entry.value), entry.sensitive)
}

/// Compares with what `kafka-configs --describe --all` printed for a real broker started with `KAFKAS_FILE`.
fn check_lines(entries: &[ConfigEntry], kafkas: &'static str) {
    let ours: Vec<String> = entries.iter().filter(|entry| entry.name != "millstream.durability").map(line).collect();
    let kafkas: Vec<&str> = kafkas.lines().collect();
    assert_eq!(ours, kafkas);
}

/// The file behind the recorded lines; they follow from it and from `min.insync.replicas=1` set for all brokers.
const KAFKAS_FILE: &str = include_str!("../../../testdata/recorded.properties");

async fn as_recorded() -> Catalog {
    let mut config = StaticConfig::default();
    config.read(std::path::Path::new("recorded.properties"), KAFKAS_FILE).unwrap();
    config.check().unwrap();
    let settings = Settings { config, ..Settings::default() };
    let catalog = Catalog::open(Arc::new(MemoryStore::new()), settings).await.unwrap();
    create(&catalog, topic("t1", 3, 1)).await.unwrap();
    alter(&catalog, ALL, "min.insync.replicas", set("1")).await.unwrap();
    catalog
}

#[tokio::test]
async fn all_configs_of_a_topic_are_shown_as_kafka_shows_them() {
    let image = as_recorded().await.image();
    let entries = image.describe_topic_configs(ONE, &image.topic("t1").unwrap().configs);
    check_lines(&entries, include_str!("../../../testdata/kafka-4.4.0-topic-configs.txt"));
}

#[tokio::test]
async fn all_configs_of_a_broker_are_shown_as_kafka_shows_them() {
    let entries = as_recorded().await.image().describe_broker_configs(ONE);
    check_lines(&entries, include_str!("../../../testdata/kafka-4.4.0-broker-configs.txt"));
}

//! The tables against what Apache Kafka 4.4.0's own classes say (testdata, made by KafkaConfigFacts.java there).

use std::collections::{BTreeMap, BTreeSet};

mod reference;

use super::*;

const KEYS: &str = include_str!("../../testdata/kafka-4.4.0-configs.tsv");
const VALUES: &str = include_str!("../../testdata/kafka-4.4.0-config-values.tsv");

/// Configs of our own.
const OWN: [&str; 1] = ["millstream.durability"];

fn key(kind: &str, name: &str) -> &'static ConfigKey {
    let found = match kind {
        "topic" => topic::key(name),
        "broker" => broker::key(name),
        _ => group::key(name),
    };
    found.unwrap_or_else(|| panic!("{kind} config {name} is missing"))
}

fn all() -> impl Iterator<Item = (&'static str, &'static ConfigKey)> {
    let topics = topic::KEYS.iter().map(|key| ("topic", key));
    topics.chain(broker::keys().map(|key| ("broker", key))).chain(group::KEYS.iter().map(|key| ("group", key)))
}

fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().map(|line| line.split('\t').collect())
}

#[test]
fn every_config_of_kafka_is_there_as_kafka_has_it() {
    for row in rows(KEYS) {
        let [kind, name, value_type, default, importance, update, internal, _, _] = row[..] else { panic!("{row:?}") };
        let key = key(kind, name);
        let ours = match key.default {
            DefaultValue::Required => "<none>",
            DefaultValue::Null => "<null>",
            DefaultValue::Is(text) => text,
        };
        assert_eq!((key.value_type.name(), ours), (value_type, default), "{kind} {name}");
        assert_eq!(format!("{:?}", key.importance).to_uppercase(), importance, "{kind} {name}");
        assert_eq!(key.internal.to_string(), internal, "{kind} {name}");
        if kind == "broker" {
            assert_eq!(key.update.name(), update, "{name}");
        }
    }
}

#[test]
fn no_config_is_made_up() {
    let kafka: BTreeSet<(&str, &str)> = rows(KEYS).map(|row| (row[0], row[1])).collect();
    let ours: Vec<_> = all()
        .map(|(kind, key)| (kind, key.name))
        .filter(|(_, name)| !OWN.contains(name) && !broker::is_dynamic_only(name))
        .collect();
    assert_eq!(ours.len(), kafka.len());
    assert!(ours.iter().all(|config| kafka.contains(config)), "{ours:?}");
}

#[test]
fn synonyms_are_kafkas_in_kafkas_order() {
    for row in rows(KEYS) {
        let [kind, name, .., synonyms] = row[..] else { panic!("{row:?}") };
        let key = key(kind, name);
        let suffix = |synonym: &Synonym| match (kind, synonym.unit) {
            ("topic", Unit::Hours) => format!("{}/hours", synonym.name),
            ("topic", Unit::Minutes) => format!("{}/minutes", synonym.name),
            _ => synonym.name.to_owned(),
        };
        let own = (kind == "broker").then(|| name.to_owned());
        let ours: Vec<String> = own.into_iter().chain(key.synonyms.iter().map(suffix)).collect();
        let coarse = kind == "broker" && (name.ends_with(".hours") || name.ends_with(".minutes"));
        // The coarser spellings list the finer ones too, which never show behind them.
        if !coarse {
            assert_eq!(ours.join(","), synonyms, "{kind} {name}");
        }
    }
}

#[test]
fn values_are_taken_and_refused_in_kafkas_words() {
    for row in rows(VALUES) {
        let [kind, name, text, outcome] = row[..] else { panic!("{row:?}") };
        if let "controller.quorum.voters" | "controller.quorum.bootstrap.servers" = name {
            continue; // There is no quorum: what would name its members is taken as it is.
        }
        let ours = match key(kind, name).parse(text) {
            Ok(value) => format!("= {value}"),
            Err(error) => format!("! {error}"),
        };
        assert_eq!(ours, outcome, "{kind} {name} given {text:?}");
    }
}

#[test]
fn configs_with_kafkas_same_validator_have_the_same_rule() {
    let mut alike: BTreeMap<&str, (ValueType, String)> = BTreeMap::new();
    for row in rows(KEYS) {
        let [kind, name, .., first, _] = row[..] else { panic!("{row:?}") };
        let key = key(kind, name);
        let rule = (key.value_type, format!("{:?}", key.valid));
        let expected = alike.entry(first).or_insert_with(|| rule.clone());
        assert_eq!(rule, *expected, "{kind} {name} and {first}");
    }
}

#[test]
fn tables_are_sorted_so_that_names_are_found() {
    let tables = [topic::KEYS, group::KEYS].into_iter().chain(broker::THEMES.iter().map(|(_, keys)| *keys));
    for table in tables {
        assert!(table.windows(2).all(|pair| pair[0].name < pair[1].name), "{}", table[0].name);
    }
    assert!(all().all(|(kind, config)| key(kind, config.name).name == config.name));
}

#[test]
fn defaults_are_values_that_their_config_takes() {
    for (kind, key) in all() {
        if let Some(text) = key.default.text() {
            assert_eq!(key.parse(text).map(|value| value.to_string()), Ok(text.to_owned()), "{kind} {}", key.name);
        }
    }
}

#[test]
fn synonyms_name_configs_of_the_broker() {
    for (kind, key) in all() {
        for synonym in key.synonyms {
            assert!(broker::key(synonym.name).is_some(), "{kind} {}: {}", key.name, synonym.name);
        }
    }
}

#[test]
fn every_config_is_documented_in_one_sentence() {
    for (kind, key) in all() {
        let text = key.documentation;
        assert!(text.ends_with('.') && text.len() > 15, "{kind} {}: {text:?}", key.name);
    }
}

#[test]
fn decimals_are_written_as_java_writes_them() {
    let key = broker::key("log.cleaner.io.max.bytes.per.second").unwrap();
    for (text, shown) in [
        ("1.7976931348623157E308", "1.7976931348623157E308"),
        ("0", "0.0"),
        ("-0.0", "-0.0"),
        ("100", "100.0"),
        ("9999999", "9999999.0"),
        ("10000000", "1.0E7"),
        ("12345678.9", "1.23456789E7"),
        ("0.001", "0.001"),
        ("0.0001", "1.0E-4"),
        ("1e400", "Infinity"),
    ] {
        assert_eq!(key.parse(text).unwrap().to_string(), shown, "{text}");
    }
}

#[test]
fn decimals_are_read_as_java_reads_them() {
    let key = broker::key("log.cleaner.io.max.bytes.per.second").unwrap();
    for (text, shown) in [
        ("NaN", Some("NaN")),
        ("-Infinity", Some("-Infinity")),
        ("1d", Some("1.0")),
        ("1.5f", Some("1.5")),
        ("1.", Some("1.0")),
        (".5", Some("0.5")),
        ("1E+3", Some("1000.0")),
        ("+1", Some("1.0")),
        ("nan", None),
        ("inf", None),
        ("infinity", None),
        (".", None),
        ("d", None),
        ("1dd", None),
        ("e5", None),
        ("1e", None),
        ("1_000", None),
    ] {
        assert_eq!(key.parse(text).ok().map(|value| value.to_string()).as_deref(), shown, "{text}");
    }
}

#[test]
fn durations_are_read_as_java_reads_them() {
    let key = group::key("share.auto.offset.reset").unwrap();
    for good in ["latest", "earliest", "by_duration:PT1H", "by_duration:P1DT2H3M4.5S", "by_duration:P2D"] {
        assert!(key.parse(good).is_ok(), "{good}");
    }
    for bad in
        ["none", "by_duration", "by_duration:", "by_duration:P", "by_duration:PT", "by_duration:1H", "by_duration:PT1"]
    {
        assert!(key.parse(bad).is_err(), "{bad}");
    }
}

/// Brokers' configs that topics fall back to belong to topics; what the broker reads of the others, its own tests know.
#[test]
fn exactly_the_configs_that_logs_read_are_said_to_be_acted_on() {
    let names = std::cell::RefCell::new(BTreeSet::new());
    LogConfig::read(&log_config::Read(|name| {
        names.borrow_mut().insert(name);
        let key = topic::key(name)?;
        key.parse(key.default.text()?).ok()
    }));
    let read = names.into_inner();
    let acted_on = |key: &ConfigKey| !matches!(key.effect, Effect::None(_));
    for key in topic::KEYS {
        assert_eq!(acted_on(key), read.contains(key.name), "{}", key.name);
        for synonym in key.synonyms {
            assert_eq!(acted_on(broker::key(synonym.name).unwrap()), acted_on(key), "{}", synonym.name);
        }
    }
    assert!(group::KEYS.iter().all(|key| !acted_on(key)), "nothing reads the configs of groups yet");
}

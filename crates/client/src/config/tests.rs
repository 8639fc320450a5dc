//! Kafka's defaults, rules and words.

use std::time::Duration;

use super::*;

fn with(pairs: &[(&str, &str)]) -> ClientConfig {
    pairs.iter().fold(ClientConfig::new("localhost:9092"), |config, (name, value)| config.with(*name, *value))
}

#[test]
fn defaults_are_kafkas() {
    let producer = with(&[]).producer().unwrap();
    assert_eq!((producer.acks, producer.enable_idempotence, producer.max_in_flight), (-1, true, 5));
    assert_eq!((producer.linger, producer.batch_bytes), (Duration::from_millis(5), 16_384));
    let consumer = with(&[("group.id", "g")]).consumer().unwrap();
    assert!(consumer.enable_auto_commit);
    assert_eq!(consumer.auto_offset_reset, AutoOffsetReset::Latest);
    assert_eq!(consumer.assignors, [Assignor::Range, Assignor::CooperativeSticky]);
    assert!(!with(&[]).consumer().unwrap().enable_auto_commit);
}

#[test]
fn bad_values_get_kafkas_words() {
    let check = |pairs: &[(&str, &str)], words: &str| {
        assert_eq!(with(pairs).producer().unwrap_err().to_string(), words);
    };
    check(&[("batch.size", "abc")], "Invalid value abc for configuration batch.size: Not a number of type INT");
    check(
        &[("batch.size", "3000000000")],
        "Invalid value 3000000000 for configuration batch.size: Not a number of type INT",
    );
    check(&[("linger.ms", "-1")], "Invalid value -1 for configuration linger.ms: Value must be at least 0");
    check(&[("acks", "2")], "Invalid value 2 for configuration acks: String must be one of: all, -1, 0, 1");
    check(&[("bootstrap.servers", "nowhere")], "Invalid url in bootstrap.servers: nowhere");
    let missing = ClientConfig::default().admin().unwrap_err().to_string();
    assert_eq!(missing, "Missing required configuration \"bootstrap.servers\" which has no default value.");
}

#[test]
fn idempotence_yields_to_what_excludes_it_unless_asked_for() {
    assert!(!with(&[("acks", "1")]).producer().unwrap().enable_idempotence);
    assert!(with(&[("acks", "1"), ("enable.idempotence", "true")]).producer().is_err());
    assert!(with(&[("retries", "0"), ("enable.idempotence", "true")]).producer().is_err());
    assert!(
        with(&[("max.in.flight.requests.per.connection", "6"), ("enable.idempotence", "true")]).producer().is_err()
    );
}

#[test]
fn the_delivery_timeout_covers_linger_and_one_request() {
    assert!(with(&[("delivery.timeout.ms", "1000")]).producer().is_err());
    let raised = with(&[("linger.ms", "100000"), ("request.timeout.ms", "30000")]).producer().unwrap();
    assert_eq!(raised.delivery_timeout, Duration::from_secs(130));
}

#[test]
fn unknown_names_are_found_and_javas_own_are_not_among_them() {
    let config = with(&[("key.serializer", "x"), ("lingr.ms", "5"), ("ssl.keystore.type", "PEM"), ("linger.ms", "5")]);
    let mut fields = Fields::new(&config.entries);
    ProducerConfig::read(&mut fields).unwrap();
    assert_eq!(fields.unknown().collect::<Vec<_>>(), ["lingr.ms"]);
}

#[test]
fn a_properties_file_is_read() {
    let mut config = ClientConfig::default();
    config.load_properties("# comment\nbootstrap.servers = a:1,b:2\n\n! other\ngroup.id:g\nempty\n");
    assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
    assert_eq!((config.get("group.id"), config.get("empty")), (Some("g"), Some("")));
}

//! The options of `topics`, and which of them go together.

use std::io::{self, Write};

use crate::tools::{
    Failure, Streams,
    options::{HELP, Line, OptionSpec, VERSION, flag, value},
};

pub(super) static OPTIONS: [OptionSpec; 25] = [
    HELP,
    VERSION,
    value("bootstrap-server", "HOST:PORT,…", "REQUIRED: a server of the cluster, or several."),
    value("command-config", "file", "Property file with settings for the client."),
    flag("list", "List the topics."),
    flag("create", "Create a topic."),
    flag("delete", "Delete topics."),
    flag("alter", "Change the number of partitions, or assign replicas. (Configs are changed with `configs`.)"),
    flag("describe", "Show topics with their partitions."),
    value(
        "topic",
        "topic",
        "The topic to create, alter, describe or delete. Except with --create it may be a regular expression.",
    ),
    value("topic-id", "topic-id", "The id of the topic to describe."),
    value(
        "config",
        "name=value",
        "A config of the topic that is created, as in retention.ms=86400000; may be repeated. The names stand in docs/reference/configs.md.",
    ),
    value("delete-config", "name", "Accepted and without effect since Kafka 4.0; `configs` takes configs away."),
    value(
        "partitions",
        "# of partitions",
        "How many partitions the topic gets. Without it the cluster's default is taken. More partitions later move keys to other partitions.",
    ),
    value(
        "replication-factor",
        "count",
        "How many replicas each partition gets. Without it the cluster's default is taken.",
    ),
    value(
        "replica-assignment",
        "broker:broker,broker:broker,…",
        "The brokers of each partition: a list per partition, its brokers joined by colons.",
    ),
    flag("under-replicated-partitions", "With --describe: only partitions that lack an in-sync replica."),
    flag("unavailable-partitions", "With --describe: only partitions whose leader is away."),
    flag("under-min-isr-partitions", "With --describe: only partitions with fewer in-sync replicas than configured."),
    flag("at-min-isr-partitions", "With --describe: only partitions with just as many in-sync replicas as configured."),
    flag("topics-with-overrides", "With --describe: only topics with configs of their own."),
    flag("if-exists", "With --alter, --delete or --describe: do nothing when there is no such topic."),
    flag("if-not-exists", "With --create: be content when the topic exists."),
    flag("exclude-internal", "With --list or --describe: leave out the cluster's own topics."),
    value(
        "partition-size-limit-per-response",
        "count",
        "How many partitions the client asks for at once when it describes topics.",
    ),
];

/// The five things that `topics` does.
const ACTIONS: [&str; 5] = ["list", "describe", "create", "alter", "delete"];
/// What `--describe` may be narrowed to.
const REPORTS: [&str; 4] =
    ["under-replicated-partitions", "under-min-isr-partitions", "at-min-isr-partitions", "unavailable-partitions"];

/// Checks what Kafka checks before it connects, in its order and words.
pub(super) fn check(line: &Line, streams: &mut Streams<'_>) -> Result<(), Failure> {
    if line.count(&ACTIONS) != 1 {
        let message = "Command must include exactly one action: --list, --describe, --create, --alter or --delete";
        return Err(Failure::Usage(message.to_owned()));
    }
    if line.has("delete-config") {
        writeln!(
            streams.err,
            "delete-config option is no longer supported and deprecated since version 4.0. The config will be fully removed in future releases."
        )?;
    }
    if !line.has("bootstrap-server") {
        return Err(Failure::Message("--bootstrap-server must be specified".to_owned()));
    }
    check_describe(line, streams.out)?;
    if !line.has("list") && !line.has("describe") {
        line.require(&["topic"])?;
    }
    if line.has("alter") {
        refuse_configs(line)?;
        line.require(&["partitions"])?;
    }
    check_combinations(line)
}

fn refuse_configs(line: &Line) -> Result<(), Failure> {
    if !line.has("config") {
        return Ok(());
    }
    Err(Failure::Usage(
        "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" (To alter topic configurations, the kafka-configs tool can be used.)"
            .to_owned(),
    ))
}

fn check_describe(line: &Line, out: &mut dyn Write) -> Result<(), Failure> {
    if !(line.has("describe") && line.has("if-exists")) {
        return Ok(());
    }
    match line.count(&["topic", "topic-id"]) {
        0 => Err(Failure::Usage("--topic or --topic-id is required to describe a topic".to_owned())),
        1 => Ok(()),
        _ => {
            let message = "Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID";
            Ok(writeln!(out, "{message}")?)
        }
    }
}

/// An option that belongs to some actions excludes the others.
fn check_combinations(line: &Line) -> Result<(), Failure> {
    let belongs = |option: &str, to: &[&str], others: &[&str]| {
        let strangers: Vec<&str> =
            ACTIONS.iter().filter(|action| !to.contains(action)).chain(others).copied().collect();
        line.exclude(option, &strangers)
    };
    belongs("config", &["create"], &[])?;
    belongs("partitions", &["alter", "create"], &[])?;
    belongs("replication-factor", &["create"], &[])?;
    belongs("replica-assignment", &["alter", "create"], &[])?;
    if line.has("create") {
        line.exclude("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        belongs(report, &["describe"], &["topics-with-overrides"])?;
    }
    belongs("topics-with-overrides", &["describe"], &REPORTS)?;
    belongs("if-exists", &["alter", "delete", "describe"], &[])?;
    belongs("if-not-exists", &["create"], &[])?;
    belongs("exclude-internal", &["list", "describe"], &[])
}

/// What a config line `name=value` says, or Kafka's sentence.
pub(super) fn topic_configs(line: &Line) -> Result<Vec<(String, String)>, String> {
    let pairs = line.values("config").into_iter().map(|word| {
        let (name, value) = word.split_once('=').filter(|(_, value)| !value.is_empty() && !value.contains('='))?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    });
    pairs.collect::<Option<_>>().ok_or_else(|| {
        "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\"."
            .to_owned()
    })
}

/// The brokers of each partition, or Kafka's sentence.
pub(super) fn replica_assignment(line: &Line) -> Result<Option<Vec<Vec<i32>>>, String> {
    let Some(text) =
        line.value("replica-assignment").map_err(|error| error.to_string())?.filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    for (index, brokers) in text.split(',').enumerate() {
        let parse = |id: &str| id.trim().parse().map_err(|_| format!("For input string: \"{}\"", id.trim()));
        let brokers = brokers.split(':').map(parse).collect::<Result<Vec<i32>, String>>()?;
        let mut twice: Vec<i32> = Vec::new();
        for (at, broker) in brokers.iter().enumerate() {
            if brokers[..at].contains(broker) && !twice.contains(broker) {
                twice.push(*broker);
            }
        }
        if !twice.is_empty() {
            let twice: Vec<String> = twice.iter().map(ToString::to_string).collect();
            return Err(format!("Partition replica lists may not contain duplicate entries: {}", twice.join(",")));
        }
        if partitions.first().is_some_and(|first| first.len() != brokers.len()) {
            return Err(format!("Partition {index} has different replication factor: {brokers:?}"));
        }
        partitions.push(brokers);
    }
    Ok(Some(partitions))
}

/// Writes Kafka's warning about names that its metrics confuse.
pub(super) fn warn_of_collision(topic: &str, out: &mut dyn Write) -> io::Result<()> {
    if topic.contains(['.', '_']) {
        writeln!(
            out,
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both."
        )?;
    }
    Ok(())
}

//! The options of `console-consumer`, and the client settings and format that they ask for.

use super::formatter::Formatter;
use crate::tools::{
    Failure, Streams,
    options::{HELP, Line, OptionSpec, VERSION, flag, value},
    properties::{self, Properties},
    renaming::Renaming,
};

pub(super) static OPTIONS: [OptionSpec; 24] = [
    HELP,
    VERSION,
    value("bootstrap-server", "HOST:PORT,…", "REQUIRED: a server of the cluster, or several."),
    value("topic", "topic", "The topic to read."),
    value("include", "regular expression", "Read every topic whose name matches."),
    value("partition", "partition", "Read this partition only, from its end unless --offset says where."),
    value("offset", "offset", "Where in the partition to begin: an offset, earliest or latest. Default: latest."),
    flag(
        "from-beginning",
        "Begin with the oldest record where the group has no offset yet, instead of the next new one.",
    ),
    value("max-messages", "count", "Stop after so many records. Without it reading goes on."),
    value("timeout-ms", "ms", "Stop when no record came for so long."),
    value("group", "group", "The group to read in. Without it a group of its own that commits nothing."),
    value(
        "isolation-level",
        "level",
        "read_committed leaves out records of aborted transactions. Default: read_uncommitted.",
    ),
    value(
        "formatter",
        "class",
        "How records are printed: DefaultMessageFormatter, LoggingMessageFormatter or NoOpMessageFormatter of org.apache.kafka.tools.consumer.",
    ),
    value("formatter-property", "name=value", FORMATTER_HELP),
    value("property", "name=value", "Deprecated: the old name of --formatter-property."),
    value("formatter-config", "file", "Property file for the formatter; --formatter-property wins over it."),
    value("key-deserializer", "class", "How keys become text: a class of org.apache.kafka.common.serialization."),
    value("value-deserializer", "class", "How values become text: a class of org.apache.kafka.common.serialization."),
    flag("skip-message-on-error", "Leave out a record that cannot be printed instead of stopping."),
    flag("enable-systest-events", "Say on stdout when the consumer has shut down; for test programs."),
    value("command-property", "name=value", "A setting of the client; may be repeated."),
    value("consumer-property", "name=value", "Deprecated: the old name of --command-property."),
    value("command-config", "file", "Property file with settings of the client; --command-property wins over it."),
    value("consumer.config", "file", "Deprecated: the old name of --command-config."),
];

const FORMATTER_HELP: &str = "How a record is printed; may be repeated:
 print.timestamp=true|false
 print.key=true|false
 print.offset=true|false
 print.epoch=true|false
 print.partition=true|false
 print.headers=true|false
 print.value=true|false
 key.separator=…
 line.separator=…
 headers.separator=…
 null.literal=…
 key.deserializer=…
 value.deserializer=…
 headers.deserializer=…";

const RENAMING: Renaming = Renaming { warning: "Option", new_first: false };

/// Where reading begins in a partition that is read alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    Earliest,
    Latest,
    At(i64),
}

/// What is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Topic(String),
    Include(String),
    Partition(String, i32, Begin),
}

/// What the line asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) source: Source,
    pub(super) client: Properties,
    pub(super) formatter: Formatter,
    pub(super) timeout_ms: Option<u64>,
    pub(super) skip_on_error: bool,
    pub(super) systest_events: bool,
}

impl Asked {
    /// Checks and warns in Kafka's words. `random` names the group of who names none.
    pub(super) fn read(line: &Line, streams: &mut Streams<'_>, random: u32) -> Result<Self, Failure> {
        check(line)?;
        let command_property = RENAMING.name(line, streams, "consumer-property", "command-property")?;
        let command_config = RENAMING.name(line, streams, "consumer.config", "command-config")?;
        let mut client = properties::of_option(line, command_config)?;
        let group = group(line, &client, &properties::from_words(line.values(command_property)))?;
        client.extend(properties::from_words(line.values(command_property)));
        settle(line, &mut client, group, random)?;
        let begin = begin(line)?;
        let formatter_property = RENAMING.name(line, streams, "property", "formatter-property")?;
        let mut format = properties::of_option(line, "formatter-config")?;
        for (option, property) in
            [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")]
        {
            if let Some(class) = line.value(option)?.filter(|class| !class.is_empty()) {
                format.insert(property.to_owned(), class.to_owned());
            }
        }
        format.extend(properties::from_words(line.values(formatter_property)));
        let class = line.value("formatter")?.unwrap_or("org.apache.kafka.tools.consumer.DefaultMessageFormatter");
        Ok(Self {
            source: source(line, begin)?,
            client,
            formatter: Formatter::new(class, &format).map_err(Failure::Usage)?,
            timeout_ms: line.parsed::<i64>("timeout-ms")?.and_then(|ms| u64::try_from(ms).ok()),
            skip_on_error: line.has("skip-message-on-error"),
            systest_events: line.has("enable-systest-events"),
        })
    }
}

fn check(line: &Line) -> Result<(), Failure> {
    let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
    if line.count(&["topic", "include"]) != 1 {
        return usage("Exactly one of the following arguments is required: [topic], [include]");
    }
    if line.has("partition") {
        if !line.has("topic") {
            return usage("The topic is required when partition is specified.");
        }
        if line.has("from-beginning") && line.has("offset") {
            return usage("Options from-beginning and offset cannot be specified together.");
        }
    } else if line.has("offset") {
        return usage("The partition is required when offset is specified.");
    }
    line.require(&["bootstrap-server"])
}

/// The group, wherever it was named; every place must name the same.
fn group(line: &Line, from_file: &Properties, from_words: &Properties) -> Result<Option<String>, Failure> {
    let mut named: Vec<&str> = Vec::new();
    let places = [
        line.value("group")?,
        from_file.get("group.id").map(String::as_str),
        from_words.get("group.id").map(String::as_str),
    ];
    for group in places.into_iter().flatten() {
        if !named.contains(&group) {
            named.push(group);
        }
    }
    if named.len() > 1 {
        let groups: Vec<String> = named.iter().map(|group| format!("'{group}'")).collect();
        return Err(Failure::Usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: {}",
            groups.join(", ")
        )));
    }
    if !named.is_empty() && line.has("partition") {
        return Err(Failure::Usage("Options group and partition cannot be specified together.".to_owned()));
    }
    Ok(named.first().map(|&group| group.to_owned()))
}

/// Fills in what the line decides of the client's settings.
fn settle(line: &Line, client: &mut Properties, group: Option<String>, random: u32) -> Result<(), Failure> {
    let mut default =
        |name: &str, value: &str| client.entry(name.to_owned()).or_insert_with(|| value.to_owned()).clone();
    let from_beginning = line.has("from-beginning");
    let reset = default("auto.offset.reset", if from_beginning { "earliest" } else { "latest" });
    if from_beginning && reset != "earliest" {
        return Err(Failure::Message(format!(
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
        )));
    }
    default("client.id", "console-consumer");
    default("isolation.level", "read_uncommitted");
    if group.is_none() {
        default("enable.auto.commit", "false");
    }
    if let Some(level) = line.value("isolation-level")? {
        client.insert("isolation.level".to_owned(), level.to_owned());
    }
    let servers = line.value("bootstrap-server")?.unwrap_or_default().to_owned();
    client.insert("bootstrap.servers".to_owned(), servers);
    let group = group.unwrap_or_else(|| format!("console-consumer-{}", random % 100_000));
    client.insert("group.id".to_owned(), group);
    Ok(())
}

fn begin(line: &Line) -> Result<Begin, Failure> {
    match line.value("offset")? {
        None if line.has("from-beginning") => Ok(Begin::Earliest),
        None => Ok(Begin::Latest),
        Some(text) if text.eq_ignore_ascii_case("earliest") => Ok(Begin::Earliest),
        Some(text) if text.eq_ignore_ascii_case("latest") => Ok(Begin::Latest),
        Some(text) => match text.parse() {
            Ok(offset @ 0..) => Ok(Begin::At(offset)),
            _ => Err(Failure::Usage(format!(
                "The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
            ))),
        },
    }
}

fn source(line: &Line, begin: Begin) -> Result<Source, Failure> {
    let topic = line.value("topic")?;
    Ok(match (topic, line.parsed("partition")?, line.value("include")?) {
        (Some(topic), Some(partition), _) => Source::Partition(topic.to_owned(), partition, begin),
        (Some(topic), None, _) => Source::Topic(topic.to_owned()),
        (None, _, include) => Source::Include(include.unwrap_or_default().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing::{line, with_streams};

    fn asked(words: &[&str]) -> Result<Asked, Failure> {
        let words = [&["--bootstrap-server", "h:1"], words].concat();
        with_streams(|streams| Asked::read(&line(&OPTIONS, &words), streams, 1_234_567)).0
    }

    fn refused(words: &[&str], message: &str) {
        match asked(words) {
            Err(Failure::Usage(got) | Failure::Message(got)) => assert_eq!(got, message),
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    #[test]
    fn who_names_no_group_gets_one_that_commits_nothing() {
        let client = asked(&["--topic", "t"]).unwrap().client;
        assert_eq!(
            (client["group.id"].as_str(), client["enable.auto.commit"].as_str()),
            ("console-consumer-34567", "false")
        );
        assert_eq!(client["auto.offset.reset"], "latest");
        let client = asked(&["--topic", "t", "--group", "g", "--from-beginning"]).unwrap().client;
        assert_eq!((client["group.id"].as_str(), client.get("enable.auto.commit")), ("g", None));
        assert_eq!(client["auto.offset.reset"], "earliest");
    }

    #[test]
    fn a_partition_is_read_from_where_the_line_says() {
        for (words, begin) in [
            (&["--offset", "Earliest"][..], Begin::Earliest),
            (&["--offset", "5"], Begin::At(5)),
            (&["--from-beginning"], Begin::Earliest),
            (&[], Begin::Latest),
        ] {
            let words = [&["--topic", "t", "--partition", "2"], words].concat();
            assert_eq!(asked(&words).unwrap().source, Source::Partition("t".to_owned(), 2, begin));
        }
    }

    #[test]
    fn contradictions_are_told_in_kafkas_words() {
        refused(&[], "Exactly one of the following arguments is required: [topic], [include]");
        refused(&["--topic", "t", "--offset", "1"], "The partition is required when offset is specified.");
        refused(
            &["--topic", "t", "--partition", "0", "--group", "g"],
            "Options group and partition cannot be specified together.",
        );
        refused(
            &["--topic", "t", "--partition", "0", "--offset", "-5"],
            "The provided offset value '-5' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.",
        );
        refused(
            &["--topic", "t", "--from-beginning", "--command-property", "auto.offset.reset=none"],
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset=none', please remove one option",
        );
        refused(
            &["--topic", "t", "--group", "a", "--command-property", "group.id=b"],
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: 'a', 'b'",
        );
    }
}

//! The options of `console-producer`, and the client settings and line format that they ask for.

use crate::tools::{
    Failure, Streams, bootstrap,
    options::{HELP, Line, OptionSpec, VERSION, flag, maybe, value},
    properties::{self, Properties},
    renaming::Renaming,
};

pub(super) static OPTIONS: [OptionSpec; 25] = [
    HELP,
    VERSION,
    value("bootstrap-server", "HOST:PORT,…", "REQUIRED: a server of the cluster, or several."),
    value("topic", "topic", "REQUIRED: the topic to send to."),
    flag("sync", "Send one record at a time and wait for its answer."),
    maybe("compression-codec", "codec", "none, gzip, snappy, lz4 or zstd; gzip when no codec is named."),
    value(
        "batch-size",
        "bytes",
        "Records for one partition are gathered up to this size (batch.size). Default: 16384.",
    ),
    value("message-send-max-retries", "count", "How often a failed request is tried again (retries). Default: 3."),
    value("retry-backoff-ms", "ms", "Pause before a request is tried again (retry.backoff.ms). Default: 100."),
    value("timeout", "ms", "How long a record waits for others to share its batch (linger.ms). Default: 1000."),
    value(
        "request-required-acks",
        "acks",
        "Who must have the records before the answer (acks): 0, 1, all or -1. Default: -1.",
    ),
    value("request-timeout-ms", "ms", "How long to wait for an answer (request.timeout.ms). Default: 1500."),
    value(
        "metadata-expiry-ms",
        "ms",
        "Leaders are looked up again after this time (metadata.max.age.ms). Default: 300000.",
    ),
    value("max-block-ms", "ms", "How long sending may wait for leaders or for memory (max.block.ms). Default: 60000."),
    value("max-memory-bytes", "bytes", "Memory for records that wait to be sent (buffer.memory). Default: 33554432."),
    value(
        "max-partition-memory-bytes",
        "bytes",
        "Deprecated: the same as --batch-size, and wins over it. Default: 16384.",
    ),
    value("line-reader", "class", "Class that reads lines; there is org.apache.kafka.tools.LineMessageReader."),
    value("socket-buffer-size", "bytes", "Size of the socket's buffer (send.buffer.bytes). Default: 102400."),
    value("reader-property", "name=value", READER_HELP),
    value("property", "name=value", "Deprecated: the old name of --reader-property."),
    value("reader-config", "file", "Property file for the line reader; --reader-property wins over it."),
    value("command-property", "name=value", "A setting of the client; may be repeated."),
    value("producer-property", "name=value", "Deprecated: the old name of --command-property."),
    value("command-config", "file", "Property file with settings of the client; --command-property wins over it."),
    value("producer.config", "file", "Deprecated: the old name of --command-config."),
];

const READER_HELP: &str = "How lines become records; may be repeated. With its defaults:
 parse.key=false
 parse.headers=false
 ignore.error=false
 key.separator=\\t
 headers.delimiter=\\t
 headers.separator=,
 headers.key.separator=:
 null.marker= (what equals it becomes null)
A line with everything is: h1:v1,h2:v2\\tkey\\tvalue";

/// Options that set a client property unless a file or a property did: name, property, default.
const MERGED: [(&str, &str, &str); 11] = [
    ("timeout", "linger.ms", "1000"),
    ("request-required-acks", "acks", "-1"),
    ("request-timeout-ms", "request.timeout.ms", "1500"),
    ("message-send-max-retries", "retries", "3"),
    ("retry-backoff-ms", "retry.backoff.ms", "100"),
    ("socket-buffer-size", "send.buffer.bytes", "102400"),
    ("max-memory-bytes", "buffer.memory", "33554432"),
    ("batch-size", "batch.size", "16384"),
    ("max-partition-memory-bytes", "batch.size", "16384"),
    ("metadata-expiry-ms", "metadata.max.age.ms", "300000"),
    ("max-block-ms", "max.block.ms", "60000"),
];

const RENAMING: Renaming = Renaming { warning: "Warning:", new_first: true };

/// What the line asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) topic: String,
    pub(super) sync: bool,
    /// Settings of the client by Kafka's names.
    pub(super) client: Properties,
    /// How lines become records.
    pub(super) reader: Properties,
}

impl Asked {
    /// Checks and warns in Kafka's words.
    pub(super) fn read(line: &Line, streams: &mut Streams<'_>) -> Result<Self, Failure> {
        line.require(&["topic"])?;
        let servers = bootstrap::servers(line).map_err(Failure::Usage)?;
        let reader_property = RENAMING.name(line, streams, "property", "reader-property")?;
        let command_property = RENAMING.name(line, streams, "producer-property", "command-property")?;
        let command_config = RENAMING.name(line, streams, "producer.config", "command-config")?;
        let reader_class = line.value("line-reader")?.unwrap_or(LINE_READER);
        if reader_class != LINE_READER {
            return Err(Failure::Message(format!("{reader_class}: there is {LINE_READER}")));
        }
        let mut client = properties::of_option(line, command_config)?;
        client.extend(properties::from_words(line.values(command_property)));
        client.insert("bootstrap.servers".to_owned(), servers);
        client.insert("compression.type".to_owned(), codec(line)?.to_owned());
        client.entry("client.id".to_owned()).or_insert_with(|| "console-producer".to_owned());
        merge(line, &mut client)?;
        let mut reader = properties::of_option(line, "reader-config")?;
        reader.extend(properties::from_words(line.values(reader_property)));
        let topic = line.value("topic")?.unwrap_or_default().to_owned();
        Ok(Self { topic, sync: line.has("sync"), client, reader })
    }
}

const LINE_READER: &str = "org.apache.kafka.tools.LineMessageReader";

fn codec(line: &Line) -> Result<&str, Failure> {
    let named = line.value("compression-codec")?.filter(|codec| !codec.is_empty());
    Ok(named.unwrap_or(if line.has("compression-codec") { "gzip" } else { "none" }))
}

/// An option that stands in the line wins, then a property, then the option's default.
fn merge(line: &Line, client: &mut Properties) -> Result<(), Failure> {
    for (option, property, default) in MERGED {
        if option != "request-required-acks" {
            line.parsed::<i64>(option)?;
        }
        let given = line.value(option)?;
        if given.is_some() || !client.contains_key(property) {
            client.insert(property.to_owned(), given.unwrap_or(default).to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing::{line, with_streams};

    fn asked(words: &[&str]) -> (Result<Asked, Failure>, String) {
        let words = [&["--bootstrap-server", "h:1", "--topic", "t"], words].concat();
        with_streams(|streams| Asked::read(&line(&OPTIONS, &words), streams))
    }

    #[test]
    fn an_option_wins_over_a_property_and_a_property_over_a_default() {
        let (asked, _) =
            asked(&["--timeout", "7", "--command-property", "acks=1", "--command-property", "linger.ms=9"]);
        let client = asked.unwrap().client;
        let got = ["linger.ms", "acks", "retries", "batch.size", "client.id"].map(|name| client[name].as_str());
        assert_eq!(got, ["7", "1", "3", "16384", "console-producer"]);
    }

    #[test]
    fn a_codec_without_a_name_is_gzip() {
        for (words, codec) in
            [(&[][..], "none"), (&["--compression-codec"], "gzip"), (&["--compression-codec", "zstd"], "zstd")]
        {
            assert_eq!(asked(words).0.unwrap().client["compression.type"], codec);
        }
    }

    #[test]
    fn an_old_name_works_with_a_warning_and_not_beside_the_new_one() {
        let (old, out) = asked(&["--property", "parse.key=true"]);
        assert_eq!(old.unwrap().reader["parse.key"], "true");
        assert_eq!(
            out,
            "Warning: --property is deprecated and will be removed in a future version. Use --reader-property instead.\n"
        );
        let (both, _) = asked(&["--property", "a=b", "--reader-property", "c=d"]);
        let Err(Failure::Usage(message)) = both else { panic!("both names at once") };
        assert_eq!(message, "Options --reader-property and --property cannot be specified together.");
    }
}

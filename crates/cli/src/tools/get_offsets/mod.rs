//! `get-offsets`, Kafka's kafka-get-offsets.sh: offsets of partitions, as `topic:partition:offset`.

use millstream_client::{Admin, Error, TopicPartition, admin::OffsetSpec, config::IsolationLevel};
use patterns::PartitionFilter;

use super::{
    Failure, Streams, Tool,
    admin::Session,
    bootstrap,
    options::{HELP, Line, OptionSpec, VERSION, flag, value},
    topic_filter::INTERNAL_TOPICS,
};

mod patterns;

pub(super) const TOOL: Tool = Tool {
    script: "kafka-get-offsets",
    about: "Prints offsets of partitions.",
    options: &OPTIONS,
    unreadable: |message| failed(&message),
    run,
};

static OPTIONS: [OptionSpec; 9] = [
    HELP,
    VERSION,
    value("bootstrap-server", "HOST:PORT,…", "REQUIRED: a server of the cluster, or several."),
    value("command-config", "file", "Property file with settings for the client."),
    value("topic", "topic", "Topics, by name or regular expression. Without it all."),
    value("partitions", "id,id,…", "Only these partitions."),
    value(
        "topic-partitions",
        "pattern,pattern,…",
        "Instead of the two above: topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3 - a topic, by name or regular expression, with a partition or a range whose end is left out.",
    ),
    value(
        "time",
        "time",
        "Which offset: that of the first record at or after a timestamp in ms, or -1 latest, -2 earliest, -3 max-timestamp, -4 earliest-local, -5 latest-tiered, -6 earliest-pending-upload. Default: latest.",
    ),
    flag("exclude-internal-topics", "Leave out the cluster's own topics."),
];

fn failed(message: &str) -> Failure {
    Failure::Message(format!("Error occurred: {message}"))
}

fn run(line: &Line, streams: &mut Streams<'_>) -> Result<(), Failure> {
    line.require(&["bootstrap-server"])?;
    bootstrap::servers(line).map_err(Failure::Usage)?;
    let (filter, spec) = asked(line).map_err(|message| failed(&message))?;
    let without_internal = line.has("exclude-internal-topics");
    let session = Session::open(&bootstrap::admin_settings(line)?).map_err(|error| failed(&error.to_string()))?;
    let offsets = session.run(async |admin| offsets(admin, &filter, spec, without_internal).await)?;
    for (partition, offset) in offsets
        .map_err(|error| failed(&error.to_string()))?
        .ok_or_else(|| failed("Could not match any topic-partitions with the specified filters"))?
    {
        match offset {
            Ok(-1) => {}
            Ok(offset) => writeln!(streams.out, "{}:{}:{offset}", partition.topic, partition.partition)?,
            Err(error) => {
                writeln!(streams.err, "Skip getting offsets for topic-partition {partition} due to error: {error}")?;
            }
        }
    }
    Ok(())
}

fn asked(line: &Line) -> Result<(PartitionFilter, OffsetSpec), String> {
    let value = |name| line.value(name).map_err(|error| error.to_string());
    let patterns = value("topic-partitions")?;
    if patterns.is_some() && (line.has("topic") || line.has("partitions")) {
        return Err("--topic-partitions cannot be used with --topic or --partitions".to_owned());
    }
    let spec = patterns::offset_spec(value("time")?.unwrap_or("latest"))?;
    let filter = match patterns {
        Some(patterns) => PartitionFilter::of_patterns(patterns)?,
        None => PartitionFilter::of_topic(value("topic")?, value("partitions")?)?,
    };
    Ok((filter, spec))
}

type Offsets = Vec<(TopicPartition, Result<i64, Error>)>;

/// Offsets in the order of Kafka's tool, which sorts by `topic-partition` as text; `None` when nothing matches.
async fn offsets(
    admin: &Admin,
    filter: &PartitionFilter,
    spec: OffsetSpec,
    without_internal: bool,
) -> Result<Option<Offsets>, Error> {
    let topics = admin.list_topics().await?;
    let names: Vec<&str> = topics
        .iter()
        .map(|topic| topic.name.as_str())
        .filter(|name| filter.allows_topic(name) && !(without_internal && INTERNAL_TOPICS.contains(name)))
        .collect();
    let mut asked = Vec::new();
    if !names.is_empty() {
        for (name, topic) in admin.describe_topics(&names).await? {
            let partitions = topic?.partitions.into_iter().map(|partition| partition.metadata.index);
            let wanted = partitions.filter(|index| filter.allows(&name, *index));
            asked.extend(wanted.map(|index| (TopicPartition::new(name.as_str(), index), spec)));
        }
    }
    if asked.is_empty() {
        return Ok(None);
    }
    let answers = admin.list_offsets(&asked, IsolationLevel::ReadUncommitted).await?;
    let mut offsets: Offsets =
        answers.into_iter().map(|(partition, answer)| (partition, answer.map(|listed| listed.offset))).collect();
    offsets.sort_by_key(|(partition, _)| partition.to_string());
    Ok(Some(offsets))
}

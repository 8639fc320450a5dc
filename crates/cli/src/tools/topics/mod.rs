//! `topics`, Kafka's kafka-topics.sh: create, alter, delete, list and describe topics.

use std::io::Write;

use millstream_client::{
    Admin, Error, ErrorCode, TopicPartition,
    admin::{ConfigResource, NewPartitions, NewTopic, Reassignment, TopicDescription},
};

use super::{
    Failure, Streams, Tool,
    admin::Session,
    bootstrap, java_order,
    options::Line,
    topic_filter::{INTERNAL_TOPICS, TopicFilter},
};

mod describe;
mod options;

pub(super) const TOOL: Tool = Tool {
    script: "kafka-topics",
    about: "Creates, alters, deletes, lists and describes topics.",
    options: &options::OPTIONS,
    unreadable: Failure::Message,
    run,
};

fn run(line: &Line, streams: &mut Streams<'_>) -> Result<(), Failure> {
    options::check(line, streams)?;
    let session = Session::open(&bootstrap::admin_settings(line)?)?;
    let done = session.run(async |admin| act(line, admin, streams.out).await)?;
    match done {
        Ok(()) => Ok(()),
        Err(Stop::Output(error)) => Err(Failure::Output(error)),
        Err(Stop::Said(message)) => {
            writeln!(streams.out, "Error while executing topic command : {message}")?;
            writeln!(streams.err, "ERROR {message}")?;
            Err(Failure::Said)
        }
    }
}

/// Why an action ends early.
enum Stop {
    /// What went wrong, in Kafka's words.
    Said(String),
    Output(std::io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Said(error.to_string())
    }
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Said(message)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<super::options::OptionError> for Stop {
    fn from(error: super::options::OptionError) -> Self {
        Self::Said(error.to_string())
    }
}

async fn act(line: &Line, admin: &Admin, out: &mut dyn Write) -> Result<(), Stop> {
    if line.has("create") {
        create(line, admin, out).await
    } else if line.has("alter") {
        alter(line, admin).await
    } else if line.has("list") {
        Ok(writeln!(out, "{}", wanted_topics(line, admin).await?.join("\n"))?)
    } else if line.has("describe") {
        describe(line, admin, out).await
    } else {
        delete(line, admin).await
    }
}

async fn create(line: &Line, admin: &Admin, out: &mut dyn Write) -> Result<(), Stop> {
    let name = line.value("topic")?.unwrap_or_default().to_owned();
    let num_partitions = line.parsed::<i32>("partitions")?;
    let replication_factor = line.parsed::<i32>("replication-factor")?;
    let assignments = options::replica_assignment(line)?.unwrap_or_default();
    let configs = options::topic_configs(line)?;
    options::warn_of_collision(&name, out)?;
    let replication_factor = match replication_factor.map(i16::try_from) {
        None => None,
        Some(Ok(factor @ 1..)) => Some(factor),
        Some(_) => return Err(Stop::Said("The replication factor must be between 1 and 32767 inclusive".to_owned())),
    };
    if num_partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Stop::Said("The partitions must be greater than 0".to_owned()));
    }
    let topic = NewTopic { name: name.clone(), num_partitions, replication_factor, assignments, configs };
    match one(admin.create_topics(&[topic], false).await?) {
        Ok(_) => Ok(writeln!(out, "Created topic {name}.")?),
        Err(Error::Kafka { code: ErrorCode::TopicAlreadyExists, .. }) if line.has("if-not-exists") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn alter(line: &Line, admin: &Admin) -> Result<(), Stop> {
    let total_count = line.parsed::<i32>("partitions")?.unwrap_or_default();
    let assignment = options::replica_assignment(line)?;
    let topics = existing_topics(line, admin).await?;
    let mut changes = Vec::new();
    for topic in topics {
        let assignments = match &assignment {
            None => None,
            Some(partitions) => {
                let now = one(admin.describe_topics(&[&topic]).await?)?.partitions.len();
                Some(partitions.iter().skip(now).cloned().collect())
            }
        };
        changes.push(NewPartitions { topic, total_count, assignments });
    }
    if changes.is_empty() {
        return Ok(());
    }
    all(admin.create_partitions(&changes, false).await?)
}

async fn delete(line: &Line, admin: &Admin) -> Result<(), Stop> {
    let topics = existing_topics(line, admin).await?;
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    all(admin.delete_topics(&names).await?)
}

async fn describe(line: &Line, admin: &Admin, out: &mut dyn Write) -> Result<(), Stop> {
    let names = match line.value("topic-id")?.filter(|id| *id != ZERO_ID) {
        Some(id) => topic_of_id(line, admin, id).await?,
        None => existing_topics(line, admin).await?,
    };
    if names.is_empty() {
        return Ok(());
    }
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut topics: Vec<TopicDescription> = Vec::new();
    for (_, topic) in admin.describe_topics(&wanted).await? {
        topics.push(topic?);
    }
    // Kafka moves them from one map into another that was made for their number.
    for capacity in [java_order::DEFAULT_CAPACITY, names.len()] {
        java_order::sort_as_hash_map(&mut topics, capacity, |topic| java_order::string_hash(&topic.name));
    }
    let resources: Vec<ConfigResource> = topics.iter().map(|topic| ConfigResource::topic(&topic.name)).collect();
    let configs = admin.describe_configs(&resources, false).await?;
    let brokers: Vec<i32> = admin.describe_cluster().await?.brokers.iter().map(|broker| broker.id).collect();
    let moves = reassignments(admin, &topics).await?;
    let report = describe::Report::of(line, brokers);
    for (topic, (_, configs)) in topics.iter().zip(configs) {
        let mut configs = configs?;
        java_order::sort_as_hash_map(&mut configs, java_order::DEFAULT_CAPACITY, |config| {
            java_order::string_hash(&config.name)
        });
        report.print(topic, &configs, &moves, out)?;
    }
    Ok(())
}

/// Kafka's text of the id that no topic has.
const ZERO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

async fn topic_of_id(line: &Line, admin: &Admin, id: &str) -> Result<Vec<String>, Stop> {
    let topics = admin.list_topics().await?;
    let found = topics.into_iter().find(|topic| topic.id.to_string() == id);
    match found {
        Some(topic) => Ok(vec![topic.name]),
        None if line.has("if-exists") => Ok(Vec::new()),
        None => Err(Stop::Said(format!("TopicId '{id}' does not exist as expected"))),
    }
}

/// Partitions that are being moved; a broker that may not or cannot tell has none to tell of.
async fn reassignments(admin: &Admin, topics: &[TopicDescription]) -> Result<Vec<Reassignment>, Stop> {
    let partitions: Vec<TopicPartition> = topics
        .iter()
        .flat_map(|topic| {
            topic.partitions.iter().map(|one| TopicPartition::new(topic.name.as_str(), one.metadata.index))
        })
        .collect();
    match admin.list_partition_reassignments(Some(&partitions)).await {
        Err(Error::UnsupportedApi { .. }) => Ok(Vec::new()),
        Err(Error::Kafka { code: ErrorCode::ClusterAuthorizationFailed | ErrorCode::UnsupportedVersion, .. }) => {
            Ok(Vec::new())
        }
        answer => Ok(answer?),
    }
}

/// The names that `--topic` and `--exclude-internal` leave, sorted.
async fn wanted_topics(line: &Line, admin: &Admin) -> Result<Vec<String>, Stop> {
    let filter = line.value("topic")?.map(TopicFilter::new).transpose()?;
    let without_internal = line.has("exclude-internal");
    let allowed = |name: &str| {
        filter.as_ref().is_none_or(|filter| filter.allows(name))
            && !(without_internal && INTERNAL_TOPICS.contains(&name))
    };
    let topics = admin.list_topics().await?;
    Ok(topics.into_iter().map(|topic| topic.name).filter(|name| allowed(name)).collect())
}

/// The same; none is an error when one was named and `--if-exists` does not stand in the line.
async fn existing_topics(line: &Line, admin: &Admin) -> Result<Vec<String>, Stop> {
    let topics = wanted_topics(line, admin).await?;
    let asked = line.value("topic")?.filter(|topic| !topic.is_empty());
    match asked {
        Some(topic) if topics.is_empty() && !line.has("if-exists") => {
            Err(Stop::Said(format!("Topic '{topic}' does not exist as expected")))
        }
        _ => Ok(topics),
    }
}

fn one<K, V>(answers: Vec<(K, Result<V, Error>)>) -> Result<V, Error> {
    answers.into_iter().next().expect("the client answers for each thing it was asked about").1
}

fn all<K>(answers: Vec<(K, Result<(), Error>)>) -> Result<(), Stop> {
    for (_, answer) in answers {
        answer?;
    }
    Ok(())
}

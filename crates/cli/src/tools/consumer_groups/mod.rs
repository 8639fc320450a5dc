//! `consumer-groups`, Kafka's kafka-consumer-groups.sh: list, describe, delete groups, and set their offsets.
//!
//! Kafka's tool ends with exit code 0 even where a group was not found, and says so on stdout; so does this one.

use std::io::{self, Write};

use millstream_client::{Admin, Error, ErrorCode, TopicPartition, admin::GroupListing};

use super::{
    Failure, Streams, Tool,
    admin::{NoClient, Session},
    bootstrap, java_order,
    options::{Line, OptionError},
};

mod describe;
mod options;
mod reset;
mod time;

pub(super) const TOOL: Tool = Tool {
    script: "kafka-consumer-groups",
    about: "Lists, describes and deletes consumer groups, and sets their offsets.",
    options: &options::OPTIONS,
    unreadable: Failure::Message,
    run,
};

/// Why a conversation ends early; displayed as stderr tells it.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// A sentence and the table of options on stderr, exit code 1.
    #[error("{0}")]
    Usage(String),
    /// What the cluster answered.
    #[error(transparent)]
    Client(#[from] Error),
    /// This sentence, as what the cluster answered is told.
    #[error("{}{}", .0.message, .0.reason)]
    Said(Sentence),
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// A sentence as Kafka's tool prints it: on stdout, where scripts look for it, some have the name of a class of Java's in
/// front; on stderr a reason may stand behind.
#[derive(Debug)]
struct Sentence {
    class: &'static str,
    message: String,
    reason: String,
}

impl Stop {
    fn said(class: &'static str, message: impl Into<String>) -> Self {
        Self::Said(Sentence { class, message: message.into(), reason: String::new() })
    }
}

impl From<OptionError> for Stop {
    fn from(error: OptionError) -> Self {
        Self::said("", error.to_string())
    }
}

fn run(line: &Line, streams: &mut Streams<'_>) -> Result<(), Failure> {
    options::check(line, streams)?;
    if let Some(pattern) = line.value("validate-regex")? {
        return Ok(validate_regex(pattern, streams.out)?);
    }
    let session = open(line)?;
    let done = match session {
        Ok(session) => session.run(async |admin| act(line, admin, streams).await)?,
        Err(stop) => Err(stop),
    };
    let Err(stop) = done else { return Ok(()) };
    let on_stderr = stop.to_string();
    let on_stdout = match stop {
        Stop::Usage(message) => return Err(Failure::Usage(message)),
        Stop::Output(error) => return Err(Failure::Output(error)),
        Stop::Client(error) => java_text(&error),
        Stop::Said(said) => format!("{}{}", said.class, said.message),
    };
    writeln!(streams.out, "\nError: Executing consumer group command failed due to {on_stdout}")?;
    Ok(writeln!(streams.err, "{on_stderr}")?)
}

fn open(line: &Line) -> Result<Result<Session, Stop>, Failure> {
    let mut settings = bootstrap::admin_settings(line)?;
    match line.parsed::<u32>("timeout") {
        Ok(None) => {}
        Ok(Some(ms)) => _ = settings.insert("default.api.timeout.ms".to_owned(), ms.to_string()),
        Err(error) => return Ok(Err(error.into())),
    }
    Ok(Session::open(&settings).map_err(|error| {
        let message = NoClient::MESSAGE.to_owned();
        Stop::Said(Sentence { class: "", message, reason: format!(": {}", error.reason) })
    }))
}

fn validate_regex(pattern: &str, out: &mut dyn Write) -> io::Result<()> {
    match regex_lite::Regex::new(pattern) {
        Ok(_) => writeln!(out, "The regular expression `{pattern}` is valid."),
        Err(error) => {
            writeln!(out, "The regular expression `{pattern}` is invalid: {}.", re2_reason(&error.to_string()))
        }
    }
}

/// What is wrong with a pattern in the words of RE2/J, by which Kafka's brokers read patterns; those of the parser here
/// where it sees what RE2/J does not.
fn re2_reason(reason: &str) -> &str {
    const RE2: [(&str, &str); 5] = [
        ("found open group without closing ')'", "missing closing )"),
        ("found closing ')' without matching '('", "unexpected )"),
        ("character class", "missing closing ]"),
        ("repetition operator", "missing argument to repetition operator"),
        ("escape", "invalid escape sequence"),
    ];
    RE2.iter().find(|(ours, _)| reason.contains(ours)).map_or(reason, |(_, re2)| re2)
}

async fn act(line: &Line, admin: &Admin, streams: &mut Streams<'_>) -> Result<(), Stop> {
    if line.has("list") {
        list(line, admin, streams.out).await
    } else if line.has("describe") {
        describe::describe(line, admin, streams).await
    } else if line.has("delete") {
        delete(line, admin, streams.out).await
    } else if line.has("reset-offsets") {
        reset::reset(line, admin, streams).await
    } else {
        delete_offsets(line, admin, streams.out).await
    }
}

/// Consumers' groups in the order of Kafka's tool.
async fn consumer_groups(admin: &Admin, states: &[&str], types: &[&str]) -> Result<Vec<GroupListing>, Error> {
    let mut groups = admin.list_groups(states, types).await?;
    // Other programs keep groups too (`connect`); a group of offsets alone has no protocol.
    groups.retain(|group| ["", "consumer"].contains(&group.protocol_type.as_str()));
    java_order::sort_as_hash_map(&mut groups, java_order::DEFAULT_CAPACITY, |group| {
        java_order::string_hash(&group.group_id)
    });
    Ok(groups)
}

/// The groups that the line names, or every one.
async fn asked_groups(line: &Line, admin: &Admin) -> Result<Vec<String>, Error> {
    if line.has("all-groups") {
        return Ok(consumer_groups(admin, &[], &[]).await?.into_iter().map(|group| group.group_id).collect());
    }
    Ok(line.values("group").into_iter().map(str::to_owned).collect())
}

const STATES: [&str; 7] =
    ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling"];
const TYPES: [&str; 2] = ["Consumer", "Classic"];

async fn list(line: &Line, admin: &Admin, out: &mut dyn Write) -> Result<(), Stop> {
    let (with_type, with_state) = (line.has("type"), line.has("state"));
    let states = chosen(line.value("state")?, &STATES, "state")?;
    let types = chosen(line.value("type")?, &TYPES, "types")?;
    let groups = consumer_groups(admin, &states, &types).await?;
    let width = groups.iter().map(|group| group.group_id.len()).max().unwrap_or(0).max(15) + 10;
    let mut row = |group: &str, kind: &str, state: &str| {
        if !with_type && !with_state {
            return writeln!(out, "{group}");
        }
        write!(out, "{group:width$}")?;
        for (_, text) in [(with_type, kind), (with_state, state)].iter().filter(|(wanted, _)| *wanted) {
            write!(out, " {text:20}")?;
        }
        writeln!(out)
    };
    if with_type || with_state {
        row("GROUP", "TYPE", "STATE")?;
    }
    for group in &groups {
        row(&group.group_id, kind(&group.group_type), told(&group.state))?;
    }
    Ok(())
}

/// A type as the tool writes it; brokers write it small.
fn kind(text: &str) -> &str {
    TYPES.iter().find(|known| known.eq_ignore_ascii_case(text)).copied().unwrap_or(told(text))
}

fn told(text: &str) -> &str {
    if text.is_empty() { "Unknown" } else { text }
}

/// The names of a comma separated list, as Kafka writes them. Fails with Kafka's sentence on an unknown one.
fn chosen(text: Option<&str>, known: &[&'static str], what: &str) -> Result<Vec<&'static str>, Stop> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let find = |name: &str| known.iter().copied().find(|known| known.eq_ignore_ascii_case(name.trim()));
    text.split(',').map(find).collect::<Option<_>>().ok_or_else(|| {
        let whats = if what == "state" { "states" } else { what };
        Stop::Usage(format!("Invalid {what} list '{text}'. Valid {whats} are: {}", known.join(", ")))
    })
}

async fn delete(line: &Line, admin: &Admin, out: &mut dyn Write) -> Result<(), Stop> {
    let groups = asked_groups(line, admin).await?;
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for (group, answer) in admin.delete_groups(&names).await? {
        match answer {
            Ok(()) => deleted.push(group),
            Err(error) => failed.push((group, error)),
        }
    }
    let deleted = deleted.join(", ");
    if failed.is_empty() {
        return Ok(writeln!(out, "Deletion of requested consumer groups ('{deleted}') was successful.")?);
    }
    writeln!(out, "\nError: Deletion of some consumer groups failed:")?;
    for (group, error) in failed {
        writeln!(out, "* Group '{group}' could not be deleted due to: {}", java_text(&error))?;
    }
    if !deleted.is_empty() {
        writeln!(out, "\nThese consumer groups were deleted successfully: '{deleted}'")?;
    }
    Ok(())
}

/// A partition of a topic whose offsets are deleted; `None` for a topic that does not exist.
type Deleted = (String, Option<i32>, Option<Error>);

async fn delete_offsets(line: &Line, admin: &Admin, out: &mut dyn Write) -> Result<(), Stop> {
    let group = line.value("group")?.unwrap_or_default().to_owned();
    let (partitions, unknown) = reset::partitions_of(admin, &line.values("topic")).await?;
    let mut rows: Vec<Deleted> = unknown.into_iter().map(|(topic, error)| (topic, None, Some(error))).collect();
    let mut failed = None;
    match admin.delete_group_offsets(&group, &partitions).await {
        Ok(answers) => rows.extend(answers.into_iter().map(|(one, answer)| {
            failed = failed.take().or_else(|| answer.as_ref().err().cloned());
            (one.topic.to_string(), Some(one.partition), answer.err())
        })),
        Err(error) => {
            let row = |one: &TopicPartition| (one.topic.to_string(), Some(one.partition), Some(error.clone()));
            rows.extend(partitions.iter().map(row));
            failed = Some(error);
        }
    }
    writeln!(out, "{}", verdict(&group, failed.as_ref()))?;
    print_deleted(&mut rows, out)?;
    Ok(())
}

fn verdict(group: &str, failed: Option<&Error>) -> String {
    let Some(error) = failed else { return format!("Request succeeded for deleting offsets from group {group}.") };
    match error.code() {
        Some(
            code @ (ErrorCode::InvalidGroupId
            | ErrorCode::GroupIdNotFound
            | ErrorCode::GroupAuthorizationFailed
            | ErrorCode::NonEmptyGroup),
        ) => format!("\nError: {}", code.message()),
        Some(
            ErrorCode::GroupSubscribedToTopic
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::UnknownTopicOrPartition,
        ) => "\nError: Encountered some partition-level error, see the follow-up details.".to_owned(),
        _ => format!("\nError: Encountered some unknown error: {error}"),
    }
}

fn print_deleted(rows: &mut [Deleted], out: &mut dyn Write) -> io::Result<()> {
    rows.sort_by_key(|(topic, partition, _)| format!("{topic}{}", partition.unwrap_or(-1)));
    let width = rows.iter().map(|(topic, _, _)| topic.len()).max().unwrap_or(0).max(15);
    write!(out, "\n{:width$} {:10} {:15}", "TOPIC", "PARTITION", "STATUS")?;
    for (topic, partition, error) in rows {
        let partition = partition.map_or("-".to_owned(), |partition| partition.to_string());
        let status = error.as_ref().map_or("Successful".to_owned(), |error| format!("Error: {}", java_text(error)));
        write!(out, "\n{topic:width$} {partition:10} {status:15}")?;
    }
    writeln!(out)
}

/// An error as Kafka's tool prints it on stdout, where scripts look for it: with the name of Java's class.
fn java_text(error: &Error) -> String {
    let class = match error.code() {
        None => return error.to_string(),
        Some(ErrorCode::NonEmptyGroup) => "GroupNotEmpty".to_owned(),
        Some(ErrorCode::GroupAuthorizationFailed) => "GroupAuthorization".to_owned(),
        Some(ErrorCode::TopicAuthorizationFailed) => "TopicAuthorization".to_owned(),
        Some(ErrorCode::ClusterAuthorizationFailed) => "ClusterAuthorization".to_owned(),
        Some(ErrorCode::RequestTimedOut) => "Timeout".to_owned(),
        Some(code) => format!("{code:?}"),
    };
    format!("org.apache.kafka.common.errors.{class}Exception: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_on_stdout_carries_javas_name() {
        let error = Error::Kafka { code: ErrorCode::GroupIdNotFound, message: "Group nope not found.".to_owned() };
        assert_eq!(java_text(&error), "org.apache.kafka.common.errors.GroupIdNotFoundException: Group nope not found.");
    }

    #[test]
    fn states_are_read_in_any_case_and_refused_in_kafkas_words() {
        assert_eq!(chosen(Some("stable, EMPTY"), &STATES, "state").unwrap(), ["Stable", "Empty"]);
        let Err(Stop::Usage(message)) = chosen(Some("good"), &TYPES, "types") else { panic!("no such type") };
        assert_eq!(message, "Invalid types list 'good'. Valid types are: Consumer, Classic");
    }

    #[test]
    fn deleted_offsets_stand_in_a_table() {
        let mut out = Vec::new();
        print_deleted(&mut [("t1".to_owned(), Some(1), None), ("t1".to_owned(), Some(0), None)], &mut out).unwrap();
        let expected = "\nTOPIC           PARTITION  STATUS         \nt1              0          Successful     \nt1              1          Successful     \n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

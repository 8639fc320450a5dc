//! `consumer-groups --reset-offsets`: which partitions, to which offsets, and setting them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use millstream_client::{
    Admin, Error, ErrorCode, TopicPartition,
    admin::{CommittedOffset, OffsetSpec},
    config::IsolationLevel,
};

use super::{Stop, asked_groups, options::SCENARIOS, time};
use crate::tools::{Streams, java_order, options::Line};

/// New offsets of a group's partitions.
type Offsets = BTreeMap<TopicPartition, i64>;

pub(super) async fn reset(line: &Line, admin: &Admin, streams: &mut Streams<'_>) -> Result<(), Stop> {
    let groups = asked_groups(line, admin).await?;
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut plans: Vec<(String, Offsets)> = Vec::new();
    for (group, described) in admin.describe_groups(&names).await? {
        let state = match described {
            Ok(described) => described.state,
            Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => "Dead".to_owned(),
            Err(error) => return Err(error.into()),
        };
        let offsets = if ["Empty", "Dead"].contains(&state.as_str()) {
            let offsets = planned(line, admin, &group, streams).await?;
            if line.has("execute") {
                set(admin, &group, &offsets).await?;
            }
            offsets
        } else {
            writeln!(
                streams.out,
                "\nError: Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
            )?;
            Offsets::new()
        };
        plans.push((group, offsets));
    }
    java_order::sort_as_hash_map(&mut plans, java_order::DEFAULT_CAPACITY, |(group, _)| java_order::string_hash(group));
    if line.has("export") {
        Ok(export(&plans, line.values("group").len() == 1, streams.out)?)
    } else {
        Ok(print(&plans, streams.out)?)
    }
}

async fn set(admin: &Admin, group: &str, offsets: &Offsets) -> Result<(), Stop> {
    let offsets =
        offsets.iter().map(|(partition, offset)| (partition.clone(), CommittedOffset::new(*offset))).collect();
    for (_, answer) in admin.alter_group_offsets(group, &offsets).await? {
        answer?;
    }
    Ok(())
}

/// The partitions that `--topic` names, `topic` or `topic:0,1,2`, and the topics that do not exist.
pub(super) async fn partitions_of(
    admin: &Admin,
    words: &[&str],
) -> Result<(Vec<TopicPartition>, Vec<(String, Error)>), Stop> {
    let (mut partitions, mut whole) = (Vec::new(), Vec::new());
    for word in words {
        let Some((topic, indexes)) = word.split_once(':') else {
            whole.push(*word);
            continue;
        };
        for index in indexes.split(',') {
            let wrong = |_| Stop::Usage(format!("Invalid partition '{index}' specified in topic arg '{word}''"));
            partitions.push(TopicPartition::new(topic, index.trim().parse().map_err(wrong)?));
        }
    }
    let mut unknown = Vec::new();
    if !whole.is_empty() {
        for (topic, described) in admin.describe_topics(&whole).await? {
            match described {
                Ok(described) => partitions.extend(
                    described.partitions.iter().map(|one| TopicPartition::new(topic.as_str(), one.metadata.index)),
                ),
                Err(error) => unknown.push((topic, error)),
            }
        }
    }
    Ok((partitions, unknown))
}

async fn planned(line: &Line, admin: &Admin, group: &str, streams: &mut Streams<'_>) -> Result<Offsets, Stop> {
    if let Some(path) = line.value("from-file")? {
        return from_file(path, line, admin, group, streams).await;
    }
    let committed = admin.list_group_offsets(group, None).await?;
    let partitions = if line.has("all-topics") {
        committed.keys().cloned().collect()
    } else if line.has("topic") {
        let (partitions, unknown) = partitions_of(admin, &line.values("topic")).await?;
        if let Some((_, error)) = unknown.into_iter().next() {
            return Err(Stop::said("", error.to_string()));
        }
        check_exist(admin, &partitions).await?;
        partitions
    } else {
        return Err(Stop::Usage("One of the reset scopes should be defined: --all-topics, --topic.".to_owned()));
    };
    if let Some(offset) = line.parsed::<i64>("to-offset")? {
        let wanted = partitions.into_iter().map(|partition| (partition, offset)).collect();
        within_log(admin, wanted, streams).await
    } else if let Some(count) = line.parsed::<i64>("shift-by")? {
        within_log(admin, shifted(partitions, &committed, count)?, streams).await
    } else if line.has("to-current") {
        current(admin, partitions, &committed).await
    } else {
        at(admin, &partitions, spec(line)?).await
    }
}

/// Fails with Kafka's sentence when a topic has no such partitions.
async fn check_exist(admin: &Admin, partitions: &[TopicPartition]) -> Result<(), Stop> {
    let topics: BTreeSet<&str> = partitions.iter().map(|one| &*one.topic).collect();
    let mut missing: Vec<String> = Vec::new();
    for (topic, described) in admin.describe_topics(&topics.into_iter().collect::<Vec<_>>()).await? {
        let class = "java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: ";
        let described = described.map_err(|error| Stop::said(class, error.to_string()))?;
        let exists = |index: i32| described.partitions.iter().any(|one| one.metadata.index == index);
        let asked = partitions.iter().filter(|one| *one.topic == *topic);
        missing.extend(asked.filter(|one| !exists(one.partition)).map(ToString::to_string));
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Stop::said("", format!("The partitions \"{}\" do not exist", missing.join(","))))
}

/// The scenarios that ask the cluster for an offset.
fn spec(line: &Line) -> Result<OffsetSpec, Stop> {
    if line.has("to-earliest") {
        return Ok(OffsetSpec::Earliest);
    }
    if line.has("to-latest") {
        return Ok(OffsetSpec::Latest);
    }
    if let Some(text) = line.value("to-datetime")? {
        return time::datetime_ms(text)
            .map(OffsetSpec::Timestamp)
            .map_err(|message| Stop::said("java.text.ParseException: ", message));
    }
    if let Some(text) = line.value("by-duration")? {
        return time::before_ms(text, time::now_ms())
            .map(OffsetSpec::Timestamp)
            .map_err(|message| Stop::said("", message));
    }
    let scenarios: Vec<String> = SCENARIOS.iter().map(|scenario| format!("[{scenario}]")).collect();
    Err(Stop::Usage(format!(
        "Option '[reset-offsets]' requires one of the following scenarios: [{}]",
        scenarios.join(", ")
    )))
}

/// The offsets that the cluster has for `spec`; where no record is so young, the end.
async fn at(admin: &Admin, partitions: &[TopicPartition], spec: OffsetSpec) -> Result<Offsets, Stop> {
    let ask = async |partitions: Vec<TopicPartition>, spec| -> Result<Offsets, Stop> {
        let asked: Vec<_> = partitions.into_iter().map(|partition| (partition, spec)).collect();
        let mut offsets = Offsets::new();
        for (partition, answer) in admin.list_offsets(&asked, IsolationLevel::ReadUncommitted).await? {
            offsets.insert(partition, answer?.offset);
        }
        Ok(offsets)
    };
    let mut offsets = ask(partitions.to_vec(), spec).await?;
    let too_old: Vec<TopicPartition> =
        offsets.iter().filter(|(_, offset)| **offset < 0).map(|(partition, _)| partition.clone()).collect();
    if !too_old.is_empty() {
        offsets.extend(ask(too_old, OffsetSpec::Latest).await?);
    }
    Ok(offsets)
}

fn shifted(
    partitions: Vec<TopicPartition>,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
    count: i64,
) -> Result<Offsets, Stop> {
    let shift = |partition: TopicPartition| match committed.get(&partition) {
        Some(held) => Ok((partition, held.offset.saturating_add(count))),
        None => Err(Stop::Usage(format!(
            "Cannot shift offset for partition {partition} since there is no current committed offset"
        ))),
    };
    partitions.into_iter().map(shift).collect()
}

async fn current(
    admin: &Admin,
    partitions: Vec<TopicPartition>,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Result<Offsets, Stop> {
    let (with, without): (Vec<_>, Vec<_>) = partitions.into_iter().partition(|one| committed.contains_key(one));
    let mut offsets = at(admin, &without, OffsetSpec::Latest).await?;
    offsets.extend(with.into_iter().map(|partition| {
        let held = committed[&partition].offset;
        (partition, held)
    }));
    Ok(offsets)
}

/// Offsets outside of a log are moved to its nearer end, and that is said.
async fn within_log(admin: &Admin, wanted: Offsets, streams: &mut Streams<'_>) -> Result<Offsets, Stop> {
    let partitions: Vec<TopicPartition> = wanted.keys().cloned().collect();
    let first = at(admin, &partitions, OffsetSpec::Earliest).await?;
    let last = at(admin, &partitions, OffsetSpec::Latest).await?;
    let mut offsets = Offsets::new();
    for (partition, offset) in rows(&wanted) {
        let (first, last) = (first[partition], last[partition]);
        if offset > last {
            writeln!(
                streams.err,
                "WARN New offset ({offset}) is higher than latest offset for topic partition {partition}. Value will be set to {last}"
            )?;
        } else if offset < first {
            writeln!(
                streams.err,
                "WARN New offset ({offset}) is lower than earliest offset for topic partition {partition}. Value will be set to {first}"
            )?;
        }
        offsets.insert(partition.clone(), offset.min(last).max(first));
    }
    Ok(offsets)
}

async fn from_file(
    path: &str,
    line: &Line,
    admin: &Admin,
    group: &str,
    streams: &mut Streams<'_>,
) -> Result<Offsets, Stop> {
    let text = std::fs::read_to_string(path)
        .map_err(|_| Stop::said("java.io.IOException: ", format!("Unable to read file {path}")))?;
    let only_group = match line.values("group")[..] {
        [only] => Some(only),
        _ => None,
    };
    let mut plan = parse_plan(&text, only_group).map_err(|error| Stop::Usage(format!("{path}: {error}")))?;
    match plan.remove(group) {
        Some(wanted) => within_log(admin, wanted, streams).await,
        None => {
            writeln!(streams.out, "\nError: No reset plan for group {group} found")?;
            Ok(Offsets::new())
        }
    }
}

/// Lines `topic,partition,offset`, of the only group, or `group,topic,partition,offset`.
fn parse_plan(text: &str, only_group: Option<&str>) -> Result<BTreeMap<String, Offsets>, String> {
    let mut plan: BTreeMap<String, Offsets> = BTreeMap::new();
    for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let columns: Vec<&str> = text.split(',').map(|column| column.trim().trim_matches('"')).collect();
        let row = match (columns[..].split_first(), only_group) {
            (Some((topic, [partition, offset])), Some(group)) => Some((group, *topic, *partition, *offset)),
            (Some((group, [topic, partition, offset])), _) => Some((*group, *topic, *partition, *offset)),
            _ => None,
        };
        let parsed = row.and_then(|(group, topic, partition, offset)| {
            Some((group, TopicPartition::new(topic, partition.parse().ok()?), offset.parse().ok()?))
        });
        let (group, partition, offset) = parsed.ok_or_else(|| {
            format!("line {}: `{text}` is neither topic,partition,offset nor group,topic,partition,offset", index + 1)
        })?;
        plan.entry(group.to_owned()).or_default().insert(partition, offset);
    }
    Ok(plan)
}

/// A group's rows in the order of Kafka's tool.
fn rows(offsets: &Offsets) -> Vec<(&TopicPartition, i64)> {
    let mut rows: Vec<(&TopicPartition, i64)> =
        offsets.iter().map(|(partition, offset)| (partition, *offset)).collect();
    java_order::sort_as_hash_map(&mut rows, java_order::DEFAULT_CAPACITY, |(partition, _)| {
        java_order::partition_hash(&partition.topic, partition.partition)
    });
    rows
}

fn print(plans: &[(String, Offsets)], out: &mut dyn Write) -> io::Result<()> {
    let widest = |of: &dyn Fn(&(String, Offsets)) -> usize| plans.iter().map(of).max().unwrap_or(0).max(15);
    let group_width = widest(&|(group, _)| group.len());
    let topic_width = widest(&|(_, offsets)| offsets.keys().map(|partition| partition.topic.len()).max().unwrap_or(0));
    if !plans.is_empty() {
        write!(out, "\n{:group_width$} {:topic_width$} {:10} NEW-OFFSET", "GROUP", "TOPIC", "PARTITION")?;
    }
    for (group, offsets) in plans {
        for (partition, offset) in rows(offsets) {
            let (topic, index) = (&*partition.topic, partition.partition);
            write!(out, "\n{group:group_width$} {topic:topic_width$} {index:<10} {offset}")?;
        }
    }
    writeln!(out)
}

fn export(plans: &[(String, Offsets)], is_single_group: bool, out: &mut dyn Write) -> io::Result<()> {
    for (group, offsets) in plans {
        for (partition, offset) in rows(offsets) {
            if !is_single_group {
                write!(out, "{group},")?;
            }
            writeln!(out, "{},{},{offset}", partition.topic, partition.partition)?;
        }
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(partitions: i32) -> (String, Offsets) {
        ("g2".to_owned(), (0..partitions).map(|index| (TopicPartition::new("t1", index), 0)).collect())
    }

    /// Recorded from kafka-consumer-groups.sh.
    #[test]
    fn new_offsets_stand_in_javas_order() {
        let expected = "
GROUP           TOPIC           PARTITION  NEW-OFFSET
g2              t1              4          0
g2              t1              3          0
g2              t1              2          0
g2              t1              1          0
g2              t1              0          0
";
        let mut out = Vec::new();
        print(&[plan(5)], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        print(&[plan(0)], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\nGROUP           TOPIC           PARTITION  NEW-OFFSET\n");
    }

    #[test]
    fn an_exported_plan_is_read_back() {
        for (is_single, only) in [(true, Some("g2")), (false, None)] {
            let mut out = Vec::new();
            export(&[plan(3)], is_single, &mut out).unwrap();
            let read = parse_plan(&String::from_utf8(out).unwrap(), only).unwrap();
            assert_eq!(read["g2"], plan(3).1);
        }
    }

    #[test]
    fn a_broken_plan_names_its_line() {
        let error = parse_plan("t1,0,5\nt1,zero,5\n", Some("g")).unwrap_err();
        assert_eq!(error, "line 2: `t1,zero,5` is neither topic,partition,offset nor group,topic,partition,offset");
    }

    #[test]
    fn shifting_needs_a_committed_offset() {
        let committed = BTreeMap::from([(TopicPartition::new("t", 0), CommittedOffset::new(5))]);
        let partition = |index| TopicPartition::new("t", index);
        let shifted_back = shifted(vec![partition(0)], &committed, -7).unwrap();
        assert_eq!(shifted_back[&partition(0)], -2);
        let Err(Stop::Usage(message)) = shifted(vec![partition(1)], &committed, 1) else { panic!("nothing to shift") };
        assert_eq!(message, "Cannot shift offset for partition t-1 since there is no current committed offset");
    }
}
